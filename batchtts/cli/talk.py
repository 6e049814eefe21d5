"""What a run says on stderr: log lines or JSON, a bar on a terminal, the closing lines."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from batchtts.errors import Exit, one_line
from batchtts.job.durations import spell
from batchtts.notices import PLAIN, notice
from batchtts.run.progress import Lines, Progress, Silent
from batchtts.run.spelling import spell_s, spell_usd
from batchtts.run.summary import Summary

if TYPE_CHECKING:
    from batchtts.job.settings import Job

log = logging.getLogger("batchtts.cli")


def begin(job: Job | None = None) -> Progress:
    """Set up what is said, and return what shows how the run goes.

    Args:
        job: Says how; None if nothing will be spoken.
    """
    is_quiet = job is not None and job.quiet
    as_json = job is not None and job.log_format == "json"
    progress = show(is_silent=job is None, is_quiet=is_quiet, as_json=as_json)
    tells_attempts = job is not None and job.verbose
    workers = logging.getLogger("batchtts.run.worker")
    workers.setLevel(logging.NOTSET if tells_attempts else logging.WARNING)
    return progress


def show(*, is_silent: bool = False, is_quiet: bool = False, as_json: bool = False) -> Progress:
    """Set up what is said, and return what shows how some work goes.

    Args:
        is_silent: Show nothing of that.
        is_quiet: Nor say anything, unless something is wrong.
    """
    progress, echo = _choose(is_silent=is_silent or is_quiet, as_json=as_json)
    logger = logging.getLogger("batchtts")
    render: Callable[[logging.LogRecord], str] = _in_json if as_json else _in_text
    logger.handlers = [_Handler(echo, render)]
    logger.setLevel(logging.WARNING if is_quiet else logging.INFO)
    return progress


def _choose(*, is_silent: bool, as_json: bool) -> tuple[Progress, Callable[[str], None]]:
    """A bar where somebody sees it; rich takes 0.1 s to import."""
    if is_silent:
        return Silent(), _echo
    if as_json or not _is_watched():
        return Lines(), _echo
    from batchtts.cli.bar import Bar

    bar = Bar()
    return (bar, bar.echo) if bar.is_of_use else (Lines(), _echo)


def _is_watched() -> bool:
    """Whether somebody looks at stderr; what builds software has terminals that nobody sees."""
    is_terminal = getattr(sys.stderr, "isatty", bool)()
    return is_terminal and os.environ.get("CI", "").lower() in ("", "0", "false")


def _echo(line: str) -> None:
    with suppress(OSError):  # nobody listens any more: no reason to end a run
        click.echo(line, err=True)


class _Handler(logging.Handler):
    """Log records, one line each whatever they hold."""

    def __init__(
        self, echo: Callable[[str], None], render: Callable[[logging.LogRecord], str]
    ) -> None:
        super().__init__()
        self._echo = echo
        self._render = render

    def emit(self, record: logging.LogRecord) -> None:
        self._echo(self._render(record))


def _in_text(record: logging.LogRecord) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(record.created))
    return one_line(f"{at} {_place(record)} {record.getMessage()}")


def _in_json(record: logging.LogRecord) -> str:
    return spell_json(
        record.levelname.lower(),
        getattr(record, "event", PLAIN),
        _place(record),
        record.getMessage(),
        getattr(record, "facts", {}),
        at=record.created,
    )


def _place(record: logging.LogRecord) -> str:
    return str(getattr(record, "place", record.name.rpartition(".")[2]))


def spell_json(
    level: str, event: str, place: str, message: str, facts: Mapping[str, object], *, at: float
) -> str:
    """Return one line for machines: what every line has, then the facts of the event."""
    time_utc = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    told: dict[str, object] = {
        "time": time_utc.replace("+00:00", "Z"),
        "level": level,
        "event": event,
        "place": place,
        "message": message,
    }
    told.update((key, value) for key, value in facts.items() if key not in told)
    return json.dumps(told, default=str)


# ── the end ───────────────────────────────────────────────────────────────────

#: What may end a run before its work is done → how it is told, and how its value is.
_LIMITS: dict[str, tuple[str, Callable[[float], str]]] = {
    "max_cost_usd": ("--max-cost", lambda usd: f"{usd:g}"),
    "max_duration_s": ("--max-duration", spell),
    "limit": ("--limit", lambda rows: f"{rows:.0f}"),
}

_STOPS: dict[int, str] = {Exit.INTERRUPTED: "interrupted", Exit.TERMINATED: "terminated"}

#: What leaves the same rows out of the next run, too → the same.
_CHOICES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "sample": ("--sample", str),
    "again": ("--again", lambda them: them[0] if len(them) == 1 else f"{them[0]} …"),
}


def conclude(summary: Summary, job: Job) -> None:
    """Say in some lines what came out."""
    first, *others = closing_lines(summary, job)
    if job.log_format == "json":
        level = logging.WARNING if summary.exit_code else logging.INFO
        figures = msgspec.to_builtins(summary)
        log.log(level, "%s", first, extra=notice("summary", more=figures))
    elif summary.exit_code or not job.quiet:
        for line in (first, *others[-1:]) if job.quiet else (first, *others):
            _echo(line)


def closing_lines(summary: Summary, job: Job) -> list[str]:
    """Return what there is to say of a run that has ended; the last line is the next step."""
    lines = [f"{_rows(summary)}; {_speech(summary)}{_money(summary)}"]
    lines.append(f"{summary.out}/results.parquet")
    if summary.failed:
        lines.append(f"{summary.out}/failed.parquet says why; it is a manifest itself")
    lines += _review(summary, job)
    why = _why_left(summary, job)
    return [*lines, why] if why else lines


def _why_left(summary: Summary, job: Job) -> str | None:
    """Say why rows are left and how they are had; None if none are."""
    left, again = f"{summary.pending:,} rows left", "run again"
    if summary.exit_code in _STOPS:
        what = left if summary.pending else "work is left"
        return f"{_STOPS[summary.exit_code]}: {what}, {again}"
    if summary.limit in _CHOICES:
        flag, told = _CHOICES[summary.limit]
        return f"{left} out by {flag} {told(getattr(job, summary.limit))}: run without it"
    if summary.limit is not None:
        flag, told = _LIMITS[summary.limit]
        return f"stopped by {flag} {told(getattr(job, summary.limit))}: {left}, {again}"
    return None


def _rows(summary: Summary) -> str:
    told = f"{summary.rows:,} rows: {summary.done:,} done, {summary.failed:,} failed"
    return f"{told}, {summary.pending:,} left" if summary.pending else told


def _speech(summary: Summary) -> str:
    shared = ""
    if summary.shared:
        shared = f", {summary.shared:,} rows share the audio of others"
    if summary.spoken:
        pace = summary.spoken_audio_s / max(summary.wall_s, 1e-9)
        return (
            f"{summary.spoken_audio_s:,.1f} s of audio in {spell_s(summary.wall_s)}"
            f" ({pace:.1f} x real time){shared}"
        )
    if shared:
        return f"nothing spoken{shared}"
    return "nothing spoken" if summary.pending or summary.failed else "nothing to speak"


def _review(summary: Summary, job: Job) -> list[str]:
    """Say what was found out about the audio, if anything but that it is good."""
    lines = []
    doubtful = summary.verdicts.get("suspect", 0) + summary.verdicts.get("fail", 0)
    if job.verify or job.mos or doubtful:
        told = ", ".join(f"{n:,} {verdict}" for verdict, n in summary.verdicts.items())
        again = f"; {summary.retakes:,} takes more" if summary.retakes else ""
        cost = f" for {spell_usd(summary.retake_usd, 0)}" if summary.retake_usd else ""
        lines.append(f"verdicts: {told or 'none'}{again}{cost}")
    if doubtful:
        lines.append(f"batchtts report {summary.out} shows what is not good, the worst first")
    return lines


def _money(summary: Summary) -> str:
    """What was spent of what was estimated, unless both are nothing, and what all runs spent."""
    parts = []
    spent, estimated = (spell_usd(it, 0) for it in (summary.spent_usd, summary.estimated_usd))
    if {spent, estimated} != {spell_usd(0, 0)}:
        parts.append(f"{spent} spent of {estimated} estimated")
    if summary.cost_usd or summary.unpriced or not parts:
        parts.append(f"{spell_usd(summary.cost_usd, summary.unpriced)} in all")
    return f"; {', '.join(parts)}"


# ── what went wrong ───────────────────────────────────────────────────────────


def spell_error(message: str, exit_code: Exit, hint: str | None, **facts: object) -> str:
    """Return the last line of a run that was refused or broken, for machines."""
    told = {"exit_code": int(exit_code), "hint": hint, **facts}
    return spell_json("error", "error", "run", message, told, at=time.time())
