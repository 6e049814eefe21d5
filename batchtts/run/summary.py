"""A run in figures."""

from __future__ import annotations

import msgspec

from batchtts.model import Verdict

#: Of the fields of a Summary: a number that grows when one changes its meaning or goes.
VERSION = 1


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A canary that does not sound as it used to.

    Attributes:
        id: Of its row.
        what: duration, level, mos or spectrum.
        value, usual, band: What was measured, what it was before, and how far it may be off.
    """

    id: str
    what: str
    value: float
    usual: float
    band: float


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of many rows: the middle one, and the one that 95 of 100 are below."""

    p50: float
    p95: float


class OfVoice(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the rows of one voice that are done."""

    model: str
    voice: str
    language: str
    rows: int
    audio_s: float
    wer: Spread | None = None
    mos: Spread | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in figures; also OUT/summary.json.

    Attributes:
        version: Of these fields.
        spoken: Rows that this run finished; *done* counts those of all runs.
        shared: Rows that this run gave the audio of another row with the same script.
        verdicts: Rows that are done, by what was found out about their audio.
        errors: Rows that failed, by error code.
        reasons: Rows that are done, by the reasons of their verdicts.
        voices: What is done, by voice; at most fifty, those with the most audio.
        ttfa_s, rtf: Of the rows that are done.
        audio_s, cost_usd: Of all rows and all runs; the cost includes attempts that failed.
        unpriced: Rows whose model has no known price; the cost is without them.
        spoken_audio_s, wall_s, characters_sent, spent_usd: Of this run.
        attempts, retries, refusals: Of this run: tries at segments, those beyond the first,
            and requests that the provider would not have for now.
        heard: Rows that this run has listened to.
        retakes, retake_usd: Of this run: times that a row was spoken once more, and their price.
        alerts: Canaries that do not sound as they used to.
        estimated_usd: What its plan said that this run would spend.
        limit: What ended it before its work was done, such as ``max_cost_usd``; or None.
    """

    manifest: str
    out: str
    provider: str
    rows: int
    done: int
    failed: int
    pending: int
    spoken: int
    shared: int
    audio_s: float
    spoken_audio_s: float
    characters_sent: int
    spent_usd: float
    estimated_usd: float
    cost_usd: float
    unpriced: int
    limit: str | None
    wall_s: float
    started_at: str
    exit_code: int
    batchtts: str
    version: int = VERSION
    verdicts: dict[Verdict, int] = {}
    reasons: dict[str, int] = {}
    errors: dict[str, int] = {}
    voices: tuple[OfVoice, ...] = ()
    ttfa_s: Spread | None = None
    rtf: Spread | None = None
    attempts: int = 0
    retries: int = 0
    refusals: int = 0
    heard: int = 0
    retakes: int = 0
    retake_usd: float = 0.0
    alerts: tuple[Alert, ...] = ()
