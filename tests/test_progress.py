"""How far a run is, in figures, in words and once a minute; times are exact."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock

from batchtts.errors import RateLimited, Stalled
from batchtts.model import Result
from batchtts.run.figures import ROW_CHARS, WINDOW_S, Figures, Work
from batchtts.run.progress import REPORT_EVERY_S, Lines, Progress, Silent
from batchtts.run.spelling import line, spell_clock, spell_cost, spell_left, spell_s


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


def done(
    characters: int = 10,
    row_id: str = "a",
    *,
    ttfa_s: float | None = None,
    segments: int = 1,
    audio_s: float = 2.0,
    sent: int | None = None,
    cost_usd: float | None = 0.0,
) -> Result:
    """A row with two seconds of audio."""
    return Result(
        id=row_id,
        status="done",
        text_chars=characters,
        segments=segments,
        sample_rate_hz=1000,
        frames=round(audio_s * 1000),
        ttfa_s=ttfa_s,
        characters_sent=characters if sent is None else sent,
        cost_usd=cost_usd,
    )


def failed(
    characters: int = 10, row_id: str = "b", error: str = "no such letters", segments: int = 1
) -> Result:
    return Result(
        id=row_id,
        status="failed",
        text_chars=characters,
        segments=segments,
        cost_usd=0.0,
        error_message=error,
    )


def begun(watch: Watch, rows: int, characters: int = 0, **work: float) -> Figures:
    """Figures of a run that takes ten seconds to start and has one request in flight."""
    figures = Figures(Work(rows=rows, size=characters, **work), watch)  # type: ignore[arg-type]
    watch.now += 10.0
    figures.fly(1)
    return figures


# What is counted


def test_rows_requests_and_errors_are_counted(watch: Watch) -> None:
    figures = begun(watch, 4, 40)
    figures.fly(3)
    figures.falter("c", Stalled("no first audio within 20 s"), 2.0)
    figures.falter("c", RateLimited("slow down"), 4.0)
    figures.add(done())
    assert (figures.in_flight, figures.faltered, figures.refused) == (3, 1, 1)
    assert figures.last_error == "c: slow down"
    figures.add(failed())
    assert (figures.done, figures.failed, figures.ended) == (1, 1, 2)
    assert figures.last_error == "b: no such letters"


def test_who_waits_for_another_attempt_is_counted_until_it_is_made(watch: Watch) -> None:
    figures = begun(watch, 4)
    figures.falter("c", Stalled("no"), 2.0)
    watch.now += 1.0
    figures.falter("d", Stalled("no"), 3.0)
    assert figures.waiting == 2
    watch.now += 1.0
    assert figures.waiting == 1
    watch.now += 2.0
    assert figures.waiting == 0
    figures.falter("c", Stalled("no"), 1.0)
    assert figures.waiting == 1


def test_segments_move_the_bar_before_their_row_has_come_to_its_end(watch: Watch) -> None:
    figures = begun(watch, 2, 400 - 2 * ROW_CHARS)
    figures.hear("a", 100, 6.0)
    assert (figures.share, figures.audio_s, figures.ended) == (0.25, 6.0, 0)
    figures.hear("a", 100, 6.0)
    assert (figures.share, figures.audio_s) == (0.5, 12.0)
    figures.add(done(200, segments=2, audio_s=12.5))
    assert figures.share == (200 + ROW_CHARS) / 400
    assert (figures.audio_s, figures.ended) == (12.5, 1)


def test_segments_alone_make_no_rate_of_rows(watch: Watch) -> None:
    figures = begun(watch, 2, 400)
    watch.now += 2.0
    figures.hear("a", 100, 6.0)
    assert (figures.rows_per_s, figures.x_real_time) == (None, 3.0)


def test_segments_of_a_row_that_fails_count_no_more(watch: Watch) -> None:
    figures = begun(watch, 2, 400)
    figures.hear("a", 100, 6.0)
    figures.add(failed(200, "a", segments=2))
    assert (figures.size_done, figures.audio_s) == (200, 0.0)


def test_a_row_that_was_done_and_is_not_changes_sides(watch: Watch) -> None:
    figures = begun(watch, 2, 20)
    figures.add(done())
    figures.correct(failed(error="cut short"))
    assert (figures.done, figures.failed, figures.ended) == (0, 1, 1)
    assert figures.last_error == "b: cut short"


def test_a_row_that_keeps_what_it_had_has_come_to_its_end(watch: Watch) -> None:
    figures = begun(watch, 1, 10)
    figures.keep(failed())
    assert (figures.done, figures.failed, figures.share) == (0, 0, 1.0)
    assert figures.last_error == "b: no such letters"


def test_the_whole_is_reached_by_the_last_row_and_not_before(watch: Watch) -> None:
    figures = begun(watch, 2, 10)
    figures.add(done(10))
    figures.hear("b", 500, 1.0)  # the script was longer than somebody thought
    assert figures.share <= 1.0
    figures.add(done(0))
    assert (figures.share, figures.left_s) == (1.0, 0.0)


def test_rows_without_size_are_counted_all_the_same(watch: Watch) -> None:
    figures = begun(watch, 4, 0, row_size=0)
    figures.add(done(0))
    assert figures.share == 0.25


# Time


def test_nothing_is_told_before_there_is_something_to_tell(watch: Watch) -> None:
    figures = Figures(Work(rows=1204, size=50_000), watch)
    assert (figures.left_s, figures.rows_per_s, figures.x_real_time) == (None, None, None)
    assert line(figures) == "0/1,204 done, 0 failed, 0 in flight, starting"
    figures.fly(2)
    watch.now += 100.0
    assert (figures.left_s, figures.rows_per_s) == (None, None)
    assert line(figures) == "0/1,204 done, 0 failed, 2 in flight"
    figures.add(done())
    assert figures.left_s is None
    assert line(figures) == "1/1,204 done, 0 failed, 2 in flight, 0.01/s, 0.0 x real time"
    figures.add(done())
    assert figures.left_s is not None


def test_a_rate_takes_a_second_to_settle(watch: Watch) -> None:
    figures = begun(watch, 9, 90)
    watch.now += 0.5
    for _ in range(3):
        figures.add(done())
    assert (figures.left_s, figures.rows_per_s) == (None, None)
    watch.now += 0.5
    assert (figures.left_s, figures.rows_per_s, figures.x_real_time) == (2.0, 3.0, 6.0)


def test_time_to_go_waits_for_as_many_as_are_in_flight(watch: Watch) -> None:
    figures = begun(watch, 9, 90)
    figures.fly(4)
    watch.now += 2.0
    for _ in range(3):
        figures.add(done())
    assert figures.left_s is None
    figures.add(done())
    assert figures.left_s == 2.5


def test_time_to_go_is_by_characters_and_by_rows(watch: Watch) -> None:
    figures = begun(watch, 3, 400 - 3 * ROW_CHARS)
    watch.now += 5.0
    figures.add(done(15))
    watch.now += 5.0
    figures.add(done(25))
    assert figures.left_s == pytest.approx(10.0 * (400 - 40 - 120) / (40 + 120))


def test_starting_up_is_not_part_of_the_rate(watch: Watch) -> None:
    figures = Figures(Work(rows=4, size=40), watch)
    watch.now += 1000.0
    figures.fly(1)
    for _ in range(2):
        watch.now += 1.0
        figures.add(done())
    assert (figures.left_s, figures.elapsed_s) == (2.0, 1002.0)


def test_work_that_makes_no_requests_began_at_the_beginning(watch: Watch) -> None:
    figures = Figures(Work(rows=4, size=40, unit="seconds", row_size=0), watch)
    for row_id in "ab":
        watch.now += 1.0
        figures.finish(row_id, 10, 3.0)
        figures.done += 1
    assert (figures.left_s, figures.x_real_time) == (2.0, 3.0)
    assert (figures.facts()["seconds"], figures.facts()["seconds_done"]) == (40, 20)


def test_half_of_the_rate_is_the_recent_one(watch: Watch) -> None:
    figures = begun(watch, 1000, row_size=1)
    for _ in range(100):  # one a second
        watch.now += 1.0
        figures.add(done(0))
    for _ in range(int(WINDOW_S) * 3):  # and then three
        watch.now += 1 / 3
        figures.add(done(0))
    assert figures.rows_per_s == pytest.approx(3.0, rel=0.05)
    whole = 280 / 160
    assert figures.left_s == pytest.approx(720 / ((3.0 + whole) / 2), rel=0.05)


def test_a_standstill_is_seen_though_nothing_happens(watch: Watch) -> None:
    figures = begun(watch, 20, row_size=1)
    for _ in range(10):
        watch.now += 1.0
        figures.add(done(0))
    assert figures.left_s == 10.0
    watch.now += 90.0
    assert figures.rows_per_s == pytest.approx(0.0, abs=0.011)
    assert figures.left_s == pytest.approx(182.0, rel=0.1)


def test_the_memory_of_a_long_run_is_short(watch: Watch) -> None:
    figures = begun(watch, 100_000, row_size=1)
    for _ in range(10_000):
        watch.now += 0.5
        figures.add(done(0))
    assert len(figures._samples) <= WINDOW_S + 2
    assert figures.rows_per_s == pytest.approx(2.0, rel=0.02)


def test_what_an_earlier_run_has_spoken_is_no_sign_of_speed(watch: Watch) -> None:
    figures = begun(watch, 2, 1000, row_size=0)
    watch.now += 10.0
    figures.hear("a", 50, 3.0)
    figures.hear("a", 50, 3.0)
    assert figures.left_s == 90.0
    figures.add(done(900, segments=18, audio_s=54.0))
    assert (figures.left_s, figures.x_real_time) == (10.0, 0.6)


def test_nothing_ends_before_those_who_wait_may_try_again(watch: Watch) -> None:
    figures = begun(watch, 4, 40)
    watch.now += 3.0
    for _ in range(3):
        figures.add(done())
    assert figures.left_s == 1.0
    figures.falter("d", Stalled("no"), 30.0)
    watch.now += 1.0
    assert figures.left_s == 29.0


def test_where_nothing_moves_there_is_no_time_to_go(watch: Watch) -> None:
    figures = begun(watch, 4, 40, row_size=0)
    watch.now += 3.0
    for _ in range(2):
        figures.add(done(0))
    assert figures.left_s is None


# Money


def test_what_is_left_costs_its_list_price_and_as_many_attempts_as_before(watch: Watch) -> None:
    figures = begun(watch, 4, 400, estimated_usd=8.0)
    assert (figures.spent_usd, figures.projected_usd) == (0.0, 8.0)
    figures.add(done(100, cost_usd=2.0))
    assert figures.projected_usd == 8.0
    figures.add(done(100, sent=200, cost_usd=4.0))
    assert (figures.spent_usd, figures.projected_usd) == (6.0, 6.0 + 4.0 * 1.5)
    assert spell_cost(figures) == "$6.00 of $12.00"


def test_at_the_end_what_it_was_to_cost_is_what_it_cost(watch: Watch) -> None:
    figures = begun(watch, 2, 20, estimated_usd=0.4)
    figures.pay(5, 0.1)
    figures.hear("a", 5, 1.0)
    figures.pay(5, 0.1)
    figures.hear("a", 5, 1.0)
    figures.add(done(10, segments=2, sent=0))
    figures.add(failed(10))
    assert figures.projected_usd == figures.spent_usd == 0.2


def test_small_sums_have_as_many_digits_on_both_sides(watch: Watch) -> None:
    figures = begun(watch, 2, 20, estimated_usd=0.01)
    assert spell_cost(figures) == "$0.0000 of $0.0100"


def test_what_has_no_price_is_told_so(watch: Watch) -> None:
    figures = begun(watch, 2, 20, unpriced=1)
    assert spell_cost(figures) == "price not known"
    figures.add(done(cost_usd=1.5))
    assert spell_cost(figures) == "at least $1.50"
    figures = begun(watch, 2, 20)
    assert spell_cost(figures) == ""
    figures.add(done(cost_usd=None))
    assert (figures.projected_usd, spell_cost(figures)) == (None, "price not known")


# In words


def test_a_line_says_how_it_is_going(watch: Watch) -> None:
    figures = begun(watch, 1204, 12_040, estimated_usd=12.04)
    for n in range(100):
        watch.now += 0.5
        figures.add(failed() if n == 50 else done(ttfa_s=n / 100, cost_usd=0.01))
    figures.fly(8)
    figures.falter("z", RateLimited("slow\ndown"), 9.0)
    assert line(figures) == (
        "99/1,204 done, 1 failed, 8 in flight, 1 waiting, 1 refused, 2.0/s, 4.0 x real time,"
        " ttfa p50 0.49 s p95 0.95 s, $0.99 of $11.92, 9 min left; last error: z: slow down"
    )


def test_a_line_says_what_is_done_if_it_is_not_speech(watch: Watch) -> None:
    figures = Figures(Work(rows=3, label="verifying"), watch)
    assert line(figures) == "verifying: 0/3 done, 0 failed, 0 in flight, starting"


def test_a_row_without_audio_has_no_say_in_the_times_to_first_audio(watch: Watch) -> None:
    figures = begun(watch, 2, 20)
    figures.add(failed())
    assert figures.ttfa_s is None


def test_time_to_go_is_told_in_steps(watch: Watch) -> None:
    figures = begun(watch, 62, row_size=1)
    told = []
    for _ in range(60):
        watch.now += 1.0
        figures.add(done(0))
        told.append(spell_left(figures))
    assert told[:4] == ["", "60 s left", "60 s left", "60 s left"]
    assert set(told[2:38]) == {f"{seconds} s left" for seconds in range(25, 65, 5)}
    assert told[-3:] == ["4 s left", "3 s left", "2 s left"]


def test_machines_are_told_everything(watch: Watch) -> None:
    figures = begun(watch, 4, 40, estimated_usd=0.004)
    watch.now += 2.0
    figures.add(done(cost_usd=0.001))
    figures.add(failed())
    figures.falter("c", Stalled("no"), 5.0)
    assert figures.facts() == {
        "rows": 4,
        "done": 1,
        "failed": 1,
        "in_flight": 1,
        "waiting": 1,
        "refused": 0,
        "faltered": 1,
        "characters": 40,
        "characters_done": 20,
        "audio_s": 2.0,
        "rows_per_s": 1.0,
        "x_real_time": 1.0,
        "cost_usd": 0.001,
        "projected_usd": 0.002,
        "elapsed_s": 12.0,
        "left_s": 5.0,
        "last_error": "c: no",
    }


# Once a minute


async def spoken(progress: Progress, seconds: float) -> None:
    """Have a row a second spoken, but none in the second minute."""
    figures = Figures(Work(rows=1000, size=10_000), trio.current_time)
    progress.begin(figures)
    async with trio.open_nursery() as services:
        services.start_soon(progress.watch)
        figures.fly(1)
        await trio.sleep(0.5)
        for second in range(int(seconds)):
            if not 60 <= second < 120:
                figures.add(done())
            await trio.sleep(1.0)
        services.cancel_scope.cancel()
    progress.end()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(59, []), (150, ["60/1,000", "60/1,000"]), (185, ["60/1,000", "60/1,000", "120/1,000"])],
)
async def test_the_log_gets_a_line_a_minute_whatever_happens(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, seconds: int, told: list[str]
) -> None:
    caplog.set_level(logging.INFO)
    await spoken(Lines(), seconds)
    assert REPORT_EVERY_S == 60.0
    assert [each.partition(" done")[0] for each in caplog.messages] == told


async def test_a_line_brings_facts_along(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await spoken(Lines(), 61)
    [record] = caplog.records
    assert record.__dict__["event"] == "progress"
    assert record.__dict__["facts"]["characters_done"] == 600


async def test_who_is_to_be_silent_is_silent(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await spoken(Silent(), 130)
    assert caplog.messages == []


# Words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "0 s"),
        (99.4, "99 s"),
        (100.0, "2 min"),
        (3600.0, "60 min"),
        (5999.0, "100 min"),
        (6000.0, "1.7 h"),
        (360_000.0, "100.0 h"),
    ],
)
def test_seconds_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert spell_s(seconds) == said


@pytest.mark.parametrize(("seconds", "said"), [(7.9, "0:07"), (754, "12:34"), (36_061, "10:01:01")])
def test_a_stopwatch_tells_spans(seconds: float, said: str) -> None:
    assert spell_clock(seconds) == said
