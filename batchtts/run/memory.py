"""What the ledger tells, read once from its first line to its last."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from batchtts.job.plan import Ints, Past, Told
from batchtts.record.ledger import Ledger
from batchtts.record.lines import Damaged, not_a_ledger


@dataclass(frozen=True, slots=True)
class Memory:
    """What the ledger tells.

    Attributes:
        stems: hash() of the case-folded file name stem of each line with a file.
        owners: hash() of the id of the same line.
        taken_back: Addresses of the last lines about ids whose audio does not count any more.
        damaged: Lines that are not as they were written.
        manifest: Where the manifest was when the ledger last saw it, or None.
    """

    past: Past
    stems: Ints
    owners: Ints
    taken_back: list[int]
    damaged: list[Damaged]
    manifest: str | None


@dataclass(slots=True)
class _Reader:
    stems: array[int] = field(default_factory=lambda: array("q"))
    owners: array[int] = field(default_factory=lambda: array("q"))
    taken_back: list[int] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)
    manifest: str | None = None
    whole: int = 0

    def told(self, ledger: Ledger) -> Iterator[Told]:
        yield from self._folded(ledger)
        for address, entry in ledger.entries():
            if isinstance(entry, Damaged):
                self.damaged.append(replace(entry, address=address))
                continue
            self.whole += 1
            self.manifest = entry.manifest or self.manifest
            if entry.id is not None:
                told = entry.told(entry.id, address)
                self._see(told, entry.path)
                yield told

    def _folded(self, ledger: Ledger) -> Iterator[Told]:
        address = 0
        for batch in ledger.folded():
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                row_id, status, fingerprint, path, characters, cost_usd = row
                told = Told(hash(row_id), address, status, fingerprint, characters, cost_usd)
                self._see(told, path)
                yield told
                address += 1

    def _see(self, told: Told, path: str | None) -> None:
        if path is None:
            return
        file = path.rpartition("/")[2]
        self.stems.append(hash(file.rpartition(".")[0].casefold()))
        self.owners.append(told.id_hash)
        if told.status == "pending":
            self.taken_back.append(told.address)


def recall(ledger: Ledger | None) -> Memory:
    """Read a ledger.

    Raises:
        LedgerBroken: it cannot be understood, or is none.
    """
    reader = _Reader()
    past = Past.of(reader.told(ledger) if ledger is not None else ())
    damaged = reader.damaged
    is_none = bool(damaged) and not (reader.whole or len(past.addresses))
    if is_none and (len(damaged) > 1 or not damaged[0].is_ours):
        assert ledger is not None  # else there would be nothing damaged
        raise not_a_ledger(ledger.path)
    last = set(past.addresses.tolist()) if reader.taken_back else set()
    return Memory(
        past,
        np.array(reader.stems, dtype=np.int64),
        np.array(reader.owners, dtype=np.int64),
        [address for address in reader.taken_back if address in last],
        damaged,
        reader.manifest or None,
    )
