"""``batchtts export audiobook``: a book to listen to."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchtts.cli.export import describing, take_gaps, tell_notes, timing
from batchtts.cli.options import PATH
from batchtts.errors import Exit, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchtts.export.assembly import Gaps
    from batchtts.export.audiobook import Watch
    from batchtts.export.book import Book
    from batchtts.export.loudness import Target
    from batchtts.export.orders import Figures
    from batchtts.export.recipe import Levelled, Recipe, Report

_HEADS = (
    "length", "gain dB", "LUFS", "RMS dB", "peak dB", "true peak", "floor dB", "head s", "tail s",
    "chapter",
)  # fmt: skip
_VOICE_HEADS = ("length", "gain dB", "LUFS", "voice")
_SILENT_DB = -100  # below is nothing that 16 bits can hold
_MOST_CORES = 4  # each takes 60 MB
_TOLD = 20  # lines on what is not as asked


@click.command()
@click.argument("out", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The file to write.")
@click.option("--per-chapter", is_flag=True, help="A file for each chapter; -o is a directory.")
@click.option(
    "--format",
    type=click.Choice(["m4b", "mp3", "flac", "opus"]),
    help="[default: what the name ends in]",
)
@click.option("--target", default="-18", metavar="TARGET", help="acx, podcast, or LUFS.")
@click.option(
    "--bitrate",
    type=click.IntRange(16, 320),
    metavar="KBPS",
    help="[default: m4b, mp3 64; opus 32]",
)
@describing
@click.option("--no-cover", is_flag=True, help="Attach none.")
@click.option("--no-level", is_flag=True, help="Leave each voice as loud as it is.")
@click.option("--force", is_flag=True, help="Replace files that are not batchtts's, too.")
@click.option("--partial", is_flag=True, help="Do without the rows that are not spoken.")
@timing
def audiobook(out: Path, output: Path, target: str, **flags: Any) -> int:  # noqa: ANN401
    """Make an audiobook of the output directory OUT, with chapters, at no cost.

    M4B is AAC; MP3 has its chapters in ID3, FLAC and Opus have them in comments
    that some players do not show. It is mono, at the sample rate of the speech.

    Every chapter is brought to the loudness of --target: a number in LUFS with
    true peaks up to -1 dB; podcast is -16 LUFS; acx is what that shop asks for:
    -20 dB RMS (-23 to -18), peaks up to -3 dB, and MP3 at 44.1 kHz and 192 kbps
    where the format is MP3. The default, -18, is a little softer than a podcast. It
    is measured after EBU R128, in what was written: the table is of the file. It
    stands in OUTPUT.json, too; in OUTPUT/audiobook.json if that is a directory.

    Where several voices speak, each is made as loud as the one that speaks most,
    unless --no-level is given.

    A file that is there already is replaced if batchtts wrote it and nobody has
    changed it since.

    \b
    Exit status:
      0    it is as asked for
      2    rows are missing, or the command does not fit; nothing was written
      3    it is written, but not as the target asks; what is not is told
      4    it could not be written, or not be read back

    \b
    Examples:
      batchtts export audiobook out/book -o book.m4b
      batchtts export audiobook out/book -o book --per-chapter --target acx
    """
    from batchtts.export.encode import require_encoder
    from batchtts.export.loudness import parse_target

    wanted = parse_target(target)
    require_encoder()
    book = _read(out, flags)
    return _export(book, _recipe(output, wanted, book, flags), take_gaps(flags))


def _read(out: Path, flags: dict[str, Any]) -> Book:
    """The book, with what the flags say of it."""
    from dataclasses import replace

    from batchtts.export.book import read_book

    about = {name: flags[name] for name in ("title", "authors", "cover")}
    book = read_book(out, partial=flags["partial"]).described(**about)
    return replace(book, cover=None) if flags["no_cover"] else book


def _recipe(output: Path, target: Target, book: Book, flags: dict[str, Any]) -> Recipe:
    """How the audiobook is made."""
    from batchtts.export.recipe import make_recipe

    bitrate = flags["bitrate"]
    return make_recipe(
        output,
        target,
        book.sample_rate_hz,
        format=flags["format"],
        bit_rate=None if bitrate is None else 1000 * bitrate,
        is_per_chapter=flags["per_chapter"],
        is_forced=flags["force"],
        is_levelled=not flags["no_level"],
    )


def _export(book: Book, recipe: Recipe, gaps: Gaps) -> Exit:
    """Make it, and say what came of it."""
    from batchtts.export.assembly import Assembly
    from batchtts.export.audiobook import export_audiobook

    tell_notes(book)
    for note in recipe.notes():
        click.echo(f"note: {note}", err=True)
    assembly = Assembly(book, gaps, recipe.sample_rate_hz)
    with _watching() as watch:
        report = export_audiobook(assembly, recipe, min(os.cpu_count() or 1, _MOST_CORES), watch)
    _show(report)
    _tell(report)
    return Exit.SOME_FAILED if report.wrong else Exit.DONE


def _show(report: Report) -> None:
    from batchtts.cli.tables import echo_table

    if report.voices:
        echo_table(_VOICE_HEADS, [_voice_cells(voice) for voice in report.voices])
        click.echo()
    rows = []
    for file in report.files:
        is_whole = len(file.chapters) == 1
        for chapter in file.chapters:
            limited = "" if chapter.limited_to_dbfs is None else " limited"
            gain = f"{chapter.gain_db:+.1f}{limited}"
            rows.append(_cells(chapter.measured, gain, chapter.title, has_ends=is_whole))
        if not is_whole:
            rows.append(_cells(file.measured, "", "(all)", has_ends=True))
    echo_table(_HEADS, rows)


def _voice_cells(voice: Levelled) -> tuple[str, ...]:
    told = one_line(voice.voice) or "(not named)"
    return (_clock(voice.audio_s), f"{voice.gain_db:+.1f}", _lufs(voice.lufs), told)


def _cells(figures: Figures, gain: str, title: str, *, has_ends: bool) -> tuple[str, ...]:
    """A line of the table; only a file has ends, which are silent."""
    ends = (f"{figures.head_s:.2f}", f"{figures.tail_s:.2f}") if has_ends else ("", "")
    return (
        _clock(figures.duration_s),
        gain,
        _lufs(figures.lufs),
        _level(figures.rms_dbfs),
        _level(figures.peak_dbfs),
        "-" if figures.true_peak_dbfs is None else _level(figures.true_peak_dbfs),
        _level(figures.noise_floor_dbfs),
        *ends,
        one_line(title),
    )


def _lufs(lufs: float | None) -> str:
    return "-" if lufs is None else f"{lufs:.1f}"


def _level(decibels: float) -> str:
    return "silent" if decibels < _SILENT_DB else f"{decibels:.1f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _tell(report: Report) -> None:
    for told in report.wrong[:_TOLD]:
        click.echo(f"not as asked: {one_line(told)}", err=True)
    if len(report.wrong) > _TOLD:
        click.echo(f"not as asked: {len(report.wrong) - _TOLD:,} more, in the report", err=True)
    sizes = sum(file.bytes for file in report.files) / 1e6
    seconds = sum(file.measured.duration_s for file in report.files)
    what = f"{len(report.files):,} files" if len(report.files) > 1 else report.files[0].name
    click.echo(f"{what}: {_clock(seconds)}, {sizes:,.1f} MB, target {report.asked}", err=True)


def _watching() -> AbstractContextManager[Watch]:
    """A bar where somebody sees it."""
    if not sys.stderr.isatty():
        return nullcontext(lambda done_s, all_s: None)
    return _bar()


@contextmanager
def _bar() -> Iterator[Watch]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(bar_width=24), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("exporting", total=None)

        def watch(done_s: float, all_s: float) -> None:
            bar.update(task, total=all_s, completed=min(done_s, all_s))

        yield watch
