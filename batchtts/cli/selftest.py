"""``batchtts selftest``: what is promised, proved where it must hold."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchtts.cli.options import PATH, Whole

if TYPE_CHECKING:
    from batchtts.selftest.crash import Figures, Stage

_SHOWN = 20  # findings; a broken promise is seldom broken once


class _Counts(click.ParamType[tuple[int, ...]]):
    """``1,4,16``: numbers from 1."""

    name = "counts"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Turn the word of the command line into numbers."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 64 for part in parts):
            self.fail(f"{str(value)!r} is not a list of numbers from 1 to 64", param, ctx)
        return tuple(map(int, parts))


@click.group()
def selftest() -> None:
    """Prove on this machine that what batchtts promises is so.

    \b
    Exit status:
      that of the test; see `batchtts selftest crash --help`

    \b
    Examples:
      batchtts selftest crash
    """


@selftest.command()
@click.option(
    "--dir",
    "directory",
    type=PATH,
    metavar="DIR",
    default=Path(),
    help="Where to try it: a directory on the file system in question. What is made there"
    " is removed again.  [default: the current directory]",
    show_default=False,
)
@click.option(
    "--workers",
    type=_Counts(),
    metavar="N,…",
    default="1,4,16",
    show_default=True,
    help="Workers of the runs that are killed; a sweep for each number.",
)
@click.option(
    "--rows",
    type=Whole(2, 1000),
    metavar="N",
    help="Of the job.  [default: some more than workers, and 8 at least]",
)
@click.option(
    "--every",
    type=Whole(1),
    metavar="K",
    default=1,
    show_default=True,
    help="Try each K-th step only, for a quick look.",
)
def crash(directory: Path, workers: tuple[int, ...], rows: int | None, every: int) -> int:
    """Kill a run at each of its steps on disk, and see that nothing is lost.

    A run creates, writes, syncs and renames files in some order. It is killed
    (SIGKILL) at its first such step, another run at its second, and so on to the
    last one; a write is cut in half. Each time what lies in the output
    directory is judged, then the same job is run to its end and judged again:
    every row done, each once in the results, every file whole and the same as
    without a kill, nothing left over. What the provider was asked for is counted
    by a server in a process of its own; nothing else is called, nothing is spent.
    Takes a minute or so for each number of workers.

    A kill is not a power cut: that a disk keeps what it says it has synced is
    for the disk to prove.

    \b
    Exit status:
      0    nothing lost, duplicated, partial or left over; paid twice was no more
           than what was in flight
      2    DIR is none, or an option is wrong
      3    a promise was not kept; a line says which, where
      4    the runs do not even work when nobody kills them
      130  interrupted; 143 terminated

    \b
    Examples:
      batchtts selftest crash
      batchtts selftest crash --dir /mnt/nas --workers 8
      batchtts selftest crash --every 10
    """
    from batchtts.cli.tables import echo_table
    from batchtts.errors import Exit
    from batchtts.selftest.crash import stage

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.TERMINATED))  # and clear away
    found: dict[int, Figures] = {}
    for count in workers:
        with stage(directory, rows=rows or max(8, count + 4)) as ready:
            found[count] = _sweep(ready, count, every)
    heads = ("workers", "kill points", "lost", "duplicated", "partial", "paid twice, at most")
    echo_table(heads, [_row(count, figures) for count, figures in found.items()])
    findings = [
        f"workers={count}, {finding}"
        for count, figures in found.items()
        for finding in figures.findings
    ]
    for finding in findings[:_SHOWN]:
        click.echo(f"batchtts: {finding}", err=True)
    if len(findings) > _SHOWN:
        click.echo(f"batchtts: and {len(findings) - _SHOWN:,} more", err=True)
    return Exit.SOME_FAILED if findings else Exit.DONE


def _sweep(stage: Stage, workers: int, every: int) -> Figures:
    """Go through all steps; say on a terminal how far it is."""
    from batchtts.selftest.crash import Figures
    from batchtts.selftest.victim import Wound

    figures, is_seen = Figures(), sys.stderr.isatty()
    plan = stage.plan(workers)[::every]
    for done, (kind, number) in enumerate(plan, start=1):
        figures.add(stage.strike(workers, Wound(kind=kind, number=number)))
        if is_seen:
            told = f"workers={workers}: {done:,} of {len(plan):,} kills, {kind}"
            click.echo(f"\r\033[K{told}", err=True, nl=False)
    if is_seen:
        click.echo("\r\033[K", err=True, nl=False)
    return figures


def _row(workers: int, figures: Figures) -> tuple[str, ...]:
    counts = [figures.faults[fault] for fault in ("lost", "duplicated", "partial")]
    return (f"{workers}", f"{figures.points.total():,}", *map(str, counts), f"{figures.paid_twice}")
