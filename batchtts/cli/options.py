"""Flags that several commands share."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


class _Path(click.ParamType[Path]):
    """A path; whether it can be used is found out later, with a better message."""

    name = "path"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Refuse what is left of a shell variable that is not set."""
        if not str(value):
            self.fail("an empty path", param, ctx)
        return Path(str(value))


PATH = _Path()

COLUMNS = ("id", "text", "voice", "model", "language", "speed")


class Columns(click.ParamType[dict[str, str]]):
    """``id=NAME,text=NAME``: which column of the manifest is which."""

    name = "columns"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> dict[str, str]:
        """Turn the words of the command line into a mapping."""
        if isinstance(value, dict):
            return value
        found = {}
        for part in str(value).split(","):
            key, equals, name = part.partition("=")
            if not equals or key.strip() not in COLUMNS or not name.strip():
                self.fail(
                    f"{part!r} is not KEY=NAME with a KEY of {', '.join(COLUMNS)}", param, ctx
                )
            found[key.strip()] = name.strip()
        return found


class Option(click.ParamType[tuple[str, object]]):
    """``KEY=VALUE``: an option of the provider, its value as in a job file."""

    name = "option"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, object]:
        """Turn the words of the command line into a pair."""
        if isinstance(value, tuple):
            return value
        key, equals, told = str(value).partition("=")
        if not equals or not key.strip():
            self.fail(f"{str(value)!r} is not KEY=VALUE", param, ctx)
        return key.strip(), _value(told)


def _value(text: str) -> object:
    """What a text is in TOML; itself, if it is not TOML, a date or holds a comment."""
    try:
        found: dict[str, object] = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    value = found.pop("value")
    is_cut = bool(found) or ("#" in text and not isinstance(value, str | list | dict))
    return text if is_cut or isinstance(value, date | time) else value


choosing = click.option(
    "-p",
    "--provider",
    metavar="NAME",
    help="See `batchtts providers`.  [default: the one whose key is set, else local]",
)


def speaking(command: Command) -> Command:
    """Add the flags that say where the provider is, and how it speaks."""
    for add in reversed(
        [
            click.option(
                "--endpoint",
                metavar="URL",
                help="ws:// or wss:// address in place of the "
                "provider's own; its path too, if it has one.",
            ),
            click.option(
                "-v",
                "--voice",
                metavar="NAME",
                help="Voice of rows that name none; see `batchtts voices`.",
            ),
            click.option("--model", metavar="NAME", help="Model of rows that name none."),
            click.option(
                "--language",
                metavar="TAG",
                help="Language of rows that name none, such as en or de.",
            ),
            click.option(
                "--speed",
                type=click.FloatRange(0.25, 4.0),
                metavar="X",
                help="Pace of rows that name none.  [default: 1.0]",
            ),
            click.option(
                "--word-timestamps/--no-word-timestamps",
                default=None,
                help="Also ask for the times of words.  [default: no]",
            ),
            click.option(
                "-O",
                "--option",
                "options",
                type=Option(),
                multiple=True,
                metavar="KEY=VALUE",
                help="What this provider alone knows, as in [options] of a job file; "
                "see `batchtts providers`. As often as needed.",
            ),
        ]
    ):
        command = add(command)
    return command


def reading(command: Command) -> Command:
    """Add the flags that say what is read, and where the result goes."""
    for add in reversed(
        [
            click.option(
                "-o",
                "--out",
                type=PATH,
                metavar="DIR",
                help="Where audio, ledger and results go.  [default: MANIFEST without its ending]",
            ),
            click.option(
                "--column",
                "columns",
                type=Columns(),
                metavar="KEY=NAME,…",
                help="Which column is which, for example id=utt,text=words.",
            ),
            click.option(
                "--format",
                type=click.Choice(["wav", "flac"]),
                help="Of the audio files.  [default: wav]",
            ),
            click.option(
                "--sample-rate",
                "sample_rate_hz",
                type=click.IntRange(4000, 192_000),
                metavar="HZ",
                help="Of the audio files.  [default: as the provider sends it]",
            ),
        ]
    ):
        command = add(command)
    return command
