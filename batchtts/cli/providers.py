"""``batchtts providers``: who can speak."""

from __future__ import annotations

import json
import os

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def providers(as_json: bool) -> None:
    """List the providers: their key, voices, format and price.

    Whether a key is set is told, never the key.

    \b
    Exit status:
      0    the list is on standard output

    \b
    Example:
      batchtts providers
    """
    from batchtts.cli.tables import echo_table
    from batchtts.wire import registry

    known = [registry.get(name) for name in registry.names()]
    if as_json:
        facts = [
            {
                "name": each.name,
                "about": each.about,
                "url": each.url,
                "key_variable": each.key_variable,
                "key_set": bool(each.key_variable and os.environ.get(each.key_variable)),
                "voices": len(each.voices),
                "sample_rate_hz": each.sample_rate_hz,
                "usd_per_million_chars": dict(each.usd_per_million_chars),
                "prices_as_of": each.prices_as_of,
            }
            for each in known
        ]
        click.echo(json.dumps(facts, indent=2))
        return
    rows = []
    for each in known:
        prices = sorted(set(each.usd_per_million_chars.values()))
        price = "free" if prices == [0.0] else "/".join(f"${p:g}" for p in prices)
        key = each.key_variable or "none needed"
        if each.key_variable:
            key += " (set)" if os.environ.get(each.key_variable) else " (not set)"
        rows.append((each.name, key, f"{len(each.voices)}", price, each.about))
    echo_table(("name", "key", "voices", "price/M chars", "about"), rows)
