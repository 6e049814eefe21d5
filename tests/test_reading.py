"""A row of several segments, spoken by several workers, in virtual time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest
import soundfile
import trio
from trio.testing import MockClock

from batchtts.audio.measure import measure, worst
from batchtts.errors import (
    OutputBroken,
    ScriptRejected,
    SessionLost,
    Stalled,
    Truncated,
    VoiceUnavailable,
)
from batchtts.job.wording import Said
from batchtts.model import Take, Utterance, Verdict
from batchtts.record.pieces import Facts, Piece, Pieces
from batchtts.run.joining import Whole
from batchtts.run.notes import Notes
from batchtts.run.reading import Part, Reading
from batchtts.run.worker import Segment
from batchtts.text.rendering import Rendering
from tests.test_worker import (
    HEART,
    PRICE_USD,
    PRINTS,
    SKY,
    SPEECH,
    Answer,
    Studio,
    money,
    row,
    studio,
)
from tests.test_worker import Said as Answered

LONG = "Call me Ishmael. Some years ago, never mind. How long precisely."
SAID = ["Call me Ishmael.", "Some years ago,", "never mind.", "How long precisely."]
LIMIT = 20


def read(shelf: Pieces, utterance: Utterance, limit: int = LIMIT) -> Reading:
    return Reading.of(utterance, Said(Rendering.of(utterance.script)), limit, shelf, PRINTS)


def facts(number: int, context: str = "old-0-0-0") -> Facts:
    return Facts(
        sample_rate_hz=24_000,
        peak_dbfs=-20.0 + number,
        attempts=number + 1,
        queue_s=0.5,
        connect_s=0.25,
        ttfa_s=0.125 * (number + 1),
        synth_s=2.0,
        context=context,
    )


def keep(shelf: Pieces, reading: Reading, *numbers: int, run: str = "old") -> None:
    """Let some segments be there from an earlier run."""
    shelf.publish(
        [
            Piece(reading.folder, reading.names[n], facts(n, f"{run}-0-{n}-0"), SPEECH)
            for n in numbers
        ]
    )


@pytest.fixture
def shelf(tmp_path: Path) -> Pieces:
    return Pieces(tmp_path / "pieces")


def numbers(reading: Reading) -> list[int]:
    return [part.number for part in reading.parts()]


# ── parts ─────────────────────────────────────────────────────────────────────


def test_a_short_row_is_one_part_and_nothing_is_looked_for_on_the_disk(shelf: Pieces) -> None:
    reading = read(shelf, row(script="  Call me. \n"))
    assert reading.is_alone
    [part] = reading.parts()
    assert (part.text, part.voice, reading.names) == ("  Call me. \n", HEART, ())
    assert not shelf.directory.exists()


def test_a_long_row_is_parts_in_order_that_join_to_the_script(shelf: Pieces) -> None:
    reading = read(shelf, row(script=LONG))
    parts = list(reading.parts())
    assert [(part.number, part.text) for part in parts] == list(enumerate(SAID))
    assert "".join(LONG[piece.start : piece.end] for piece in reading.pieces) == LONG
    assert reading.in_flight == len(parts)
    assert not shelf.directory.exists()


@pytest.mark.parametrize("there", [(0,), (3,), (1, 2), (0, 1, 3)])
def test_only_what_is_missing_is_to_be_spoken(shelf: Pieces, there: Sequence[int]) -> None:
    keep(shelf, read(shelf, row(script=LONG)), *there)
    again = read(shelf, row(script=LONG))
    assert sorted(again.facts) == sorted(there)
    assert numbers(again) == [n for n in range(4) if n not in there]


def test_of_a_row_that_has_all_its_segments_one_part_is_left_to_end_it(shelf: Pieces) -> None:
    keep(shelf, read(shelf, row(script=LONG)), 0, 1, 2, 3)
    again = read(shelf, row(script=LONG))
    assert again.is_whole
    assert numbers(again) == [3]


def test_of_a_script_that_changes_without_another_fingerprint_no_segment_is_taken_for_another(
    shelf: Pieces,
) -> None:
    keep(shelf, read(shelf, row(script=LONG)), 0, 1, 2, 3)
    assert numbers(read(shelf, row(script=LONG.replace("Some", "Many")))) == [1]
    assert numbers(read(shelf, row(script=LONG, voice=SKY))) == [0, 1, 2, 3]


def test_a_row_that_has_failed_or_is_left_gives_out_no_more(shelf: Pieces) -> None:
    for end in (lambda it: it.fail(Truncated("x")), lambda it: setattr(it, "is_left", True)):
        reading = read(shelf, row(script=LONG))
        parts = reading.parts()
        next(parts)
        end(reading)
        assert list(parts) == []
        assert reading.in_flight == 1


def test_a_row_that_was_begun_is_urgent_by_what_is_missing(shelf: Pieces) -> None:
    reading = read(shelf, row(script=LONG))
    assert reading.urgency == 0
    reading.note(0, 16, half)
    assert reading.urgency == sum(map(len, SAID))
    reading.keep(0, facts(0))
    assert reading.urgency == sum(map(len, SAID[1:]))
    reading.spoil(0, Truncated("x"), shelf)
    reading.spoil(3, Truncated("x"), shelf)
    assert reading.urgency == sum(map(len, SAID))


def test_rows_are_begun_by_their_first_segment_or_in_order(shelf: Pieces) -> None:
    reading = read(shelf, row(script=LONG))
    assert reading.size == len(SAID[0])
    reading.is_in_order = True
    assert reading.size == 0


def half(_: str, characters: int) -> float:
    return characters / 2


def nobody_knows(_: str, characters: int) -> float | None:
    return None if characters else 0.0


def untold(reading: Reading) -> int:
    """Characters that were sent, and are in no line of the ledger."""
    return reading.sent.characters - reading.told.characters


def test_what_was_sent_is_known_with_what_the_ledger_tells_of_it(shelf: Pieces) -> None:
    reading = read(shelf, row(script=LONG))
    for number, characters in ((0, 16), (1, 15), (1, 30), (2, 11), (2, 0)):
        reading.note(number, characters, half)
    assert (reading.sent.characters, reading.sent.cost_usd) == (46, 23.0)
    spent = reading.tell(0, half)
    assert (spent.characters, spent.cost_usd) == (16, 8.0)
    assert (reading.told.characters, reading.told.cost_usd, untold(reading)) == (16, 8.0, 30)


def test_what_has_no_price_has_no_sum_unless_it_was_withdrawn(shelf: Pieces) -> None:
    reading = read(shelf, row(script=LONG))
    costs: list[float | None] = []
    for characters in (0, 16, 0, 16):
        reading.note(0, characters, nobody_knows)
        costs.append(reading.sent.cost_usd)
    assert costs == [0.0, None, 0.0, None]
    assert reading.tell(0, nobody_knows).cost_usd is None


def test_only_what_is_missing_is_to_be_paid_for(shelf: Pieces) -> None:
    keep(shelf, read(shelf, row(script=LONG)), 0, 2)
    again = read(shelf, row(script=LONG))
    assert again.to_pay(half) == (len(SAID[1]) + len(SAID[3])) / 2
    assert again.to_pay(nobody_knows) == 0.0


async def test_notes_of_a_row_are_those_of_its_segments(
    shelf: Pieces, autojump_clock: MockClock
) -> None:
    reading = read(shelf, row(script=LONG))
    for number in (3, 0, 1):
        reading.facts[number] = facts(number, f"run-0-{number}-0")
    told = reading.notes()
    assert (told.attempts, told.queue_s, told.connect_s, told.synth_s) == (7, 1.5, 0.75, 6.0)
    assert (told.ttfa_s, told.peak_dbfs) == (0.125, -17.0)
    assert told.contexts == ["run-0-0-0", "run-0-1-0", "run-0-3-0"]
    assert (told.verdict, told.reasons, told.measures) == (None, (), None)


async def test_the_verdict_on_a_row_is_the_worst_of_its_segments(
    shelf: Pieces, autojump_clock: MockClock
) -> None:
    reading = read(shelf, row(script=LONG))
    found = measure(SPEECH, 24_000)
    for number, reasons in enumerate(((), ("noisy",), (), ("splice", "noisy"))):
        verdict: Verdict = "suspect" if reasons else "pass"
        judged = {"verdict": verdict, "reasons": reasons, "measures": found}
        reading.facts[number] = msgspec.structs.replace(facts(number), **judged)
    told = reading.notes()
    assert (told.verdict, told.reasons) == ("suspect", ("noisy", "splice"))
    assert told.measures == worst([found] * 4)
    assert told.measures.speech_s == 4 * found.speech_s


async def test_a_row_with_a_segment_that_was_never_judged_does_not_pass(
    shelf: Pieces, autojump_clock: MockClock
) -> None:
    reading = read(shelf, row(script=LONG))
    reading.facts[0] = facts(0)
    reading.facts[1] = msgspec.structs.replace(facts(1), verdict="pass")
    assert reading.notes().verdict is None


async def test_the_first_failure_is_told_with_its_attempts(
    shelf: Pieces, autojump_clock: MockClock
) -> None:
    reading = read(shelf, row(script=LONG))
    reading.fail(Stalled("first"), Notes(attempts=4, contexts=["run-0-1-3"]))
    reading.fail(Truncated("second"), Notes(attempts=1))
    assert f"{reading.failure}" == "first"
    told = reading.notes()
    assert (told.attempts, told.contexts) == (4, ["run-0-1-3"])


@pytest.mark.parametrize(
    ("contexts", "sent", "context"),
    [
        (["run-1-0-0", "run-1-1-0", "old-1-2-0"], 9, "run-1-1-0"),
        (["old-1-0-0", "run-12-2-0"], 9, "run-1"),
        (["old-1-0-0"], 0, "old-1-0-0"),
        ([], 0, None),
    ],
)
async def test_the_context_of_a_row_is_of_the_run_that_has_sent_something(
    shelf: Pieces, contexts: list[str], sent: int, context: str | None, autojump_clock: MockClock
) -> None:
    """By it the next run knows that this line tells of what was sent."""
    reading = read(shelf, row(script=LONG))
    reading.note(0, sent, half)
    assert reading.context("run-1", Notes(contexts=contexts)) == context


# ── spoken by several ─────────────────────────────────────────────────────────


async def speak(it: Studio, reading: Reading, workers: int) -> list[Take]:
    """Let workers take the parts of a row as a pool would; return what they bring of the row."""
    takes: list[Take] = []
    parts = reading.parts()

    async def work(number: int) -> None:
        hands = it.worker(number)
        await trio.sleep(1e-8 * number)  # who is asked first is the same every time
        while (part := next(parts, None)) is not None:
            take = await hands.speak(part)
            if take is not None:
                takes.append(take)

    async with trio.open_nursery() as nursery:
        for number in range(workers):
            nursery.start_soon(work, number)
    return takes


async def test_segments_are_spoken_at_the_same_time(autojump_clock: MockClock) -> None:
    async with studio() as it:
        [take] = await speak(it, it.read(row(script=LONG)), workers=4)
    assert [when for when, _ in it.provider.scripts] == pytest.approx([0.1] * 4)
    assert sorted(said for _, said in it.provider.scripts) == sorted(SAID)
    assert (take.result.status, take.result.segments, take.result.wall_s) == ("done", 4, 0.6)
    assert sum(it.desk.told.values()) == sum(map(len, SAID))
    assert take.result.characters_sent == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3])
async def test_whoever_comes_last_brings_the_row_and_it_is_always_the_same(
    autojump_clock: MockClock, order: Sequence[int]
) -> None:
    answers = [
        Answer(SPEECH[: 40_000 + 400 * number], takes_s=1.0 + place)
        for number, place in enumerate(order)
    ]
    async with studio(*answers) as it:
        [take] = await speak(it, it.read(row(script=LONG)), workers=4)
        assert take.file is not None
        samples, _ = soundfile.read(take.file, dtype="int16")
    # Who is asked first is answered first; the segments are in the order of the script.
    told = {said: answers[place].pcm for place, (_, said) in enumerate(it.provider.scripts)}
    assert take.result.cues is not None
    for said, cue in zip(SAID, take.result.cues, strict=True):
        assert cue.end_s - cue.start_s == pytest.approx(len(told[said]) / 48_000, abs=0.002)
    assert take.result.frames == len(samples)
    assert [cue.start_s for cue in take.result.cues] == sorted(
        cue.start_s for cue in take.result.cues
    )


@pytest.mark.parametrize("workers", [1, 2, 4])
async def test_what_an_earlier_run_has_spoken_is_not_sent_again(
    autojump_clock: MockClock, workers: int
) -> None:
    async with studio() as it:
        keep(it.crew.pieces, it.read(row(script=LONG)), 1, 3)
        [take] = await speak(it, it.read(row(script=LONG)), workers)
    assert sorted(said for _, said in it.provider.scripts) == sorted([SAID[0], SAID[2]])
    assert (take.result.status, take.result.segments) == ("done", 4)
    assert take.result.context == "run-0-2-0"  # this run's own, though another came last
    assert take.result.attempts == 1 + 2 + 1 + 4


async def test_a_row_whose_joining_was_cut_off_is_joined_at_no_cost(
    autojump_clock: MockClock,
) -> None:
    async with studio(most_usd=0.0) as it:
        keep(it.crew.pieces, it.read(row(script=LONG)), 0, 1, 2, 3)
        [take] = await speak(it, it.read(row(script=LONG)), workers=2)
    assert (take.result.status, it.provider.scripts, it.provider.calls) == ("done", [], [])
    assert (take.result.characters_sent, take.result.cost_usd) == (0, 0.0)
    assert it.stops == []


# ── failures ──────────────────────────────────────────────────────────────────


async def test_a_segment_that_fails_while_others_are_in_flight_fails_the_row_once_they_are_done(
    autojump_clock: MockClock,
) -> None:
    answers: list[Answered] = [
        ScriptRejected("no such letters"),
        Answer(takes_s=5.0),
        Answer(takes_s=3.0),
    ]
    async with studio(*answers) as it:
        reading = it.read(row(script=LONG))
        [take] = await speak(it, reading, workers=3)
        assert trio.current_time() == pytest.approx(5.1)
        assert len(list(it.crew.pieces.directory.rglob("*.piece"))) == 2
    result = take.result
    assert (result.status, result.error_code) == ("failed", "script_rejected")
    assert (result.error_message, take.file, take.pcm) == ("no such letters", None, b"")
    assert result.attempts == 3
    assert len(it.provider.scripts) == 3  # the fourth was not begun
    assert money(it)[1] == pytest.approx(0.0)


async def test_a_segment_that_fails_last_fails_the_row(autojump_clock: MockClock) -> None:
    lost = [Stalled(f"{n}") for n in range(2)]
    async with studio(lost[0], Answer(), Answer(), Answer(), lost[1], attempts=2) as it:
        [take] = await speak(it, it.read(row(script=LONG)), workers=4)
    assert (take.result.error_code, take.result.error_message) == ("stalled", "1")
    assert take.result.attempts == 2 + 3
    told = take.result.characters_sent
    assert told + sum(it.desk.told.values()) == sum(len(said) for _, said in it.provider.scripts)
    assert told > 0


async def test_a_row_of_which_several_segments_fail_is_brought_once(
    autojump_clock: MockClock,
) -> None:
    async with studio(*[VoiceUnavailable(f"{n}") for n in range(4)]) as it:
        [take] = await speak(it, it.read(row(script=LONG)), workers=4)
    assert take.result.error_message == "0"
    assert money(it) == pytest.approx((0.0, 0.0))


async def test_a_lost_segment_is_tried_again_while_others_go_on(autojump_clock: MockClock) -> None:
    async with studio(Stalled("x"), SessionLost("y")) as it:
        [take] = await speak(it, it.read(row(script=LONG)), workers=2)
    assert (take.result.status, take.result.attempts) == ("done", 6)
    assert sum(it.desk.told.values()) == sum(len(said) for _, said in it.provider.scripts)
    assert money(it) == pytest.approx((sum(it.desk.told.values()) * 4e-6, 0.0))


async def test_a_row_that_cannot_be_joined_fails(autojump_clock: MockClock) -> None:
    def too_long(_: Reading) -> Whole:
        raise ScriptRejected("more audio than a WAV can hold")

    async with studio() as it:
        it.crew.join = too_long
        [take] = await speak(it, it.read(row(script=LONG)), workers=2)
    assert (take.result.status, take.result.error_code) == ("failed", "script_rejected")


async def test_a_disk_that_fails_while_a_row_is_joined_ends_the_run(
    autojump_clock: MockClock,
) -> None:
    def full(_: Reading) -> Whole:
        raise OutputBroken("no space left")

    async with studio() as it:
        it.crew.join = full
        with pytest.raises(OutputBroken, match="no space left"):
            await it.worker().take(row(script=LONG))


# ── a budget ──────────────────────────────────────────────────────────────────

WHOLE_USD = sum(map(len, SAID)) * 4e-6


async def test_all_of_a_long_row_is_set_aside_at_once_and_settled_as_it_is_spent(
    autojump_clock: MockClock,
) -> None:
    async with studio(most_usd=WHOLE_USD) as it:
        parts = it.read(row(script=LONG)).parts()
        hands = it.worker()
        await hands.speak(next(parts))
        assert money(it) == pytest.approx((16 * 4e-6, WHOLE_USD - 16 * 4e-6))
        assert [await hands.speak(part) is not None for part in parts] == [False, False, True]
        assert money(it) == pytest.approx((WHOLE_USD, 0.0))
    assert it.stops == []


async def test_what_is_on_the_disk_needs_no_money(autojump_clock: MockClock) -> None:
    async with studio(most_usd=len(SAID[2]) * 4e-6) as it:
        keep(it.crew.pieces, it.read(row(script=LONG)), 0, 1, 3)
        [take] = await speak(it, it.read(row(script=LONG)), workers=2)
    assert (take.result.status, it.stops) == ("done", [])


async def test_a_retry_that_does_not_fit_leaves_the_row_and_frees_what_was_set_aside(
    autojump_clock: MockClock,
) -> None:
    async with studio(Answer(), Stalled("x"), most_usd=WHOLE_USD + 5 * 4e-6) as it:
        reading = it.read(row(script=LONG))
        assert await speak(it, reading, workers=1) == []
    assert (it.stops, reading.is_left) == (["stopped"], True)
    assert [said for _, said in it.provider.scripts] == SAID[:2]
    assert money(it) == pytest.approx((31 * 4e-6, 0.0))
    assert list(it.desk.told) == [(0, 0)]
    assert untold(reading) == 15


async def test_a_row_that_has_failed_is_failed_though_the_budget_ends_with_its_last_segment(
    autojump_clock: MockClock,
) -> None:
    answers = [Stalled("x"), VoiceUnavailable("gone")]  # of the longer one and the shorter
    async with studio(*answers, most_usd=WHOLE_USD) as it:
        [take] = await speak(it, it.read(row(script=LONG)), workers=2)
    assert (take.result.status, take.result.error_message) == ("failed", "gone")
    assert it.stops == ["stopped"]
    assert money(it)[1] == pytest.approx(0.0)


# ── audio that comes after its end ────────────────────────────────────────────


async def test_a_segment_that_proves_cut_short_is_removed_and_fails_its_row(
    autojump_clock: MockClock,
) -> None:
    async with studio(Answer(), Answer(), Answer(late=("run-0-0-0",))) as it:
        reading = it.read(row(script=LONG))
        [take] = await speak(it, reading, workers=1)
        assert numbers(it.read(row(script=LONG))) == [0, 3]
    assert (take.result.status, take.result.error_code) == ("failed", "truncated")
    assert len(it.provider.scripts) == 3
    assert it.crew.corrections == []
    assert sum(it.desk.told.values()) == sum(map(len, SAID[:3]))


def taking_back(it: Studio, join: Callable[[Reading], Whole], *, first: bool) -> None:
    """Let more audio of the first segment come while the row is joined."""

    def joined(reading: Reading) -> Whole:
        if first:
            reading.spoil(0, Truncated("late"), it.crew.pieces)
            return join(reading)
        whole = join(reading)
        reading.spoil(0, Truncated("late"), it.crew.pieces)
        return whole

    it.crew.join = joined


@pytest.mark.parametrize("first", [True, False])
async def test_a_segment_that_proves_cut_short_while_its_row_is_joined_fails_only_the_row(
    autojump_clock: MockClock, first: bool
) -> None:
    async with studio() as it:
        taking_back(it, it.crew.join, first=first)
        [take] = await speak(it, it.read(row(script=LONG)), workers=2)
        assert not list(it.crew.pieces.directory.parent.glob("*.part"))
        assert numbers(it.read(row(script=LONG))) == [0]
    assert (take.result.status, take.result.error_code) == ("failed", "truncated")
    assert (take.file, take.result.cues, take.result.frames) == (None, None, None)


async def test_a_joined_row_that_proves_cut_short_is_corrected_and_has_no_file(
    autojump_clock: MockClock,
) -> None:
    async with studio() as it:
        hands = it.worker()
        take = await hands.take(row(script=LONG))
        it.provider.answers.append(Answer(late=("run-0-1-0",)))
        await hands.take(row(1))
    assert take.result.status == "done"
    [correction] = it.crew.corrections
    told = correction.result
    assert (correction.row, told.status, told.error_code) == (0, "failed", "truncated")
    assert (told.frames, told.bytes, told.sha256, told.cues) == (None,) * 4
    assert told.characters_sent == 0


async def test_a_segment_that_proves_cut_short_before_it_is_written_down_is_not_used(
    autojump_clock: MockClock,
) -> None:
    async with studio() as it:
        reading = it.read(row(script=LONG))
        hands, parts = it.worker(), reading.parts()
        outcome = await hands.worker.take(next(parts))
        assert isinstance(outcome, Segment)
        reading.spoil(0, Truncated("late"), it.crew.pieces)
        it.desk.keep(outcome)
        take = await hands.worker.follow(outcome)
        assert take is not None
        assert (take.result.status, reading.facts, list(parts)) == ("failed", {}, [])
        assert isinstance(outcome.part, Part)
    assert take.result.characters_sent == 0


async def test_a_row_that_is_dropped_gives_all_its_money_back_but_what_is_spent(
    autojump_clock: MockClock,
) -> None:
    async with studio(Answer(), Answer(takes_s=100.0), most_usd=1.0) as it:
        reading = it.read(row(script=LONG))
        with trio.move_on_after(5):
            await speak(it, reading, workers=1)
        assert it.crew.slots.held == 0
        assert it.crew.budget.spent_usd == pytest.approx(PRICE_USD)
    assert untold(reading) == 15
