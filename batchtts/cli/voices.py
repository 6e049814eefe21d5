"""``batchtts voices``: who can be heard."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("provider", metavar="[PROVIDER]", default="local")
@click.option("--language", metavar="TAG", help="Only voices that speak it, such as en or de.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def voices(provider: str, language: str | None, as_json: bool) -> None:
    """List the voices of PROVIDER with their model and language.

    The first one is the default. Some providers take other voices, too; then a
    line on standard error says so. The local provider takes the names of
    Together's Kokoro voices, so that a manifest can move between the two; the
    model says who speaks in their place.

    \b
    Exit status:
      0    the list is on standard output
      2    no such provider, or no voice for the language

    \b
    Examples:
      batchtts voices
      batchtts voices together --language fr
    """
    from batchtts.cli.tables import echo_table
    from batchtts.errors import UsageError
    from batchtts.wire import registry
    from batchtts.wire.provider import speaks

    asked = registry.get(provider)
    known = asked.voices
    found = [voice for voice in known if language is None or speaks(voice, language)]
    if not found and not asked.open_voices:
        languages = ", ".join(sorted({voice.language for voice in known}))
        raise UsageError(
            f"{provider} has no voice for the language {language!r}", hint=f"it has {languages}"
        )
    rows = [(voice.name, voice.model, voice.language) for voice in found]
    if asked.open_voices:
        click.echo(f"{provider} takes other voices, too: name one with --voice", err=True)
    if as_json:
        heads = ("voice", "model", "language")
        click.echo(json.dumps([dict(zip(heads, row, strict=True)) for row in rows], indent=2))
        return
    echo_table(("voice", "model", "language"), rows)
