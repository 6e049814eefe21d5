"""``batchtts export subtitles``: what is spoken, to be read while it is heard."""

from __future__ import annotations

import functools
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from batchtts.cli.export import selecting, take_gaps, tell_notes, timing
from batchtts.cli.options import PATH
from batchtts.errors import Exit, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from batchtts.export.assembly import Gaps
    from batchtts.export.book import Book
    from batchtts.export.cuefiles import Form, Shown
    from batchtts.export.subtitles import By

    #: Of each file its name without an ending, and how to find what is in it.
    Whole = Iterator[tuple[Path, Callable[[], list[Shown]]]]

_REPORT = "subtitles.json"
#: Whoever ends a name so means a file, and not a directory that is called so.
_NO_DIRECTORIES = frozenset(".ass .ssa .sub .sbv .ttml .lrc .txt .json".split())


@click.command()
@click.argument("out", type=PATH)
@click.option("-o", "--output", type=PATH, help="File or directory.  [default: OUT/subtitles]")
@click.option(
    *("--format", "form"),
    type=click.Choice(["srt", "vtt", "both"]),
    help="What to write.  [default: by the name of the file, else both]",
)
@click.option("--per-chapter", is_flag=True, help="A file for each chapter, not one.")
@click.option("--raw", is_flag=True, help="A file beside each audio file of OUT, with its times.")
@click.option(
    *("--by", "by"),
    type=click.Choice(["segment", "word"]),
    default="segment",
    help="What is shown at one time.",
)
@click.option("--force", is_flag=True, help="Replace files that are not batchtts's, too.")
@selecting
@timing
def subtitles(
    out: Path,
    output: Path | None,
    form: Literal["srt", "vtt", "both"] | None,
    per_chapter: bool,
    raw: bool,
    by: By,
    force: bool,
    partial: bool,
    column: str | None,
    **flags: Any,  # noqa: ANN401
) -> int:
    """Write subtitles for what `batchtts run` has spoken into the directory OUT.

    Shown is the script as it was written. What is too long for two lines of 42
    letters or 7 seconds is divided, at the ends of sentences where there are
    any. With --by word each word is shown when it is heard, in those rows of
    which the provider told the times of words.

    The times are those of the audiobook that is exported with the same flags
    for silence and with --per-chapter or without it, as here. Players find
    subtitles that are named like the audio: -o BOOK.srt beside BOOK.m4b.

    The names of the files are on standard output; their hashes are written to
    subtitles.json beside them, or to OUTPUT.json if that is a file. A file that is
    there already is replaced if batchtts wrote it and nobody has changed it since.

    \b
    Exit status:
      0    the subtitles are written
      2    the command is wrong, or the output directory is not complete
      4    a file cannot be written

    \b
    Examples:
      batchtts export subtitles out/emma -o emma.srt
      batchtts export subtitles out/emma --per-chapter -o chapters --format vtt
      batchtts export subtitles out/demo --raw --by word
    """
    from batchtts.export.book import read_book

    gaps = take_gaps(flags)
    if raw and (per_chapter or output is not None):
        raise UsageError("--raw writes beside each audio file: neither --per-chapter nor --output")
    forms, directory, name = _target(output or out / "subtitles", form, per_chapter=per_chapter)
    book = read_book(out, partial=partial, column=column, has_words=True)
    tell_notes(book)
    _tell_untimed(book, by)
    whole = _raw(book, by) if raw else _tracks(book, gaps, by, directory, name, is_each=per_chapter)
    report = f"{output.name}.json" if output is not None and name is not None else _REPORT
    _write(whole, forms, report, is_forced=force)
    return Exit.DONE


def _tell_untimed(book: Book, by: By) -> None:
    from batchtts.export.subtitles import count_untimed

    untimed = count_untimed(book) if by == "word" else 0
    if untimed:
        told = f"{untimed:,} of {len(book.rows):,} rows have no times of words"
        click.echo(f"note: {told}: they are shown by segment", err=True)


def _write(whole: Whole, forms: dict[Form, str], report: str, *, is_forced: bool) -> None:
    """Write the files of each directory, and print their names."""
    from batchtts.export.shelving import write

    for place, files in groupby(whole, key=lambda it: it[0].parent):
        stems = list(files)
        paths = [_named(stem, ending) for stem, _ in stems for ending in forms.values()]
        write(place / report, _captioned(stems, forms), paths, is_forced=is_forced)
        for path in paths:
            click.echo(f"{path}")


def _captioned(
    files: Iterable[tuple[Path, Callable[[], list[Shown]]]], forms: dict[Form, str]
) -> Iterator[tuple[Path, Form, list[Shown]]]:
    for stem, find in files:
        shown = find()
        for form, ending in forms.items():
            yield _named(stem, ending), form, shown


def _named(stem: Path, ending: str) -> Path:
    return stem.with_name(f"{stem.name}{ending}")


def _target(
    output: Path, form: Literal["srt", "vtt", "both"] | None, *, per_chapter: bool
) -> tuple[dict[Form, str], Path, str | None]:
    """Which forms are written, with which endings, where, and under which name if one is told."""
    from batchtts.export.cuefiles import FORMS

    told = next((each for each in FORMS if output.suffix.lower() == f".{each}"), None)
    if told is None and output.suffix.lower() in _NO_DIRECTORIES and not output.is_dir():
        raise UsageError(f"{output}: subtitles are .srt and .vtt", hint="or name a directory")
    if told is None or output.is_dir():
        forms = FORMS if form is None or form == "both" else (form,)
        return {each: f".{each}" for each in forms}, output, None
    if per_chapter:
        raise UsageError(f"{output} is one file, and --per-chapter makes many: name a directory")
    if form not in (None, told):
        raise UsageError(f"{output} cannot be {form}: leave out --format, or name a directory")
    return {told: output.suffix}, output.parent, output.stem


def _tracks(
    book: Book, gaps: Gaps, by: By, directory: Path, name: str | None, *, is_each: bool
) -> Whole:
    from batchtts.export import filenames
    from batchtts.export.assembly import Assembly
    from batchtts.export.subtitles import of_track

    assembly = Assembly(book, gaps)
    if not is_each:
        stem = directory / (name or filenames.of_book(book.title))
        yield stem, functools.partial(of_track, assembly, book.chapters, by)
        return
    count = len(book.chapters)
    for place, chapter in enumerate(book.chapters, 1):
        if chapter.rows:
            stem = directory / filenames.of_chapter(place, count, chapter.title)
            yield stem, functools.partial(of_track, assembly, [chapter], by)


def _raw(book: Book, by: By) -> Whole:
    from batchtts.export.subtitles import of_file

    usual = book.voice
    for row in book.rows:
        yield row.path.with_suffix(""), functools.partial(of_file, row, usual, by)
