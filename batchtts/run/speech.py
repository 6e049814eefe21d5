"""The part of a run in which somebody speaks: the pool, and what stops it."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import trio

from batchtts.errors import ManifestChanged, OutputBroken, RunError, leaves
from batchtts.job.plan import DONE
from batchtts.job.settings import Job
from batchtts.job.speaker import LOCAL, Speaker
from batchtts.model import Utterance
from batchtts.notices import notice
from batchtts.run import learned, local
from batchtts.run.agenda import Agenda
from batchtts.run.books import Books
from batchtts.run.budget import Budget
from batchtts.run.crew import Crew
from batchtts.run.figures import Work
from batchtts.run.joining import Joinery
from batchtts.run.pace import Breaker, InFlight
from batchtts.run.pool import Hand, Stop, run_pool
from batchtts.run.progress import Progress, counting
from batchtts.run.reading import Part, Reading
from batchtts.run.retry import RetryPolicy
from batchtts.run.variation import Variation
from batchtts.run.worker import Outcome, Weighed, Worker
from batchtts.wire.line import Line
from batchtts.wire.session import CLOSE_S
from batchtts.wire.tape import Recorder

log = logging.getLogger("batchtts.run")

#: What a worker brings → what is recorded.
Weigh = Callable[[Outcome], Awaitable[Weighed]]
Weighing = Callable[[], AbstractAsyncContextManager[Weigh]]

PART_S = CLOSE_S + 3.0  # for sessions that are heard out, and their goodbyes


@dataclass(slots=True)
class Speech:
    """Everything that is to be spoken in one run.

    Attributes:
        began_at: When the run began, by time.monotonic().
        budget: What the run may spend.
        limit: The setting that ended it before its work was done, or None.
        signals: Those that came.
        variation: What is done otherwise than before.
        weighing: Makes what decides of each outcome whether it is wanted.
    """

    job: Job
    speaker: Speaker
    agenda: Agenda
    books: Books
    progress: Progress
    began_at: float
    budget: Budget
    limit: str | None = None
    signals: list[int] = field(default_factory=list)
    variation: Variation | None = None
    weighing: Weighing | None = None

    def speak(self) -> RunError | None:
        """Speak it; return what broke the run, if anything did."""
        done, speaker = self.agenda.count(DONE), self.speaker
        if speaker.why:
            log.info("%s", speaker.why, extra=notice("speaker_chosen"))
        if speaker.word_timestamps and not speaker.times_words:
            names = speaker.provider.name, speaker.voice.name
            told = "%s tells no times of words for %s"
            log.warning(told, *names, extra=notice("no_word_times"))
        log.info(
            "%s: %s rows, %s done, %s to speak; workers=%d provider=%s voice=%s",
            self.job.manifest.name,
            *(f"{n:,}" for n in (self.agenda.manifest.rows, done, self.agenda.to_speak)),
            *(self._workers, speaker.provider.name, speaker.voice.name),
            extra=notice("run_begins", more=self._facts()),
        )
        broken: list[RunError] = []
        self.books.figures = counting(self._work())
        self.progress.begin(self.books.figures)
        try:
            trio.run(self._run)
        except* RunError as group:
            broken.extend(leaves(group))
        finally:
            self.progress.end()
        return _gravest(broken)

    def _work(self) -> Work:
        estimated_usd, unpriced = self.agenda.cost_usd()
        return Work(
            rows=self.agenda.to_speak,
            size=self.agenda.characters_to_speak,
            estimated_usd=estimated_usd,
            unpriced=unpriced,
        )

    def _facts(self) -> dict[str, object]:
        return {
            "manifest": f"{self.job.manifest}",
            "out": f"{self.job.directory}",
            "rows": self.agenda.manifest.rows,
            "done": self.agenda.count(DONE),
            "to_speak": self.agenda.to_speak,
            "characters": self.agenda.characters_to_speak,
            "workers": self._workers,
            "provider": self.speaker.provider.name,
            "voice": self.speaker.voice.name,
            "estimated_usd": round(self.agenda.cost_usd()[0], 6),
        }

    @property
    def _workers(self) -> int:
        return min(self.speaker.workers, self.agenda.segments(self.speaker.provider.segment_chars))

    async def _run(self) -> None:
        stop = Stop(self.job.grace_s)
        async with trio.open_nursery() as services:
            if threading.current_thread() is threading.main_thread():
                await services.start(self._obey_signals, stop)
            services.start_soon(self.progress.watch)
            if self.job.max_duration_s is not None:
                services.start_soon(self._watch_clock, stop, self.job.max_duration_s)
            if self.speaker.url is None:
                await self._speak_locally(stop)
            else:
                await self._speak_through(self.speaker.url, self.speaker.key, stop)
            services.cancel_scope.cancel()

    async def _watch_clock(self, stop: Stop, most_s: float) -> None:
        await trio.sleep(max(0.0, most_s - (time.monotonic() - self.began_at)))
        self._stop_for("max_duration_s", stop)

    def _stop_for(self, limit: str, stop: Stop) -> None:
        """Begin no more rows, because of a limit."""
        if self.limit is None:
            self.limit = limit
            log.warning(
                "stopping: %s is reached; finishing what is in flight",
                limit,
                extra=notice("stopping", limit=limit, grace_s=self.job.grace_s),
            )
        stop.drain()

    async def _speak_locally(self, stop: Stop) -> None:
        """Run the pool against a server of our own, which ends whatever happens."""
        server = await local.start()
        try:
            async with trio.open_nursery() as watched:
                watched.start_soon(server.watch)
                await self._speak_through(server.url, server.key, stop)
                watched.cancel_scope.cancel()
        finally:
            await server.end()

    async def _speak_through(self, url: str, key: str | None, stop: Stop) -> None:
        """Run the pool against one address."""
        crew: Crew | None = None
        try:
            async with trio.open_nursery() as connections:
                crew = self._gather(url, key, connections, stop)
                workers = [Worker(crew, number) for number in range(self._workers)]
                record = partial(self._record, crew)
                async with self.weighing() if self.weighing else nullcontext() as weigh:
                    hands = [_hand(each, weigh) for each in workers]
                    await run_pool(self._readings(), hands, record, stop)
                for worker in workers:
                    if stop.working.cancel_called:
                        worker.hang_up()
                    else:
                        worker.part()
                connections.cancel_scope.deadline = trio.current_time() + PART_S
        finally:
            if crew is not None:
                self._learn(crew)
                with trio.CancelScope(shield=True):
                    await self._record(crew, [])  # corrections that no take came after

    def _readings(self) -> Iterator[list[Reading]]:
        """What is to be spoken, in segments; to be read in threads.

        A run that is to end in the middle keeps to the manifest.
        """
        is_limited = self.job.max_cost_usd is not None or self.job.max_duration_s is not None
        for utterances in self.agenda.batches():
            readings = [self._read(utterance) for utterance in utterances]
            for reading in readings:
                reading.is_in_order = is_limited
            yield readings

    def _read(self, utterance: Utterance) -> Reading:
        agenda, provider = self.agenda, self.speaker.provider
        said = agenda.wording.say(utterance.script, utterance.voice, agenda.casting)
        limit, variation, take = provider.segment_chars, self.variation, ""
        if variation is not None:
            take = f" take {variation.number}" if self.books.holds(utterance.row) else ""
            limit = variation.segment_chars(len(said.rendering.spoken), limit)
            if variation.stage == "other":
                utterance = replace(utterance, voice=self.speaker.voice)
        return Reading.of(
            utterance,
            said,
            limit,
            self.books.pieces,
            agenda.fingerprints,
            word_timestamps=self.speaker.word_timestamps,
            take=take,
        )

    def _gather(self, url: str, key: str | None, connections: trio.Nursery, stop: Stop) -> Crew:
        """What the workers of this run share."""
        provider, workers = self.speaker.provider, self._workers
        key_file = self.speaker.key_source if self.job.key_file else None
        line = Line.to(provider, url, key, key_file=key_file)
        most = self.speaker.in_flight
        known = learned.recall(self._pace_path, line.where, allowed=most, now=time.time())
        return Crew(
            name=self.books.name,
            provider=provider,
            line=line,
            policy=RetryPolicy(attempts=self.job.attempts),
            in_flight=InFlight(min(most, workers), known),
            breaker=Breaker(failures=4 * workers, patience_s=self.job.outage_s),
            connections=connections,
            budget=self.budget,
            begun=self.books.begun,
            path_of=self.books.store.path_of,
            pieces=self.books.pieces,
            join=Joinery(
                self.books.pieces,
                self.speaker.format,
                self.job.pauses,
                self.books.store.layout.scratch,
                trio.from_thread.check_cancelled,
            ).join,
            stop=partial(self._stop_for, "max_cost_usd", stop),
            word_timestamps=self.speaker.word_timestamps,
            options=self._options,
            pronunciations=self.agenda.wording.pronunciations,
            recorder=self._recorder(None if key == LOCAL else key),
            figures=self.books.figures,
        )

    @property
    def _options(self) -> Mapping[str, object]:
        """What the provider is asked for: another seed for another take, if it takes one."""
        options, fields = self.speaker.options, self.speaker.provider.options.__struct_fields__
        if self.variation is None or "seed" not in fields:
            return options
        return {**options, "seed": self.variation.number}

    def _learn(self, crew: Crew) -> None:
        """Tell how many requests in flight the provider took, if it refused any."""
        path, most = self._pace_path, self.speaker.in_flight
        taken = learned.keep(path, crew.line.where, crew.in_flight, allowed=most, now=time.time())
        if taken is not None:
            log.info(
                "%s took %d requests at once, of %d that it may be sent; the next run begins there",
                *(self.speaker.provider.name, taken, most),
                extra=notice("pace_learned", in_flight=taken, allowed=most),
            )

    @property
    def _pace_path(self) -> Path:
        return self.books.store.layout.pace

    def _recorder(self, key: str | None) -> Recorder | None:
        if self.job.record is None:
            return None
        return Recorder(
            directory=self.job.record,
            provider=self.speaker.provider,
            key=key,
            keeps_scripts=self.job.record_scripts,
        )

    async def _record(self, crew: Crew, outcomes: Sequence[Weighed]) -> None:
        corrections = list(crew.corrections)
        await self.books.record(outcomes, corrections)
        told = self.agenda.plan.settled  # a take may still be waiting, or there was no room for it
        crew.corrections[: len(corrections)] = [it for it in corrections if not told[it.row]]

    async def _obey_signals(
        self, stop: Stop, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                name = signal.Signals(number).name
                if self.signals:
                    told = "stopping at once: %s again; what is in flight is dropped"
                    log.warning(told, name, extra=notice("stopping", signal=name, grace_s=0))
                    stop.drop()
                else:
                    log.warning(
                        "stopping: %s; finishing what is in flight, %g s at most",
                        *(name, self.job.grace_s),
                        extra=notice("stopping", signal=name, grace_s=self.job.grace_s),
                    )
                    stop.drain()
                self.signals.append(number)


def _hand(worker: Worker, weigh: Weigh | None) -> Hand[Part, Weighed]:
    """What a worker does; what it brings is weighed first, if anybody does."""
    if weigh is None:
        return Hand(worker.take, worker.follow, worker.part)

    async def take(part: Part) -> Weighed | None:
        outcome = await worker.take(part)
        return outcome if outcome is None else await weigh(outcome)

    async def follow(outcome: Weighed) -> Weighed | None:
        more = await worker.follow(outcome)
        return more if more is None else await weigh(more)

    return Hand(take, follow, worker.part)


def _gravest(errors: Sequence[RunError]) -> RunError | None:
    """Of what broke a run together, what leaves nothing to be written down; or the first."""
    grave = [error for error in errors if isinstance(error, ManifestChanged | OutputBroken)]
    return next(iter([*grave, *errors]), None)
