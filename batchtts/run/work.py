"""One pass over the rows of a job, from its plan to its results."""

from __future__ import annotations

import logging
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

import batchtts
from batchtts.errors import ManifestChanged, OutputBroken, RunError, SettingsError
from batchtts.job.manifest import Manifest
from batchtts.job.plan import DONE, Ints
from batchtts.job.settings import Job
from batchtts.job.speaker import Speaker, no_price
from batchtts.notices import notice
from batchtts.record.begun import Begun
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION as LEDGER_VERSION
from batchtts.record.lines import Header
from batchtts.record.pieces import Pieces
from batchtts.record.results import Fold
from batchtts.record.store import Layout, Store
from batchtts.record.tally import Tally
from batchtts.run.agenda import Agenda
from batchtts.run.books import Books
from batchtts.run.budget import Budget
from batchtts.run.contest import contested_names
from batchtts.run.cutoff import Terminated, heeding_sigterm
from batchtts.run.memory import recall
from batchtts.run.outset import Outset, set_out, speak_again, unlike_recorded
from batchtts.run.progress import Progress
from batchtts.run.resume import FEWEST_ROWS, leave
from batchtts.run.speech import Speech, Weighing
from batchtts.run.variation import Variation

log = logging.getLogger("batchtts.run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retake:
    """How rows are spoken once more.

    Attributes:
        speaker: Who speaks them; whose they are is as it was.
        weighing: Makes what decides whether a take is better than what is there.
    """

    speaker: Speaker
    variation: Variation
    weighing: Callable[[Books], Weighing]


def begin(
    job: Job,
    speaker: Speaker,
    manifest: Manifest | None,
    layout: Layout,
    ledger: Ledger,
    progress: Progress,
    began_at: float,
    budget: Budget | None = None,
    retake: Retake | None = None,
) -> Work:
    """Put in order what is there, and find out what there is to do.

    Args:
        began_at: When the run began, by time.monotonic().
        budget: What it may still spend, if others have spent of it.
    """
    if not ledger.mark and (layout.root / speaker.format.container).is_dir():
        told = "%s has audio and no ledger that tells of it: all rows are spoken"
        log.warning(told, layout.root, extra=notice("ledger_missing"))
    outset = set_out(job, speaker, ledger, layout, manifest)
    agenda = outset.agenda
    _check_prices(agenda)
    begun = Begun(layout.begun)
    begun.clear()
    if outset.contested is None and agenda.plan.to_do:
        outset.contested = contested_names(agenda.manifest, agenda.memory.names())
    if not job.prune:
        agenda.forget()
    books = Books(
        name=secrets.token_hex(4),
        ledger=ledger,
        store=Store(layout, speaker.format, agenda.manifest.rows, outset.contested or frozenset()),
        begun=begun,
        pieces=Pieces(layout.pieces),
        agenda=agenda,
        cost=(retake.speaker if retake else speaker).provider.cost_usd,
    )
    budget = budget or Budget(job.max_cost_usd)
    speech = Speech(job, speaker, agenda, books, progress, began_at, budget)
    if retake is not None:
        speech.speaker, speech.variation = retake.speaker, retake.variation
        speech.weighing = retake.weighing(books)
    return Work(job, speaker, outset, layout, ledger, books, speech)


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


@dataclass(slots=True)
class Work:
    """One run from its plan to its results."""

    job: Job
    speaker: Speaker
    outset: Outset
    layout: Layout
    ledger: Ledger
    books: Books
    speech: Speech
    estimated_usd: float = 0.0
    left_again: int = 0
    rows_begun: int = 0
    cut_off_by: signal.Signals | None = None  # when nobody was speaking

    @property
    def agenda(self) -> Agenda:
        """What is to be done now."""
        return self.outset.agenda

    def work(self) -> RunError | None:
        """Do what is to be done; return what broke the run, if anything did."""
        self.books.begin(self._header())
        broken = self._do() if self.agenda.plan.to_do else None
        if broken is None and self.outset.is_unseen and not self.is_stopped:
            broken = self._speak_lost()
        if self.job.prune and broken is None:  # now that nobody needs it any more
            self.books.prune(self.agenda.unneeded())
        return broken

    def _do(self) -> RunError | None:
        self.books.expect(self.agenda.shared.addresses)
        self.books.refuse(self.speaker.provider.name)
        missing = self.books.share(self.agenda.spoken_before())
        if missing:
            self.agenda.not_there(np.array(missing, dtype=np.int64))
        self.rows_begun += self.agenda.to_speak
        self.estimated_usd += self.agenda.cost_usd()[0]
        broken = self.speech.speak() if self.agenda.to_speak else None
        if not isinstance(broken, ManifestChanged | OutputBroken):
            self.books.give_up()
            unshared = self.books.share(self.agenda.spoken_for())
            if unshared:
                broken = broken or _lost(len(unshared))
            self.left_again = self.agenda.keep() - self.books.spoken.kept
        return broken

    @property
    def is_stopped(self) -> bool:
        """Whether no more rows are to be begun."""
        return bool(self.speech.signals) or self.speech.limit is not None or self.agenda.is_cut

    @property
    def is_out_of_time(self) -> bool:
        """Whether nothing that takes long is to be begun."""
        return bool(self.speech.signals or self.cut_off_by) or self.speech.limit == "max_duration_s"

    def _speak_lost(self) -> RunError | None:
        """Look at the files that were not looked at yet, and speak what proves to be lost."""
        ground = self.outset.ground
        done = self.agenda.count(DONE) - self.books.spoken.rows - self.books.spoken.shared
        told = "looking at the files of %s rows that were done before"
        log.info(told, f"{done:,}", extra=notice("files_seen", files=done))
        try:
            with heeding_sigterm():
                lost, has_renewed = unlike_recorded(ground, self.ledger, self.layout)
        except KeyboardInterrupt as stopped:
            self._cut_off(signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)
            return None
        self.outset.has_renewed |= has_renewed
        if not len(lost):
            return None
        job = self.job
        if job.limit is not None:
            job = msgspec.structs.replace(job, limit=job.limit - self.rows_begun)
        agenda = speak_again(ground, job, self.speaker, lost)
        try:
            _check_prices(agenda)
        except SettingsError as error:
            return RunError(f"{error}", hint=error.hint)
        self.books.turn_to(agenda, name=secrets.token_hex(4))
        self.speech.agenda = agenda
        return self._do()

    def _cut_off(self, number: signal.Signals) -> None:
        self.cut_off_by, self.outset.has_renewed = number, True
        told = "stopping: %s; the next run looks at the files instead"
        log.warning(told, number.name, extra=notice("stopping", signal=number.name, grace_s=0))

    def fold(self) -> Tally:
        """Bring results.parquet up to date with the ledger."""
        fold = Fold(
            manifest=self.outset.manifest,
            ledger=self.ledger,
            told=self.outset.ground.facts,
            layout=self.layout,
            version=batchtts.__version__,
        )
        was_damaged = bool(self.agenda.memory.damaged)
        return (None if was_damaged else fold.tally()) or fold.write()

    def tidy(self, tally: Tally) -> None:
        """Remove the segments of rows that are not whole, if there are no such rows."""
        may_need = tally.status["failed"] or self.books.spoken.kept or self.job.retakes
        if not (self.is_left(tally) or may_need):
            self.books.pieces.clear()

    def shorten(self) -> Ints | None:
        """Fold the ledger into a snapshot if it has grown long.

        Returns:
            What was the address of each line of the snapshot, if there is a new one.
        """
        if self.ledger.unfolded_bytes <= self.job.snapshot_bytes:
            return None
        past = recall(self.ledger).past
        self.ledger.fold(self._header(), past.in_order())
        return np.sort(past.addresses)

    def leave(self, read_at: float, moved: Ints | None) -> None:
        """Leave word of how things stand, unless somebody else has and it is still so."""
        outset = self.outset
        is_plain = not (outset.has_renewed or self.job.prune)
        if is_plain and self.outset.manifest.rows >= FEWEST_ROWS:
            leave(
                outset.ground,
                job=self.job,
                speaker=self.speaker,
                ledger=self.ledger,
                layout=self.layout,
                contested=outset.contested,
                read_at=read_at,
                moved=moved,
            )

    def is_left(self, tally: Tally) -> bool:
        """Whether work is left: rows that are not done, or were to be spoken again."""
        return tally.status["pending"] + self.left_again > 0

    def _header(self) -> Header:
        return Header(
            ledger=LEDGER_VERSION,
            manifest=str(self.job.manifest.resolve()),
            batchtts=batchtts.__version__,
            created_at=time.time(),
        )
