"""A script beside what was heard of it, cut into what is shown. Pure.

Where what compares texts is not installed, they are compared here as they are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from batchtts.errors import SettingsError
from batchtts.review.alignment import Kind
from batchtts.review.compare import Span, compare
from batchtts.review.likeness import Phonemize

_LONGEST = 4000  # words of a script that are compared
_ALIKE_CHARS = 600  # that are shown in one piece
_MOST_CHARS = 8000  # of a script that are shown at all

#: Chinese and Japanese have no spaces: each sign is a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """What is shown: text of the script, text that was heard, or that something is left out.

    Attributes:
        left_out: Characters that are alike and not shown.
        before, after: Spaces around what is not in the script.
    """

    kind: Kind
    script: str = ""
    heard: str = ""
    left_out: int = 0
    before: str = ""
    after: str = ""


def align(
    script: str, heard: str, language: str, phonemize: Phonemize | None = None
) -> Sequence[Span] | None:
    """Compare a script with what was heard; None if they are too long for that."""
    ours, theirs = list(_WORD.finditer(script)), _WORD.findall(heard)
    if len(ours) > _LONGEST or len(theirs) > _LONGEST:
        return None
    try:
        return compare(script, heard, language, phonemize).spans
    except SettingsError:
        return _by_letters(script, ours, theirs)


def _by_letters(script: str, ours: list[re.Match[str]], theirs: list[str]) -> list[Span]:
    plain = [_plain(it.group()) for it in ours]
    matcher = SequenceMatcher(None, plain, list(map(_plain, theirs)), autojunk=False)
    return [
        Span(_KINDS[tag], *_extent(ours, script, first, last), " ".join(theirs[begin:end]))
        for tag, first, last, begin, end in matcher.get_opcodes()
    ]


_KINDS: dict[str, Kind] = {
    "equal": "equal",
    "replace": "substituted",
    "delete": "deleted",
    "insert": "inserted",
}


def _plain(word: str) -> str:
    """A word without what is not heard; a mark alone stays what it is."""
    return "".join(filter(str.isalnum, word.casefold())) or word


def _extent(words: Sequence[re.Match[str]], script: str, first: int, last: int) -> tuple[int, int]:
    if first < last:
        return words[first].start(), words[last - 1].end()
    at = words[first].start() if first < len(words) else len(script)
    return at, at


def pieces(script: str, spans: Sequence[Span]) -> list[Piece]:
    """What is shown of a script that was compared; long stretches without a fault are cut."""
    is_long = len(script) > _ALIKE_CHARS * 3
    found: list[Piece] = []
    shown = 0
    for piece in _whole(script, spans):
        cut = _cut(piece) if is_long and piece.kind == "equal" else [piece]
        found += cut
        shown += sum(len(it.script) + len(it.heard) for it in cut)
        if shown > _MOST_CHARS:
            left = len(script) - sum(len(it.script) + it.left_out for it in found)
            found.append(Piece("equal", left_out=max(left, 0)))
            break
    return found


def _whole(script: str, spans: Sequence[Span]) -> Iterator[Piece]:
    """All of the script, whatever the spans leave out."""
    at = 0
    for span in sorted(spans, key=lambda it: (it.start, it.end)):
        if span.start > at:
            yield Piece("equal", script[at : span.start])
        at = max(at, span.start)
        heard = "" if span.kind == "equal" else span.heard
        if span.end > at:
            yield Piece(span.kind, script[at : span.end], heard)
        elif heard:
            before = "" if not at or script[at - 1].isspace() else " "
            after = "" if at == len(script) or script[at].isspace() else " "
            yield Piece("inserted", "", heard, before=before, after=after)
        at = max(at, span.end)
    if at < len(script):
        yield Piece("equal", script[at:])


def _cut(piece: Piece) -> list[Piece]:
    text = piece.script
    if len(text) <= _ALIKE_CHARS:
        return [piece]
    side = _ALIKE_CHARS // 3
    left_out = Piece("equal", left_out=len(text) - 2 * side)
    return [Piece("equal", text[:side]), left_out, Piece("equal", text[-side:])]


def plainly(text: str) -> list[Piece]:
    """A text that is compared with nothing; the beginning of a long one."""
    if len(text) <= _MOST_CHARS // 4:
        return [Piece("equal", text)] if text else []
    most = _MOST_CHARS // 4
    return [Piece("equal", text[:most]), Piece("equal", left_out=len(text) - most)]
