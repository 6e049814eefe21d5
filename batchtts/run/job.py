"""A whole job, read top to bottom."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec

import msgspec
import trio

import batchtts
from batchtts.errors import Exit, ManifestChanged, OutputBroken, RunError, leaves
from batchtts.job.manifest import scan
from batchtts.job.plan import DONE, FAILED
from batchtts.job.settings import LOCAL, Job, Speaker, check, choose_speaker
from batchtts.model import Result, Take, Utterance
from batchtts.record import disk
from batchtts.record.ledger import VERSION as LEDGER_VERSION
from batchtts.record.ledger import Header, Ledger
from batchtts.record.results import Fold, Tally
from batchtts.record.store import Layout, Store, occupy
from batchtts.run import local
from batchtts.run.agenda import Agenda, drop_lost, survey
from batchtts.run.pace import Breaker, InFlight
from batchtts.run.pool import Stop, run_pool
from batchtts.run.progress import Progress, Silent
from batchtts.run.retry import RetryPolicy
from batchtts.run.worker import Crew, Worker
from batchtts.wire.line import Line
from batchtts.wire.session import CLOSE_S
from batchtts.wire.tape import Recorder, prepare

log = logging.getLogger("batchtts.run")

PART_S = CLOSE_S + 3.0  # for sessions that are heard out, and their goodbyes


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in figures; also OUT/summary.json.

    Attributes:
        spoken: Rows that this run finished; *done* counts those of all runs.
        audio_s, cost_usd: Of all rows; the cost includes attempts that failed.
        unpriced: Rows whose model has no known price; the cost is without them.
        spoken_audio_s, wall_s: Of this run.
    """

    manifest: str
    out: str
    provider: str
    rows: int
    done: int
    failed: int
    pending: int
    spoken: int
    audio_s: float
    spoken_audio_s: float
    cost_usd: float
    unpriced: int
    wall_s: float
    started_at: str
    exit_code: int
    batchtts: str


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
    progress = progress or Silent()
    began_at, started_at = time.monotonic(), time.time()
    job = check(job)
    speaker = find_speaker(job, environment)
    if job.record is not None:
        prepare(job.record)
    manifest = scan(job.manifest, job.columns)
    if manifest.columns.id is None:
        log.info("%s has no id column: ids are row numbers, from 1", job.manifest)
    with occupy(job.directory) as layout, Ledger.open(layout.ledger) as ledger:
        agenda = survey(job, speaker, manifest, ledger)
        drop_lost(agenda, ledger, layout.root)
        work = _Work(job, speaker, agenda, layout, ledger, progress)
        broken = work.speak() if agenda.plan.to_do else None
        if isinstance(broken, ManifestChanged | OutputBroken):
            raise broken  # what the results are made of, or go to, is not to be had
        tally = work.fold()
        summary = work.summarize(tally, started_at, time.monotonic() - began_at)
        told = msgspec.json.format(msgspec.json.encode(summary)) + b"\n"
        with disk.telling(layout.root):
            disk.replace_file(layout.summary, told, scratch=layout.scratch / "summary.json")
    if broken is not None:
        raise broken
    return summary


def find_speaker(job: Job, environment: Mapping[str, str]) -> Speaker:
    """Decide who speaks, knowing what is installed here.

    Raises:
        SettingsError: nobody can, as the job has it.
    """
    return choose_speaker(job, environment, has_hibari=find_spec("hibari") is not None)


def preview(job: Job, environment: Mapping[str, str]) -> Agenda:
    """Find out what a run would do; nothing is changed and nobody is called.

    Raises:
        UsageError: the job or its manifest is wrong.
    """
    speaker = find_speaker(job, environment)
    manifest = scan(job.manifest, job.columns)
    path = Layout(job.directory).ledger
    if not path.exists():
        return survey(job, speaker, manifest, None)
    with Ledger.peek(path) as ledger:
        agenda = survey(job, speaker, manifest, ledger)
        drop_lost(agenda, ledger, job.directory)
        return agenda


@dataclass(slots=True)
class _Work:
    """One run from its plan to its results."""

    job: Job
    speaker: Speaker
    agenda: Agenda
    layout: Layout
    ledger: Ledger
    progress: Progress
    spoken: int = 0
    spoken_audio_s: float = 0.0
    signals: list[int] = field(default_factory=list)

    def speak(self) -> RunError | None:
        """Speak what is to be spoken; return what broke the run, if anything did."""
        plan = self.agenda.plan
        self._begin_ledger()
        self._record_refusals()
        if not self.agenda.to_speak:
            return None
        if self.speaker.why:
            log.info("%s", self.speaker.why)
        if self.speaker.word_timestamps and not self.speaker.times_words:
            voice = self.speaker.voice
            log.warning("%s tells no times of words for %s", self.speaker.provider.name, voice.name)
        log.info(
            "%s: %s rows, %s done, %s to speak; workers=%d provider=%s voice=%s",
            self.job.manifest.name,
            *(f"{n:,}" for n in (len(plan.kinds), plan.count(DONE), self.agenda.to_speak)),
            *(self._workers, self.speaker.provider.name, self.speaker.voice.name),
        )
        broken: list[RunError] = []
        self.progress.begin(self.agenda.to_speak, self.agenda.characters_to_speak)
        try:
            trio.run(self._run)
        except* RunError as group:
            broken.extend(leaves(group))
        finally:
            self.progress.end()
        return broken[0] if broken else None

    def _record_refusals(self) -> None:
        """Write down the rows that no provider will be asked for, once and for all."""
        for refused in self.agenda.refusals():
            now = time.time()
            results = [_refuse(row, self.speaker.provider.name, now) for row in refused]
            for row, offset in zip(refused, self.ledger.append(results), strict=True):
                log.warning("%s failed: %s", row.id, row.refusal.message if row.refusal else "")
                self.agenda.plan.settle(row.row, FAILED, offset)

    def fold(self) -> Tally:
        """Bring results.parquet up to date with the ledger."""
        fold = Fold(
            manifest=self.agenda.manifest,
            ledger=self.ledger,
            offsets=self.agenda.plan.offsets,
            out=self.layout.root,
            scratch=self.layout.scratch,
            version=batchtts.__version__,
        )
        return fold.tally() or fold.write()

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
            spoken=self.spoken,
            audio_s=round(tally.audio_s, 3),
            spoken_audio_s=round(self.spoken_audio_s, 3),
            cost_usd=round(tally.cost_usd, 6),
            unpriced=tally.unpriced,
            wall_s=round(wall_s, 3),
            started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started_at)),
            exit_code=self._exit_code(tally),
            batchtts=batchtts.__version__,
        )

    def _exit_code(self, tally: Tally) -> Exit:
        if tally.status["pending"] and self.signals:
            interrupted = self.signals[0] == signal.SIGINT
            return Exit.INTERRUPTED if interrupted else Exit.TERMINATED
        return Exit.SOME_FAILED if tally.status["failed"] else Exit.DONE

    @property
    def _workers(self) -> int:
        wanted = self.job.workers or self.speaker.provider.workers
        return min(wanted, self.agenda.to_speak)

    def _begin_ledger(self) -> None:
        """Say whose ledger this is, and take back the rows whose audio will be replaced."""
        lines: list[Header | Result] = []
        manifest = str(self.job.manifest.resolve())
        if self.agenda.last_manifest != manifest:
            lines.append(
                Header(
                    ledger=LEDGER_VERSION,
                    manifest=manifest,
                    batchtts=batchtts.__version__,
                    created_at=time.time(),
                )
            )
        stale = (result for result in self.ledger.results(self.agenda.stale) if result)
        lines.extend(Result(id=old.id, status="pending") for old in stale)
        if lines:
            self.ledger.append(lines)

    async def _run(self) -> None:
        stop = Stop(self.job.grace_s)
        async with trio.open_nursery() as services:
            if threading.current_thread() is threading.main_thread():
                await services.start(self._obey_signals, stop)
            if self.speaker.url is None:
                await self._speak_locally(stop)
            else:
                await self._speak_through(self.speaker.url, self.speaker.key, stop)
            services.cancel_scope.cancel()

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
        store = Store(
            self.layout,
            self.speaker.format,
            len(self.agenda.plan.kinds),
            self.agenda.contested,
        )
        crew: Crew | None = None
        try:
            async with trio.open_nursery() as connections:
                crew = self._gather(url, key, connections)
                workers = [Worker(crew, number) for number in range(self._workers)]
                takes = [each.take for each in workers]
                rests = [each.part for each in workers]
                record = partial(self._record, store, crew)
                await run_pool(self.agenda.batches(), takes, record, stop, rests)
                for worker in workers:
                    worker.part()
                connections.cancel_scope.deadline = trio.current_time() + PART_S
        finally:
            if crew is not None:
                with trio.CancelScope(shield=True):
                    await self._record(store, crew, [])  # corrections that no take came after

    def _gather(self, url: str, key: str | None, connections: trio.Nursery) -> Crew:
        """What the workers of this run share."""
        provider, workers = self.speaker.provider, self._workers
        key_file = self.speaker.key_source if self.job.key_file else None
        return Crew(
            name=secrets.token_hex(4),
            provider=provider,
            line=Line.to(provider, url, key, key_file=key_file),
            policy=RetryPolicy(attempts=self.job.attempts),
            in_flight=InFlight(min(self.job.in_flight or provider.in_flight or workers, workers)),
            breaker=Breaker(failures=4 * workers, patience_s=self.job.outage_s),
            connections=connections,
            word_timestamps=self.speaker.word_timestamps,
            options=self.speaker.options,
            recorder=self._recorder(None if key == LOCAL else key),
        )

    def _recorder(self, key: str | None) -> Recorder | None:
        if self.job.record is None:
            return None
        return Recorder(
            directory=self.job.record,
            provider=self.speaker.provider,
            key=key,
            keeps_scripts=self.job.record_scripts,
        )

    async def _record(self, store: Store, crew: Crew, takes: Sequence[Take]) -> None:
        """Make some takes durable: audio first, then the ledger, in one thread hop."""
        corrections, crew.corrections = crew.corrections, []
        if not (takes or corrections):
            return

        def commit() -> tuple[list[Result], list[int]]:
            results = store.publish(takes)
            results.extend(correction.result for correction in corrections)
            return results, self.ledger.append(results)

        results, offsets = await trio.to_thread.run_sync(commit)
        rows = [take.utterance.row for take in takes]
        rows.extend(correction.row for correction in corrections)
        for row, result, offset in zip(rows, results, offsets, strict=True):
            self.agenda.plan.settle(row, DONE if result.status == "done" else FAILED, offset)
            self.spoken += result.status == "done"
            self.spoken_audio_s += result.audio_s or 0.0
            self.progress.add(result)

    async def _obey_signals(
        self, stop: Stop, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                name = signal.Signals(number).name
                if self.signals:
                    log.warning("stopping at once: %s again; what is in flight is dropped", name)
                else:
                    log.warning(
                        "stopping: %s; finishing what is in flight, %g s at most",
                        *(name, self.job.grace_s),
                    )
                self.signals.append(number)
                stop()


def _refuse(utterance: Utterance, provider: str, now: float) -> Result:
    assert utterance.refusal is not None
    return Result(
        id=utterance.id,
        status="failed",
        fingerprint=utterance.fingerprint,
        text_chars=len(utterance.script),
        provider=provider,
        model=utterance.voice.model,
        voice=utterance.voice.name,
        language=utterance.voice.language,
        started_at=now,
        finished_at=now,
        cost_usd=0.0,
        error_code=utterance.refusal.code,
        error_message=utterance.refusal.message,
    )
