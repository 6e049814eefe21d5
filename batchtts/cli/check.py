"""``batchtts check``: is everything still as it was recorded?"""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchtts.cli.options import PATH
from batchtts.errors import Exit, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batchtts.audit.audit import Audit, Watch
    from batchtts.audit.finding import Finding
    from batchtts.audit.repair import Repair

_LONG = 1000  # rows that are worth a bar


@click.command()
@click.argument("out", type=PATH)
@click.option("--quick", is_flag=True, help="Only look whether each file has its size.")
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(out: Path, quick: bool, repair: bool, as_json: bool) -> int:
    """Read back everything in the output directory OUT, and compare it with the ledger.

    Looked at are the ledger and its snapshot, the audio of every row that is
    done (size, SHA-256, length, rate), files that no row has, results.parquet,
    failed.parquet and summary.json. What is not as recorded is told, a line
    for each. Nothing is changed, and no run can begin meanwhile.

    With --repair, rows whose audio is not as recorded are taken back: the next
    run speaks them again. Damaged lines are taken out of the ledger, and what
    can be read of a damaged snapshot is kept. What was made from the ledger and
    does not agree with it is removed; the next run writes it. Good audio and
    files that are not batchtts's are never removed.

    \b
    Exit status:
      0    all is as recorded, or could be mended
      2    there is no such directory, or no ledger in it
      3    something is not as recorded
      4    a newer batchtts wrote the ledger, or it cannot be read
      11   a run holds the output directory

    \b
    Examples:
      batchtts check out/demo
      batchtts check out/demo --quick
      batchtts check out/demo --repair && batchtts run jobs/demo.csv -o out/demo
    """
    from batchtts.audit.audit import Audit, occupied
    from batchtts.audit.repair import Repair
    from batchtts.record.store import Layout

    layout = Layout(out)
    findings: list[Finding] = []
    count = 0
    with occupied(layout, to_write=repair) as is_held, _watching() as watch:
        audit = Audit(layout, quick=quick, watch=watch)
        mending = Repair(audit)
        for finding in audit.findings():
            count += 1
            mending.note(finding)
            if as_json:
                findings.append(finding)
            else:
                click.echo(one_line(str(finding)))
        if repair and count > mending.left:
            mending.mend()
        if not is_held:
            audit.notes.append("the directory could not be locked: no run was kept out meanwhile")
    left = mending.left if repair else count
    figures = _figures(audit) | {"found": count, "left": left, "quick": quick}
    if as_json:
        click.echo(_as_json(audit, mending, figures, findings))
    else:
        _conclude(audit, mending, figures)
    return Exit.SOME_FAILED if left else Exit.DONE


def _figures(audit: Audit) -> dict[str, Any]:
    return {
        "done": audit.rows_done,
        "failed": audit.rows_failed,
        "taken_back": audit.rows_taken_back,
        "files": audit.files,
        "bytes": audit.read_bytes,
    }


def _as_json(audit: Audit, repair: Repair, figures: dict[str, Any], findings: list[Finding]) -> str:
    told = [
        {"kind": it.kind, "path": it.path, "row_id": it.row_id, "message": it.message}
        for it in findings
    ]
    return json.dumps(
        {**figures, "notes": audit.notes, "repaired": repair.deeds, "findings": told}, indent=2
    )


def _conclude(audit: Audit, repair: Repair, figures: dict[str, Any]) -> None:
    for deed in repair.deeds:
        click.echo(f"repaired: {deed}")
    for note in audit.notes:
        click.echo(f"note: {note}", err=True)
    count, left = figures["found"], figures["left"]
    told = "all as recorded" if not count else f"{count:,} finding{'s' * (count > 1)}"
    if repair.deeds:
        told += f", {left:,} left" if left else ", all mended"
    how = "looked at" if figures["quick"] else "read"
    rows, files, size = figures["done"], figures["files"], _spell_bytes(figures["bytes"])
    click.echo(f"{rows:,} rows done, {files:,} files {how}, {size}: {told}")


def _spell_bytes(count: float) -> str:
    units = iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while count >= 1000 and unit != "TB":
        count, unit = count / 1000, next(units)
    return f"{count:,.0f} {unit}" if count >= 10 or unit == "bytes" else f"{count:,.1f} {unit}"


def _watching() -> AbstractContextManager[Watch]:
    """A bar where somebody sees it, and is not in the way of the findings."""
    if not sys.stderr.isatty():
        return nullcontext(lambda rows, read: None)
    return _bar()


@contextmanager
def _bar() -> Iterator[Watch]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    columns = (BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    # What goes to a file must not come out on the terminal.
    is_seen = sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=is_seen) as bar:
        task = bar.add_task("reading", total=None, visible=False)

        def watch(rows: int, read: int) -> None:
            bar.update(task, total=rows, completed=read, visible=rows >= _LONG)

        yield watch
