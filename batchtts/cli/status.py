"""``batchtts status``: what has become of a job."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchtts.cli.options import PATH
from batchtts.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchtts.model import Result


@click.command()
@click.argument("out", type=PATH)
@click.option("--columns", is_flag=True, help="Say what is in each column of its results instead.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def status(out: Path, columns: bool, as_json: bool) -> None:
    """Say what has become of the job whose output directory is OUT.

    The ledger is asked, so this is also true in the middle of a run. Rows that
    the manifest has and no run has come to yet are not counted.

    \b
    Exit status:
      0    the figures are on standard output
      2    there is no such directory, or no ledger in it

    \b
    Examples:
      batchtts status out/demo
      batchtts status out/demo --json
      batchtts status out/demo --columns
    """
    if columns:
        _tell_columns(out, as_json=as_json)
        return
    from batchtts.record.ledger import Ledger
    from batchtts.record.store import Layout
    from batchtts.run.memory import recall

    path = Layout(out).ledger
    if not path.is_file():
        told = "no ledger here" if out.is_dir() else "no such directory"
        raise UsageError(f"{out}: {told}", hint="name the output directory of a run")
    with Ledger.peek(path) as ledger:
        memory = recall(ledger)
        results = ledger.results(sorted(memory.past.addresses.tolist()))
        facts = _count(result for result in results if result is not None)
    # Of all runs, and of ids that are in no manifest any more.
    facts["characters_sent"] = int(memory.past.characters_sent.sum())
    facts["cost_usd"] = round(memory.past.known_usd, 6)
    facts["damaged_lines"] = len(memory.damaged)
    facts["manifest"] = memory.manifest
    click.echo(json.dumps(facts) if as_json else _tell(facts))


def _count(results: Iterable[Result]) -> dict[str, Any]:
    statuses: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    audio_s, unpriced = 0.0, 0
    for result in results:
        statuses[result.status] += 1
        audio_s += result.audio_s or 0.0
        unpriced += result.is_unpriced
        if result.status == "done" and result.verdict is not None:
            verdicts[result.verdict] += 1
        if result.error_code is not None:
            errors[result.error_code] += 1
    return {
        "done": statuses["done"],
        "failed": statuses["failed"],
        "taken_back": statuses["pending"],
        "audio_s": round(audio_s, 3),
        "unpriced": unpriced,
        "verdicts": dict(verdicts.most_common()),
        "errors": dict(errors.most_common()),
    }


def _tell(facts: dict[str, Any]) -> str:
    from batchtts.run.spelling import spell_usd

    cost = spell_usd(facts["cost_usd"], facts["unpriced"])
    waiting = f", {facts['taken_back']:,} dropped or taken back" if facts["taken_back"] else ""
    lines = [
        f"{facts['manifest']}",
        f"{facts['done']:,} done, {facts['failed']:,} failed{waiting};"
        f" {facts['audio_s']:,} s of audio; {cost}",
    ]
    if facts["verdicts"]:
        lines.append(", ".join(f"{n:,} {verdict}" for verdict, n in facts["verdicts"].items()))
    lines.extend(f"  {count:>7,}  {code}" for code, count in facts["errors"].items())
    if facts["damaged_lines"]:
        lines.append(
            f"{facts['damaged_lines']:,} lines of the ledger are damaged; the next run mends it"
        )
    return "\n".join(lines)


def _tell_columns(out: Path, *, as_json: bool) -> None:
    """Say what each column of the results holds, and in which unit."""
    from batchtts.cli.tables import echo_table
    from batchtts.record.amendment import opened
    from batchtts.record.store import Layout

    with opened(Layout(out)) as file:
        told = [
            _column(field.name, field.type, field.metadata or {}) for field in file.schema_arrow
        ]
    if as_json:
        click.echo(json.dumps(told))
    else:
        echo_table(
            ("COLUMN", "UNIT", "WHAT IT HOLDS"),
            [(it["name"], it["unit"], it["about"]) for it in told],
        )


def _column(name: str, type: object, metadata: dict[bytes, bytes]) -> dict[str, str]:
    about = metadata.get(b"about", b"").decode() or "as in the manifest"
    unit = metadata.get(b"unit", b"").decode()
    return {"name": name, "type": f"{type}", "unit": unit, "about": about}
