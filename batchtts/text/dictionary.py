"""What words are read as, by a dictionary that a person keeps. Pure.

The file is CSV in UTF-8: a word or phrase, a comma, what is said for it; lines that begin with
``#`` are comments. Only whole words are replaced, the longest entry first. An entry in
lower case stands for any case; an entry with a capital letter stands for itself alone.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple, Self

from batchtts.text.rendering import Edit

# Chinese, Japanese, Thai, Lao, Burmese and Khmer put no space between words.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\U00020000-\U0003ffff"
)
# What is written before an apostrophe without being part of the word behind it.
_ELISIONS = frozenset(
    "l d j m t s n c qu jusqu lorsqu puisqu quoiqu"
    " un dell all nell sull dall quell bell sant mezz gl".split()
)
_LINE = re.compile(r"\r\n|\r|\n")
_BLANK = re.compile(r"\s+")
_APOSTROPHES = str.maketrans("’ʼ", "''")
_WITHIN_NUMBERS = ".,:/"


class Entry(NamedTuple):
    """*word* is read as *said*."""

    word: str
    said: str

    @property
    def is_exact(self) -> bool:
        """Whether it stands for this case alone."""
        return self.word != self.word.lower()


class _Script(NamedTuple):
    """A text with one kind of apostrophe, as written and in lower case, letter by letter."""

    plain: str
    lower: str

    @classmethod
    def of(cls, text: str) -> Self:
        plain = text.translate(_APOSTROPHES)
        lower = plain.lower()
        if len(lower) != len(plain):
            lower = "".join(it.lower() if len(it.lower()) == 1 else it for it in plain)
        return cls(plain, lower)

    def may_begin(self, at: int) -> bool:
        """Whether a word begins here: not `Brien` in O'Brien, but `Oréal` in L'Oréal."""
        before, first = self.plain[max(0, at - 12) : at], self.plain[at]
        if not before or _is_unspaced(before[-1]):
            return True
        if not _is_word(first):
            return not _is_word(before[-1])
        if first.isdigit() and before[-1] in _WITHIN_NUMBERS:
            return not before[-2:-1].isdigit()
        if before[-1] != "'":
            return True
        word = _last_word(before[:-1])
        return not word or word.lower() in _ELISIONS

    def may_end(self, at: int) -> bool:
        """Whether a word ends here: not `don` in don't, but `Ann` in Ann's."""
        behind, last = self.plain[at : at + 3], self.plain[at - 1]
        if not behind or _is_unspaced(behind[0]):
            return True
        if not _is_word(last):
            return not _is_word(behind[0])
        if last.isdigit() and behind[0] in _WITHIN_NUMBERS:
            return not behind[1:2].isdigit()
        if behind[0] != "'" or not _is_word(behind[1:2]):
            return True
        return behind[1] in "sS" and not _is_word(behind[2:3])


@dataclass(slots=True)
class _Node:
    """Where some tokens lead to: what is said if they are an entry, and the next tokens."""

    said: str | None = None
    below: dict[str, _Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Words and how they are read."""

    entries: tuple[Entry, ...]
    _exact: _Node = field(repr=False, compare=False)
    _folded: _Node = field(repr=False, compare=False)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Of entries no two of which are for the same word."""
        entries = tuple(entries)
        exact, folded = _Node(), _Node()
        for entry in entries:
            for form in ("NFC", "NFD"):
                word = unicodedata.normalize(form, entry.word)
                _plant(exact if entry.is_exact else folded, word, entry.said)
        return cls(entries, exact, folded)

    @classmethod
    def parse(cls, text: str, where: str = "") -> Self:
        """Read the content of a file.

        Args:
            where: The file's name, with which a message begins.

        Raises:
            ValueError: a line is no entry, or its word was there before; it says which line.
        """
        found: dict[str, tuple[int, Entry]] = {}
        for number, entry in _read(text, where):
            word = unicodedata.normalize("NFC", entry.word).translate(_APOSTROPHES)
            if word in found:
                first = found[word][0]
                raise _wrong(where, number, f"{entry.word!r} is on line {first} already")
            found[word] = number, entry
        return cls.of(entry for _, entry in found.values())

    def edits(self, text: str) -> list[Edit]:
        """Return what is said differently, in order."""
        if not self.entries:
            return []
        script = _Script.of(text)
        found: list[Edit] = []
        at = 0
        for token in _token().finditer(script.plain):
            start, end = token.span()
            if start < at or not self._is_known(script, start, end):
                continue
            if script.may_begin(start):
                exact = _walk(self._exact, script, script.plain, start)
                folded = _walk(self._folded, script, script.lower, start)
                at, said = max(exact, folded, key=lambda it: it[0])
                if at > start:
                    found.append(Edit(start, at, said))
        return found

    def _is_known(self, script: _Script, start: int, end: int) -> bool:
        """Whether any entry begins with this token."""
        return (
            script.plain[start:end] in self._exact.below
            or script.lower[start:end] in self._folded.below
        )

    def as_pairs(self) -> dict[str, str]:
        """Return the entries that a provider's own dictionary of ``word/replacement`` can hold.

        They mean the same there whatever the provider thinks about case; those for any
        case are not among them, nor those with a slash. `rest` has all others.
        """
        return {word: said for word, said in self.entries if _fits(Entry(word, said))}

    def rest(self) -> Dictionary:
        """Return what `as_pairs` leaves out."""
        return Dictionary.of(entry for entry in self.entries if not _fits(entry))


def _fits(entry: Entry) -> bool:
    return entry.is_exact and "/" not in entry.word + entry.said


def _read(text: str, where: str) -> Iterator[tuple[int, Entry]]:
    is_first = True
    for number, line in enumerate(_LINE.split(text.removeprefix("\ufeff")), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        cells = _cells(line, where, number)
        if not is_first or [cell.lower() for cell in cells] != ["word", "replacement"]:
            yield number, _entry(cells, where, number)
        is_first = False


def _cells(line: str, where: str, number: int) -> list[str]:
    try:
        cells = next(csv.reader([line], skipinitialspace=True, strict=True))
    except csv.Error:
        raise _wrong(where, number, "its quotation marks do not fit together") from None
    return [_BLANK.sub(" ", cell).strip() for cell in cells]


def _entry(cells: list[str], where: str, number: int) -> Entry:
    if len(cells) == 1:
        raise _wrong(where, number, f"no comma behind {cells[0]!r}; it is word,replacement")
    if len(cells) > 2:
        raise _wrong(
            where, number, f'{len(cells)} columns; a comma within one is quoted: word,"one, two"'
        )
    word, said = cells
    if not word:
        raise _wrong(where, number, "no word before the comma")
    if not said:
        raise _wrong(where, number, f"nothing is said for {word!r}")
    return Entry(word, said)


def _wrong(where: str, number: int, problem: str) -> ValueError:
    place = f"{where}, line {number}" if where else f"line {number}"
    return ValueError(f"{place}: {problem}")


def _plant(root: _Node, word: str, said: str) -> None:
    node = root
    for token in _token().finditer(word.translate(_APOSTROPHES)):
        key = " " if token["space"] else token[0]
        node = node.below.setdefault(key, _Node())
    node.said = said


def _walk(root: _Node, script: _Script, text: str, at: int) -> tuple[int, str]:
    """Return where the longest entry that begins here ends, -1 if none does, and what is said.

    Args:
        text: The script as written or in lower case, as the entries below *root* are.
    """
    node = root
    longest = -1, ""
    while token := _token().match(script.plain, at):
        key = " " if token["space"] else text[at : token.end()]
        if key not in node.below:
            break
        node, at = node.below[key], token.end()
        if node.said is not None and script.may_end(at):
            longest = at, node.said
    return longest


@cache
def _token() -> re.Pattern[str]:
    """What a token is. A letter keeps its accents and vowel signs, which are no letters."""
    letters = map(chr, range(0x300, 0xFFF0))
    marks = "".join(it for it in letters if unicodedata.category(it)[0] == "M")
    return re.compile(
        rf"(?P<space>\s+)|[{_UNSPACED}][{marks}]*|(?:(?![{_UNSPACED}])[\w{marks}\u200c\u200d])+|."
    )


def _last_word(text: str) -> str:
    found = re.search(r"\w+\Z", text)
    return found[0] if found else ""


def _is_word(character: str) -> bool:
    return bool(character) and (
        character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"
    )


def _is_unspaced(character: str) -> bool:
    return re.match(f"[{_UNSPACED}]", character) is not None
