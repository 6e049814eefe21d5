"""Is it what the script says? A verdict from what was heard, by the voice's own measure. Pure.

A recognizer is wrong now and then, about names above all, and about some voices more than
about others. So a row is held against what is usual for its voice, and never against less
than what a recognizer gets wrong of good speech.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from batchtts.model import Differences, Verdict

Reason = Literal[
    "nothing_heard",
    "other_words",
    "words_missing",
    "beginning_missing",
    "end_missing",
    "words_added",
    "words_repeated",
    "words_differ",
    "too_fast",
    "too_slow",
]

_MAD = 1.4826  # makes it a standard deviation where errors are normal
_TIMES = 4.0  # spreads that a row may be off
_ENOUGH = 10  # rows to find out that a voice is hard to understand
_GOOD = 0.4  # share of rows that must be good, so that the others are not what is usual
_SHORT = 12  # units; of less than that a single name may be half
_LONG = 30  # units; of less than that silence is a good part


@dataclass(frozen=True, slots=True)
class Scale:
    """From where on a figure is to be looked at by a person, and from where on it is wrong."""

    suspect: float
    fail: float


# Units in one piece. Of good speech a recognizer leaves out one at most, or a weak word like
# `the`, which is 1.4; where 0.4 s are missing in the middle it leaves out four or five.
_LETTERS = 1.3  # letters are more than phonemes, and spelled in more ways
_MISSING = Scale(1.9, 3.7)
_ADDED = Scale(2.9, 9.0)
_RATE = Scale(0.22, 0.6)
# Off the usual pace. Of good speech few rows are more than an eighth faster; those of a few
# words are slower by the silence around them.
_FASTER = Scale(0.2, 0.6)
_SLOWER = Scale(0.3, 0.9)


@dataclass(frozen=True, slots=True)
class Usual:
    """A figure that is usual, and how far from it rows commonly are."""

    median: float = 0.0
    spread: float = 0.0

    def moved(self, scale: Scale, times: float = 1.0) -> Scale:
        """The scale for a voice of which this is usual: never less than for good speech.

        Args:
            times: By how much the scale is too short for what is measured.
        """
        scale = Scale(scale.suspect * times, scale.fail * times)
        suspect = self.median + max(scale.suspect, _TIMES * self.spread)
        return Scale(suspect, suspect + max(scale.fail - scale.suspect, _TIMES * self.spread))


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What is usual for a voice: the rate of errors, the longest gaps in units, the pace.

    Without anything it is good speech, against which few rows are held.
    """

    rows: int = 0
    rate: Usual = Usual()
    missing: Usual = Usual()
    added: Usual = Usual()
    pace: Usual | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """A verdict, and why: the worst reason first.

    Attributes:
        severity: How bad it is, for an order: 1 and more is suspect, 2 and more has failed.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    severity: float = 0.0


def error_rate(figures: Differences) -> float:
    """Errors per phoneme, or per character where phonemes are not known."""
    return figures.cer if figures.per is None else figures.per


def learn(rows: Iterable[Differences]) -> Habits:
    """Return what is usual for a voice, from all its rows, damaged ones among them.

    As long as four in ten rows are good by any measure, only good ones are learned from: a
    run half of which is damaged is not what is usual. Otherwise it is the voice that is
    hard to understand, or the recognizer that does not know it; a few rows do not say so.
    """
    known = [row for row in rows if row.words]
    good = [row for row in known if judge(row).verdict == "pass"]
    chosen = good if len(good) >= max(_GOOD * len(known), 1) else known
    if len(good) < len(chosen) < _ENOUGH or not chosen:
        return Habits(rows=len(known))
    return Habits(
        rows=len(known),
        rate=_usual([error_rate(it) for it in chosen]),
        missing=_usual([max(it.missing_start, it.missing_middle, it.missing_end) for it in chosen]),
        added=_usual([it.added for it in chosen]),
        pace=_pace(chosen),
    )


def _pace(rows: Sequence[Differences]) -> Usual | None:
    """The usual pace, if there are rows enough that are long enough to have one."""
    known = [it.pace for it in rows if it.pace is not None and it.units >= _SHORT]
    return _usual(known) if len(known) >= _ENOUGH else None


def _usual(values: Sequence[float]) -> Usual:
    middle = median(values)
    return Usual(middle, _MAD * median(abs(it - middle) for it in values))


def judge(figures: Differences, habits: Habits = Habits()) -> Opinion:
    """Judge a row by what is usual for its voice."""
    if figures.is_silent:
        return Opinion("fail", ("nothing_heard",), 10.0)
    found = sorted(_faults(figures, habits), reverse=True)
    worst = found[0][0] if found else 0.0
    verdict: Verdict = "fail" if worst >= 2 else "suspect" if worst >= 1 else "pass"
    return Opinion(verdict, tuple(dict.fromkeys(reason for _, reason in found)), worst)


def _faults(figures: Differences, habits: Habits) -> Iterator[tuple[float, Reason]]:
    """What is unusual, and how bad it is."""
    times = _LETTERS if figures.per is None else 1.0
    missing = habits.missing.moved(_MISSING, times)
    added = habits.added.moved(_ADDED, times)
    found: list[tuple[float, Reason]] = [
        (_severity(figures.missing_middle, missing), "words_missing"),
        (_severity(figures.missing_start, missing), "beginning_missing"),
        (_severity(figures.missing_end, missing), "end_missing"),
        (_severity(figures.added, added), "words_added"),
    ]
    is_short = figures.units < _SHORT
    if figures.repeated:
        found.append((8.5 if figures.repeated > 2 else 1.5, "words_repeated"))
    if figures.words and figures.found < 0.5:
        found.append((1.5 if is_short else 9.0, "other_words"))
    elif not is_short:
        rate = habits.rate.moved(_RATE)
        found.append((_severity(error_rate(figures), rate), "words_differ"))
        found += _off_pace(figures, habits)
    return (it for it in found if it[0] >= 1)


def _off_pace(figures: Differences, habits: Habits) -> Iterator[tuple[float, Reason]]:
    if figures.pace and habits.pace and habits.pace.median:
        usual = habits.pace
        off = Usual(0.0, usual.spread / usual.median)
        yield _severity(figures.pace / usual.median - 1, off.moved(_FASTER)), "too_fast"
        if figures.units >= _LONG:
            yield _severity(usual.median / figures.pace - 1, off.moved(_SLOWER)), "too_slow"


def _severity(value: float, scale: Scale) -> float:
    """1 where it is suspect, 2 where it has failed, 8 at most."""
    if value < scale.suspect:
        return 0.0
    return min(1 + (value - scale.suspect) / (scale.fail - scale.suspect), 8.0)
