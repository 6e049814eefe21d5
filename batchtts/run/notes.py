"""What is remembered of one utterance while it is worked on, and the result that it makes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from math import inf

import msgspec
import trio

from batchtts.errors import AttemptError, RateLimited, UtteranceError
from batchtts.model import Correction, Failure, Judgement, Measures, Result, Utterance, Verdict
from batchtts.review.checks import Findings
from batchtts.wire.provider import Provider
from batchtts.wire.session import Timeline

#: Of the attempts at a row that failed so many are told of, and no more of what was wrong.
FAILURES, MESSAGE_CHARS = 20, 200


@dataclass(slots=True)
class Notes:
    """What is to be remembered of one utterance while it is worked on."""

    started_at: float = field(default_factory=time.time)
    began_at: float = field(default_factory=trio.current_time)
    attempts: int = 0
    characters: int = 0
    reserved_usd: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    refused: int = 0  # requests that the provider would not have for now
    refusals: int = 0  # of a key that is good for other rows
    queue_s: float = 0.0
    connect_s: float = 0.0
    ttfa_s: float | None = None
    synth_s: float = 0.0
    peak_dbfs: float = -inf
    measures: Measures | None = None
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    contexts: list[str] = field(default_factory=list)
    is_cut_short: bool = False

    def failed(self, error: AttemptError) -> None:
        """An attempt failed."""
        if isinstance(error, RateLimited):
            self.refused += 1
        else:
            message = str(error)[:MESSAGE_CHARS]
            self.failures.append(Failure(_to_us(time.time()), error.code, message))

    def heard(self, timeline: Timeline) -> None:
        """A segment was spoken in full."""
        if self.ttfa_s is None:
            self.ttfa_s = timeline.ttfa_s
        self.synth_s += timeline.synth_s

    def judged(self, findings: Findings, judgement: Judgement) -> None:
        """It was measured, and is not surely wrong."""
        self.peak_dbfs, self.measures = findings.peak_dbfs, findings.measures
        self.verdict, self.reasons = judgement.verdict, judgement.reasons

    def result(self, utterance: Utterance, provider: Provider) -> Result:
        """Everything but the verdict, the file and the cost."""
        wall_s = trio.current_time() - self.began_at
        return msgspec.structs.replace(
            unspoken(utterance, provider.name),
            attempts=self.attempts,
            failures=tuple(self.failures[-FAILURES:]),
            refusals=self.refused,
            started_at=_to_us(self.started_at),
            finished_at=_to_us(self.started_at + wall_s),  # a clock may be set back
            queue_s=_to_us(self.queue_s),
            connect_s=_to_us(self.connect_s),
            ttfa_s=None if self.ttfa_s is None else _to_us(self.ttfa_s),
            synth_s=_to_us(self.synth_s),
            wall_s=_to_us(wall_s),
        )


def unspoken(utterance: Utterance, provider: str) -> Result:
    """What is known of an utterance before anybody has spoken."""
    voice = utterance.voice
    return Result(
        id=utterance.id,
        status="failed",
        fingerprint=utterance.fingerprint,
        script_hash=utterance.script_hash,
        speed=utterance.speed,
        text_chars=len(utterance.script),
        provider=provider,
        model=voice.model,
        voice=voice.name,
        language=voice.language,
    )


def correction(row: int, result: Result, error: UtteranceError) -> Correction:
    """What is to be said of a row that was recorded as done and is not."""
    told = result.restated(
        status="failed",
        peak_dbfs=None,
        frames=None,
        bytes=None,
        sha256=None,
        words=None,
        cues=None,
        verdict=None,
        reasons=(),
        measures=None,
        heard=None,
        second=None,
        mos=None,
        error_code=error.code,
        error_message=str(error),
    )
    return Correction(row, told)


def _to_us(seconds: float) -> float:
    """Seconds to the microsecond: finer is noise, and ledger lines are kept for ever."""
    return round(seconds, 6)
