"""Verifying as a whole: who listens is called, signals are heeded, results come up to date."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from batchtts.errors import RunError, leaves
from batchtts.job.hearer import Wish
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout
from batchtts.record.tally import Tally
from batchtts.verify.corpus import Corpus
from batchtts.verify.judging import Judge
from batchtts.verify.listening import Listener
from batchtts.verify.verification import Verification, Verified

#: What another take may mend, of rows that have no audio.
MENDABLE = ("bad_audio", "truncated")


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
    layout: Layout,
    ledger: Ledger,
    audition: Audition,
    tell: Callable[[float], None] = lambda audio_s: None,
    begin: Callable[[int, float], None] = lambda rows, audio_s: None,
) -> Outcome:
    """Hear what was not heard yet, judge every row, and bring the results up to date.

    Args:
        begin: Called with the rows that have audio, and its seconds.
        tell: Called with the seconds of audio of each row that was listened to.

    Raises:
        UsageError: there are no results, or they are not those of the ledger.
        SettingsError: nobody can listen as it is wished for.
        RunError: nothing can be heard any more, or nothing written.
    """
    corpus = Corpus.open(layout, ledger)
    begin(corpus.count, corpus.audio_s)
    watch = _Watch()
    judge = Judge()
    verification: list[Verification] = []

    async def work() -> None:
        async with listening(audition) as listener:
            judge.expects(listener.ear)
            each = Verification(corpus=corpus, listener=listener, judge=judge, tell=tell)
            verification.append(each)
            await each.verify()

    try:
        trio.run(watch.heeding, work)
    except BaseExceptionGroup as group:
        raise _gravest(group) from None
    finally:
        tally = corpus.amend()
    done = verification[0].done if verification else Verified()
    return Outcome(done, judge, tally, corpus.failed(MENDABLE), watch.stopped_by)


@dataclass(slots=True)
class _Watch:
    """Ends work when a signal comes."""

    stopped_by: signal.Signals | None = None

    async def heeding(self, work: Callable[[], Awaitable[None]]) -> None:
        async with trio.open_nursery() as services:
            if threading.current_thread() is threading.main_thread():
                await services.start(self._obey, services.cancel_scope)
            await work()
            services.cancel_scope.cancel()

    async def _obey(self, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                self.stopped_by = signal.Signals(number)
                scope.cancel()
                return


def _gravest(group: BaseExceptionGroup) -> BaseException:
    found = leaves(group)
    return next((it for it in found if isinstance(it, RunError)), found[0])
