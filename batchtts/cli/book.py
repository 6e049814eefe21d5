"""``batchtts book``: a manifest from a book."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchtts.cli.options import PATH
from batchtts.errors import SettingsError, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchtts.book.parts import Book, Chapter, Omission

_NAMED = 4  # places in a line of what is left out


@click.command()
@click.argument("source", metavar="INPUT", type=PATH)
@click.option("-o", "--out", metavar="BOOK.parquet", type=PATH, help="Manifest that is written.")
@click.option(
    "--chapters", metavar="RANGES", help="Only these, such as 3-7 or 1,3-5,9-.  [default: all]"
)
@click.option(
    "--list", "listing", is_flag=True, help="Show chapters and what is left out; write nothing."
)
@click.option(
    "--keep", metavar="KINDS", help="What to speak all the same, such as notes,copyright."
)
@click.option("--partial", is_flag=True, help="Go on without chapters that are missing or empty.")
def book(
    source: Path,
    out: Path | None,
    chapters: str | None,
    listing: bool,
    keep: str | None,
    partial: bool,
) -> None:
    """Make a manifest of the book INPUT: a row for each paragraph.

    INPUT is EPUB 2 or 3, plain text, Markdown or HTML. The reading order is the
    book's own. Its title, authors, language and cover go into the manifest,
    which has the columns id, text, chapter, chapter_title, paragraph, kind and
    voice; `batchtts run` speaks it.

    What belongs to the page and not to the story is left out, and told: marks,
    notes, pages (their numbers), navigation, contents, copyright, licence, index,
    extras (outside the reading order), hidden, ruby. --keep names those to
    speak. Images, formulas without words, scripts, and paragraphs without letter
    or digit cannot be kept.

    \b
    Exit status:
      0    the manifest is written, or the list is on standard output
      2    the book is damaged, protected or incomplete, or the command is wrong
      4    the manifest cannot be written

    \b
    Examples:
      batchtts book moby-dick.epub --list
      batchtts book moby-dick.epub -o moby-dick.parquet
      batchtts book moby-dick.epub -o part.parquet --chapters 3-7 --keep notes
    """
    from batchtts.book.choice import choose
    from batchtts.book.reading import read_book

    if out is None and not listing:
        raise SettingsError("no -o BOOK.parquet", hint="-o says where to write; --list only looks")
    found = read_book(source, keep=_kinds(keep), partial=partial)
    chosen = choose(found.chapters, chapters) if chapters else list(found.chapters)
    for note in found.notes:
        click.echo(one_line(f"note: {note}"), err=True)
    if listing:
        _list(chosen)
    elif out is not None:
        _write(out, found, chosen)
    for line in _left_out(found.omissions):
        click.echo(one_line(line), err=not listing)


def _kinds(told: str | None) -> frozenset[str]:
    from batchtts.book.parts import KEEPABLE

    kinds = frozenset(it.strip() for it in (told or "").split(",") if it.strip())
    unknown = sorted(kinds.difference(KEEPABLE))
    if unknown:
        hint = f"there is {', '.join(KEEPABLE)}"
        raise SettingsError(f"--keep: nothing called {unknown[0]!r} can be kept", hint=hint)
    return kinds


def _write(out: Path, book: Book, chapters: Sequence[Chapter]) -> None:
    from batchtts.book.writing import write_manifest

    rows = write_manifest(out, book.about, chapters)
    words, minutes = sum(it.words for it in chapters), sum(it.minutes for it in chapters)
    some = "" if len(chapters) == len(book.chapters) else f" of {len(book.chapters):,}"
    told = f"{rows:,} rows in {len(chapters):,}{some} chapters, {words:,} words"
    click.echo(one_line(f"{out}: {told}, about {_spell(minutes)}"), err=True)


def _list(chapters: Sequence[Chapter]) -> None:
    from batchtts.cli.tables import echo_table

    heads = ("chapter", "paragraphs", "words", "minutes", "title")
    rows = [
        (
            f"{it.number}",
            f"{it.paragraphs:,}",
            f"{it.words:,}",
            f"{it.minutes:,.0f}",
            one_line(it.title),
        )
        for it in chapters
    ]
    echo_table(heads, rows)


def _spell(minutes: float) -> str:
    return f"{minutes:,.0f} minutes" if minutes < 100 else f"{minutes / 60:,.1f} hours"


def _left_out(omissions: Sequence[Omission]) -> list[str]:
    """A line for each kind: how many, how many words, and where."""
    from batchtts.book.parts import KINDS

    lines = []
    for kind, told in KINDS.items():
        own = [it for it in omissions if it.kind == kind]
        if own:
            words = sum(it.words for it in own)
            size = f" ({words:,} words)" if words else ""
            lines.append(f"left out: {len(own):,} {told}{size}: {_places(own)}")
    return lines


def _places(omissions: Sequence[Omission]) -> str:
    places = Counter(it.place for it in omissions if it.place)
    named = [f"{place} ×{n:,}" if n > 1 else place for place, n in places.items()]
    more = len(named) - _NAMED
    return ", ".join(named[:_NAMED]) + (f" and {more:,} places more" if more > 0 else "")
