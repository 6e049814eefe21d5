"""``batchtts doctor``: does this provider work from here?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchtts.cli.options import speaking

if TYPE_CHECKING:
    from batchtts.job.speaker import Speaker
    from batchtts.run.doctor import Step


@click.command()
@click.argument("name", metavar="[PROVIDER]", default="local")
@speaking
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def doctor(name: str, as_json: bool, **flags: object) -> None:
    """Try PROVIDER: connect, have one short sentence spoken, and check it.

    Each step is told with its time; the first one that fails ends it, with
    what to do. The key is looked for in the environment, and never shown. A
    paid provider charges for one sentence of 45 characters.

    \b
    Exit status:
      0    everything is in order
      2    a setting is wrong, or a key is missing
      3    the provider answers, but the sentence failed
      4    the provider refuses or cannot be reached

    \b
    Examples:
      batchtts doctor
      batchtts doctor together --voice af_bella
    """
    from batchtts.job.settings import load
    from batchtts.job.speaker import find_speaker
    from batchtts.run.doctor import Doctor

    speaker = find_speaker(load(Path("doctor"), {**flags, "provider": name}), os.environ)
    if not as_json:
        click.echo(f"{'ok':>8}             {_settings(speaker)}")
        click.echo(f"{'ok':>8}             {_key(speaker)}")
        Doctor(speaker, _tell).examine()
        return
    steps: list[Step] = []
    try:
        Doctor(speaker, steps.append).examine()
    finally:
        told = [{"step": it.what, "ok": it.is_ok, "seconds": round(it.seconds, 6)} for it in steps]
        facts = {"settings": _settings(speaker), "key": speaker.key_source, "steps": told}
        click.echo(json.dumps(facts, indent=2))


def _settings(speaker: Speaker) -> str:
    voice = speaker.voice
    return f"{speaker.provider.name}, {voice.name} of {voice.model}, {voice.language}"


def _key(speaker: Speaker) -> str:
    return f"key found in {speaker.key_source}" if speaker.key_source else "no key needed"


def _tell(step: Step) -> None:
    click.echo(f"{'ok' if step.is_ok else 'failed':>8} {step.seconds:9.3f} s  {step.what}")
