"""What a book is made of, whatever its format: blocks of text, and what was left out of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from batchtts.errors import UsageError

# Of an audiobook, white space among them; a Han character or a syllable counts for several.
_LETTERS_PER_MINUTE = 900
_LETTERS_OF_A_WIDE_ONE = 3
_WIDE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")

BlockKind = Literal["heading", "paragraph"]

#: What is left out → how it is told.
KINDS = {
    "marks": "footnote marks",
    "notes": "notes",
    "pages": "page numbers",
    "navigation": "navigation",
    "contents": "tables of contents",
    "copyright": "copyright pages",
    "licence": "licence texts",
    "index": "indexes",
    "extras": "pages outside the reading order",
    "hidden": "hidden parts",
    "ruby": "readings beside characters",
    "images": "images and other media",
    "math": "formulas without words",
    "scripts": "scripts and styles",
    "forms": "form fields",
    "empty": "paragraphs without letter or digit",
    "missing": "chapters that are missing or empty",
}

#: Those that have words to speak, if somebody wants them.
KEEPABLE = (
    *("marks", "notes", "pages", "navigation", "contents", "copyright", "licence", "index"),
    *("extras", "hidden", "ruby"),
)


class BookError(UsageError):
    """A book that cannot be read.

    Args:
        path: The book as the user named it.
        problem: What is wrong, with the values.
    """

    def __init__(self, path: object, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{path}: {problem}", hint=hint)


class Omission(NamedTuple):
    """Something that is left out.

    Attributes:
        kind: A key of KINDS.
        place: Where it stood, for people.
        words: That would have been spoken.
    """

    kind: str
    place: str
    words: int


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph or a heading, ready to be a script.

    Attributes:
        level: 1 to 6 for a heading, 0 for a paragraph.
        anchors: The fragments that lead here, of those that were asked for.
        linked: How much of it leads to other places of the book, 0 to 1.
    """

    text: str
    level: int = 0
    place: str = ""
    anchors: tuple[str, ...] = ()
    linked: float = 0.0

    @property
    def kind(self) -> BlockKind:
        """What the manifest calls it."""
        return "heading" if self.level else "paragraph"

    @property
    def line(self) -> str:
        """Its text on one line."""
        return " ".join(self.text.split())


Item = Block | Omission


@dataclass(slots=True)
class Document:
    """One file of the reading order: its blocks, and what was left out, as they came."""

    name: str
    items: list[Item] = field(default_factory=list)

    @property
    def blocks(self) -> list[Block]:
        """What is left of it."""
        return [item for item in self.items if isinstance(item, Block)]


class Entry(NamedTuple):
    """One line of a table of contents: where a chapter begins.

    Attributes:
        depth: 0 for a line that belongs to no other.
    """

    title: str
    document: str
    fragment: str
    depth: int


@dataclass(frozen=True, slots=True)
class Chapter:
    """Blocks under one title; its number counts from 1."""

    number: int
    title: str
    blocks: Sequence[Block]

    @property
    def paragraphs(self) -> int:
        """How many of its blocks are no headings."""
        return sum(not block.level for block in self.blocks)

    @property
    def words(self) -> int:
        """How many, white space between them."""
        return sum(count_words(block.text) for block in self.blocks)

    @property
    def minutes(self) -> float:
        """About how long it takes to read it aloud."""
        text = "\n".join(block.text for block in self.blocks)
        wide = sum(map(len, _WIDE.findall(text)))
        return (len(text) + wide * (_LETTERS_OF_A_WIDE_ONE - 1)) / _LETTERS_PER_MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a book says of itself.

    Attributes:
        language: BCP 47 tag.
        more: Publisher, date and identifier, where they are known.
        cover: A JPEG or PNG file.
    """

    title: str | None = None
    authors: tuple[str, ...] = ()
    language: str | None = None
    more: Mapping[str, str] = field(default_factory=dict)
    cover: bytes | None = field(default=None, repr=False)
    cover_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """A whole book.

    Attributes:
        notes: What somebody should know of how it was read; a line each.
    """

    about: About
    chapters: Sequence[Chapter]
    omissions: Sequence[Omission]
    notes: Sequence[str] = ()


def count_words(text: str) -> int:
    """How many words, white space between them."""
    return len(text.split())


def is_spoken(text: str) -> bool:
    """Whether there is a letter or digit in it."""
    return any(map(str.isalnum, text))


def leave_out(items: Iterable[Item], kind: str) -> list[Item]:
    """The same with each block left out."""
    return [
        Omission(kind, item.place, count_words(item.text)) if isinstance(item, Block) else item
        for item in items
    ]
