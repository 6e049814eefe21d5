"""A whole job, read top to bottom."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import msgspec

from batchtts.errors import ManifestChanged, OutputBroken
from batchtts.job.settings import Job, check
from batchtts.job.speaker import Speaker, find_speaker
from batchtts.notices import notice
from batchtts.record import disk
from batchtts.record.columns import carried_as
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout, occupy
from batchtts.run.aftermath import Aftermath, aftermath
from batchtts.run.agenda import Agenda
from batchtts.run.closing import Closing
from batchtts.run.outset import (
    check_is_input,
    preview_of,
    read,
)
from batchtts.run.progress import Progress, Silent
from batchtts.run.rounds import Rounds, audition_of, find_other
from batchtts.run.summary import Alert, Summary
from batchtts.run.work import Work, begin
from batchtts.verify.canaries import look
from batchtts.wire.tape import prepare

log = logging.getLogger("batchtts.run")


def run(
    job: Job, *, environment: Mapping[str, str] = os.environ, progress: Progress | None = None
) -> Summary:
    """Speak every row of a manifest that is not spoken yet.

    Args:
        environment: Where keys are looked up.
        progress: Told how it goes.

    Returns:
        What there is now; its ``exit_code`` is what the command would return.

    Raises:
        UsageError: the job or its manifest is wrong; nothing was spent.
        RunError: the run was refused or broken; what is done stays done.
    """
    job = check(job)
    with aftermath(job) as after:
        return _run(job, environment, progress or Silent(), after)


def _run(job: Job, environment: Mapping[str, str], progress: Progress, after: Aftermath) -> Summary:
    began_at, started_at = time.monotonic(), time.time()
    speaker = find_speaker(job, environment)
    audition = audition_of(job, environment)
    if audition is not None:
        audition.check()
    other = find_other(job, speaker, environment)
    if job.record is not None:
        prepare(job.record)
    check_is_input(job)
    with ExitStack() as held:
        manifest = None
        if Layout(job.directory).private.is_dir():
            layout = held.enter_context(occupy(job.directory))
        else:
            manifest = read(job)
            layout = held.enter_context(occupy(job.directory))
        ledger = held.enter_context(Ledger.open(layout.ledger))
        work = begin(job, speaker, manifest, layout, ledger, progress, began_at)
        held.enter_context(work.books.begun)
        broken = work.work()
        if isinstance(broken, ManifestChanged | OutputBroken):
            raise broken  # what the results are made of, or go to, is not to be had
        tally = work.fold()
        work.tidy(tally)
        work.leave(started_at, moved=work.shorten())
        rounds = None
        if audition is not None and broken is None and not work.is_out_of_time:
            rounds = Rounds(
                job=job,
                speaker=speaker,
                other=other,
                audition=audition,
                environment=environment,
                layout=layout,
                ledger=ledger,
                progress=progress,
                budget=work.speech.budget,
                began_at=began_at,
                chosen=work.agenda.concerned(),
            )
            tally = rounds.go()
            broken = rounds.broken
        alerts = _alerts(work, started_at) if broken is None else []
        closing = Closing(work=work, rounds=rounds, tally=tally, alerts=alerts)
        summary = closing.summarize(started_at, time.monotonic() - began_at)
        after.summary = summary
        told = msgspec.json.format(msgspec.json.encode(summary)) + b"\n"
        with disk.telling(layout.root):
            disk.replace_file(layout.summary, told, scratch=layout.scratch / "summary.json")
    if broken is not None:
        raise broken
    return summary


def _alerts(work: Work, started_at: float) -> list[Alert]:
    """Look at the canaries, if the manifest has any, and say which do not sound as they did."""
    manifest = work.agenda.manifest
    if manifest.columns.canary is None:
        return []
    column = carried_as(manifest.schema, manifest.columns.canary)
    alerts = []
    for row_id, it in look(work.layout, work.ledger, column, since=started_at):
        alerts.append(Alert(id=row_id, what=it.what, value=it.value, usual=it.usual, band=it.band))
        told = notice("canary_drifted", id=row_id, what=it.what, value=it.value, usual=it.usual)
        log.warning("canary %s: %s: has the vendor changed the model?", row_id, it, extra=told)
    return alerts


@contextmanager
def preview(
    job: Job, environment: Mapping[str, str]
) -> Iterator[tuple[Agenda, Speaker, Ledger | None]]:
    """Find out what a run would do; nothing is changed and nobody is called.

    Raises:
        UsageError: the job or its manifest is wrong.
    """
    speaker = find_speaker(job, environment, needs_key=False)
    check_is_input(job)
    layout = Layout(job.directory)
    with ExitStack() as held:
        ledger = held.enter_context(Ledger.peek(layout.ledger)) if layout.ledger.exists() else None
        yield preview_of(job, speaker, ledger, layout), speaker, ledger
