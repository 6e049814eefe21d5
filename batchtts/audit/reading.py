"""The ledger read to its end, whatever has become of it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from batchtts.audit.finding import Finding
from batchtts.job.plan import Ints, Past, Told
from batchtts.record import lines, snapshot
from batchtts.record.hashes import sha256_of
from batchtts.record.ledger import Ledger
from batchtts.record.lines import Damaged

_BEGIN = b'{"ledger":'  # of the first line


@dataclass(slots=True)
class Reading:
    """What can be read of a ledger, and what cannot.

    Attributes:
        past: What the undamaged lines say of each id.
        damaged: Lines that are not as they were written, and where each begins; one
            that was cut short is the last.
        lost_rows: Rows of the snapshot that cannot be read.
        has_header: Whether a line in the file says whose ledger it is.
        is_torn: Whether the last line was cut short.
    """

    path: Path
    ledger: Ledger
    past: Past = field(default_factory=lambda: Past.of(()))
    damaged: list[tuple[int, Damaged]] = field(default_factory=list)
    lost_rows: int = 0
    has_header: bool = False
    is_torn: bool = False
    _lines: int = 0
    _path_hashes: array[int] = field(default_factory=lambda: array("q"))
    _path_addresses: array[int] = field(default_factory=lambda: array("q"))

    @classmethod
    def of(cls, path: Path, ledger: Ledger) -> Reading:
        """Read an open ledger.

        Raises:
            LedgerBroken: it is of a later version, or none.
        """
        reading = cls(path, ledger)
        reading.past = Past.of(reading._told())
        reading._read_tail()
        reading._check_is_ledger()
        return reading

    def paths(self) -> tuple[Ints, Ints]:
        """Return hash() of each path in a line, ascending, and the last line that has it."""
        hashes = np.array(self._path_hashes, dtype=np.int64)
        addresses = np.array(self._path_addresses, dtype=np.int64)
        order = np.lexsort((addresses, hashes))
        hashes, addresses = hashes[order], addresses[order]
        is_last = np.append(hashes[1:] != hashes[:-1], [True])[: len(hashes)]
        return hashes[is_last], addresses[is_last]

    def paths_of(self, addresses: Ints) -> Ints:
        """Return hash() of the paths in some lines, ascending; one may come twice."""
        is_wanted = np.isin(np.array(self._path_addresses, dtype=np.int64), addresses)
        return np.sort(np.array(self._path_hashes, dtype=np.int64)[is_wanted])

    def orphaned(self) -> list[str]:
        """The ids of damaged lines that no whole line follows, as far as they can be read."""
        told = {it.id: address for address, it in self.damaged if it.id is not None}
        ids = list(told)
        places = self.past.find(np.array([hash(it) for it in ids], dtype=np.int64)).tolist()
        return [
            row_id
            for row_id, place in zip(ids, places, strict=True)
            if place < 0 or self.past.addresses[place] < told[row_id]
        ]

    def findings(self) -> Iterator[Finding]:
        """Say what is wrong with the ledger itself."""
        name = self.path.name
        for _, it in self.damaged[: len(self.damaged) - self.is_torn]:
            told = f"line {it.number:,} is damaged"
            yield Finding("damaged_line", name, told, it.id)
        if self.is_torn:
            torn = self.damaged[-1][1]
            told = f"its last line is cut short after {len(torn.raw):,} bytes"
            yield Finding("torn_tail", name, told, torn.id)
        if not self.has_header:
            yield Finding("no_header", name, "no line says whose ledger it is")
        yield from self._snapshot_findings()

    def _snapshot_findings(self) -> Iterator[Finding]:
        covered = self.ledger.head.snapshot if self.ledger.head is not None else None
        name = covered.name if covered is not None else self.path.name
        rows = f"; {self.lost_rows:,} of its rows are lost" if self.lost_rows else ""
        if self.ledger.flaw is not None:
            told = f"{self.ledger.flaw}".removeprefix(f"{self.path.with_name(name)}: ")
            yield Finding("damaged_snapshot", name, told + rows)
        elif covered is not None and sha256_of(self.path.with_name(name)) != covered.sha256:
            yield Finding("damaged_snapshot", name, f"SHA-256 is not the ledger's{rows}")
        elif rows:
            yield Finding("damaged_snapshot", name, rows.removeprefix("; "))

    def _told(self) -> Iterator[Told]:
        yield from self._told_by_snapshot()
        for block in self.ledger.blocks():
            self.damaged.extend((it.address, it) for it in block.damaged)
            self._lines += len(block.entries)
            self.has_header |= any(entry.ledger is not None for entry in block.entries)
            for entry, address in zip(block.entries, block.addresses.tolist(), strict=True):
                self._see(address, entry.path)
            yield block.told

    def _told_by_snapshot(self) -> Iterator[Told]:
        address = 0
        for count, group in self.ledger.groups():
            if group is not None:
                true = np.flatnonzero(snapshot.are_true(group))
                group, addresses = group.take(pa.array(true)), address + true
                for place, path in zip(addresses.tolist(), group["path"].to_pylist(), strict=True):
                    self._see(place, path)
                yield snapshot.tell(group, addresses)
            self.lost_rows += count - (len(group) if group is not None else 0)
            address += count
        head = self.ledger.head
        if self.ledger.flaw is not None and head is not None and head.snapshot is not None:
            self.lost_rows = head.snapshot.rows

    def _see(self, address: int, path: str | None) -> None:
        if path is not None:
            self._path_hashes.append(hash(path))
            self._path_addresses.append(address)

    def _read_tail(self) -> None:
        size_bytes = self.ledger.size_bytes
        with self.path.open("rb") as file:
            file.seek(size_bytes)
            tail = file.read()
        if tail:
            number = self._lines + len(self.damaged) + 1
            address = self.ledger.folded_rows + size_bytes
            self.damaged.append((address, lines.examine(tail, number, address)))
            self.is_torn = True

    def _check_is_ledger(self) -> None:
        """Refuse a file that is somebody else's."""
        damaged = [it for _, it in self.damaged]
        is_none = bool(damaged) and not (self._lines or len(self.past.addresses))
        is_begun = len(damaged) == 1 and (damaged[0].is_ours or _BEGIN.startswith(damaged[0].raw))
        if is_none and not is_begun and not self.ledger.flaw:
            raise lines.not_a_ledger(self.path)
