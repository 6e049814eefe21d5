"""A run in figures."""

from __future__ import annotations

import msgspec


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run in figures; also OUT/summary.json.

    Attributes:
        spoken: Rows that this run finished; *done* counts those of all runs.
        shared: Rows that this run gave the audio of another row with the same script.
        audio_s, cost_usd: Of all rows and all runs; the cost includes attempts that failed.
        unpriced: Rows whose model has no known price; the cost is without them.
        spoken_audio_s, wall_s, characters_sent, spent_usd: Of this run.
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
