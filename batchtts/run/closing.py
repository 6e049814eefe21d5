"""How a run has ended: its figures, and its exit status."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

import batchtts
from batchtts.errors import Exit
from batchtts.record.tally import Tally
from batchtts.run.accounts import Spoken
from batchtts.run.overview import Overview
from batchtts.run.rounds import Rounds
from batchtts.run.summary import Alert, Summary
from batchtts.run.work import Work

#: Settings that leave rows out of every run that has them.
_LEAVING = ("sample", "again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What there is to say of a run when it has ended.

    A run that verifies ends with status 3 as long as a row fails, be it that there is no
    audio, or that this is not what the script says: whoever is called at night wants to know
    of both. Only the former are in failed.parquet, which is a manifest of what is to be
    spoken; the others are done, and named in the results and in the report. A run that does
    not verify has nothing to say of what an earlier one has heard.

    Attributes:
        rounds: What came after speaking; None if nothing did.
        tally: Of the results as they are now.
        alerts: Of canaries.
    """

    work: Work
    rounds: Rounds | None
    tally: Tally
    alerts: Sequence[Alert] = ()

    def summarize(self, started_at: float, wall_s: float) -> Summary:
        """Put the run in figures."""
        work, tally, spoken = self.work, self.tally, self.work.books.spoken
        rounds, overview = self.rounds, Overview.of(work.layout.results)
        again = rounds.spoken if rounds else Spoken()
        attempts = spoken.attempts + again.attempts
        return Summary(
            manifest=str(work.job.manifest),
            out=str(work.layout.root),
            provider=work.speaker.provider.name,
            rows=tally.rows,
            done=tally.status["done"],
            failed=tally.status["failed"],
            pending=tally.status["pending"],
            spoken=spoken.rows,
            shared=spoken.shared,
            verdicts={it: n for it, n in tally.verdict.items() if n},
            reasons=dict(overview.reasons),
            errors=dict(overview.errors),
            voices=overview.voices,
            ttfa_s=overview.ttfa_s,
            rtf=overview.rtf,
            audio_s=round(tally.audio_s, 3),
            spoken_audio_s=round(spoken.audio_s, 3),
            characters_sent=spoken.characters + again.characters,
            spent_usd=round(spoken.cost_usd + again.cost_usd, 6),
            estimated_usd=round(work.estimated_usd, 6),
            cost_usd=round(tally.cost_usd, 6),
            unpriced=tally.unpriced,
            attempts=attempts,
            retries=attempts - spoken.segments - again.segments,
            refusals=spoken.refusals + again.refusals,
            heard=rounds.heard if rounds else 0,
            retakes=again.takes,
            retake_usd=round(again.cost_usd, 6),
            alerts=tuple(self.alerts),
            limit=self._limit,
            wall_s=round(wall_s, 3),
            started_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started_at)),
            exit_code=self._exit_code,
            batchtts=batchtts.__version__,
        )

    @property
    def _limit(self) -> str | None:
        """The setting because of which rows are left, or None."""
        work = self.work
        if self.rounds is not None and self.rounds.limit is not None:
            return self.rounds.limit
        if not work.is_left(self.tally):
            return None
        if work.speech.limit is not None or work.agenda.is_cut:
            return work.speech.limit or "limit"
        leaving = (name for name in _LEAVING if getattr(work.job, name))
        return next(leaving, None) if work.agenda.left_out else None

    @property
    def _exit_code(self) -> Exit:
        work, rounds = self.work, self.rounds
        signals = work.speech.signals if work.is_left(self.tally) else []
        stopped_by = work.cut_off_by or next(iter(signals), None)
        if stopped_by := stopped_by or (rounds.stopped_by if rounds else None):
            return Exit.INTERRUPTED if stopped_by == signal.SIGINT else Exit.TERMINATED
        if self._limit is not None:
            return Exit.LIMIT
        is_bad = self.tally.status["failed"] or (rounds is not None and rounds.failing)
        return Exit.SOME_FAILED if is_bad else Exit.DONE
