"""What a run has done so far, and what it owes to rows that share the audio of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from batchtts.job.plan import Ints
from batchtts.model import Result


@dataclass(slots=True)
class Spoken:
    """What this run has done so far.

    Attributes:
        kept: Rows that were spoken again, to no avail, and have the audio that they had.
        takes: Times that a row came to its end, whatever came of it.
    """

    rows: int = 0
    shared: int = 0
    kept: int = 0
    takes: int = 0
    audio_s: float = 0.0
    characters: int = 0
    cost_usd: float = 0.0
    attempts: int = 0
    segments: int = 0
    refusals: int = 0

    def pay(self, result: Result) -> None:
        """So much was spent."""
        self.characters += result.characters_sent
        self.cost_usd += result.cost_usd or 0.0

    def end(self, result: Result) -> None:
        """A row came to its end, after so many attempts."""
        self.takes += 1
        self.attempts += result.attempts
        self.segments += min(result.segments, result.attempts)
        self.refusals += result.refusals

    def add(self, other: Spoken) -> None:
        """All that of another part of the run."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass(slots=True)
class Awaited:
    """Audio that rows are still to get from others, which may lose it before.

    Attributes:
        addresses: Of the ledger lines about it, ascending.
        last: For each how many rows are served when nobody waits for it any more.
        served: Rows that have theirs, or hold it.
    """

    addresses: Ints
    last: Ints
    served: int = 0

    @classmethod
    def of(cls, addresses: Sequence[int] | Ints) -> Awaited:
        """Rows will be served in the order of *addresses*."""
        wanted = np.asarray(addresses, dtype=np.int64)
        found, from_end = np.unique(wanted[::-1], return_index=True)
        return cls(found, len(wanted) - from_end)

    def __contains__(self, address: int) -> bool:
        at = int(np.searchsorted(self.addresses, address))
        is_known = at < len(self.addresses) and self.addresses[at] == address
        return bool(is_known and self.last[at] > self.served)
