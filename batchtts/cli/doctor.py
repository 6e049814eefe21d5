"""``batchtts doctor``: does this provider work from here?"""

from __future__ import annotations

import os
from pathlib import Path

import click

from batchtts.cli.options import speaking


@click.command()
@click.argument("name", metavar="[PROVIDER]", default="local")
@speaking
def doctor(name: str, **flags: object) -> None:
    """Try PROVIDER: connect, have one short sentence spoken, and check it.

    Each step is told with its time; the first one that fails ends it, with
    what to do. A paid provider charges for one sentence of 45 characters.

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
    from batchtts.run.doctor import Doctor
    from batchtts.run.job import find_speaker

    speaker = find_speaker(load(Path("doctor"), {**flags, "provider": name}), os.environ)
    voice = speaker.voice
    click.echo(
        f"   ok           {speaker.provider.name}, {voice.name} of {voice.model}, {voice.language}"
    )
    Doctor(speaker, _tell).examine()


def _tell(step: str, seconds: float) -> None:
    click.echo(f"   ok {seconds:7.3f} s  {step}")
