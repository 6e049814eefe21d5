"""What a row is taken for when all is known of it: measures, what was heard, naturalness.

Each kind of evidence is compared with what is usual for the voice. The gravest word
counts, and all reasons are told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from batchtts.model import Differences, Heard, Judgement, Result, Verdict
from batchtts.review import hearing
from batchtts.review.hearing import Habits
from batchtts.review.norms import SIGNS, Norms
from batchtts.verify.listening import Ear

#: Rows of a voice that what is usual is taken from; those that come first.
REMEMBERED = 2000

#: How far below what is usual for its voice speech may sound, on the scale from 1 to 5. Plain
#: speech may lie 1.3 below; and the critic alone fails nothing.
_MOS_POINTS = 1.5
_MOS_TIMES = 5.0  # of the usual spread

_ENOUGH_DOUBTS = 2
#: Reasons that two kinds of evidence may have from the same duration.
_PACE = frozenset({"too_fast", "too_slow", "too_short", "too_long"})

#: Why nothing was heard.
_UNHEARD = ("not_heard", "language_not_known")

_GRAVITY: dict[Verdict, int] = {"pass": 0, "unverified": 1, "suspect": 2, "fail": 3}

Key = tuple[str, str, str]


@dataclass(slots=True)
class _Voice:
    """What rows of one voice were like."""

    heard: dict[str, list[Differences]] = field(default_factory=dict)  # by recognizer
    mos: list[float] = field(default_factory=list)
    habits: dict[str, Habits] = field(default_factory=dict)
    usual_mos: tuple[float, float] | None = None


@dataclass(slots=True)
class Judge:
    """Knows what is usual for each voice, and judges by it.

    Attributes:
        norms: What is usual of what was measured.
    """

    norms: Norms = field(default_factory=Norms)
    _voices: dict[Key, _Voice] = field(default_factory=dict)
    _ear: Ear | None = None

    def expects(self, ear: Ear | None) -> None:
        """Words are to be heard by this recognizer, in the languages that it knows."""
        self._ear = ear

    def learn(self, script: str, line: Result) -> None:
        """See one row of all."""
        if line.measures is not None and _is_alone(line):
            self.norms.learn(_key(line), script, line.speed, line.measures)
        voice = self._voices.setdefault(_key(line), _Voice())
        for heard in filter(None, (line.heard, line.second)):
            known = voice.heard.setdefault(heard.recognizer, [])
            if len(known) < REMEMBERED:
                known.append(heard.differences)
        if line.mos is not None and len(voice.mos) < REMEMBERED:
            voice.mos.append(line.mos)

    def judge(self, script: str, line: Result) -> Judgement:
        """Judge a row when all were seen."""
        voice = self._voices.setdefault(_key(line), _Voice())
        return together(
            [self._of_sound(script, line), self._of_words(voice, line), self._of_mos(voice, line)]
        )

    def would_fail_for_words(self, line: Result) -> bool:
        """Whether a row fails for what its first recognizer has heard."""
        voice = self._voices.setdefault(_key(line), _Voice())
        return line.heard is not None and _heard(voice, line.heard).verdict == "fail"

    def _of_sound(self, script: str, line: Result) -> Judgement:
        if line.measures is None:
            return Judgement()
        if not _is_alone(line):  # each of its segments was judged when it came
            reasons = tuple(it for it in line.reasons if it in SIGNS)
            return Judgement("suspect" if reasons else "pass", reasons)
        found = self.norms.judge(_key(line), script, line.speed, line.measures)
        return Judgement(found.verdict, found.reasons)

    def _of_words(self, voice: _Voice, line: Result) -> Judgement:
        if line.heard is None:
            if self._ear is None:  # nobody listens now; that somebody was to holds
                why = tuple(it for it in line.reasons if it in _UNHEARD)
                return Judgement("unverified", why) if why else Judgement()
            is_known = self._ear.knows(line.language)
            return Judgement("unverified", (_UNHEARD[not is_known],))
        first = _heard(voice, line.heard)
        if line.second is None or first.verdict != "fail":
            return first
        second = _heard(voice, line.second)
        if second.verdict == "fail":
            return first
        return Judgement("suspect", (*first.reasons, "recognizers_disagree"))

    def _of_mos(self, voice: _Voice, line: Result) -> Judgement:
        if line.mos is None or not voice.mos:
            return Judgement()
        if voice.usual_mos is None:
            middle = median(voice.mos)
            voice.usual_mos = middle, median(abs(it - middle) for it in voice.mos)
        middle, spread = voice.usual_mos
        is_off = middle - line.mos > max(_MOS_POINTS, _MOS_TIMES * spread)
        return Judgement("suspect", ("unnatural",)) if is_off else Judgement()


def together(judgements: Iterable[Judgement]) -> Judgement:
    """What several kinds of evidence amount to: where two are in doubt there is none left."""
    told = sorted(judgements, key=lambda it: -_GRAVITY[it.verdict])
    reasons = [reason for it in told if it.verdict != "pass" for reason in it.reasons]
    suspects = [it for it in told if it.verdict == "suspect"]
    of_pace = [it for it in suspects if _PACE.issuperset(it.reasons)]
    doubts = len(suspects) - len(of_pace) + bool(of_pace)
    verdict = "fail" if doubts >= _ENOUGH_DOUBTS else told[0].verdict
    return Judgement(verdict, tuple(dict.fromkeys(reasons)))


def _heard(voice: _Voice, heard: Heard) -> Judgement:
    habits = voice.habits.get(heard.recognizer)
    if habits is None:
        habits = hearing.learn(voice.heard.get(heard.recognizer, ()))
        voice.habits[heard.recognizer] = habits
    found = hearing.judge(heard.differences, habits)
    return Judgement(found.verdict, found.reasons)


def _is_alone(line: Result) -> bool:
    """Whether what was measured is of the whole script; rows that share audio have no segments."""
    return line.segments <= 1 and not line.cues


def _key(line: Result) -> Key:
    return line.model, line.voice, line.language
