"""Cut what is spoken into pieces that a provider accepts in one commit. Pure.

Joining the pieces' ranges gives the script back, character by character. A cut falls
where a speaker would pause, at the most natural place that the limit allows: between
paragraphs, sentences, clauses, words, and only then inside a word.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import NamedTuple

from batchtts.model import Boundary
from batchtts.text import breaks, sentences
from batchtts.text.breaks import Break
from batchtts.text.clean import SPOKEN
from batchtts.text.rendering import Rendering
from batchtts.text.speakers import Turn

#: Longest line that is a heading.
_HEADING_CHARS = 80

_LINE_END = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_LINE_ENDS = re.compile(r"[\n\r\x0b\x0c\x85\u2028\u2029]\s*")
_MARK = re.compile(r" {0,3}#{1,6}[ \t]+\S")
_FINISHED = re.compile(rf"[.!?…。！？｡．؟۔।॥።։:;,，、；：–—-][{sentences.CLOSERS}*_]*$")
_ORDER: tuple[Boundary, ...] = ("word", "clause", "sentence", "paragraph", "heading")

# What pieces cost, beside their cuts, which are in breaks.py.
_PIECE = 2.0
_SHORT = 2.0  # at most; a piece as long as the limit costs nothing more
_DROPPED = 13.0  # marks at its end that the limit has no room for
_IN_QUOTATION = 1.5
# Parts this much shorter than the limit are not weighed one by one.
_GRAIN = 16


class Piece(NamedTuple):
    """One segment: ``script[start:end]`` is spoken as *text*.

    Attributes:
        start, end: Ranges of all pieces join to the script.
        text: At most as long as the limit, with something to speak in it.
        boundary: What stands behind it; behind the last one it is "paragraph".
        speaker: From a tag in the script, None for the voice of the row.
    """

    start: int
    end: int
    text: str
    boundary: Boundary
    speaker: str | None


class _Span(NamedTuple):
    """``spoken[start:end]``, and what stands behind it."""

    start: int
    end: int
    boundary: Boundary
    speaker: str | None


def split(
    rendering: Rendering, limit: int, language: str, turns: Sequence[Turn] = ()
) -> list[Piece]:
    """Return the pieces of a script, in order.

    Args:
        rendering: The script and what is spoken for it.
        limit: Characters, at least 1.
        language: BCP 47 tag.
        turns: Who says what, if not one voice says all; they join to what is spoken.

    Returns:
        No piece of an empty script; one piece without text if there is nothing to speak.
    """
    spoken = rendering.spoken
    speakers = [turn.speaker for turn in turns] or [None]
    text = spoken.strip()
    if not SPOKEN.search(text):
        nothing = Piece(0, len(rendering.script), "", "paragraph", speakers[0])
        return [nothing] if rendering.script else []
    if len(text) <= limit and len(speakers) == 1:
        return [Piece(0, len(rendering.script), text, "paragraph", speakers[0])]
    paragraphs = _paragraphs(rendering, turns or [Turn(0, len(spoken), None)])
    cutter = _Cutter(rendering, limit, language)
    spans = [span for paragraph in paragraphs for span in cutter.cut(paragraph)]
    spans[-1] = spans[-1]._replace(boundary="paragraph")
    places = [0, *(rendering.script_at(span.start) for span in spans[1:]), len(rendering.script)]
    return [
        Piece(start, end, _text(spoken[span.start : span.end], limit), span.boundary, span.speaker)
        for (start, end), span in zip(pairwise(places), spans, strict=True)
    ]


def _paragraphs(rendering: Rendering, turns: Sequence[Turn]) -> list[_Span]:
    """The paragraphs of each turn that have something to speak in them."""
    spoken = rendering.spoken
    paragraph_ends = {*_paragraph_ends(rendering), len(spoken)}
    starts = [turn.start for turn in turns]
    found: list[_Span] = []
    for start, end in pairwise(sorted({0, *starts, *paragraph_ends})):
        speaker = turns[bisect_right(starts, start) - 1].speaker
        boundary: Boundary = "paragraph" if end in paragraph_ends else "sentence"
        if boundary == "paragraph" and _is_heading(rendering, start, end, speaker):
            boundary = "heading"
        if SPOKEN.search(spoken, start, end):
            found.append(_Span(start, end, boundary, speaker))
        elif found:
            found[-1] = found[-1]._replace(boundary=_stronger(found[-1].boundary, boundary))
    return found


def _paragraph_ends(rendering: Rendering) -> Iterator[int]:
    """Behind blank lines, and before and behind a marked heading."""
    was_marked = _is_marked(rendering, 0)
    for found in _LINE_ENDS.finditer(rendering.spoken):
        is_marked = _is_marked(rendering, found.end())
        is_blank = len(_LINE_END.findall(found[0])) > 1 or "\u2029" in found[0]
        if (is_blank or is_marked or was_marked) and rendering.may_cut(found.end()):
            yield found.end()
        was_marked = is_marked


def _is_marked(rendering: Rendering, start: int) -> bool:
    """Whether the line of the script is a heading of Markdown, with its marks spoken or not."""
    place = rendering.script_at(start)
    line_start = rendering.script.rfind("\n", 0, place) + 1
    return _MARK.match(rendering.script, line_start) is not None


def _is_heading(rendering: Rendering, start: int, end: int, speaker: str | None) -> bool:
    """Whether a paragraph is a line that no mark ends; what a speaker says is none."""
    if _is_marked(rendering, start):
        return True
    if speaker is not None or end - start > 4 * _HEADING_CHARS:
        return False
    return is_heading(rendering.spoken[start:end])


def is_heading(text: str) -> bool:
    """Whether a text is one line that no mark ends, as those above chapters are."""
    line = text.strip()
    is_line = len(line) <= _HEADING_CHARS and not _LINE_END.search(line)
    return is_line and SPOKEN.search(line) is not None and not _FINISHED.search(line)


def _stronger(one: Boundary, other: Boundary) -> Boundary:
    return max(one, other, key=_ORDER.index)


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Cuts paragraphs that are longer than the limit."""

    rendering: Rendering
    limit: int
    language: str

    def cut(self, paragraph: _Span) -> list[_Span]:
        """The pieces of a paragraph, at the cuts that together are the least bad."""
        start, end = paragraph.start, paragraph.end
        if len(self.rendering.spoken[start:end].strip()) <= self.limit:
            return [paragraph]
        ends = self._joined(paragraph, self._weighed(start, end))
        starts = [start, *(each.at for each in ends)]
        units = [self._measured(*span) for span in pairwise(starts)]
        chosen = _pack(units, [each.badness for each in ends], self.limit)
        cuts = [starts[0], *(ends[last].at for last in chosen)]
        boundaries = [*(ends[last].boundary for last in chosen[:-1]), paragraph.boundary]
        return [
            _Span(*places, boundary, paragraph.speaker)
            for places, boundary in zip(pairwise(cuts), boundaries, strict=True)
        ]

    def _weighed(self, start: int, end: int) -> Iterator[Break]:
        """All cuts worth a thought, worse within a quotation; the last is the end."""
        quotations = breaks.quotations(self.rendering.spoken[start:end])
        begins = [start + first for first, _ in quotations]
        for each in self._breaks(start, end, 0):
            number = bisect_right(begins, each.at - 1) - 1
            if number >= 0 and each.at < start + quotations[number][1]:
                yield each._replace(badness=each.badness + _IN_QUOTATION)
            else:
                yield each
        yield Break(end, "paragraph", 0.0)

    def _breaks(self, start: int, end: int, level: int) -> Iterator[Break]:
        """Between parts that fit; a part that does not is looked at more closely."""
        text = self.rendering.spoken[start:end]
        if len(text.strip()) <= self.limit:
            return
        if level == len(_LEVELS):
            for each in breaks.word_breaks(text, self.limit, self._may_cut_from(start)):
                yield each._replace(at=start + each.at)
            return
        part = start
        for each in _LEVELS[level](text, self.language):
            at = start + each.at
            if part < at < end and self.rendering.may_cut(at):
                yield from self._breaks(part, at, level + 1)
                yield each._replace(at=at)
                part = at
        yield from self._breaks(part, end, level + 1)

    def _may_cut_from(self, start: int) -> breaks.MayCut:
        return lambda at: self.rendering.may_cut(start + at)

    def _joined(self, paragraph: _Span, ends: Iterator[Break]) -> list[Break]:
        """Without the cuts that leave nothing to speak on one side, or a tiny part."""
        spoken = self.rendering.spoken
        first = SPOKEN.search(spoken, paragraph.start)
        start = first.start() if first else paragraph.end
        joined: list[Break] = []
        for each in ends:
            if each.at <= start:
                continue
            before = joined[-1].at if joined else paragraph.start
            if joined and not SPOKEN.search(spoken, before, each.at):
                boundary = _stronger(joined[-1].boundary, each.boundary)
                badness = min(joined[-1].badness, each.badness)
                joined[-1] = Break(each.at, boundary, badness)
                continue
            begin = joined[-2].at if len(joined) > 1 else paragraph.start
            if joined and each.at - begin <= self.limit // _GRAIN:
                joined.pop()
            joined.append(each)
        return joined

    def _measured(self, start: int, end: int) -> _Unit:
        text = self.rendering.spoken[start:end]
        first, last = _heard(text)
        return _Unit(
            start + len(text) - len(text.lstrip()),
            start + len(text.rstrip()),
            start + first,
            start + last,
        )


class _Unit(NamedTuple):
    """A part that is not cut: without white space, and from its first letter to its last."""

    start: int
    end: int
    heard_start: int
    heard_end: int


def _pack(units: Sequence[_Unit], badness: Sequence[float], limit: int) -> list[int]:
    """Return the last unit of each piece, so that cuts and lengths together cost the least."""
    costs, firsts = [0.0], [0]
    for last, unit in enumerate(units):
        least, best = inf, last
        for first in range(last, -1, -1):
            if unit.heard_end - units[first].heard_start > limit:
                break
            spare = 1 - (unit.end - units[first].start) / limit
            cost = costs[first] + (_SHORT * spare * spare if spare >= 0 else _DROPPED)
            if cost < least:
                least, best = cost, first
        costs.append(least + badness[last] + _PIECE)
        firsts.append(best)
    chosen: list[int] = []
    count = len(units)
    while count:
        chosen.append(count - 1)
        count = firsts[count]
    return chosen[::-1]


def _heard(text: str) -> tuple[int, int]:
    """From the first letter or digit to the last one."""
    first, last = SPOKEN.search(text), SPOKEN.search(text[::-1])
    return (first.start() if first else 0), (len(text) - last.start() if last else 0)


def _text(text: str, limit: int) -> str:
    """What is sent; marks around what is heard are left out if there is no room for them."""
    text = text.strip()
    if len(text) > limit:
        first, _ = _heard(text)
        text = text[first : first + limit].strip()
    return text


_LEVELS = (
    breaks.sentence_breaks,
    breaks.inner_sentence_breaks,
    breaks.clause_breaks,
    breaks.space_breaks,
)
