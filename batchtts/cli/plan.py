"""``batchtts plan``: what a run would do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from batchtts.cli.options import PATH, choosing, reading, speaking


@click.command()
@click.argument("manifest", type=PATH)
@reading
@choosing
@speaking
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def plan(manifest: Path, as_json: bool, **flags: object) -> None:
    """Say what `batchtts run` would do with MANIFEST, and what it would cost.

    Nothing is changed and nobody is called. The flags are those of `run`.

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
    from batchtts.job.plan import CHANGED, DONE, FAILED, NEW
    from batchtts.job.settings import load
    from batchtts.run.job import preview

    talk.begin(quiet=False, verbose=False)
    agenda = preview(load(manifest, flags), os.environ)
    counts = {
        name: agenda.plan.count(kind)
        for name, kind in [("new", NEW), ("changed", CHANGED), ("done", DONE), ("failed", FAILED)]
    }
    counts["gone"] = agenda.plan.gone
    counts["refused"] = agenda.refused_count
    voice, characters = agenda.casting.voice, agenda.characters_to_speak
    provider = agenda.casting.provider
    cost_usd, unpriced = agenda.cost_usd()
    if as_json:
        facts = {
            **counts,
            "to_speak": agenda.to_speak,
            "characters": characters,
            "provider": provider.name,
            "voice": voice.name,
            "models": agenda.characters_by_model(),
            "cost_usd": round(cost_usd, 6),
            "unpriced_models": unpriced,
        }
        click.echo(json.dumps(facts))
        return
    click.echo(
        "+{new:,} new, ~{changed:,} changed, ={done:,} done,"
        " !{failed:,} failed before, -{gone:,} gone".format(**counts)
    )
    price = talk.spell_usd(cost_usd, unpriced)
    click.echo(
        f"{agenda.to_speak:,} rows to speak: {characters:,} characters"
        f" with {provider.name}/{voice.name}, {price}"
    )
    if counts["refused"]:
        click.echo(f"{counts['refused']:,} rows cannot be spoken; a run says which and why")
