"""Where a sentence that is too long may be cut: at clauses, at spaces, in a word. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

from batchtts.model import Boundary
from batchtts.text import sentences

MayCut = Callable[[int], bool]


class Break(NamedTuple):
    """A cut before ``text[at]``, how a listener hears it, and how bad it is; 0 is good."""

    at: int
    boundary: Boundary
    badness: float


# What the kinds of cuts cost. One more piece costs 2, see segment.py.
_INNER_SENTENCE = 1.0
_CLAUSE = 3.0
_COMMA = 4.0
_SPACE = 6.0
_BOUND_SPACE = 9.0
_WORD = 14.0
_FORCED = 200.0

_CLAUSES = re.compile(
    rf"(?:[,;:،؛–—!?…]+|\.\.+)[{sentences.CLOSERS}]*\s+"
    rf"|[、，；：､]+[{sentences.CLOSERS}]*\s*"
    r"|\s[–—-]+\s+|[—]+(?=\w)|\s+(?=[(\[{“«„「『])|[^\S\n]*\n\s*"
)
_SPACES = re.compile(r"\s+")
# Languages that put a space where others put a comma.
_SPACE_IS_COMMA = frozenset("th lo km my".split())

_QUOTES = {"“": "”", "«": "»", "„": "“”", '"': '"', "「": "」", "『": "』", "»": "«"}
_QUOTE_MARKS = re.compile('[“”«»„"「」『』]')


def sentence_breaks(text: str, language: str) -> Iterator[Break]:
    """Between sentences."""
    for at in sentences.sentence_ends(text, language):
        yield Break(at, "sentence", 0.0)


def inner_sentence_breaks(text: str, language: str) -> Iterator[Break]:
    """Between sentences of one quotation, and others that are kept together if they can be."""
    for at in sentences.plain_ends(text, language):
        yield Break(at, "sentence", _INNER_SENTENCE)


def clause_breaks(text: str, language: str) -> Iterator[Break]:
    """Behind a comma, around a dash, in front of a bracket, at the end of a line."""
    del language
    for found in _CLAUSES.finditer(text):
        is_comma = found[0][0] in ",،、，､"
        yield Break(found.end(), "clause", _COMMA if is_comma else _CLAUSE)


def space_breaks(text: str, language: str) -> Iterator[Break]:
    """Between words."""
    if language.partition("-")[0].lower() in _SPACE_IS_COMMA:
        for found in _SPACES.finditer(text):
            yield Break(found.end(), "clause", _CLAUSE)
        return
    for found in _SPACES.finditer(text):
        is_bound = found[0] in "\u00a0\u202f" or sentences.binds(text, found.start())
        yield Break(found.end(), "word", _BOUND_SPACE if is_bound else _SPACE)


def word_breaks(text: str, limit: int, may_cut: MayCut) -> Iterator[Break]:
    """Within a word, so that no part is longer than *limit*.

    The parts are of about the same length, and a cut is as little bad as there is one:
    within neither a number nor a character of several code points, and not where
    *may_cut* forbids it unless nothing else is left.
    """
    kinds: tuple[tuple[MayCut, float], ...] = (
        (lambda at: may_cut(at) and _is_character(text, at) and not _in_number(text, at), _WORD),
        (lambda at: may_cut(at) and _is_character(text, at), _WORD + 4),
        (may_cut, _WORD + 8),
        (lambda at: text[at - 1].isspace(), _FORCED),
        (lambda at: _is_character(text, at), _FORCED + _WORD),
        (lambda _: True, _FORCED + _WORD + 8),
    )
    start = 0
    while len(text) - start > limit:
        parts = -(-(len(text) - start) // limit)
        best = start - (start - len(text)) // parts
        nearest = [*range(best, start, -1), *range(best + 1, start + limit + 1)]
        start, badness = next(
            (at, badness) for is_good, badness in kinds for at in nearest if is_good(at)
        )
        yield Break(start, "word", badness)


def quotations(text: str) -> list[tuple[int, int]]:
    """Return where the quotations are, with their marks; one within another is left out."""
    found: list[tuple[int, int]] = []
    began, closers = -1, ""
    for mark in _QUOTE_MARKS.finditer(text):
        if began >= 0 and mark[0] in closers:
            found.append((began, mark.end()))
            began = -1
        elif began < 0 and mark[0] in _QUOTES:
            began, closers = mark.start(), _QUOTES[mark[0]]
    return found


def _in_number(text: str, at: int) -> bool:
    """Whether a cut takes a number apart, such as 1,000,000 or 3.14."""
    before, after = text[at - 1], text[at]
    if before in ".,'’":
        return after.isdigit() and text[at - 2 : at - 1].isdigit()
    if after in ".,'’":
        return before.isdigit() and text[at + 1 : at + 2].isdigit()
    return before.isdigit() and after.isdigit()


def _is_character(text: str, at: int) -> bool:
    """Whether ``text[at]`` begins what a reader sees as a character of its own."""
    before, after = text[at - 1], text[at]
    if _extends(after) or before == "\u200d" or (before == "\r" and after == "\n"):
        return False
    if unicodedata.combining(before) == 9 and unicodedata.category(after) == "Lo":
        return False  # a consonant joined to the one before it
    if _is_flag(before) and _is_flag(after):
        flags = at
        while flags > at - 200 and flags and _is_flag(text[flags - 1]):
            flags -= 1
        return (at - flags) % 2 == 0
    return not _is_syllable(before, after)


def _extends(character: str) -> bool:
    """Whether it belongs to the character before it: accents, vowel signs, skin tones."""
    if character < "\u0300":
        return False
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or character in "\u200c\u200d\u0e33\u0eb3\uff9e\uff9f"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
    )


def _is_flag(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _is_syllable(before: str, after: str) -> bool:
    """Whether two parts of a Korean syllable belong together."""
    kind, following = _jamo(before), _jamo(after)
    return following in {"L": "LVS", "V": "VT", "S": "VT", "T": "T"}.get(kind, "-") and bool(
        following
    )


def _jamo(character: str) -> str:
    """Leading consonant, vowel, trailing consonant, whole syllable, or nothing of it."""
    if "\u1100" <= character <= "\u115f" or "\ua960" <= character <= "\ua97c":
        return "L"
    if "\u1160" <= character <= "\u11a7" or "\ud7b0" <= character <= "\ud7c6":
        return "V"
    if "\u11a8" <= character <= "\u11ff" or "\ud7cb" <= character <= "\ud7fb":
        return "T"
    return "S" if "\uac00" <= character <= "\ud7a3" else ""
