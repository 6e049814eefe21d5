"""A group of commands, each imported when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class OnDemand(click.Group):
    """Knows its commands by name and by their line in its help text.

    Args:
        told: Command → its line.
        modules: Where they are: a command has the name of its module.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401
        told: Mapping[str, str],
        modules: str = "batchtts.cli",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self._told = told
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name them in the order in which they are told."""
        return list(self._told)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one."""
        if cmd_name not in self._told:
            return None
        command = getattr(import_module(f"{self._modules}.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Tell of all without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._told.items()))
