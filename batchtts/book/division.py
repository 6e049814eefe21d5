"""From blocks to chapters: by the table of contents, else by headings, else by documents."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from batchtts.book.parts import Block, Chapter, Document, Entry

_PART = re.compile(
    r"\W*(?:part|book|volume|vol|teil|buch|band|partie|livre|tome|parte|libro|deel|boek|часть"
    r"|act|canto)\b",
    re.IGNORECASE,
)
_TWO_STOPS = re.compile(r"([.:;,!?—–-]): ")
_LEVELS = range(1, 5)


@dataclass(slots=True)
class _Draft:
    """A chapter that is being gathered; without a title, none is known yet."""

    title: str | None
    blocks: list[Block] = field(default_factory=list)

    @property
    def has_body(self) -> bool:
        return any(not block.level for block in self.blocks)


#: Where chapters begin: positions among all blocks → titles.
Starts = dict[int, str | None]


def divide(
    documents: Sequence[Document], entries: Sequence[Entry], *, title: str | None
) -> list[Chapter]:
    """Make chapters, numbered from 1; every block is in one of them, in order.

    Args:
        entries: The table of contents, if there is one.
        title: Of the book: what stands before its first chapter is called so.
    """
    blocks = [block for document in documents for block in document.blocks]
    starts = _by_entries(documents, entries)
    if len(starts) < 2:
        starts = _by_headings(blocks) or starts
    if len(starts) < 2:
        starts = _by_documents(documents) | starts
    return _number(_join(_gather(blocks, starts)), title)


def _by_entries(documents: Sequence[Document], entries: Sequence[Entry]) -> Starts:
    """Where the lines of the table of contents lead; the first that leads to a place names it."""
    begins: dict[str, int] = {}
    anchors: dict[tuple[str, str], int] = {}
    at = 0
    for document in documents:
        blocks = document.blocks
        if blocks:
            begins.setdefault(document.name, at)
        for block in blocks:
            for anchor in block.anchors:
                anchors.setdefault((document.name, anchor), at)
            at += 1
    starts: Starts = {}
    for entry, is_inner in _chosen(entries):
        place = anchors.get((entry.document, entry.fragment), begins.get(entry.document))
        if place is not None and place < at and (is_inner or place not in starts):
            starts[place] = entry.title or None
    return dict(sorted(starts.items()))


def _chosen(entries: Sequence[Entry]) -> Iterator[tuple[Entry, bool]]:
    """The outermost lines, and those within parts of the book; and whether it is such a one."""
    opened: list[bool] = []  # for each depth: whether the lines below it are chapters
    for n, entry in enumerate(entries):
        del opened[entry.depth :]
        if all(opened):
            yield entry, entry.depth > 0
        below = []
        for each in entries[n + 1 :]:
            if each.depth <= entry.depth:
                break
            if each.depth == entry.depth + 1:
                below.append(each)
        opened.append(_is_part(entry, below))


def _is_part(entry: Entry, below: Sequence[Entry]) -> bool:
    """Whether chapters are below it rather than sections of one chapter."""
    others = [it for it in below if it.document != entry.document]
    return bool(below) and (bool(_PART.match(entry.title)) or 2 * len(others) > len(below))


def _by_headings(blocks: Sequence[Block]) -> Starts:
    """At the outermost headings of which there are several; those in a row make one."""
    rows = groupby(blocks, lambda it: it.level > 0)
    counts = Counter(
        level for is_heading, row in rows for level in {it.level for it in row if is_heading}
    )
    level = next((it for it in _LEVELS if counts[it] > 1 and not _is_of_parts(blocks, it)), None)
    if level is None:
        return {}
    return {
        n: None
        for n, block in enumerate(blocks)
        if 0 < block.level <= level and not (n and 0 < blocks[n - 1].level <= level)
    }


def _is_of_parts(blocks: Sequence[Block], level: int) -> bool:
    """Whether the headings of a level are those of parts, with chapters below them."""
    own = [bool(_PART.match(block.line)) for block in blocks if block.level == level]
    below = sum(block.level == level + 1 for block in blocks)
    return below > len(own) and 2 * sum(own) > len(own)


def _by_documents(documents: Sequence[Document]) -> Starts:
    starts: Starts = {}
    at = 0
    for document in documents:
        blocks = document.blocks
        if blocks:
            starts[at] = None
        at += len(blocks)
    return starts


def _gather(blocks: Sequence[Block], starts: Starts) -> list[_Draft]:
    drafts = [_Draft(None)]
    for n, block in enumerate(blocks):
        if n in starts:
            drafts.append(_Draft(starts[n] or None))
        drafts[-1].blocks.append(block)
    return [draft for draft in drafts if draft.blocks]


def _join(drafts: Sequence[_Draft]) -> list[_Draft]:
    """Give headings without a body to the chapter that follows them, or to the last one."""
    found: list[_Draft] = []
    waiting: list[Block] = []
    for draft in drafts:
        if draft.has_body:
            title = draft.title or _heading(draft.blocks)
            found.append(_Draft(title, waiting + draft.blocks))
            waiting = []
        else:
            waiting += draft.blocks
    if waiting and found:
        found[-1].blocks += waiting
    elif waiting:
        found.append(_Draft(_heading(waiting), waiting))
    return found


def _heading(blocks: Sequence[Block]) -> str | None:
    """The headings that a chapter begins with, on one line."""
    first = []
    for block in blocks:
        if not block.level:
            break
        first.append(block.line)
    return _TWO_STOPS.sub(r"\1 ", ": ".join(first[:2])) or None


def _number(drafts: Sequence[_Draft], title: str | None) -> list[Chapter]:
    return [
        Chapter(n, _title(draft, n, title), tuple(draft.blocks))
        for n, draft in enumerate(drafts, 1)
    ]


def _title(draft: _Draft, number: int, title: str | None) -> str:
    if draft.title:
        return " ".join(draft.title.split())
    return title if number == 1 and title else f"Chapter {number}"
