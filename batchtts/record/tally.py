"""What results amount to, and the seal that says what they were made from. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchtts.model import VERDICTS, Status, Verdict

SCHEMA_VERSION = 5

_STATUSES: tuple[Status, ...] = ("done", "failed", "pending")


@dataclass(slots=True)
class Tally:
    """What the results amount to.

    Attributes:
        verdict: Of the rows that are done.
        unpriced: Rows whose model has no known price; *cost_usd* is without them.
    """

    rows: int = 0
    status: Counter[Status] = field(default_factory=Counter)
    verdict: Counter[Verdict] = field(default_factory=Counter)
    audio_s: float = 0.0
    cost_usd: float = 0.0
    unpriced: int = 0

    def add(self, own: pa.Table) -> None:
        """Count rows, given as the results' own columns."""
        self.rows += len(own)
        for status in pc.value_counts(own["status"]).to_pylist():
            self.status[status["values"]] += status["counts"]
        for verdict in pc.value_counts(own["verdict"].drop_null()).to_pylist():
            self.verdict[verdict["values"]] += verdict["counts"]
        self.audio_s += pc.sum(own["audio_s"]).as_py() or 0.0
        self.cost_usd += pc.sum(own["cost_usd"]).as_py() or 0.0
        is_unknown = own["cost_usd"].is_null().to_numpy()
        self.unpriced += int(np.count_nonzero(is_unknown & (own["characters_sent"].to_numpy() > 0)))


def numbers_of(tally: Tally) -> dict[str, float]:
    """A tally as a seal has it."""
    return {
        **{it: float(tally.status[it]) for it in _STATUSES},
        **{it: float(tally.verdict[it]) for it in VERDICTS},
        "rows": float(tally.rows),
        "audio_s": tally.audio_s,
        "cost_usd": tally.cost_usd,
        "unpriced": float(tally.unpriced),
    }


def tally_of(numbers: Mapping[str, float]) -> Tally:
    """The tally that a seal has."""
    return Tally(
        rows=int(numbers["rows"]),
        status=Counter({it: int(numbers[it]) for it in _STATUSES}),
        verdict=Counter({it: int(numbers[it]) for it in VERDICTS}),
        audio_s=numbers["audio_s"],
        cost_usd=numbers["cost_usd"],
        unpriced=int(numbers["unpriced"]),
    )


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What the results were made from; as long as it is the same, so are they."""

    batchtts: str
    schema: int
    ledger_mark: int
    ledger_tail: str
    counted: str
    manifest: str
    manifest_bytes: int
    manifest_mtime_ns: int
    manifest_ctime_ns: int
    tally: dict[str, float]
