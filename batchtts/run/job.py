"""A whole job, read top to bottom."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import msgspec
import numpy as np

import batchtts
from batchtts.errors import Exit, ManifestChanged, OutputBroken, RunError, UsageError
from batchtts.job.manifest import Manifest, scan
from batchtts.job.settings import Job, check
from batchtts.job.speaker import Speaker, find_speaker, no_price
from batchtts.notices import notice
from batchtts.record import disk
from batchtts.record.begun import Begun
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION as LEDGER_VERSION
from batchtts.record.lines import Header
from batchtts.record.results import Fold, Tally
from batchtts.record.store import Layout, Store, occupy
from batchtts.run.aftermath import Aftermath, aftermath
from batchtts.run.agenda import Agenda, contested_names, drop_lost, survey
from batchtts.run.books import Books
from batchtts.run.memory import recall
from batchtts.run.mending import put_in_order
from batchtts.run.progress import Progress, Silent
from batchtts.run.speech import Speech
from batchtts.run.summary import Summary
from batchtts.wire.tape import prepare

log = logging.getLogger("batchtts.run")

#: Settings that leave rows out of every run that has them.
_LEAVING = ("sample", "again")


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
    if job.record is not None:
        prepare(job.record)
    with ExitStack() as held:
        if Layout(job.directory).private.is_dir():
            layout = held.enter_context(occupy(job.directory))
            manifest = _read(job)
        else:
            manifest = _read(job)
            layout = held.enter_context(occupy(job.directory))
        ledger = held.enter_context(Ledger.open(layout.ledger))
        work = _begin(job, speaker, manifest, layout, ledger, progress, began_at)
        held.enter_context(work.books.begun)
        broken = work.work()
        if isinstance(broken, ManifestChanged | OutputBroken):
            raise broken  # what the results are made of, or go to, is not to be had
        tally = work.fold()
        summary = work.summarize(tally, started_at, time.monotonic() - began_at)
        after.summary = summary
        told = msgspec.json.format(msgspec.json.encode(summary)) + b"\n"
        with disk.telling(layout.root):
            disk.replace_file(layout.summary, told, scratch=layout.scratch / "summary.json")
        work.shorten()
    if broken is not None:
        raise broken
    return summary


def _read(job: Job) -> Manifest:
    own = [job.directory / name for name in ("failed.parquet", "results.parquet")]
    if job.manifest.resolve() in [path.resolve() for path in own]:
        raise UsageError(
            f"{job.manifest} is what runs in {job.directory} write",
            hint="run the job itself: what failed is tried again; or name another --out",
        )
    manifest = scan(job.manifest, job.columns)
    if manifest.columns.id is None:
        numbered = "%s has no id column: ids are row numbers, from 1"
        log.info(numbered, job.manifest, extra=notice("no_id_column"))
    return manifest


def _begin(
    job: Job,
    speaker: Speaker,
    manifest: Manifest,
    layout: Layout,
    ledger: Ledger,
    progress: Progress,
    began_at: float,
) -> _Work:
    """Put in order what is there, and find out what there is to do."""
    if not ledger.mark and (layout.root / speaker.format.container).is_dir():
        told = "%s has audio and no ledger that tells of it: all rows are spoken"
        log.warning(told, layout.root, extra=notice("ledger_missing"))
    memory = put_in_order(ledger, layout)
    agenda = survey(job, speaker, manifest, memory)
    renewed = drop_lost(agenda, ledger, layout.root)
    if renewed:
        ledger.append(renewed)
    agenda.choose()
    _check_prices(agenda)
    begun = Begun(layout.begun)
    begun.clear()
    contested = contested_names(agenda) if agenda.plan.to_do else frozenset()
    books = Books(
        name=secrets.token_hex(4),
        ledger=ledger,
        store=Store(layout, speaker.format, manifest.rows, contested),
        begun=begun,
        agenda=agenda,
        tell=progress.add,
    )
    speech = Speech(job, speaker, agenda, books, progress, began_at)
    return _Work(job, speaker, agenda, layout, ledger, books, speech)


def _lost(rows: int) -> RunError:
    """Audio was removed by somebody before other rows had it, too."""
    return RunError(
        f"{rows:,} rows have no audio: the files that they were to share are not there any more",
        hint="run the same command again",
    )


def _check_prices(agenda: Agenda) -> None:
    """Refuse a budget that cannot be kept.

    Raises:
        SettingsError: the price of a model is not known.
    """
    provider = agenda.casting.provider
    if agenda.job.max_cost_usd is not None:
        for model in agenda.characters_by_model():
            if provider.cost_usd(model, 1) is None:
                raise no_price(provider, model)


@contextmanager
def preview(
    job: Job, environment: Mapping[str, str]
) -> Iterator[tuple[Agenda, Speaker, Ledger | None]]:
    """Find out what a run would do; nothing is changed and nobody is called.

    Raises:
        UsageError: the job or its manifest is wrong.
    """
    speaker = find_speaker(job, environment, needs_key=False)
    manifest = _read(job)
    path = Layout(job.directory).ledger
    with ExitStack() as held:
        ledger = held.enter_context(Ledger.peek(path)) if path.exists() else None
        agenda = survey(job, speaker, manifest, recall(ledger))
        if ledger is not None:
            drop_lost(agenda, ledger, job.directory)
        agenda.choose()
        yield agenda, speaker, ledger


@dataclass(slots=True)
class _Work:
    """One run from its plan to its results."""

    job: Job
    speaker: Speaker
    agenda: Agenda
    layout: Layout
    ledger: Ledger
    books: Books
    speech: Speech
    estimated_usd: float = 0.0
    left_again: int = 0

    def work(self) -> RunError | None:
        """Do what is to be done; return what broke the run, if anything did."""
        self.books.begin(self._header())
        broken = self._do() if self.agenda.plan.to_do else None
        if self.job.prune and broken is None:  # now that nobody needs it any more
            self.books.prune(self.agenda.unneeded())
        return broken

    def _do(self) -> RunError | None:
        self.books.expect(self.agenda.shared.addresses)
        self.books.refuse(self.speaker.provider.name)
        missing = self.books.share(self.agenda.spoken_before())
        if missing:
            self.agenda.not_there(np.array(missing, dtype=np.int64))
        self.estimated_usd, _ = self.agenda.cost_usd()
        broken = self.speech.speak() if self.agenda.to_speak else None
        if not isinstance(broken, ManifestChanged | OutputBroken):
            self.books.give_up()
            unshared = self.books.share(self.agenda.spoken_for())
            if unshared:
                broken = broken or _lost(len(unshared))
            self.left_again = self.agenda.keep() - self.books.spoken.kept
        return broken

    def fold(self) -> Tally:
        """Bring results.parquet up to date with the ledger."""
        plan = self.agenda.plan
        fold = Fold(
            manifest=self.agenda.manifest,
            ledger=self.ledger,
            addresses=plan.addresses,
            characters_sent=plan.characters_sent,
            costs_usd=plan.costs_usd,
            layout=self.layout,
            version=batchtts.__version__,
        )
        was_damaged = bool(self.agenda.memory.damaged)
        return (None if was_damaged else fold.tally()) or fold.write()

    def shorten(self) -> None:
        """Fold the ledger into a snapshot if it has grown long."""
        if self.ledger.unfolded_bytes <= self.job.snapshot_bytes:
            return
        past = recall(self.ledger).past
        self.ledger.fold(self._header(), past.in_order())

    def summarize(self, tally: Tally, started_at: float, wall_s: float) -> Summary:
        """Put the run in figures."""
        return Summary(
            manifest=str(self.job.manifest),
            out=str(self.layout.root),
            provider=self.speaker.provider.name,
            rows=tally.rows,
            done=tally.status["done"],
            failed=tally.status["failed"],
            pending=tally.status["pending"],
            spoken=self.books.spoken.rows,
            shared=self.books.spoken.shared,
            audio_s=round(tally.audio_s, 3),
            spoken_audio_s=round(self.books.spoken.audio_s, 3),
            characters_sent=self.books.spoken.characters,
            spent_usd=round(self.books.spoken.cost_usd, 6),
            estimated_usd=round(self.estimated_usd, 6),
            cost_usd=round(tally.cost_usd, 6),
            unpriced=tally.unpriced,
            limit=self._limit(tally),
            wall_s=round(wall_s, 3),
            started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started_at)),
            exit_code=self._exit_code(tally),
            batchtts=batchtts.__version__,
        )

    def _is_left(self, tally: Tally) -> bool:
        """Whether work is left: rows that are not done, or were to be spoken again."""
        return tally.status["pending"] + self.left_again > 0

    def _limit(self, tally: Tally) -> str | None:
        """The setting because of which rows are left, or None."""
        if not self._is_left(tally):
            return None
        if self.speech.limit is not None or self.agenda.is_cut:
            return self.speech.limit or "limit"
        leaving = (name for name in _LEAVING if getattr(self.job, name))
        return next(leaving, None) if self.agenda.left_out else None

    def _exit_code(self, tally: Tally) -> Exit:
        if self._is_left(tally) and self.speech.signals:
            interrupted = self.speech.signals[0] == signal.SIGINT
            return Exit.INTERRUPTED if interrupted else Exit.TERMINATED
        if self._limit(tally) is not None:
            return Exit.LIMIT
        return Exit.SOME_FAILED if tally.status["failed"] else Exit.DONE

    def _header(self) -> Header:
        return Header(
            ledger=LEDGER_VERSION,
            manifest=str(self.job.manifest.resolve()),
            batchtts=batchtts.__version__,
            created_at=time.time(),
        )
