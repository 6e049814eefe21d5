"""What is left out of whole documents: what only shows when its blocks are seen together.

Tables of contents made of links, notes that are all there is under their heading,
copyright pages, and what Project Gutenberg puts around a book.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from itertools import groupby

from batchtts.book.parts import Block, Document, Item, Omission, count_words, leave_out

CONTENTS = re.compile(
    r"\W*(?:table of contents|contents|inhalt(?:sverzeichnis)?|table des matières|sommaire"
    r"|índice|indice|inhoud|содержание|оглавление|目次|目录)\W*",
    re.IGNORECASE,
)
_NOTES = re.compile(
    r"\W*(?:(?:foot|end)?notes?|anmerkungen|fußnoten|endnoten|notas|note|noten|voetnoten"
    r"|примечания|注|注釈)\W*",
    re.IGNORECASE,
)
_START = re.compile(r"\*\*\*\s*START OF (?:THE|THIS)\b", re.IGNORECASE)
_END = re.compile(r"\*\*\*\s*END OF (?:THE|THIS)\b", re.IGNORECASE)
_COPYRIGHT = re.compile(r"©|\bcopyright\b", re.IGNORECASE)
_RIGHTS = re.compile(r"\ball rights reserved\b|\bISBN\b|\balle rechte vorbehalten\b", re.IGNORECASE)

_LISTS = ("contents", "navigation")
_ALL_LINKS = 0.6  # of the letters of a block
_LINES_OF_CONTENTS = 3
_WORDS_OF_COPYRIGHT = 500


def prune(documents: Sequence[Document], keep: Collection[str]) -> None:
    """Leave out what does not belong to the body of a book."""
    if "licence" not in keep:
        prune_licence(documents)
    for document in documents:
        for kind, prune_one in _BY_KIND.items():
            if kind not in keep:
                document.items = prune_one(document.items)


def prune_licence(documents: Sequence[Document]) -> None:
    """Leave out what stands before the START mark and behind the END mark, and the marks."""
    start, end = _find(documents, _START), _find(documents, _END)
    if start is not None and end is not None and end < start:
        return
    for n, document in enumerate(documents):
        first, last = 0, len(document.items)
        if start is not None and n <= start[0]:
            first = start[1] + 1 if n == start[0] else last
        if end is not None and n >= end[0]:
            last = end[1] if n == end[0] else 0
        last = max(first, last)
        items = document.items
        before, behind = leave_out(items[:first], "licence"), leave_out(items[last:], "licence")
        document.items = [*before, *items[first:last], *behind]


def _find(documents: Sequence[Document], mark: re.Pattern[str]) -> tuple[int, int] | None:
    for n, document in enumerate(documents):
        for m, item in enumerate(document.items):
            if isinstance(item, Block) and mark.search(item.line):
                return n, m
    return None


def prune_contents(items: list[Item]) -> list[Item]:
    """Leave out runs of blocks that lead elsewhere, and the heading that announces them."""
    found: list[Item] = []
    for is_linked, group in groupby(items, _is_line_of_contents):
        run = list(group)
        if not is_linked or sum(isinstance(it, Block) for it in run) < _LINES_OF_CONTENTS:
            found += run
            continue
        at = _heading_just_before(found)
        if at is not None:
            found[at:] = leave_out(found[at:], "contents")
        found += leave_out(run, "contents")
    return [
        leave_out([item], "contents")[0] if _announces_nothing(found, n) else item
        for n, item in enumerate(found)
    ]


def _announces_nothing(items: Sequence[Item], at: int) -> bool:
    """Whether it is the heading of contents that are left out already."""
    item = items[at]
    if not isinstance(item, Block) or not CONTENTS.fullmatch(item.line):
        return False
    beside = [items[n] for n in (at - 1, at + 1) if 0 <= n < len(items)]
    return any(isinstance(it, Omission) and it.kind in _LISTS for it in beside)


def _is_line_of_contents(item: Item) -> bool:
    return isinstance(item, Block) and item.linked >= _ALL_LINKS


def _heading_just_before(items: Sequence[Item]) -> int | None:
    """Where the last block is, if it says that contents follow."""
    for at in range(len(items) - 1, -1, -1):
        item = items[at]
        if isinstance(item, Block):
            return at if CONTENTS.fullmatch(item.line) else None
    return None


def prune_notes(items: list[Item]) -> list[Item]:
    """Leave out the heading of notes that are left out, and those of their chapters."""
    found: list[Item] = []
    is_of_notes = False
    for section in _sections(items):
        blocks = [it for it in section if isinstance(it, Block)]
        has_notes = any(isinstance(it, Omission) and it.kind == "notes" for it in section)
        is_bare = all(it.level for it in blocks)
        starts = bool(blocks) and any(_NOTES.fullmatch(it.line) for it in blocks)
        is_of_notes = is_bare and (is_of_notes or starts)
        found += leave_out(section, "notes") if is_of_notes and has_notes else section
    return found


def _sections(items: Sequence[Item]) -> list[list[Item]]:
    """Cut before each heading that does not follow another one."""
    found: list[list[Item]] = [[]]
    was_heading = False
    for item in items:
        is_heading = isinstance(item, Block) and item.level > 0
        if is_heading and not was_heading:
            found.append([])
        found[-1].append(item)
        was_heading = is_heading
    return found


def prune_copyright(items: list[Item]) -> list[Item]:
    """Leave out a short document that says who has the rights."""
    text = "\n".join(it.text for it in items if isinstance(it, Block))
    is_short = count_words(text) <= _WORDS_OF_COPYRIGHT
    if is_short and _COPYRIGHT.search(text) and _RIGHTS.search(text):
        return leave_out(items, "copyright")
    return items


_BY_KIND: dict[str, Callable[[list[Item]], list[Item]]] = {
    "contents": prune_contents,
    "notes": prune_notes,
    "copyright": prune_copyright,
}
