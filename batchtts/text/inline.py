"""Marks of Markdown within a paragraph: emphasis, code, links, escapes. Pure.

One pass from left to right finds what each character that may be a mark is. Brackets
wait for their partners on a stack; so do runs of `*`, `_` and `~`, by CommonMark's rules
of what may open and what may close.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from batchtts.text.rendering import Edit
from batchtts.text.tags import hide, mark_at

#: Labels that links may refer to, in lower case.
Definitions = frozenset[str]

_NESTED = 50  # runs that wait for their ends, as far as is looked back
_WORD = 99  # characters
_MARK = re.compile(r"\\|`+|\*+|_+|~+|!\[|\[|\]|<|&")
_ESCAPED = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_AUTOLINK = re.compile(
    r"<([a-zA-Z][a-zA-Z0-9+.-]{1,31}:[^\s<>]{0,9999}|[\w.+-]{1,99}@[\w.-]{1,99})>"
)
_TARGET = re.compile(
    r"\(\s{0,99}(?:<[^<>\n]{0,9999}>|[^\s()<]{0,9999}(?:\([^\s()]{0,999}\)[^\s()]{0,9999}){0,9})"
    r"""(?:\s{1,99}(?:"[^"]{0,999}"|'[^']{0,999}'|\([^()]{0,999}\)))?\s{0,99}\)"""
)
_LABEL = re.compile(r"\[([^\[\]]{0,999})\]")
_NOTE = re.compile(r"\[\^[^\]\s\[]{1,99}\]")


@dataclass(slots=True)
class _Run:
    """A run of `*`, `_` or `~`, as far as it is not used up."""

    start: int
    end: int
    length: int  # as written
    opens: bool
    closes: bool
    is_inside: bool  # between two letters

    @property
    def left(self) -> int:
        return self.end - self.start


@dataclass(slots=True)
class _Bracket:
    start: int
    end: int


@dataclass(slots=True)
class _Scan:
    """What was found in ``text[start:end]`` up to here."""

    text: str
    start: int
    end: int
    labels: Definitions
    edits: list[Edit] = field(default_factory=list)
    brackets: list[_Bracket] = field(default_factory=list)
    runs: dict[str, list[_Run]] = field(default_factory=lambda: {"*": [], "_": [], "~": []})
    ticks: dict[int, list[int]] = field(default_factory=dict)

    def drop(self, start: int, end: int, said: str = "") -> None:
        self.edits.append(Edit(start, end, said))


def inline_edits(text: str, start: int, end: int, labels: Definitions) -> list[Edit]:
    """Return what to change in ``text[start:end]``, in no order."""
    scan = _Scan(text, start, end, labels)
    scan.ticks = _ticks(text, start, end)
    at = start
    while found := _MARK.search(text, at, end):
        at = max(_take(scan, found), found.start() + 1)
    return scan.edits


def _take(scan: _Scan, found: re.Match[str]) -> int:
    """Judge one mark, and return where to go on."""
    mark, at = found[0], found.start()
    match mark[0]:
        case "\\":
            return _escape(scan, at)
        case "`":
            return _code(scan, at, found.end())
        case "*" | "_" | "~":
            return _emphasis(scan, at, found.end())
        case "!" | "[":
            return _open(scan, at, found.end())
        case "]":
            return _close(scan, at)
        case _:
            return _tag(scan, at)


def _escape(scan: _Scan, at: int) -> int:
    following = scan.text[at + 1 : at + 2]
    if at + 1 >= scan.end or (following not in _ESCAPED and following not in "\r\n"):
        return at + 1
    scan.drop(at, at + 1)
    return at + 2


def _ticks(text: str, start: int, end: int) -> dict[int, list[int]]:
    """Where runs of backticks begin, by their length, the last one first."""
    found: dict[int, list[int]] = {}
    for run in re.finditer("`+", text[start:end]):
        found.setdefault(len(run[0]), []).insert(0, start + run.start())
    return found


def _code(scan: _Scan, at: int, end: int) -> int:
    places = scan.ticks.get(end - at, [])
    while places and places[-1] <= at:
        places.pop()
    if not places:
        return end
    closing = places.pop()
    scan.drop(at, end)
    scan.drop(closing, closing + end - at)
    return closing + end - at


def _tag(scan: _Scan, at: int) -> int:
    """An autolink, or HTML."""
    link = _AUTOLINK.match(scan.text, at, scan.end)
    if link:
        scan.drop(at, at + 1)
        scan.drop(link.end() - 1, link.end())
        return link.end()
    mark = mark_at(scan.text, at)
    if mark is None:
        return at + 1
    mark = hide(scan.text, mark)
    if mark.end > scan.end:
        return at + 1
    scan.drop(at, mark.end, "\n" if mark.kind == "br" else mark.said)
    return mark.end


def _open(scan: _Scan, at: int, end: int) -> int:
    note = _NOTE.match(scan.text, at, scan.end)
    if note:
        scan.drop(at, note.end())
        return note.end()
    scan.brackets.append(_Bracket(at, end))
    return end


def _close(scan: _Scan, at: int) -> int:
    """Make a link or an image of the last open bracket, if what follows makes it one."""
    if not scan.brackets:
        return at + 1
    bracket = scan.brackets.pop()
    end = _target_end(scan, bracket, at + 1)
    if end is None:
        return at + 1
    scan.drop(bracket.start, bracket.end)
    scan.drop(at, end)
    return end


def _target_end(scan: _Scan, bracket: _Bracket, at: int) -> int | None:
    """Where the link ends whose text ends before *at*; None if it is none."""
    target = _TARGET.match(scan.text, at, scan.end)
    if target:
        return target.end()
    label = _LABEL.match(scan.text, at, scan.end)
    if label and _plain(label[1] or scan.text[bracket.end : at - 1]) in scan.labels:
        return label.end()
    return at if _plain(scan.text[bracket.end : at - 1]) in scan.labels else None


def _plain(label: str) -> str:
    return " ".join(label.split()).casefold() if len(label) < 1000 else ""


def _emphasis(scan: _Scan, at: int, end: int) -> int:
    run = _run(scan, at, end)
    if run is None:
        return end
    if run.closes:
        _match(scan, run)
    if run.opens and run.left:
        scan.runs[scan.text[at]].append(run)
    return end


def _run(scan: _Scan, at: int, end: int) -> _Run | None:
    """Judge whether a run of marks may open or close; None if it is text."""
    text, mark = scan.text, scan.text[at]
    before = text[at - 1] if at > scan.start else " "
    behind = text[end] if end < scan.end else " "
    if mark == "~" and end - at != 2:
        return None
    if mark == "*" and before.isdigit() and behind.isdigit():
        return None
    is_left = not behind.isspace() and (not _is_mark(behind) or _is_apart(before))
    is_right = not before.isspace() and (not _is_mark(before) or _is_apart(behind))
    opens, closes = is_left, is_right
    if mark == "_":
        opens = is_left and (not is_right or _is_mark(before))
        closes = is_right and (not is_left or _is_mark(behind))
    return _Run(at, end, end - at, opens, closes, before.isalnum() and behind.isalnum())


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "PS"


def _is_apart(character: str) -> bool:
    return character.isspace() or _is_mark(character)


def _match(scan: _Scan, closer: _Run) -> None:
    """Use up the closer with the runs that it closes."""
    waiting = scan.runs[scan.text[closer.start]]
    place = len(waiting)
    last = max(0, place - _NESTED)
    while closer.left and place > last:
        place -= 1
        opener = waiting[place]
        if not _fits(scan, opener, closer):
            continue
        count = 2 if opener.left >= 2 and closer.left >= 2 else 1
        scan.drop(opener.end - count, opener.end)
        scan.drop(closer.start, closer.start + count)
        opener.end -= count
        closer.start += count
        del waiting[place + bool(opener.left) :]
        place = len(waiting)


def _fits(scan: _Scan, opener: _Run, closer: _Run) -> bool:
    """Whether the two are a pair; two within words are one in the same word only."""
    if opener.is_inside and closer.is_inside:
        between = scan.text[opener.end : min(closer.start, opener.end + _WORD + 1)]
        return len(between) <= _WORD and not any(map(str.isspace, between))
    is_double = opener.closes or closer.opens
    is_third = (opener.length + closer.length) % 3 == 0
    return not (is_double and is_third and (opener.length % 3 or closer.length % 3))
