"""What a row is taken for when all is known of it, and which take of a row is the better one."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest

from batchtts.errors import ProcessDied, ProviderDown, RunError
from batchtts.model import (
    Cue,
    Differences,
    Heard,
    Judgement,
    Kept,
    Measures,
    Result,
    Take,
    Utterance,
    Voice,
)
from batchtts.verify.judging import Judge, together
from batchtts.verify.listening import Listener
from batchtts.verify.retakes import Contest

SCRIPT = "call me ishmael"
VOICE = Voice("tone", "tone", "zxx")
UTTERANCE = Utterance(row=0, id="a", script=SCRIPT, voice=VOICE, speed=1.0, fingerprint="0" * 32)


def compare(script: str, transcript: str, language: str) -> Differences:
    """Words that are missing, four letters each."""
    said, heard = script.split(), transcript.split()
    missing = len([it for it in said if it not in heard])
    return Differences(
        words=len(said),
        heard=len(heard),
        units=4 * len(said),
        wer=missing / len(said),
        cer=missing / len(said),
        per=None,
        found=1 - missing / len(said),
        missing_start=0.0,
        missing_middle=4.0 * missing,
        missing_end=0.0,
        added=0.0,
        repeated=0,
    )


@dataclass
class Ear:
    """Hears what it is told to hear."""

    says: str = SCRIPT
    name: str = "ear"
    languages: tuple[str, ...] = ("zxx",)
    raises: Exception | None = None
    workers: int = 1
    asked: list[bytes] = field(default_factory=list)

    def knows(self, language: str) -> bool:
        return language in self.languages

    async def hear(self, pcm: bytes, sample_rate_hz: int, language: str) -> str:
        self.asked.append(pcm)
        if self.raises is not None:
            raise self.raises
        return self.says


def heard(transcript: str = SCRIPT, recognizer: str = "ear") -> Heard:
    return Heard(recognizer, transcript, compare(SCRIPT, transcript, ""))


def line(**more: object) -> Result:
    usual = Result(id="a", status="done", model="tone", voice="tone", language="zxx", segments=1)
    return msgspec.structs.replace(usual, **more)


def judge_of(ear: Ear | None) -> Judge:
    judge = Judge()
    judge.expects(ear)
    return judge


# ── verdicts ──────────────────────────────────────────────────────────────────


def test_what_was_to_be_heard_and_was_not_is_not_verified() -> None:
    found = judge_of(Ear()).judge(SCRIPT, line())
    assert found == Judgement("unverified", ("not_heard",))


def test_a_language_that_nobody_knows_is_never_passed() -> None:
    judge = judge_of(Ear(languages=("en",)))
    strange = line(language="tlh")
    assert judge.judge(SCRIPT, strange) == Judgement("unverified", ("language_not_known",))
    told = msgspec.structs.replace(strange, verdict="unverified", reasons=("language_not_known",))
    assert judge_of(None).judge(SCRIPT, told).verdict == "unverified"  # nor when nobody listens


def test_whoever_was_never_to_be_heard_is_judged_by_measures() -> None:
    assert judge_of(None).judge(SCRIPT, line()) == Judgement()


def test_what_one_recognizer_does_not_understand_and_another_does_is_for_people() -> None:
    judge = judge_of(Ear())
    alone = line(heard=heard("something else"))
    assert judge.judge(SCRIPT, alone).verdict == "fail"
    assert judge.would_fail_for_words(alone)
    both = msgspec.structs.replace(alone, second=heard(recognizer="other"))
    found = judge.judge(SCRIPT, both)
    assert found.verdict == "suspect"
    assert found.reasons[-1] == "recognizers_disagree"
    sure = msgspec.structs.replace(alone, second=heard("no", recognizer="other"))
    assert judge.judge(SCRIPT, sure).verdict == "fail"


def test_two_doubts_leave_none() -> None:
    doubts = [Judgement("suspect", ("noisy",)), Judgement("suspect", ("words_differ",))]
    assert together(doubts) == Judgement("fail", ("noisy", "words_differ"))
    assert together([doubts[0], Judgement()]) == doubts[0]
    assert together([Judgement(), Judgement("unverified", ("not_heard",))]).verdict == "unverified"


def test_a_row_that_shares_the_audio_of_a_long_one_is_judged_as_that_is() -> None:
    measures = Measures(1.0, 0.0, 0.1, 0.1, 0.0, -20.0, -80.0, -80.0, 0.0, 0.0, 0, 0.0)
    whole = line(segments=3, measures=measures, cues=(Cue(0, 4, 0.0, 1.0),), heard=heard())
    twin = msgspec.structs.replace(whole, segments=0, same_as="a")
    judge = judge_of(Ear())
    for each in [line(measures=measures)] * 30:
        judge.learn(SCRIPT, each)
    assert judge.judge(SCRIPT, twin) == judge.judge(SCRIPT, whole) == Judgement()


# ── which take is better ──────────────────────────────────────────────────────


def take(status: str = "done", **more: object) -> Take:
    return Take(UTTERANCE, bytes(200), 24_000, line(status=status, characters_sent=9, **more))


def contest(ear: Ear, had: Result | None, *, holds: bool = True) -> Contest:
    judge = judge_of(ear)
    listener = Listener(compare=compare, ear=ear)
    return Contest(listener, judge, lambda _: had, lambda _: holds)


BAD = line(verdict="fail", reasons=("other_words",), heard=heard("something else"), takes=2)


async def test_a_take_that_is_heard_well_is_taken() -> None:
    found = await contest(Ear(), BAD).weigh(take())
    assert isinstance(found, Take)
    told = found.result
    assert (told.verdict, told.takes, told.kept_take, told.characters_sent) == ("pass", 3, 3, 9)


async def test_a_take_that_is_no_better_is_not_taken_and_what_it_cost_is_told() -> None:
    found = await contest(Ear("nothing of it"), BAD).weigh(take(cost_usd=0.5))
    assert isinstance(found, Kept)
    told = found.result
    assert (told.heard, told.verdict, told.takes, told.kept_take) == (BAD.heard, "fail", 3, 1)
    assert (told.characters_sent, told.cost_usd) == (9, 0.5)


async def test_a_take_that_failed_is_not_taken() -> None:
    found = await contest(Ear(), BAD).weigh(take("failed"))
    assert isinstance(found, Kept)
    assert found.result.status == "done"


async def test_a_take_that_cannot_be_heard_is_not_known_to_be_better() -> None:
    found = await contest(Ear(raises=ProcessDied("of it")), BAD).weigh(take())
    assert isinstance(found, Kept)


async def test_a_row_without_audio_takes_what_it_gets() -> None:
    had = line(status="failed", takes=2)
    found = await contest(Ear("nothing of it"), had, holds=False).weigh(take())
    assert isinstance(found, Take)
    assert (found.result.verdict, found.result.takes) == ("fail", 3)
    lost = await contest(Ear("nothing of it"), BAD, holds=False).weigh(take())
    assert isinstance(lost, Take)  # its file is not there any more
    failed = await contest(Ear(), had, holds=False).weigh(take("failed"))
    assert isinstance(failed, Take)
    assert (failed.result.status, failed.result.takes) == ("failed", 3)


async def test_a_row_that_was_left_is_let_be() -> None:
    left = take("pending")
    assert await contest(Ear(), BAD).weigh(left) is left


async def test_who_cannot_hear_anything_any_more_ends_it() -> None:
    with pytest.raises(RunError):
        await contest(Ear(raises=ProviderDown("gone")), BAD).weigh(take())
