"""Verifying as a whole: who listens is called, signals are heeded, results come up to date."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field, replace
from math import inf

import trio

from batchtts.errors import RunError, leaves
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout
from batchtts.record.tally import Tally
from batchtts.run.figures import Work
from batchtts.run.progress import Progress, Silent, counting
from batchtts.verify.calling import Audition, listening
from batchtts.verify.corpus import Corpus
from batchtts.verify.judging import Judge
from batchtts.verify.verification import Verification, Verified

#: What another take may mend, of rows that have no audio.
MENDABLE = ("bad_audio", "truncated")

_ROW_S = 0.5  # what a row takes beside its audio: as long as so much more of it


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of verifying.

    Attributes:
        judge: Knows what is usual for each voice.
        tally: Of the results as they are now.
        failed: Rows without audio that another take may mend → how often they were spoken.
        stopped_by: A signal that came before the end.
        is_late: Whether there was not so much time.
        broken: What has ended it before its time, if anything did.
    """

    verified: Verified
    judge: Judge
    tally: Tally
    failed: dict[str, int]
    stopped_by: signal.Signals | None = None
    is_late: bool = False
    broken: RunError | None = None


def verify(
    layout: Layout,
    ledger: Ledger,
    audition: Audition,
    progress: Progress | None = None,
    *,
    most_s: float = inf,
) -> Outcome:
    """Hear what was not heard yet, judge every row, and bring the results up to date.

    Args:
        most_s: It may take so long.

    Raises:
        UsageError: there are no results, or they are not those of the ledger.
        SettingsError: nobody can listen as it is wished for.
        RunError: the results cannot be written.
    """
    corpus = Corpus.open(layout, ledger)
    judge = Judge()
    session = _Session(corpus, judge, audition, progress or Silent(), most_s)
    try:
        broken = _listen(session)
    finally:
        session.progress.end()
        tally = corpus.amend()
    return Outcome(
        verified=session.verified,
        judge=judge,
        tally=tally,
        failed=corpus.failed(MENDABLE),
        stopped_by=session.stopped_by,
        is_late=session.is_late,
        broken=broken,
    )


@dataclass(slots=True)
class _Session:
    """One time of listening, which a signal may end."""

    corpus: Corpus
    judge: Judge
    audition: Audition
    progress: Progress
    most_s: float
    verified: Verified = field(default_factory=Verified)
    stopped_by: signal.Signals | None = None
    is_late: bool = False

    async def run(self) -> None:
        with trio.move_on_after(self.most_s) as scope:
            await self._run()
        self.is_late = scope.cancelled_caught

    async def _run(self) -> None:
        async with trio.open_nursery() as services:
            if threading.current_thread() is threading.main_thread():
                await services.start(self._obey, services.cancel_scope)
            services.start_soon(self.progress.watch)
            await self._listen()
            services.cancel_scope.cancel()

    async def _listen(self) -> None:
        corpus = self.corpus
        work = Work(rows=corpus.count, size=corpus.audio_s, unit="seconds", label="verifying")
        figures = counting(replace(work, row_size=_ROW_S))
        self.progress.begin(figures)
        async with listening(self.audition) as listener:
            self.judge.expects(listener.ear)
            await Verification(
                corpus=corpus,
                listener=listener,
                judge=self.judge,
                figures=figures,
                done=self.verified,
            ).verify()

    async def _obey(
        self,
        scope: trio.CancelScope,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                self.stopped_by = signal.Signals(number)
                scope.cancel()
                return


def _listen(session: _Session) -> RunError | None:
    """Listen; return what has ended it before its time, if anything did."""
    try:
        trio.run(session.run)
    except RunError as error:
        return error
    except BaseExceptionGroup as group:
        found = leaves(group)
        broken = next((it for it in found if isinstance(it, RunError)), None)
        if broken is None:
            raise found[0] from None
        return broken
    return None
