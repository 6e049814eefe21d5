"""What a run does about what it measures."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from batchtts.audio.decode import Sound
from batchtts.model import Take
from batchtts.review.norms import FEW
from batchtts.run.attempts import _examined
from tests.test_measure import pcm, silence, utterance
from tests.test_worker import Answer, row, studio

GOOD = pcm(utterance())
CUT = pcm(utterance()[: 24_000 * 19 // 10])
QUIET = pcm(utterance(1000))
SCRIPT = "Some years ago,"
LONG = "Call me Ishmael. Some years ago, never mind. How long precisely."


async def taken(*answers: bytes, script: str = SCRIPT, attempts: int = 2) -> Take:
    """Speak one more row when the voice is known."""
    known = [Answer(GOOD)] * FEW
    async with studio(*known, *map(Answer, answers), attempts=attempts) as it:
        worker = it.worker()
        for number in range(FEW):
            await worker.take(row(number, SCRIPT))
        return await worker.take(row(FEW, script))


async def test_what_is_as_usual_passes(autojump_clock: MockClock) -> None:
    take = await taken(GOOD)
    assert (take.result.verdict, take.result.reasons) == ("pass", ())
    assert take.result.measures is not None


async def test_what_surely_is_not_the_script_is_tried_again(autojump_clock: MockClock) -> None:
    take = await taken(CUT, GOOD)
    assert (take.result.status, take.result.verdict, take.result.attempts) == ("done", "pass", 2)
    assert take.pcm == GOOD


async def test_what_is_never_right_fails(autojump_clock: MockClock) -> None:
    take = await taken(CUT, CUT)
    assert (take.result.status, take.result.error_code) == ("failed", "truncated")
    assert "unlike this voice: cut at its end" in (take.result.error_message or "")
    assert (take.result.verdict, take.result.measures) == (None, None)


async def test_what_is_doubtful_is_done_and_says_so(autojump_clock: MockClock) -> None:
    take = await taken(QUIET)
    assert (take.result.status, take.result.attempts) == ("done", 1)
    assert (take.result.verdict, take.result.reasons) == ("suspect", ("quiet",))


async def test_a_row_of_several_segments_is_as_doubtful_as_any_of_them(
    autojump_clock: MockClock,
) -> None:
    take = await taken(GOOD, QUIET, GOOD, GOOD, script=LONG)
    assert (take.result.segments, take.result.status) == (4, "done")
    assert take.result.verdict == "suspect"
    assert take.result.reasons[0] == "quiet"
    assert take.result.measures is not None
    assert take.result.measures.level_dbfs < -40


@pytest.mark.parametrize(("seconds", "is_beside"), [(17.0, False), (21.0, True)])
async def test_what_takes_long_is_measured_beside_the_event_loop(
    seconds: float, is_beside: bool
) -> None:
    others = list[str]()

    async def another() -> None:
        others.append("had its turn")

    samples = pcm(np.concatenate([utterance(), silence(seconds)]))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(another)
        findings = await _examined(Sound(samples, 24_000))
        had_their_turn = bool(others)
    assert findings.duration_s == len(samples) / 48_000
    assert had_their_turn == is_beside
