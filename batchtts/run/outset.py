"""How a run sets out: what is read, what there is to do, and when the files are looked at.

Whether the audio of finished rows is still there is seen before anything is spoken, as
long as they are not so many that this would take minutes: then what is known to be
missing is spoken first.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from batchtts.errors import UsageError
from batchtts.job.manifest import Manifest, scan
from batchtts.job.plan import DONE, NEW, Ints
from batchtts.job.settings import Job
from batchtts.job.speaker import Speaker
from batchtts.notices import notice
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout
from batchtts.run.agenda import Agenda
from batchtts.run.ground import Ground
from batchtts.run.memory import recall
from batchtts.run.mending import find_lost, put_in_order
from batchtts.run.resume import resume
from batchtts.run.survey import consider, drop_lost, survey, tell_lost

log = logging.getLogger("batchtts.run")

#: Where more rows are done, their files are looked at when what is missing is spoken.
LOOKED_AT_FIRST = 100_000

#: Where more rows are done, a preview looks at no file.
LOOKED_AT_IN_PREVIEW = 1_000_000


@dataclass(slots=True)
class Outset:
    """Where a run begins.

    Attributes:
        contested: hash() of file names that more than one id would have; None if nobody
            had to find out.
        is_unseen: Whether the files of finished rows are still to be looked at.
        has_renewed: Whether lines were written that no row's facts tell of.
    """

    ground: Ground
    contested: frozenset[int] | None = None
    is_unseen: bool = False
    has_renewed: bool = False

    @property
    def agenda(self) -> Agenda:
        """What is to be done now."""
        return self.ground.agendas[-1]

    @property
    def manifest(self) -> Manifest:
        """What the rows are of."""
        return self.agenda.manifest


def read(job: Job) -> Manifest:
    """Read the manifest of a job from end to end.

    Raises:
        UsageError: it cannot be used.
    """
    manifest = scan(job.manifest, job.columns, speakers=bool(job.voices))
    tell_numbered(manifest)
    return manifest


def check_is_input(job: Job) -> None:
    """Refuse what runs write as what a run reads.

    Raises:
        UsageError: it is that.
    """
    own = [job.directory / name for name in ("failed.parquet", "results.parquet")]
    if job.manifest.resolve() in [path.resolve() for path in own]:
        raise UsageError(
            f"{job.manifest} is what runs in {job.directory} write",
            hint="run the job itself: what failed is tried again; or name another --out",
        )


def tell_numbered(manifest: Manifest) -> None:
    """Say so if the rows have no ids of their own."""
    if manifest.columns.id is None:
        numbered = "%s has no id column: ids are row numbers, from 1"
        log.info(numbered, manifest.path, extra=notice("no_id_column"))


def set_out(
    job: Job, speaker: Speaker, ledger: Ledger, layout: Layout, manifest: Manifest | None
) -> Outset:
    """Put in order what is there, and find out what there is to do.

    Args:
        manifest: None if it was not read yet.

    Raises:
        UsageError: the job or its manifest is wrong.
        OutputBroken: something could not be put in order.
    """
    resumed = resume(job, speaker, ledger, layout, mends=True) if manifest is None else None
    if resumed is not None and not _lacks_names(resumed.contested, resumed.ground.agendas[0]):
        tell_numbered(resumed.ground.agendas[0].manifest)
        outset = Outset(resumed.ground, resumed.contested)
    else:
        manifest = manifest or read(job)
        outset = Outset(
            Ground(None, [survey(job, speaker, manifest, put_in_order(ledger, layout))])
        )
    agenda = outset.agenda
    needs_all = job.again or job.sample is not None or job.prune or agenda.memory.damaged
    is_long = agenda.plan.to_do and agenda.count(DONE) > LOOKED_AT_FIRST
    outset.is_unseen = bool(is_long and not needs_all)
    outset.has_renewed = _see(outset, job, speaker, ledger, layout, renews=True)
    if _lacks_names(outset.contested, outset.agenda):
        return set_out(job, speaker, ledger, layout, read(job))
    outset.agenda.choose()
    return outset


def _lacks_names(contested: frozenset[int] | None, agenda: Agenda) -> bool:
    """Whether names are given that others may have, and it is not known which."""
    return contested is None and agenda.rows is not None and agenda.plan.to_do > 0


def preview_of(job: Job, speaker: Speaker, ledger: Ledger | None, layout: Layout) -> Agenda:
    """Find out what there is to do, and change nothing.

    Raises:
        UsageError: the job or its manifest is wrong.
    """
    resumed = ledger and resume(job, speaker, ledger, layout, mends=False)
    if resumed:
        outset = Outset(resumed.ground)
        tell_numbered(outset.manifest)
    else:
        outset = Outset(Ground(None, [survey(job, speaker, read(job), recall(ledger))]))
    if ledger is not None:
        done = outset.agenda.count(DONE)
        outset.is_unseen = done > LOOKED_AT_IN_PREVIEW
        if outset.is_unseen:
            told = "%s rows are done: whether their files are there is for a run to see"
            log.info(told, f"{done:,}", extra=notice("files_not_seen", rows=done))
        _see(outset, job, speaker, ledger, layout, renews=False)
    outset.agenda.choose()
    return outset.agenda


def _see(
    outset: Outset, job: Job, speaker: Speaker, ledger: Ledger, layout: Layout, *, renews: bool
) -> bool:
    """Plan rows again whose files are not as recorded; if these are for later, few are looked at.

    Args:
        renews: Whether the new times of files are written down.

    Returns:
        Whether any file has a new time.
    """
    agenda, has_renewed = outset.agenda, False
    if agenda.rows is not None and not outset.is_unseen:
        lost, has_renewed = unlike_recorded(outset.ground, ledger, layout, renews=renews)
        if len(lost):
            rows = np.union1d(agenda.rows, lost)
            others = agenda.manifest.rows - len(rows)
            agenda = reconsider(outset.ground, job, speaker, rows, others_done=others)
            outset.ground.agendas[:] = [agenda]
    if agenda.rows is not None or not outset.is_unseen:
        renewed = drop_lost(agenda, ledger, layout.root)
        if renewed and renews:
            ledger.append(renewed)
        has_renewed |= bool(renewed)
    return has_renewed


def unlike_recorded(
    ground: Ground, ledger: Ledger, layout: Layout, *, renews: bool = True
) -> tuple[Ints, bool]:
    """Look at the files of the rows that are done and that no agenda has dealt with.

    Returns:
        The rows whose audio is gone or not what was recorded, ascending, and whether
        any file has a new time.
    """
    found, has_renewed = [np.empty(0, np.int64)], False
    for rows, addresses in ground.untouched():
        lost, renewed = find_lost(ledger, layout.root, addresses, thorough=False)
        if renewed and renews:
            ledger.append(renewed)
        has_renewed |= bool(renewed)
        found.append(rows[lost])
    return np.concatenate(found), has_renewed


def reconsider(
    ground: Ground, job: Job, speaker: Speaker, rows: Ints, *, others_done: int
) -> Agenda:
    """Consider rows that are known already."""
    first = ground.agendas[0]
    return consider(
        job,
        speaker,
        first.manifest,
        rows,
        ground.of(rows),
        ground.left,
        memory=first.memory,
        others_done=others_done,
        told_of=ground.told_of,
    )


def speak_again(ground: Ground, job: Job, speaker: Speaker, lost: Ints) -> Agenda:
    """Consider rows whose audio proved to be lost, and nothing but these."""
    done = ground.agendas[0].count(DONE)
    agenda = reconsider(ground, job, speaker, lost, others_done=done - len(lost))
    tell_lost(len(lost))
    agenda.lost = agenda.plan.addresses.copy()
    agenda.plan.reopen(np.arange(len(lost)), NEW)
    ground.agendas.append(agenda)
    agenda.choose()
    return agenda
