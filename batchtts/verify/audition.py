"""Verifying as a whole: who listens is called, signals are heeded, results come up to date."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import trio

from batchtts.errors import RunError, leaves
from batchtts.job.hearer import Wish
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout
from batchtts.record.tally import Tally
from batchtts.run.figures import Work
from batchtts.run.progress import Progress, Silent, counting
from batchtts.verify.corpus import Corpus
from batchtts.verify.judging import Judge
from batchtts.verify.listening import Listener
from batchtts.verify.verification import Verification, Verified

#: What another take may mend, of rows that have no audio.
MENDABLE = ("bad_audio", "truncated")

_ROW_S = 0.5  # what a row takes beside its audio: as long as so much more of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Audition:
    """Who is wanted to listen.

    Attributes:
        ear: None if no words are to be heard.
        second: Asked before a row fails; None is whoever is installed, ``none`` is nobody.
        mos: Whether it is wanted how natural it sounds.
    """

    ear: Wish | None
    second: str | None = None
    whisper_model: str | None = None
    mos: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of verifying.

    Attributes:
        judge: Knows what is usual for each voice.
        tally: Of the results as they are now.
        failed: Rows without audio that another take may mend → how often they were spoken.
        stopped_by: A signal that came before the end.
    """

    verified: Verified
    judge: Judge
    tally: Tally
    failed: dict[str, int]
    stopped_by: signal.Signals | None = None


@asynccontextmanager
async def listening(audition: Audition) -> AsyncIterator[Listener]:
    """Call who is wanted to listen.

    Raises:
        SettingsError: somebody is not there.
    """
    yield Listener(compare=lambda script, transcript, language: (0.0, 0.0, None))


def verify(
    layout: Layout, ledger: Ledger, audition: Audition, progress: Progress | None = None
) -> Outcome:
    """Hear what was not heard yet, judge every row, and bring the results up to date.

    Raises:
        UsageError: there are no results, or they are not those of the ledger.
        SettingsError: nobody can listen as it is wished for.
        RunError: nothing can be heard any more, or nothing written.
    """
    corpus = Corpus.open(layout, ledger)
    judge = Judge()
    session = _Session(corpus, judge, audition, progress or Silent())
    try:
        trio.run(session.run)
    except BaseExceptionGroup as group:
        raise _gravest(group) from None
    finally:
        session.progress.end()
        tally = corpus.amend()
    return Outcome(session.verified, judge, tally, corpus.failed(MENDABLE), session.stopped_by)


@dataclass(slots=True)
class _Session:
    """One time of listening, which a signal may end."""

    corpus: Corpus
    judge: Judge
    audition: Audition
    progress: Progress
    verified: Verified = field(default_factory=Verified)
    stopped_by: signal.Signals | None = None

    async def run(self) -> None:
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


def _gravest(group: BaseExceptionGroup) -> BaseException:
    found = leaves(group)
    return next((it for it in found if isinstance(it, RunError)), found[0])
