"""What is markup is not spoken: HTML here, Markdown in a module of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batchtts.text import markdown
from batchtts.text.rendering import Edit
from batchtts.text.tags import BLOCKS, Mark, marks

_CELLS = ("td", "th")


def markdown_edits(text: str) -> list[Edit]:
    """Return what to change so that no marks of Markdown are spoken, in order."""
    return markdown.edits(text)


def html_edits(text: str) -> list[Edit]:
    """Return what to change so that no tags are spoken, in order.

    Entities are spoken as what they stand for, images as their descriptions. Elements
    that stand apart are apart by a blank line then.
    """
    first, last = len(text) - len(text.lstrip()), len(text.rstrip())
    found: list[Edit] = []
    for run in _runs(text, marks(text)):
        between = _between(run)
        if between is None:
            found += (Edit(mark.start, mark.end, mark.said) for mark in run)
        else:
            start, end = run[0].start, run[-1].end
            found.append(Edit(start, end, between if first < start and end < last else ""))
    return found


def _runs(text: str, found: Iterable[Mark]) -> Iterator[list[Mark]]:
    """Gather the marks that have only white space between them."""
    run: list[Mark] = []
    for mark in found:
        if run and (_says(mark) or _says(run[-1]) or text[run[-1].end : mark.start].strip()):
            yield run
            run = []
        run.append(mark)
    if run:
        yield run


def _says(mark: Mark) -> bool:
    return mark.kind == "entity" or bool(mark.said)


def _between(run: list[Mark]) -> str | None:
    """What stands between what is before and behind these marks; None if they part nothing."""
    kinds = {mark.kind for mark in run}
    if not kinds.isdisjoint(BLOCKS):
        return "\n\n"
    if "br" in kinds:
        return "\n"
    is_cell = any(mark.kind in _CELLS and not mark.is_closing for mark in run)
    return ", " if is_cell else None
