"""``batchtts export``: what is spoken, in other shapes; and the flags that these share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchtts.cli.groups import OnDemand
from batchtts.cli.options import PATH, Number

if TYPE_CHECKING:
    from batchtts.export.assembly import Gaps
    from batchtts.export.book import Book

Command = TypeVar("Command", bound=Callable[..., Any])

#: Shape → its line in `batchtts export --help`.
SHAPES = {
    "audiobook": "Make an audiobook: M4B, MP3, FLAC or Opus.",
    "subtitles": "Write subtitles: SRT and WebVTT.",
}

_LONGEST_S = 60.0
#: Flag, its default, what it is for; the names in the code are those of Gaps.
_GAPS = (
    ("--paragraph-gap", "paragraph_s", 0.7, "Seconds of silence after a paragraph."),
    ("--heading-gap", "heading_s", 1.2, "After a heading."),
    ("--chapter-gap", "chapter_s", 2.0, "Between two chapters in one file."),
    ("--head", "head_s", 0.75, "Before the first words of a file."),
    ("--tail", "tail_s", 2.0, "After the last words of a file."),
)


@click.group(cls=OnDemand, told=SHAPES)
def export() -> None:
    """Make something of what is spoken, at no cost.

    Any output directory of `batchtts run` can be exported. The exports of one
    directory fit each other if they are made with the same flags for silence.

    \b
    Exit status:
      0    it is made
      2    the command is wrong, or the output directory is not complete
      4    a file cannot be written

    \b
    Examples:
      batchtts export subtitles out/emma -o emma.srt
    """


def timing(command: Command) -> Command:
    """Add the flags for silence."""
    for flag, name, default_s, about in reversed(_GAPS):
        bounds = Number(min=0, max=_LONGEST_S)
        command = click.option(flag, name, type=bounds, default=default_s, help=about)(command)
    return command


def selecting(command: Command) -> Command:
    """Add the flags that say what is exported."""
    for option in (
        click.option("--column", metavar="NAME", help="Column that has the script."),
        click.option("--partial", is_flag=True, help="Do without the rows that are not spoken."),
    ):
        command = option(command)
    return command


def describing(command: Command) -> Command:
    """Add the flags that say what is known of the book."""
    for option in (
        click.option("--cover", type=PATH, help="A JPEG or PNG."),
        click.option("--author", "authors", multiple=True, help="Who wrote it; may be repeated."),
        click.option("--title", help="What the book is called."),
    ):
        command = option(command)
    return command


def take_gaps(flags: dict[str, Any]) -> Gaps:
    """Take what `timing` adds out of the flags of a command."""
    from batchtts.export.assembly import Gaps

    return Gaps(**{name: flags.pop(name) for _, name, _, _ in _GAPS})


def tell_notes(book: Book) -> None:
    """Say what is unusual about a book, a line for each thing."""
    from batchtts.errors import one_line

    for note in book.notes():
        click.echo(f"note: {one_line(note)}", err=True)
