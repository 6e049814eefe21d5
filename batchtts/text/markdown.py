"""Marks of Markdown in a text. Pure.

The rules are CommonMark's with tables, strikethrough and footnotes, but a mark is taken
for a mark only where hardly anybody writes it as text: `2*3*4`, `[sic]` and `f**k` stay.
Lines are looked at first (headings, lists, quotes, fences, tables), then what is in each
run of lines that belong together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from batchtts.text.inline import Definitions, inline_edits
from batchtts.text.rendering import Edit

_FENCE = re.compile(r"[ \t]*(`{3,}(?=[^`\n]*$)|~{3,})")
_QUOTE = re.compile(r"[ ]{0,3}(?:>[ \t]?)+[ ]{0,3}")
_HEADING = re.compile(r"[ ]{0,3}#{1,6}(?:[ \t]+|$)")
_HEADING_END = re.compile(r"[ \t]+#+[ \t]*$|[ \t]+$")
_RULE = re.compile(r"[ ]{0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_UNDERLINE = re.compile(r"[ ]{0,3}(?:={2,}|-{2,})[ \t]*$")
_BULLET = re.compile(r"[ \t]*[-*+][ \t]+(?:\[[ xX]\][ \t]+)?(?=\S)")
_NUMBER = re.compile(r"[ \t]*[0-9]{1,4}[.)][ \t]+(?=\S)")
_DELIMITER = re.compile(r"[ ]{0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_PIPE = re.compile(r"(?<!\\)[ \t]*\|[ \t]*")
_FOOTNOTE = re.compile(r"[ ]{0,3}\[\^[^\]\s]{1,99}\]:[ \t]*")
_DEFINITION = re.compile(
    r"[ ]{0,3}\[(?P<label>[^\[\]^][^\[\]]{0,199})\]:[ \t]*"
    r"(?:<[^<>]*>|[a-zA-Z][\w+.-]*:\S+|www\.\S+|\.{0,2}[/#]\S*|\S+\.[a-zA-Z]{2,5}(?:[/#?]\S*)?)"
    r"""(?:[ \t]+(?:"[^"]*"|'[^']*'|\([^()]*\)))?[ \t]*$"""
)


@dataclass(slots=True)
class _Line:
    """One line, from *start* to *stop*, without its end.

    Attributes:
        at: Where what is no mark at its beginning begins.
        end: Where what is no mark at its end ends.
        opens: It begins something new, which a blank line should stand before.
        closes: The same for what comes behind it.
        is_code: Nothing within it is a mark.
    """

    text: str
    start: int
    stop: int
    at: int
    end: int
    opens: bool = False
    closes: bool = False
    is_code: bool = False
    edits: list[Edit] = field(default_factory=list)

    @property
    def rest(self) -> str:
        return self.text[self.at : self.end]

    def skip(self, found: re.Match[str] | None) -> bool:
        """Take what was found at the beginning of the rest for a mark."""
        if found is None:
            return False
        self.at += found.end()
        return True

    def drop(self) -> None:
        """Take the whole line for a mark."""
        self.at = self.end


def edits(text: str) -> list[Edit]:
    """Return what to change so that no marks are spoken, in order."""
    comments = list(_comments(text))
    text = _blanked(text, comments)
    lines = list(_lines(text))
    _find_fences(lines)
    _find_quotes(lines)
    labels = _find_definitions(lines)
    _find_tables(lines)
    for number, line in enumerate(lines):
        if not line.is_code:
            _read(line, lines[number - 1] if number else None)
    found = comments + [edit for line in lines for edit in (*_margins(line), *line.edits)]
    found += _breaks(lines)
    for start, end in _paragraphs(lines):
        found += inline_edits(text, start, end, labels)
    return _in_order(found)


def _comments(text: str) -> Iterator[Edit]:
    """Comments of HTML, which may go on over blank lines."""
    end = 0
    while (start := text.find("<!--", end)) >= 0 and (end := text.find("-->", start + 4) + 3) > 2:
        yield Edit(start, end, "")


def _blanked(text: str, comments: list[Edit]) -> str:
    """Put spaces in the place of comments."""
    parts: list[str] = []
    at = 0
    for start, end, _ in comments:
        parts += text[at:start], " " * (end - start)
        at = end
    return "".join([*parts, text[at:]])


def _lines(text: str) -> Iterator[_Line]:
    at = 0
    for line in text.split("\n"):
        stop = at + len(line.removesuffix("\r"))
        yield _Line(text, at, stop, at, stop)
        at += len(line) + 1


def _find_fences(lines: list[_Line]) -> None:
    """Mark what is between two fences as code; a fence without its end is none."""
    at = 0
    while at < len(lines):
        opening = _FENCE.match(lines[at].rest)
        if opening:
            end = _closing(lines, at, opening[1])
            for line in lines[at : end + 1]:
                line.is_code = True
            if end > at:
                lines[at].drop()
                lines[end].drop()
            at = max(at, end)
        at += 1


def _closing(lines: list[_Line], at: int, fence: str) -> int:
    """The line of the closing fence; before *at* if there is none."""
    for end in range(at + 1, len(lines)):
        rest = lines[end].rest.strip()
        if rest.startswith(fence) and not rest.strip(fence[0]):
            return end
    return at - 1


def _find_quotes(lines: list[_Line]) -> None:
    for line in lines:
        if not line.is_code:
            line.skip(_QUOTE.match(line.rest))


def _find_definitions(lines: list[_Line]) -> Definitions:
    labels = set()
    for line in lines:
        found = None if line.is_code else _DEFINITION.match(line.rest)
        if found:
            labels.add(" ".join(found["label"].split()).casefold())
            line.drop()
    return frozenset(labels)


def _find_tables(lines: list[_Line]) -> None:
    """Find the rows of tables by the line of dashes under their heads."""
    is_table = False
    for above, line in pairwise(lines):
        if line.is_code or "|" not in line.rest:
            is_table = False
        elif not is_table and "|" in above.rest and not above.is_code:
            is_table = _DELIMITER.match(line.rest) is not None
            if is_table:
                _read_row(above)
                line.drop()
        elif is_table:
            _read_row(line)


def _read_row(line: _Line) -> None:
    line.opens = line.closes = True
    base, row = line.at, line.rest
    for pipe in _PIPE.finditer(row):
        is_edge = not row[: pipe.start()].strip() or not row[pipe.end() :].strip()
        line.edits.append(Edit(base + pipe.start(), base + pipe.end(), "" if is_edge else ", "))


def _read(line: _Line, above: _Line | None) -> None:
    """Find the marks at the beginning and the end of a line."""
    if line.skip(_FOOTNOTE.match(line.rest)):
        line.opens = True
    while not _RULE.match(line.rest) and line.skip(_BULLET.match(line.rest)):
        line.opens = True
    if _NUMBER.match(line.rest) and (line.opens or _is_listed(line, above)):
        line.opens = True
    if _RULE.match(line.rest) or (_UNDERLINE.match(line.rest) and above and above.rest.strip()):
        line.drop()
    elif line.skip(_HEADING.match(line.rest)):
        line.opens = line.closes = True
        found = _HEADING_END.search(line.rest)
        line.end = line.at + found.start() if found else line.end


def _is_listed(line: _Line, above: _Line | None) -> bool:
    """Whether a number that begins a line numbers it: the line above is numbered, too."""
    return above is not None and _NUMBER.match(above.rest) is not None


def _margins(line: _Line) -> Iterator[Edit]:
    if line.start < line.at:
        yield Edit(line.start, line.at, "")
    if line.end < line.stop:
        yield Edit(line.end, line.stop, "")


def _breaks(lines: list[_Line]) -> Iterator[Edit]:
    """Put a blank line between two that do not belong together."""
    for above, line in pairwise(lines):
        if (above.closes or line.opens) and above.rest.strip() and line.rest.strip():
            yield Edit(line.start, line.start, "\n")


def _paragraphs(lines: list[_Line]) -> Iterator[tuple[int, int]]:
    """From where to where text goes on, however its lines are broken."""
    start: int | None = None
    end = 0
    for line in lines:
        is_blank = line.is_code or not line.rest.strip()
        if start is not None and (is_blank or line.opens):
            yield start, end
            start = None
        if not is_blank:
            start = line.at if start is None else start
            end = line.end
        if start is not None and line.closes:
            yield start, end
            start = None
    if start is not None:
        yield start, end


def _in_order(found: list[Edit]) -> list[Edit]:
    """Sort them, and leave those that begin within another."""
    kept: list[Edit] = []
    for edit in sorted(found):
        if not kept or kept[-1].end <= edit.start:
            kept.append(edit)
    return kept
