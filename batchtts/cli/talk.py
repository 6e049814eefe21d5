"""What a run says on stderr: log lines, a bar on a terminal, a closing line."""

from __future__ import annotations

import logging
import sys

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from batchtts.cli import one_line
from batchtts.model import Result
from batchtts.run.job import Summary
from batchtts.run.progress import Figures, Lines, Silent, spell_s
from batchtts.run.progress import Progress as RunProgress


def begin(*, quiet: bool, verbose: bool) -> RunProgress:
    """Set up what is said, and return what shall be told how the run goes."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    level = logging.WARNING if quiet else logging.INFO
    handler = _Handler(console)
    handler.setFormatter(logging.Formatter("%(asctime)s %(place)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("batchtts")
    logger.handlers = [handler]
    logger.setLevel(level)
    if not verbose:
        logging.getLogger("batchtts.run.worker").setLevel(logging.WARNING)
    if quiet:
        return Silent()
    return Bar(console) if console.is_terminal else Lines()


def conclude(summary: Summary, *, quiet: bool) -> None:
    """Say in a line or two what came out."""
    if quiet and summary.exit_code == 0:
        return
    rows = f"{summary.rows:,} rows: {summary.done:,} done, {summary.failed:,} failed"
    if summary.pending:
        rows += f", {summary.pending:,} left"
    if not summary.spoken:
        spoken = "nothing spoken" if summary.pending else "nothing to speak"
    else:
        pace = summary.spoken_audio_s / max(summary.wall_s, 1e-9)
        spoken = (
            f"{summary.spoken_audio_s:,.1f} s of audio in {spell_s(summary.wall_s)}"
            f" ({pace:.1f} x real time)"
        )
    sys.stderr.write(f"{rows}; {spoken}; ${summary.cost_usd:,.2f} in all\n")
    sys.stderr.write(f"{summary.out}/results.parquet\n")
    if summary.failed:
        sys.stderr.write(f"{summary.out}/failed.parquet says why; it is a manifest itself\n")


class _Handler(logging.Handler):
    """Log lines above the bar, one line each whatever they hold."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        record.place = getattr(record, "place", record.name.rpartition(".")[2])
        self._console.print(one_line(self.format(record)), markup=False, emoji=False)


class Bar:
    """One bar, with what a person wants to know beside it."""

    def __init__(self, console: Console) -> None:
        self._figures = Figures()
        self._task = TaskID(0)
        self._bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
            console=console,
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

    def end(self) -> None:
        """The run is over, however it went."""
        self._bar.stop()
