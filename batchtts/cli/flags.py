"""Flags in sections, each with a variable of the environment that says the same.

``BATCHTTS_RUN_MAX_COST=5`` is ``batchtts run --max-cost 5``. A variable that looks
like one and is none is refused: a misspelled limit must not become no limit. What is
set for ``run`` holds for ``plan``, too, which says what a run would do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import click
from click.core import ParameterSource

#: Command → the other one whose variables it heeds after its own.
_ALSO = {"plan": "run"}

OPTIONS = "Options"


@dataclass(slots=True)
class Tongue:
    """How the program speaks to whoever reads its standard error."""

    log_format: Literal["text", "json"] = "text"


class Flag(click.Option):
    """A flag that belongs to a section of the help text."""

    def __init__(self, *args: Any, section: str = OPTIONS, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.section = section

    @property
    def longest(self) -> str:
        """How it is written out, such as ``--max-cost``."""
        return max(self.opts, key=len)

    def variables(self, ctx: click.Context) -> Iterator[str]:
        """Yield the variables that stand for it, the first one that is set counts."""
        told = self.longest.removeprefix("--").replace("-", "_")
        for prefix in _prefixes(ctx):
            for name in dict.fromkeys((told, self.name or told)):
                yield f"{prefix}{name.upper()}"

    def variable(self, ctx: click.Context) -> str | None:
        """Return the variable that is set for it, if one is."""
        return next(filter(os.environ.get, self.variables(ctx)), None)

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return what the environment says."""
        variable = self.variable(ctx)
        return os.environ[variable] if variable else None

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Name what holds the wrong value: the flag, or the variable that stands for it."""
        source = ctx and self.name and ctx.get_parameter_source(self.name)
        if ctx and source is ParameterSource.ENVIRONMENT:
            return f"'{self.variable(ctx)}'"
        return super().get_error_hint(ctx)


class Sectioned(click.Command):
    """A command whose flags stand in sections."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse variables that are none of ours, too."""
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            self._check_environment(ctx)
        return rest

    def _check_environment(self, ctx: click.Context) -> None:
        from batchtts.hints import nearest

        own = next(_prefixes(ctx))
        flags = [each for each in self.params if isinstance(each, Flag)]
        known = [name for each in flags for name in each.variables(ctx) if name.startswith(own)]
        for name in sorted(os.environ):
            if name.startswith(own) and name not in known and os.environ[name]:
                near = nearest(name, known)
                hint = f" Did you mean {near}?" if near else ""
                raise click.UsageError(f"No such setting: the variable {name}.{hint}", ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {OPTIONS: []}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx)
            if isinstance(each, click.Option) and record is not None:
                sections.setdefault(getattr(each, "section", OPTIONS), []).append(record)
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records)


def _prefixes(ctx: click.Context) -> Iterator[str]:
    """Yield how the variables of a command begin."""
    name = ctx.info_name or ""
    for command in filter(None, (name, _ALSO.get(name))):
        yield f"BATCHTTS_{command.upper()}_"
