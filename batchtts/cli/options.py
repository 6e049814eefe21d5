"""Flags that several commands share."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import date, time
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any, TypeVar

import click

from batchtts.cli.flags import Flag, Tongue

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


class Whole(click.IntRange):
    """A whole number within bounds, called so when it is none."""

    name = "whole number"


class Number(click.FloatRange):
    """A number within bounds, called so when it is none."""

    name = "number"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Refuse NaN, too, which is within all bounds."""
        number = float(super().convert(value, param, ctx))  # type: ignore[arg-type]  # text, too
        if isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


COLUMNS = ("id", "text", "voice", "model", "language", "speed", "speaker", "canary")


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


class Duration(click.ParamType[float]):
    """``90s``, ``1h30m``, or plain seconds."""

    name = "duration"

    def __init__(self, *, is_positive: bool = False) -> None:
        self._is_positive = is_positive

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Turn the words of the command line into seconds."""
        from batchtts.job.durations import EXAMPLES, parse_s

        try:
            seconds = parse_s(str(value))
        except ValueError as error:
            self.fail(f"{error}: {EXAMPLES}", param, ctx)
        if self._is_positive and not seconds:
            self.fail("no time at all", param, ctx)
        return seconds


def _adding(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return what adds some flags, in this order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_reading = partial(click.option, cls=Flag)
_speaking = partial(click.option, cls=Flag, section="Who speaks")
_picking = partial(click.option, cls=Flag, section="Which rows")
_limiting = partial(click.option, cls=Flag, section="Limits")
_pacing = partial(click.option, cls=Flag, section="How hard it tries")
_reviewing = partial(click.option, cls=Flag, section="Is it any good")
_telling = partial(click.option, cls=Flag, section="What it tells")

#: What is read, and where the result goes.
reading = _adding(
    _reading(
        "-o",
        "--out",
        type=PATH,
        metavar="DIR",
        help="Where audio, ledger and results go.  [default: MANIFEST without its ending]",
    ),
    _reading(
        "--column",
        "columns",
        type=Columns(),
        metavar="KEY=NAME,…",
        help="Which column is which, for example id=utt,text=words.",
    ),
    _reading(
        "--format",
        type=click.Choice(["wav", "flac"]),
        help="Of the audio files.  [default: wav]",
    ),
    _reading(
        "--sample-rate",
        "sample_rate_hz",
        type=Whole(4000, 192_000),
        metavar="HZ",
        help="Of the audio files.  [default: as the provider sends it]",
    ),
)

#: Who speaks.
choosing = _speaking(
    "-p",
    "--provider",
    metavar="NAME",
    help="See `batchtts providers`.  [default: the one whose key is set, else local]",
)

#: Where the provider is, and how it speaks.
speaking = _adding(
    _speaking(
        "--endpoint",
        metavar="URL",
        help="ws:// or wss:// address in place of the provider's own; its path too, if it has one.",
    ),
    _speaking(
        "-v", "--voice", metavar="NAME", help="Voice of rows that name none; see `batchtts voices`."
    ),
    _speaking("--model", metavar="NAME", help="Model of rows that name none."),
    _speaking(
        "--language", metavar="TAG", help="Language of rows that name none, such as en or de."
    ),
    _speaking(
        "--speed",
        type=Number(0.25, 4.0),
        metavar="X",
        help="Pace of rows that name none.  [default: 1.0]",
    ),
    _speaking(
        "--word-timestamps/--no-word-timestamps",
        default=None,
        help="Also ask for the times of words.  [default: no]",
    ),
    _speaking(
        "-O",
        "--option",
        "options",
        type=Option(),
        multiple=True,
        metavar="KEY=VALUE",
        help="What this provider alone knows, as in [options] of a job file; "
        "see `batchtts providers`. As often as needed.",
    ),
)

#: Which rows are spoken.
picking = _adding(
    _picking(
        "--again",
        multiple=True,
        metavar="failed|all|ID",
        help="Speak only these, done or not: what failed, all, or a row by its id (id:failed if "
        "it is such a word). As often as needed.",
    ),
    _picking(
        "--sample",
        type=Whole(1),
        metavar="N",
        help="N rows of the manifest, chosen by their ids, and no others.",
    ),
    _picking("--seed", type=int, metavar="S", help="Another sample.  [default: 0]"),
)

#: When a run ends before its work is done.
limiting = _adding(
    _limiting(
        "--max-cost",
        "max_cost_usd",
        type=Number(0),
        metavar="USD",
        help="Begin no row that could make this run dearer, by the list prices.",
    ),
    _limiting(
        "--max-duration",
        "max_duration_s",
        type=Duration(is_positive=True),
        metavar="TIME",
        help="Begin no row after so long: 90s, 30m, 2h, 1h30m.",
    ),
    _limiting("--limit", type=Whole(1), metavar="N", help="Begin N rows at most, then stop."),
)

#: Whether somebody listens, and what follows from it.
reviewing = _adding(
    _reviewing(
        "--verify/--no-verify",
        default=None,
        help="Hear what was spoken, compare it with the script, and judge each row.  [default: no]",
    ),
    _reviewing(
        "--recognizer",
        metavar="NAME",
        help="Who hears: local, together or faster-whisper.  [default: local]",
    ),
    _reviewing(
        "--recognizer-endpoint",
        metavar="URL",
        help="ws:// or wss:// address in place of the recognizer's own.",
    ),
    _reviewing("--recognizer-model", metavar="NAME", help="Model that hears.  [default: its own]"),
    _reviewing(
        "--retakes",
        type=Whole(0, 100),
        metavar="N",
        help="Speak rows that fail up to N times more, and keep the best take.  [default: 0]",
    ),
    _reviewing(
        "--mos/--no-mos",
        default=None,
        help="Also say how natural each row sounds, from 1 to 5.  [default: no]",
    ),
)

#: What becomes of rows that are alike, or gone.
keeping = _adding(
    _picking(
        "--dedup/--no-dedup",
        default=None,
        help="Speak rows with the same script, voice and settings once.  [default: yes]",
    ),
    _picking(
        "--prune/--no-prune",
        default=None,
        help="Remove the audio of rows that the manifest has no longer.  [default: no]",
    ),
)

#: How much at once, how often, how long.
pacing = _adding(
    _pacing(
        "-w",
        "--workers",
        type=Whole(1, 1024),
        metavar="N",
        help="WebSockets open at once.  [default: the provider's, or what --in-flight needs]",
    ),
    _pacing(
        "--in-flight",
        type=Whole(1, 1024),
        metavar="N",
        help="Requests at the provider at once, no more than workers.  [default: the provider's, or"
        " as many as workers]",
    ),
    _pacing(
        "--attempts",
        type=Whole(1, 100),
        metavar="N",
        help="Tries at one segment.  [default: 4]",
    ),
    _pacing(
        "--outage",
        "outage_s",
        type=Duration(),
        metavar="TIME",
        help="How long nobody may be reached before the run gives up.  [default: 2m]",
    ),
    _pacing(
        "--grace",
        "grace_s",
        type=Duration(),
        metavar="TIME",
        help="How long a stopped run may finish what is in flight.  [default: 30s]",
    ),
)


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Let whatever is said from now on be said so, also that another flag is wrong."""
    if value is not None:
        ctx.ensure_object(Tongue).log_format = "json" if value == "json" else "text"
    return value


#: What is said, where and how.
telling = _adding(
    _telling(
        "-q",
        "--quiet/--no-quiet",
        default=None,
        help="Say nothing unless something is wrong.  [default: no]",
    ),
    _telling(
        "--verbose/--no-verbose",
        default=None,
        help="Tell of every attempt that failed.  [default: no]",
    ),
    _telling(
        "--log-format",
        type=click.Choice(["text", "json"]),
        is_eager=True,
        callback=_remember,
        help="Lines for people, or one JSON object a line.  [default: text]",
    ),
    _telling(
        "--metrics",
        type=PATH,
        metavar="FILE",
        help="Write figures for Prometheus to FILE when the run ends, however it does.",
    ),
    _telling(
        "--record",
        type=PATH,
        metavar="DIR",
        help="Write every conversation with the provider to a file in DIR, without the key.",
    ),
    _telling(
        "--record-scripts/--no-record-scripts",
        default=None,
        help="With the scripts, or with an x for each of their letters.  [default: with]",
    ),
)
