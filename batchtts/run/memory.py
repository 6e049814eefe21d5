"""What the ledger tells, read once from its first line to its last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchtts.job.plan import NEW, Ints, Past, Told
from batchtts.record import snapshot
from batchtts.record.block import Block
from batchtts.record.ledger import Ledger
from batchtts.record.lines import Damaged, not_a_ledger
from batchtts.run.contest import folded_hashes

#: In the path of a file: its folder, and its ending.
_AROUND_STEM = r"^.*/|\.[^.]*$"


@dataclass(frozen=True, slots=True)
class Memory:
    """What the ledger tells.

    Attributes:
        taken_back: Addresses of the last lines about ids whose audio does not count any more.
        damaged: Lines that are not as they were written.
        manifest: Where the manifest was when the ledger last saw it, or None.
    """

    past: Past
    taken_back: list[int]
    damaged: list[Damaged]
    manifest: str | None
    _ledger: Ledger | None

    def names(self) -> tuple[Ints, Ints]:
        """Read the ledger once more for the names of its files.

        Returns:
            hash() of the case-folded file name stem of each line with a file, and hash()
            of the id of the same line.

        Raises:
            LedgerBroken: it cannot be understood.
        """
        stems, owners = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for ids, paths in _names(self._ledger) if self._ledger is not None else ():
            has_file = paths.is_valid()
            ids, paths = ids.filter(has_file), paths.filter(has_file)
            owners.append(np.fromiter(map(hash, ids.to_pylist()), np.int64))
            files = pc.replace_substring_regex(paths, _AROUND_STEM, "")
            stems.append(folded_hashes(files, ids, owners[-1]))
        return np.concatenate(stems), np.concatenate(owners)


@dataclass(slots=True)
class _Reader:
    taken_back: list[int] = field(default_factory=list)
    damaged: list[Damaged] = field(default_factory=list)
    manifest: str | None = None
    whole: int = 0

    def told(self, ledger: Ledger) -> Iterator[Told]:
        address = 0
        for batch in ledger.folded():
            yield self._see_old(batch, address)
            address += len(batch)
        for block in ledger.blocks():
            self._see(block)
            yield block.told

    def _see_old(self, batch: pa.RecordBatch, address: int) -> Told:
        addresses = np.arange(address, address + len(batch))
        told = snapshot.tell(batch, addresses)
        is_taken_back = told.kinds == NEW
        is_taken_back &= batch["path"].is_valid().to_numpy(zero_copy_only=False)
        self.taken_back.extend(addresses[is_taken_back].tolist())
        return told

    def _see(self, block: Block) -> None:
        self.damaged.extend(block.damaged)
        self.whole += len(block.entries)
        for entry, address in zip(block.entries, block.addresses.tolist(), strict=True):
            if entry.status == "pending":
                self.manifest = entry.manifest or self.manifest
                if entry.path is not None:
                    self.taken_back.append(address)


def recall(ledger: Ledger | None) -> Memory:
    """Read a ledger.

    Raises:
        LedgerBroken: it cannot be understood, or is none.
    """
    reader = _Reader()
    told, room = (reader.told(ledger), ledger.most_lines) if ledger is not None else ((), 0)
    past = Past.of(told, room=room)
    damaged = reader.damaged
    is_none = bool(damaged) and not (reader.whole or len(past.addresses))
    if is_none and (len(damaged) > 1 or not damaged[0].is_ours):
        assert ledger is not None  # else there would be nothing damaged
        raise not_a_ledger(ledger.path)
    is_taken_back = np.isin(past.addresses, np.array(reader.taken_back, np.int64))
    return Memory(
        past,
        np.sort(past.addresses[is_taken_back]).tolist(),
        damaged,
        reader.manifest or None,
        ledger,
    )


def _names(ledger: Ledger) -> Iterator[tuple[pa.StringArray, pa.StringArray]]:
    """Yield the ids that lines are about, and the paths of their audio."""
    for batch in ledger.folded():
        yield batch["id"], batch["path"]
    for block in ledger.blocks():
        rows = [(it.id, it.path) for it in block.entries if it.id is not None]
        ids, paths = zip(*rows, strict=True) if rows else ((), ())
        yield pa.array(ids, pa.string()), pa.array(paths, pa.string())
