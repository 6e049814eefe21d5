"""Is it what the script says? A verdict from what was heard, by the voice's own measure. Pure.

A recognizer is wrong now and then, about names above all, and about some voices more than
about others. So a row is held against what is usual for its voice, and never against less
than what a recognizer gets wrong of good speech.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from batchtts.model import Differences as Figures
from batchtts.model import Verdict

Reason = Literal[
    "nothing_heard",
    "other_words",
    "words_missing",
    "beginning_missing",
    "end_missing",
    "words_added",
    "words_repeated",
    "words_differ",
]

_ENOUGH = 20  # rows, from which on a voice is held against itself alone
_MAD = 1.4826  # makes it a standard deviation where errors are normal


@dataclass(frozen=True, slots=True)
class Usual:
    """A figure that is usual, and how far from it rows commonly are."""

    median: float
    spread: float

    def limit(self, times: float, least: float) -> float:
        """What is unusual: so many spreads off, and never less than that."""
        return max(least, self.median + times * self.spread)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What is usual for a voice: rates of errors, and the units of gaps."""

    rows: int
    rate: Usual
    missing: Usual
    added: Usual


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, and why: the worst reason first."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()


def error_rate(figures: Figures) -> float:
    """Errors per phoneme, or per character where phonemes are not known."""
    return figures.cer if figures.per is None else figures.per


def learn(rows: Iterable[Figures]) -> Habits:
    """Return what is usual for the rows of a voice.

    Few rows are held against what is usual for good speech: each that is wanting counts
    as one without an error.
    """
    known = list(rows)
    idle = max(0, _ENOUGH - len(known))
    return Habits(
        rows=len(known),
        rate=_usual([error_rate(it) for it in known], idle),
        missing=_usual(
            [max(it.missing_start, it.missing_middle, it.missing_end) for it in known], idle
        ),
        added=_usual([it.added for it in known], idle),
    )


def _usual(values: Sequence[float], idle: int) -> Usual:
    padded = [*values, *[0.0] * idle]
    middle = median(padded)
    return Usual(middle, _MAD * median(abs(it - middle) for it in padded))


#: Units that are missing or too many: what a person should hear, and what is surely wrong.
_SUSPECT, _FAIL = 2.3, 3.7
_TIMES = 4.0  # spreads


def judge(figures: Figures, habits: Habits) -> Judgement:
    """Judge a row by what is usual for its voice."""
    if not figures.words:
        return Judgement("pass") if not figures.added else Judgement("suspect", ("words_added",))
    if figures.is_silent:
        return Judgement("fail", ("nothing_heard",))
    found: list[tuple[float, Reason]] = []  # 1 and above is suspect, 2 and above fails

    def weigh(value: float, usual: Usual, reason: Reason) -> None:
        suspect = usual.limit(_TIMES, _SUSPECT)
        fail = max(_FAIL, suspect + _FAIL - _SUSPECT)
        if value >= suspect:
            found.append((min(1 + (value - suspect) / (fail - suspect), 9.0), reason))

    weigh(figures.missing_middle, habits.missing, "words_missing")
    weigh(figures.missing_start, habits.missing, "beginning_missing")
    weigh(figures.missing_end, habits.missing, "end_missing")
    weigh(figures.added, habits.added, "words_added")
    if figures.repeated >= 2:
        found.append((2.0, "words_repeated"))
    if figures.found < 0.5:
        found.append((9.5, "other_words"))
    rate = error_rate(figures)
    if rate * figures.units >= 3 and rate > habits.rate.limit(_TIMES, 0.15):
        found.append((1.0, "words_differ"))
    found.sort(reverse=True)
    worst = found[0][0] if found else 0.0
    verdict: Verdict = "fail" if worst >= 2 else "suspect" if worst >= 1 else "pass"
    return Judgement(verdict, tuple(reason for _, reason in found))
