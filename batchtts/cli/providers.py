"""``batchtts providers``: who can speak."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from batchtts.errors import SettingsError, one_line

if TYPE_CHECKING:
    from batchtts.wire.provider import Provider

WIDTH = 80  # columns


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines, with the options in full.")
def providers(as_json: bool) -> None:
    """List the providers: their key, voices, audio, limits, price and options.

    Whether a key is set is told, never the key. The options are what `--option`
    and [options] of a job file may hold. Providers of other people's that are
    installed and cannot be used are listed with the reason.

    \b
    Exit status:
      0    the list is on standard output

    \b
    Examples:
      batchtts providers
      batchtts providers --json
    """
    from batchtts.wire import registry

    known: dict[str, Provider | SettingsError] = {}
    for name in registry.names():
        try:
            known[name] = registry.get(name)
        except SettingsError as error:
            known[name] = error
    if as_json:
        click.echo(json.dumps([_facts(*each) for each in known.items()], indent=2))
        return
    indent = max(map(len, known)) + 2
    click.echo("\n\n".join(_block(name, each, indent) for name, each in known.items()))


def _facts(name: str, each: Provider | SettingsError) -> dict[str, object]:
    if isinstance(each, SettingsError):
        return {"name": name, "broken": str(each), "hint": each.hint}
    return {
        "name": each.name,
        "about": each.about,
        "url": each.url,
        "key_variable": each.key_variable,
        "key_set": _has_key(each),
        "voices": len(each.voices),
        "open_voices": each.open_voices is not None,
        "open_models": each.open_models,
        "formats": list(each.formats),
        "sample_rate_hz": each.sample_rate_hz,
        "segment_chars": each.segment_chars,
        "workers": each.workers,
        "in_flight": each.in_flight,
        "usd_per_million_chars": dict(each.usd_per_million_chars),
        "prices_as_of": each.prices_as_of,
        "options": _options(each),
    }


def _has_key(provider: Provider) -> bool:
    variable = provider.key_variable
    return variable is not None and bool(os.environ.get(variable, "").strip())


def _options(provider: Provider) -> dict[str, object]:
    """The type of each option as a JSON Schema, with its default."""
    import msgspec

    options: dict[str, object] = {}
    for field in msgspec.structs.fields(provider.options):
        schema = msgspec.json.schema(
            field.type, schema_hook=lambda kind: {"description": f"any {kind.__name__}"}
        )
        if not field.required:
            has_value = field.default is not msgspec.NODEFAULT
            default = field.default if has_value else field.default_factory()
            schema["default"] = msgspec.to_builtins(default, enc_hook=repr)
        options[field.encode_name] = schema
    return options


def _block(name: str, each: Provider | SettingsError, indent: int) -> str:
    """What there is to say of a provider, on lines of their own behind its name."""
    from textwrap import TextWrapper

    if isinstance(each, SettingsError):
        told = [("", f"broken: {each}"), ("", each.hint or "")]
    else:
        told = _lines(each)
    lines = []
    for label, text in told:
        head = " " * indent + (label.ljust(9) if label else "")
        wrapper = TextWrapper(
            WIDTH,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_on_hyphens=False,
            break_long_words=False,
        )
        lines.append(wrapper.fill(one_line(text)))
    return one_line(name).ljust(indent) + "\n".join(lines)[indent:]


def _lines(provider: Provider) -> list[tuple[str, str]]:
    """What there is to say of a provider that works."""
    key = "none needed"
    if provider.key_variable:
        key = f"{provider.key_variable} ({'set' if _has_key(provider) else 'not set'})"
    others = {
        (True, False): ", or any other by name",
        (False, True): ", or those of other models by name",
        (True, True): ", or any other by name, of any model",
    }
    is_open = (provider.open_voices is not None, provider.open_models)
    voices = f"{len(provider.voices)}{others.get(is_open, '')}"
    in_flight = provider.in_flight or provider.workers
    return [
        ("", provider.about),
        ("key", key),
        ("voices", voices),
        ("audio", f"{', '.join(provider.formats)}; {provider.sample_rate_hz:,} Hz"),
        (
            "limits",
            f"{provider.segment_chars:,} characters a request, {in_flight} at once,"
            f" {provider.workers} sockets",
        ),
        ("price", _price(provider)),
        ("options", ", ".join(_options(provider)) or "none"),
    ]


def _price(provider: Provider) -> str:
    prices = sorted(set(provider.usd_per_million_chars.values()))
    if not prices:
        return "not known"
    if prices == [0.0]:
        return "free"
    told = " to ".join(f"${price:g}" for price in dict.fromkeys((prices[0], prices[-1])))
    return f"{told} a million characters, as of {provider.prices_as_of}"
