"""How a run is going, on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from batchtts.model import Result
from batchtts.run.progress import Figures, spell_s


class Bar:
    """One bar, with what a person wants to know beside it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._figures = Figures()
        self._task = TaskID(0)
        self._bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
        )

    def begin(self, rows: int, characters: int) -> None:
        """So much is to be spoken."""
        self._figures = Figures(rows, characters)
        self._task = self._bar.add_task("connecting", total=rows)
        self._bar.start()

    def add(self, result: Result) -> None:
        """A row is done or failed, and durable."""
        figures = self._figures
        figures.add(result)
        left = f", {spell_s(figures.left_s)} left" if figures.left_s is not None else ""
        failed = f"{figures.failed:,} failed, " if figures.failed else ""
        told = f"{failed}{figures.audio_s:,.0f} s of audio{left}"
        self._bar.update(self._task, completed=figures.done + figures.failed, description=told)

    def echo(self, line: str) -> None:
        """Say something above the bar."""
        self._console.print(line, markup=False, emoji=False)

    def end(self) -> None:
        """The run is over, however it went."""
        self._bar.stop()
        for task in self._bar.task_ids:  # what was lost may be spoken under a bar of its own
            self._bar.remove_task(task)
