"""What follows when all is spoken, if the job wants it: verify, speak again, keep the better.

Each round is a pass of its own over the rows that fail, with its own results at the end:
whoever is killed in between has lost what was in flight, and goes on from there.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from math import inf

import msgspec
import numpy as np

from batchtts.errors import RunError, SettingsError
from batchtts.job.hearer import Wish
from batchtts.job.plan import Ints
from batchtts.job.settings import Job
from batchtts.job.speaker import Speaker, find_speaker
from batchtts.notices import notice
from batchtts.record.ledger import Ledger
from batchtts.record.pieces import Pieces
from batchtts.record.store import Layout
from batchtts.record.tally import Tally
from batchtts.run.accounts import Spoken
from batchtts.run.books import Books
from batchtts.run.budget import Budget
from batchtts.run.progress import Progress
from batchtts.run.speech import Weigh, Weighing
from batchtts.run.variation import Variation
from batchtts.run.work import Retake, Work, begin
from batchtts.run.worker import Outcome as Brought
from batchtts.run.worker import Weighed
from batchtts.verify.audition import Outcome, verify
from batchtts.verify.calling import Audition, listening
from batchtts.verify.judging import Judge
from batchtts.verify.retakes import Contest

log = logging.getLogger("batchtts.run")

_TOLD = {"seed": "seed", "boundaries": "division into segments", "other": "voice"}


def audition_of(job: Job, environment: Mapping[str, str]) -> Audition | None:
    """Who is to listen to what a job has spoken; None if nobody is."""
    if not (job.verify or job.mos):
        return None
    wish = Wish(
        recognizer=job.recognizer, endpoint=job.recognizer_endpoint, model=job.recognizer_model
    )
    return Audition(
        ear=wish if job.verify else None,
        second=job.second_recognizer,
        whisper_model=job.whisper_model,
        mos=job.mos,
        outage_s=job.outage_s,
        environment=environment,
    )


@dataclass(slots=True, kw_only=True)
class Rounds:
    """The rounds of one run.

    Attributes:
        other: Who speaks where the job's own voice does not do.
        began_at: When the run began, by time.monotonic().
        chosen: hash() of the ids of the rows that the run is about, the only ones to be spoken
            once more; None if these are all.
        heard: Rows that were listened to.
        spoken: What was spoken once more.
        broken: What has ended them before their time, if anything did.
        stopped_by: A signal that has.
        limit: A setting that has.
        failing: Rows that still fail.
    """

    job: Job
    speaker: Speaker
    other: Speaker | None
    audition: Audition
    environment: Mapping[str, str]
    layout: Layout
    ledger: Ledger
    progress: Progress
    budget: Budget
    began_at: float
    chosen: Ints | None = None
    heard: int = 0
    spoken: Spoken = field(default_factory=Spoken)
    broken: RunError | None = None
    stopped_by: signal.Signals | None = None
    limit: str | None = None
    failing: int = 0

    def go(self) -> Tally:
        """Verify and speak again, as often as the job allows; return what there is now."""
        outcome = self._verify()
        tally = outcome.tally
        while not self._is_over and (again := self._again(outcome)):
            for takes, ids in sorted(again.items()):
                if not self._is_over:
                    tally = self._retake(takes, ids, outcome.judge)
            if not self._is_over:  # else nobody is to be asked any more
                outcome = self._verify()
                tally = outcome.tally
        self.failing = tally.verdict["fail"]
        if not (self._is_over or tally.status["pending"] or tally.status["failed"]):
            Pieces(self.layout.pieces).clear()
        return tally

    @property
    def _is_over(self) -> bool:
        return bool(self.broken or self.stopped_by or self.limit)

    def _verify(self) -> Outcome:
        most_s = inf
        if self.job.max_duration_s is not None:
            most_s = max(0.0, self.job.max_duration_s - (time.monotonic() - self.began_at))
        outcome = verify(self.layout, self.ledger, self.audition, self.progress, most_s=most_s)
        self.stopped_by, self.broken = outcome.stopped_by, outcome.broken
        self.limit = "max_duration_s" if outcome.is_late else None
        verified = outcome.verified
        self.heard += verified.heard
        if verified.heard:
            told = "%s rows heard, %s fail"
            log.info(
                told,
                *(f"{verified.heard:,}", f"{len(verified.failing):,}"),
                extra=notice("verified", heard=verified.heard, failing=len(verified.failing)),
            )
        return outcome

    def _again(self, outcome: Outcome) -> dict[int, list[str]]:
        """Rows that are to be spoken again, by how often they were.

        Those that share the audio of another row are spoken with it.
        """
        most, verified = self.job.retakes, outcome.verified
        alone = {it: n for it, n in verified.failing.items() if it not in verified.twins}
        some = self._of_run({**alone, **outcome.failed})
        wanted = {it: n for it, n in some.items() if n <= most}
        for twin, source in verified.twins.items():
            if source in wanted:
                wanted[twin] = wanted[source]
        again: dict[int, list[str]] = {}
        for row_id, takes in wanted.items():
            again.setdefault(takes, []).append(row_id)
        return again

    def _of_run(self, ids: dict[str, int]) -> dict[str, int]:
        """Those that the run is about."""
        if self.chosen is None:
            return ids
        is_chosen = np.isin(np.fromiter(map(hash, ids), np.int64, len(ids)), self.chosen)
        return {it: n for (it, n), wanted in zip(ids.items(), is_chosen, strict=True) if wanted}

    def _retake(self, takes: int, ids: list[str], judge: Judge) -> Tally:
        job = msgspec.structs.replace(
            self.job,
            again=tuple(f"id:{it}" for it in ids),
            limit=None,
            sample=None,
            prune=False,
        )
        variation = Variation.after(takes, has_other=self.other is not None)
        retake = Retake(
            speaker=(self.other if variation.stage == "other" else None) or self.speaker,
            variation=variation,
            weighing=self._weighing(judge),
        )
        log.info(
            "%s rows fail: take %d, with another %s",
            *(f"{len(ids):,}", variation.number, _TOLD[variation.stage]),
            extra=notice("retake", rows=len(ids), take=variation.number, stage=variation.stage),
        )
        with ExitStack() as held:
            work = begin(
                *(job, self.speaker, None, self.layout, self.ledger),
                *(self.progress, self.began_at, self.budget, retake),
            )
            held.enter_context(work.books.begun)
            self.broken = work.work()
            self._count(work)
            return work.fold()

    def _count(self, work: Work) -> None:
        speech = work.speech
        self.spoken.add(work.books.spoken)
        self.limit = speech.limit
        if speech.signals:
            self.stopped_by = signal.Signals(speech.signals[0])

    def _weighing(self, judge: Judge) -> Callable[[Books], Weighing]:
        def of(books: Books) -> Weighing:
            @asynccontextmanager
            async def weighing() -> AsyncIterator[Weigh]:
                async with listening(self.audition) as listener:
                    yield _telling(Contest(listener, judge, books.had, books.holds).weigh)

            return weighing

        return of


def _telling(weigh: Weigh) -> Weigh:
    """The same, in a run: what proves to be missing when somebody is called, breaks it."""

    async def weighed(outcome: Brought) -> Weighed:
        try:
            return await weigh(outcome)
        except SettingsError as error:
            raise RunError(f"{error}", hint=error.hint) from error

    return weighed


def find_other(job: Job, speaker: Speaker, environment: Mapping[str, str]) -> Speaker | None:
    """Return who speaks where the job's own voice does not do; None if nobody is named.

    Raises:
        SettingsError: that cannot be.
    """
    if not (job.retake_voice or job.retake_provider):
        return None
    wanted = msgspec.structs.replace(job, voice=job.retake_voice, provider=speaker.provider.name)
    if job.retake_provider:
        wanted = msgspec.structs.replace(
            wanted,
            provider=job.retake_provider,
            endpoint=job.retake_endpoint,
            model=None,
            options={},
            key_file=None,
            workers=None,
            in_flight=None,
        )
    other = find_speaker(wanted, environment)
    return replace(other, format=speaker.format, wording=speaker.wording)
