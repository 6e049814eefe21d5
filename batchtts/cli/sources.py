"""``batchtts run --show-settings``: every setting, and who said so."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
from click.core import ParameterSource

from batchtts.cli.flags import Flag
from batchtts.cli.tables import echo_table
from batchtts.errors import one_line
from batchtts.job import ping
from batchtts.job.keys import SERVE_VARIABLE
from batchtts.job.settings import Job, read
from batchtts.job.speaker import Speaker, find_speaker

DEFAULT = "default"
_TABLES = ("voices", "pauses", "columns", "options", "prices")


@dataclass(frozen=True, slots=True)
class _Line:
    key: str
    value: object
    source: str


def show(ctx: click.Context, path: Path, job: Job) -> None:
    """Print a table of what a run would be told.

    Raises:
        SettingsError: nobody could speak as the job has it.
    """
    speaker = find_speaker(job, os.environ, needs_key=False)
    sources = _Sources.of(ctx, path)
    told = _derived(job, speaker)
    lines: list[_Line] = []
    for key, value in msgspec.structs.asdict(job).items():
        if key in _TABLES:
            entries = value if isinstance(value, dict) else msgspec.structs.asdict(value)
            lines.extend(_entries(key, entries, sources))
        elif (source := sources.of_key(key)) is None and key in told:
            lines.append(_Line(key, *told[key]))
        else:
            lines.append(_Line(key, value, source or DEFAULT))
    lines += [_key(job, speaker), _price(job, speaker)]
    cells = [(line.key, _spell(line), one_line(line.source)) for line in lines]
    echo_table(("KEY", "VALUE", "SOURCE"), cells)


@dataclass(frozen=True, slots=True)
class _Sources:
    """Who said what.

    Attributes:
        given: Key → the flag or the variable of the environment.
        file: What the job file says, and where it is; nothing if there is none.
        flagged: The options that came with flags or variables, by table.
    """

    given: Mapping[str, str]
    file: Mapping[str, object]
    path: Path
    flagged: Mapping[str, Mapping[str, object]]

    @classmethod
    def of(cls, ctx: click.Context, path: Path) -> _Sources:
        given = {"manifest": "argument"}
        for each in ctx.command.params:
            source = ctx.get_parameter_source(each.name or "")
            if not isinstance(each, Flag) or each.name is None:
                continue
            if source is ParameterSource.COMMANDLINE:
                given[each.name] = f"flag {each.longest}"
            elif source is ParameterSource.ENVIRONMENT:
                given[each.name] = f"{each.variable(ctx)}"
        file = read(path) if path.suffix.lower() == ".toml" else {}
        if file:
            del given["manifest"]
        flagged = {table: dict(ctx.params.get(table) or {}) for table in ("options", "columns")}
        return cls(given, file, path, flagged)

    def of_key(self, key: str) -> str | None:
        """Who set a key; None if nobody did."""
        return self.given.get(key) or (str(self.path) if key in self.file else None)

    def of_entry(self, table: str, name: str) -> str:
        """Who set one key of a table."""
        if name in self.flagged.get(table, {}):
            return self.given[table]
        told = self.file.get(table)
        return str(self.path) if isinstance(told, dict) and name in told else DEFAULT


def _entries(table: str, value: Mapping[str, object], sources: _Sources) -> Iterator[_Line]:
    for name, each in value.items():
        yield _Line(f"{table}.{name}", each, sources.of_entry(table, name))
    if not value:
        yield _Line(table, None, DEFAULT)


def _derived(job: Job, speaker: Speaker) -> dict[str, tuple[object, str]]:
    """What follows from other settings, where nobody says otherwise: value and reason."""
    provider, voice = speaker.provider, speaker.voice
    its_default = f"default of {provider.name}"
    workers = speaker.workers
    in_flight = (provider.in_flight, its_default) if provider.in_flight else (workers, "workers")
    return {
        "out": (job.directory, "manifest"),
        "provider": (provider.name, (speaker.why or DEFAULT).partition(":")[0]),
        "endpoint": (speaker.url or "a server of the run's own", its_default),
        "voice": (voice.name, its_default),
        "model": (voice.model, "voice" if job.voice else its_default),
        "language": (voice.language, "voice" if job.voice else its_default),
        "workers": (workers, "in_flight" if job.in_flight else its_default),
        "in_flight": in_flight,
        "sample_rate_hz": (speaker.format.sample_rate_hz, its_default),
    }


def _key(job: Job, speaker: Speaker) -> _Line:
    """Where the key is, and never what it is."""
    variable = speaker.provider.key_variable
    if variable is None and job.endpoint is not None and os.environ.get(SERVE_VARIABLE):
        variable = SERVE_VARIABLE
    if job.key_file is not None:
        return _Line("key", "in a file", f"{job.key_file}")
    if variable is None:
        return _Line("key", "none is needed", f"default of {speaker.provider.name}")
    state = "set" if os.environ.get(variable, "").strip() else "not set"
    return _Line("key", "in the environment", f"{variable} ({state})")


def _price(job: Job, speaker: Speaker) -> _Line:
    """What a million characters of the job's own voice cost."""
    provider, model = speaker.provider, speaker.voice.model
    price = provider.usd_per_million_chars.get(model)
    if model in job.prices:
        source = "prices"
    else:
        source = f"list price of {provider.name}"
        source += f", as of {provider.prices_as_of}" if provider.prices_as_of else ""
    told = "not known" if price is None else f"${price:,.2f} a million characters"
    return _Line("price", told, source)


def _spell(line: _Line) -> str:
    """A value as people read it, without what nobody should read in a log."""
    match line.value:
        case None | ():
            return "-"
        case bool():
            return f"{line.value}".lower()
        case str() if line.key == "ping_url":
            return ping.shown(line.value)
        case str() if line.key == "endpoint":
            return one_line(line.value.partition("?")[0])
        case str() | Path() | int() | float():
            return one_line(f"{line.value}")
        case _:
            return json.dumps(line.value, default=str)
