"""What a run says on stderr: log lines, a bar on a terminal, a closing line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from batchtts.cli import one_line
from batchtts.run.job import Summary
from batchtts.run.progress import Lines, Progress, Silent, spell_s


def begin(*, quiet: bool, verbose: bool) -> Progress:
    """Set up what is said, and return what shall be told how the run goes."""
    progress, echo = _choose(quiet)
    handler = _Handler(echo)
    handler.setFormatter(logging.Formatter("%(asctime)s %(place)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("batchtts")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    if not verbose:
        logging.getLogger("batchtts.run.worker").setLevel(logging.WARNING)
    return progress


def _choose(quiet: bool) -> tuple[Progress, Callable[[str], None]]:
    """A bar where somebody sees it; rich takes 0.1 s to import."""
    if quiet or not sys.stderr.isatty():
        return Silent() if quiet else Lines(), _echo
    from batchtts.cli.bar import Bar

    bar = Bar()
    return bar, bar.echo


def _echo(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def conclude(summary: Summary, *, quiet: bool) -> None:
    """Say in a line or two what came out."""
    if quiet and summary.exit_code == 0:
        return
    rows = f"{summary.rows:,} rows: {summary.done:,} done, {summary.failed:,} failed"
    if summary.pending:
        rows += f", {summary.pending:,} left"
    if not summary.spoken:
        is_idle = not (summary.pending or summary.failed)
        spoken = "nothing to speak" if is_idle else "nothing spoken"
    else:
        pace = summary.spoken_audio_s / max(summary.wall_s, 1e-9)
        spoken = (
            f"{summary.spoken_audio_s:,.1f} s of audio in {spell_s(summary.wall_s)}"
            f" ({pace:.1f} x real time)"
        )
    cost = spell_usd(summary.cost_usd, summary.unpriced)
    sys.stderr.write(f"{rows}; {spoken}; {cost} in all\n")
    sys.stderr.write(f"{summary.out}/results.parquet\n")
    if summary.failed:
        sys.stderr.write(f"{summary.out}/failed.parquet says why; it is a manifest itself\n")


def spell_usd(known: float, unpriced: int) -> str:
    """A sum of money, some of which may not be known."""
    if unpriced and not known:
        return "price not known"
    return f"at least ${known:,.2f}" if unpriced else f"${known:,.2f}"


class _Handler(logging.Handler):
    """Log lines, one line each whatever they hold."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        super().__init__()
        self._echo = echo

    def emit(self, record: logging.LogRecord) -> None:
        record.place = getattr(record, "place", record.name.rpartition(".")[2])
        self._echo(one_line(self.format(record)))
