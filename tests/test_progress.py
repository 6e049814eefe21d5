from __future__ import annotations

import logging
import time

import pytest

from batchtts.model import Result
from batchtts.run.progress import REPORT_EVERY_S, ROW_CHARS, Figures, Lines, Silent, spell_s


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(time, "monotonic", watch)
    return watch


def done(characters: int = 10, ttfa_s: float | None = 0.25, wall_s: float | None = None) -> Result:
    """A row with two seconds of audio."""
    return Result(
        id="a",
        status="done",
        text_chars=characters,
        sample_rate_hz=24_000,
        frames=48_000,
        ttfa_s=ttfa_s,
        wall_s=wall_s,
    )


FAILED = Result(id="b", status="failed", text_chars=10)


def test_nothing_can_be_said_before_anything_has_happened(watch: Watch) -> None:
    figures = Figures(1204, 50_000)
    assert figures.left_s is None
    assert figures.line() == "0/1,204 done, 0 failed, 0.0/s, 0.0 x real time"


def test_a_line_says_how_it_is_going(watch: Watch) -> None:
    figures = Figures(rows=1204, characters=12_040, began_at=watch.now)
    for n in range(100):
        watch.now += 0.5
        figures.add(FAILED if n == 50 else done(ttfa_s=n / 100))
    assert figures.line() == (
        "99/1,204 done, 1 failed, 2.0/s, 4.0 x real time, ttfa p50 0.49 s p95 0.95 s, 9 min left"
    )


def test_time_to_go_is_by_characters_and_by_rows(watch: Watch) -> None:
    figures = Figures(rows=3, characters=400 - 3 * ROW_CHARS)
    figures.add(done(15))
    watch.now += 10.0
    figures.add(done(25))
    assert figures.left_s == pytest.approx(15.0)


def test_rows_that_ended_together_took_as_long_as_the_first_of_them(watch: Watch) -> None:
    figures = Figures(rows=4, characters=40)
    figures.add(done(wall_s=5.0))
    figures.add(done(wall_s=5.0))
    assert figures.left_s == pytest.approx(5.0)


def test_starting_up_is_not_part_of_the_rate(watch: Watch) -> None:
    figures = Figures(rows=4, characters=40)
    watch.now += 1000.0
    figures.add(done())
    assert figures.left_s is None
    watch.now += 1.0
    figures.add(done())
    assert figures.left_s == pytest.approx(1.0)


def test_scripts_without_characters_are_counted_by_rows(watch: Watch) -> None:
    figures = Figures(rows=4, characters=0)
    figures.add(done(0))
    watch.now += 1.0
    figures.add(done(0))
    assert figures.left_s == pytest.approx(1.0)


def test_at_the_end_nothing_is_left(watch: Watch) -> None:
    figures = Figures(rows=2, characters=10)
    for _ in range(2):
        watch.now += 1.0
        figures.add(done(10))
    assert figures.left_s == 0.0


def test_a_row_without_audio_has_no_say_in_the_times_to_first_audio(watch: Watch) -> None:
    figures = Figures(rows=2, characters=20)
    figures.add(FAILED)
    assert "ttfa" not in figures.line()


def test_the_log_gets_a_line_a_minute(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    lines = Lines()
    lines.begin(1000, 10_000)
    for _ in range(150):
        watch.now += 1.0
        lines.add(done())
    lines.end()
    assert REPORT_EVERY_S == 60.0
    assert [line.partition(" done")[0] for line in caplog.messages] == ["60/1,000", "120/1,000"]


def test_who_is_to_be_silent_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    silent = Silent()
    silent.begin(1, 1)
    silent.add(done())
    silent.end()
    assert caplog.messages == []


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
