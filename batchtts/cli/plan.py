"""``batchtts plan``: what a run would do."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchtts.cli.flags import Sectioned
from batchtts.cli.options import PATH, choosing, keeping, limiting, picking, reading, speaking

if TYPE_CHECKING:
    from batchtts.job.speaker import Speaker
    from batchtts.record.ledger import Ledger
    from batchtts.run.agenda import Agenda


@click.command(cls=Sectioned)
@click.argument("manifest", type=PATH)
@reading
@choosing
@speaking
@picking
@keeping
@limiting
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def plan(manifest: Path, as_json: bool, **flags: object) -> None:
    """Say what `batchtts run` would do with MANIFEST, and what it would cost.

    Nothing is changed and nobody is called. No key is needed. The flags
    are those of `run`, and so are the variables (BATCHTTS_RUN_MAX_COST).

    \b
    Exit status:
      0    the plan is on standard output
      2    the command, the job file or the manifest is wrong

    \b
    Examples:
      batchtts plan jobs/demo.csv
      batchtts plan corpus.parquet --provider together --json
    """
    from batchtts.cli import talk
    from batchtts.job.settings import load
    from batchtts.run.job import preview

    talk.begin()
    with preview(load(manifest, flags), os.environ) as (agenda, speaker, ledger):
        facts = _facts(agenda, speaker, ledger)
    click.echo(json.dumps(facts) if as_json else _tell(facts))


def _facts(agenda: Agenda, speaker: Speaker, ledger: Ledger | None) -> dict[str, Any]:
    from batchtts.job.plan import CHANGED, DONE, FAILED, NEW
    from batchtts.run.forecast import duration_s, why_changed

    kinds = {"new": NEW, "changed": CHANGED, "done": DONE, "failed": FAILED}
    cost_usd, unpriced = agenda.cost_usd()
    return {
        **{name: agenda.count(kind) for name, kind in kinds.items()},
        "gone": len(agenda.plan.gone),
        "why_changed": dict(why_changed(agenda, speaker, ledger).most_common()) if ledger else {},
        "refused": agenda.refused_count,
        "shared": len(agenda.shared),
        "left_out": agenda.left_out,
        "to_speak": agenda.to_speak,
        "characters": agenda.characters_to_speak,
        "provider": speaker.provider.name,
        "voice": speaker.voice.name,
        "models": agenda.characters_by_model(),
        "cost_usd": round(cost_usd, 6),
        "unpriced_models": unpriced,
        "duration_s": round(duration_s(agenda, speaker, ledger), 1),
    }


def _tell(facts: dict[str, Any]) -> str:
    from batchtts.run.spelling import spell_s, spell_usd

    cost = spell_usd(facts["cost_usd"], facts["unpriced_models"])
    reasons = facts["why_changed"]
    told = (
        ", ".join(reasons)
        if len(reasons) < 2
        else ", ".join(f"{n:,} {why}" for why, n in reasons.items())
    )
    why = f" ({told})" if told else ""
    lines = [
        "+{new:,} new, ~{changed:,} changed{why}, ={done:,} done,"
        " !{failed:,} failed before, -{gone:,} gone".format(why=why, **facts),
        "{to_speak:,} rows to speak: {characters:,} characters with {provider}/{voice},".format(
            **facts
        )
        + f" {cost}, about {spell_s(facts['duration_s'])}",
    ]
    if facts["shared"]:
        lines.append(
            f"{facts['shared']:,} rows have the same script as another, and share its audio"
        )
    if facts["left_out"]:
        lines.append(f"{facts['left_out']:,} rows are left for another run")
    if facts["refused"]:
        lines.append(f"{facts['refused']:,} rows cannot be spoken; a run says which and why")
    return "\n".join(lines)
