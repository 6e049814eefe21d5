"""What stands on a screen at one time: a script divided for reading. Pure.

The captions of a script, one after the other, are the script. Runs of white space
become one space or the end of a line, and control characters, which no screen can
show, are left out. Nothing else is lost, changed or shown twice.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

from batchtts.export.alignment import Timed

LINE_COLUMNS = 42
LONGEST_S = 7.0

_SHORTEST_S = 1.0
_RUN = re.compile(r"[\S\u00a0\u202f\u2007]+")  # with the spaces that must not end a line
_CLOSING = "\"'”’»›)\\]」』*_"
_SENTENCE = re.compile(rf"[.!?…。！？।؟][{_CLOSING}]*$")
_CLAUSE = re.compile(rf"[,;:–—،、，；：][{_CLOSING}]*$")
_BLANK_LINE = re.compile(r"\n\s*\n")
_BEHIND_WIDE_MARK = re.compile(r"(?<=[、。，．！？；：」』）])")
#: What a caption costs, and what it costs more if it ends within a sentence, or is hurried.
_EACH, _IN_CLAUSE, _IN_SENTENCE, _HURRIED = 1.0, 3.0, 1.0, 0.6
_BEHIND_MARK_COLUMNS = 12  # so much less even may two lines be that are parted by a mark


class Caption(NamedTuple):
    """A part of a script, in lines, and when it is heard."""

    lines: tuple[str, ...]
    start_s: float
    end_s: float


class _Span(NamedTuple):
    """Characters that are never divided.

    Attributes:
        is_apart: Whether there is white space before them.
        is_new: Whether there is a blank line.
    """

    start: int
    end: int
    is_apart: bool
    is_new: bool


class _Unit(NamedTuple):
    """A span as it is shown."""

    text: str
    columns: int
    start_s: float
    end_s: float
    is_apart: bool
    is_new: bool


def by_reading(text: str, timed: Sequence[Timed], start_s: float, end_s: float) -> list[Caption]:
    """Divide a segment: two lines at most, and 7 s where there are words to divide.

    Args:
        timed: Its words, in order.
        start_s, end_s: When it is heard.
    """
    units = _units(text, _narrow_spans(text), _Clock(timed, start_s, end_s))
    captions = [_caption(units[first:last]) for first, last in _divided(units)]
    captions[:1] = [it._replace(start_s=start_s) for it in captions[:1]]
    captions[-1:] = [it._replace(end_s=end_s) for it in captions[-1:]]
    return captions


def by_word(text: str, timed: Sequence[Timed], start_s: float, end_s: float) -> list[Caption]:
    """Divide a segment into its words; as by_reading(). A mark of its own goes with a word."""
    groups: list[list[_Unit]] = []
    for unit in _units(text, _word_spans(text, timed), _Clock(timed, start_s, end_s)):
        if groups and not (_is_word(unit) and any(map(_is_word, groups[-1]))):
            groups[-1].append(unit)
        else:
            groups.append([unit])
    return [_caption(group) for group in groups]


def _is_word(unit: _Unit) -> bool:
    return any(map(str.isalnum, unit.text))


class _Clock:
    """Tells when a span is heard."""

    def __init__(self, timed: Sequence[Timed], start_s: float, end_s: float) -> None:
        self._timed = timed
        self._starts = [it.start for it in timed]
        self._bounds_s = (start_s, end_s)

    def span(self, start: int, end: int) -> tuple[float, float]:
        """From its first word to its last; without any, what is between those around it."""
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
        if first > 0 and self._timed[first - 1].end > start:
            first -= 1
        if first < last:
            return _within(self._timed[first], start), _within(self._timed[last - 1], end)
        before_s = self._timed[first - 1].end_s if first else self._bounds_s[0]
        behind_s = self._timed[last].start_s if last < len(self._timed) else self._bounds_s[1]
        return before_s, behind_s


def _within(it: Timed, at: int) -> float:
    """When a word has been heard up to its character *at*."""
    share = (at - it.start) / max(it.end - it.start, 1)
    return it.start_s + (it.end_s - it.start_s) * min(max(share, 0.0), 1.0)


# ── what is never divided ─────────────────────────────────────────────────────


def _runs(text: str) -> Iterator[tuple[re.Match[str], bool]]:
    """Yield what white space divides, and whether there is a blank line before it."""
    at = 0
    for run in _RUN.finditer(text):
        yield run, _BLANK_LINE.search(text, at, run.start()) is not None
        at = run.end()


def _narrow_spans(text: str) -> Iterator[_Span]:
    """Runs without white space, and no wider than a line."""
    for run, is_new in _runs(text):
        yield from _spans(run, [run.start() + at for at in _cuts(run.group())], is_new)


def _word_spans(text: str, timed: Sequence[Timed]) -> Iterator[_Span]:
    """Runs without white space, and the words of a provider where they are written without."""
    words = [None, *(it.word for it in timed)]
    begins = [
        it.start
        for it, before in zip(timed, words, strict=False)
        if it.word != before and _is_wide(text[it.start])
    ]
    for run, is_new in _runs(text):
        first, last = (bisect_left(begins, at) for at in (run.start() + 1, run.end()))
        yield from _spans(run, begins[first:last], is_new)


def _spans(run: re.Match[str], cuts: Sequence[int], is_new: bool) -> Iterator[_Span]:
    """A run, cut at some places."""
    is_first = True
    for start, end in pairwise([run.start(), *cuts, run.end()]):
        yield _Span(start, end, is_first, is_first and is_new)
        is_first = False


def _cuts(run: str) -> Iterator[int]:
    """Where a run without white space may be divided, and must be, so that it fits a line."""
    begin = 0
    for piece in filter(None, _BEHIND_WIDE_MARK.split(run)):
        if begin:
            yield begin
        columns = 0
        for at, letter in enumerate(piece, begin):
            width = _columns(letter)
            if columns + width > LINE_COLUMNS and _may_cut(run, at):
                yield at
                columns = 0
            columns += width
        begin += len(piece)


def _may_cut(run: str, at: int) -> bool:
    """Whether no character that is seen as one is torn."""
    return unicodedata.category(run[at])[0] not in "MC" and run[at - 1] != "\u200d"


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def _columns(text: str) -> int:
    if text.isascii():
        return len(text)
    is_free = ("Mn", "Me", "Cf")
    return sum(1 + _is_wide(it) for it in text if unicodedata.category(it) not in is_free)


def _units(text: str, spans: Iterable[_Span], clock: _Clock) -> list[_Unit]:
    units = []
    is_apart = is_new = False
    for span in spans:
        is_apart |= span.is_apart
        is_new |= span.is_new
        shown = _shown(text[span.start : span.end])
        if shown and not shown.isspace():
            units.append(_Unit(shown, _columns(shown), *clock.span(*span[:2]), is_apart, is_new))
            is_apart = is_new = False
    return units


def _shown(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(it for it in text if unicodedata.category(it) != "Cc")


# ── captions ──────────────────────────────────────────────────────────────────


def _divided(units: Sequence[_Unit]) -> list[tuple[int, int]]:
    """The cheapest way to divide all units into captions."""
    behind = [*map(_cost_behind, units[:-1]), 0.0]
    costs = [0.0, *[inf] * len(units)]
    froms = [0] * (len(units) + 1)
    for first in range(len(units)):
        for last in _fitting(units, first):
            is_hurried = units[last - 1].end_s - units[first].start_s < _SHORTEST_S
            cost = costs[first] + _EACH + behind[last - 1] + _HURRIED * is_hurried
            if cost < costs[last]:
                costs[last], froms[last] = cost, first
    found = []
    at = len(units)
    while at:
        found.append((froms[at], at))
        at = froms[at]
    return found[::-1]


def _fitting(units: Sequence[_Unit], first: int) -> Iterator[int]:
    """Yield where a caption that begins with a unit may end."""
    lines, columns = 1, 0
    for at in range(first, len(units)):
        unit = units[at]
        width = unit.columns + (unit.is_apart and columns > 0)
        if columns and columns + width > LINE_COLUMNS:
            lines, columns, width = lines + 1, 0, unit.columns
        columns += width
        is_long = unit.end_s - units[first].start_s > LONGEST_S
        if at > first and (lines > 2 or is_long or unit.is_new):
            return
        yield at + 1


def _cost_behind(unit: _Unit) -> float:
    if _SENTENCE.search(unit.text):
        return 0.0
    return _IN_SENTENCE if _CLAUSE.search(unit.text) else _IN_CLAUSE


def _caption(units: Sequence[_Unit]) -> Caption:
    cut = _middle(units)
    lines = (_line(units[:cut]), _line(units[cut:]))
    return Caption(tuple(filter(None, lines)), units[0].start_s, units[-1].end_s)


def _line(units: Sequence[_Unit]) -> str:
    told = "".join(" " * unit.is_apart + unit.text for unit in units)
    return told.removeprefix(" ")


def _middle(units: Sequence[_Unit]) -> int:
    """How many units make the first line; all, if they fit into it."""
    ends = []
    columns = 0
    for number, unit in enumerate(units):
        columns += unit.columns + (unit.is_apart and number > 0)
        ends.append(columns)
    if columns <= LINE_COLUMNS or len(units) == 1:
        return len(units)

    def unevenness(cut: int) -> float:
        second = columns - ends[cut - 1] - units[cut].is_apart
        longest = max(ends[cut - 1], second)
        too_long = max(0, longest - LINE_COLUMNS) * LINE_COLUMNS
        is_marked = _cost_behind(units[cut - 1]) < _IN_CLAUSE
        return longest + too_long - _BEHIND_MARK_COLUMNS * is_marked

    return min(range(1, len(units)), key=unevenness)
