"""``batchtts report``: what came out, as a page that is read anywhere."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchtts.cli.options import PATH, Whole
from batchtts.errors import Exit, UsageError, one_line

if TYPE_CHECKING:
    from batchtts.review.report import Made

_MOST_ROWS = 5000


@click.command()
@click.argument("out", type=PATH)
@click.option("-o", "--output", type=PATH, help="File to write.  [default: OUT/report.html]")
@click.option(
    "--rows", type=Whole(1, _MOST_ROWS), default=200, help="Rows that are shown one by one."
)
@click.option("--embed", is_flag=True, help="Put the audio of these rows into the page.")
@click.option("--column", metavar="NAME", help="Column that has the script.")
def report(out: Path, output: Path | None, rows: int, embed: bool, column: str | None) -> int:
    """Write a page about what `batchtts run` has made in the directory OUT.

    It is one HTML file that takes nothing from any network: totals, plots, failures
    by code, and the rows that somebody should listen to, the worst first, each with
    its audio, its script against what was heard, and all that was measured. There
    rows are found, sorted, ticked, and their ids copied for `batchtts run --again`.

    The audio is played from where it is, so keep the page in or beside OUT; with
    --embed it is in the page, as MP3, up to 24 MB of it. Of a million rows the page
    has the same rows one by one, and the plots are about all of them.

    \b
    Exit status:
      0    the page is written
      2    the command is wrong, or there are no results
      4    the page cannot be written

    \b
    Examples:
      batchtts report out/demo
      batchtts report out/demo -o demo.html --embed --rows 50
    """
    if find_spec("jinja2") is None:
        raise UsageError("a report needs jinja2", hint="pip install 'batchtts[report]'")
    import time

    from batchtts.review import report as page

    target = output or out / "report.html"
    made_at = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    made = page.write(out, target, embed=embed, most=rows, column=column, made_at=made_at)
    click.echo(one_line(_tell(made)), err=True)
    return Exit.DONE


def _tell(made: Made) -> str:
    told = f"{made.path}: {made.rows:,} rows, {made.shown:,} of them one by one"
    told += f", {made.bytes / 1e6:.1f} MB"
    if made.embedded:
        told += f"; audio of {made.embedded:,} rows in it"
        told += f", {made.linked:,} linked, for which there was no room" if made.linked else ""
    if made.troubled:
        told += f"; audio of {made.troubled:,} rows missing or replaced"
    return told
