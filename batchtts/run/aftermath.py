"""What comes after a run, however it ended: figures for Prometheus, commands, a ping.

It comes when the output directory is free again, and cannot change how the run ended.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from batchtts.errors import BatchttsError, Exit, SettingsError, one_line
from batchtts.job.keys import SERVE_VARIABLE
from batchtts.job.settings import Job
from batchtts.notices import notice
from batchtts.record.store import Layout
from batchtts.run import hooks, metrics
from batchtts.run.cutoff import heeding_sigterm
from batchtts.run.summary import Summary
from batchtts.wire import registry

log = logging.getLogger(__name__)

MESSAGE_CHARS = 1000


@dataclass(slots=True)
class Aftermath:
    """What will have to be told of a run.

    Attributes:
        summary: Set by the run, if it gets that far.
    """

    job: Job
    summary: Summary | None = None
    began_at: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.follow(*_verdict(error))
            return
        status = int(self.summary.exit_code) if self.summary is not None else Exit.DONE
        self.follow(status, _complaint(self.summary) if self.summary and status else "")

    def follow(self, status: int, message: str) -> None:
        """Do what the job says shall be done at the end."""
        job = self.job
        if job.metrics is not None:
            self._write_metrics(status)
        name = "on_failure" if status else "on_success"
        command = job.on_failure if status else job.on_success
        if command is not None:
            hooks.call(name, command, self._environment(status, message), job.hook_timeout_s)
        if job.ping_url is not None:
            hooks.tell(job.ping_url, status)

    def _write_metrics(self, status: int) -> None:
        assert self.job.metrics is not None
        try:
            ending = metrics.Ending(
                job=_name(self.job.directory),
                summary=self.summary,
                exit_status=status,
                at=time.time(),
                duration_s=time.monotonic() - self.began_at,
            )
            metrics.write(self.job.metrics, ending)
        except (OSError, ValueError) as error:  # ValueError: a name that no system has
            told = (getattr(error, "strerror", None) or str(error)).lower()
            failed = notice("metrics_failed", path=f"{self.job.metrics}", problem=told)
            log.warning("metrics %s: %s", self.job.metrics, told, extra=failed)

    def _environment(self, status: int, message: str) -> dict[str, str]:
        """That of this process without keys, and what there is to know of the run."""
        layout = Layout(self.job.directory.absolute())
        private = {SERVE_VARIABLE, _key_variable(self.job)}
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().endswith("_API_KEY") and name not in private
        }
        return kept | {
            "BATCHTTS_EXIT_STATUS": f"{status}",
            "BATCHTTS_OUT": f"{layout.root}",
            "BATCHTTS_SUMMARY": f"{layout.summary}",
            "BATCHTTS_MANIFEST": f"{self.job.manifest.absolute()}",
            "BATCHTTS_MESSAGE": one_line(message)[:MESSAGE_CHARS],
        }


@contextmanager
def aftermath(job: Job) -> Iterator[Aftermath]:
    """See to what comes after the block, whether it ends or raises.

    In the main thread SIGTERM ends the block, too, as Ctrl-C does; while rows are
    spoken the run itself sees to both.
    """
    with _heeding_sigterm(job), Aftermath(job) as after:
        yield after


def _verdict(error: BaseException) -> tuple[int, str]:
    """The exit status that an error means, and the error in one line."""
    match error:
        case BatchttsError():
            return error.exit_code, str(error)
        case KeyboardInterrupt():
            return Exit.INTERRUPTED, "interrupted"
        case SystemExit(code=int(code)):
            return code, "terminated"
        case _:
            return Exit.BUG, f"a bug in batchtts: {type(error).__name__}: {error}"


def _complaint(summary: Summary) -> str:
    """What went wrong in a run that came to its end."""
    if summary.limit in ("sample", "again"):
        return f"{summary.pending:,} of {summary.rows:,} rows left out by {summary.limit}"
    if summary.limit is not None:
        return f"stopped by {summary.limit}: {summary.pending:,} of {summary.rows:,} rows left"
    if summary.exit_code in (Exit.INTERRUPTED, Exit.TERMINATED):
        told = "interrupted" if summary.exit_code == Exit.INTERRUPTED else "terminated"
        return f"{told}: {summary.pending:,} of {summary.rows:,} rows left"
    told = f"{summary.failed:,} of {summary.rows:,} rows failed"
    failing = summary.verdicts.get("fail", 0)
    return f"{told}, and {failing:,} are not what their scripts say" if failing else told


def _name(directory: Path) -> str:
    """What a directory is called, in Unicode."""
    name = Path(os.path.normpath(directory.absolute())).name
    return os.fsencode(name or "/").decode(errors="replace")


def _key_variable(job: Job) -> str | None:
    """Where the provider's key is, should its name not end as those of others do."""
    with suppress(SettingsError):
        return registry.get(job.provider).key_variable if job.provider else None
    return None


@contextmanager
def _heeding_sigterm(job: Job) -> Iterator[None]:
    """Let SIGTERM raise, if anything is to come after the run and nobody else heeds it."""
    comes = (job.metrics, job.on_success, job.on_failure, job.ping_url)
    if not any(comes) or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    with heeding_sigterm(SystemExit, Exit.TERMINATED):
        yield
