"""How things stood when a run ended: what was known of each row, in the manifest's order.

Derived from manifest and ledger, so that the next run need not compare the two again.
It is trusted for nothing but what its seal says: that manifest, these settings, this
beginning of the ledger. Deleting it is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Self, cast
from zlib import crc32

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchtts.errors import OutputBroken
from batchtts.job.plan import Facts, Ints, Kinds
from batchtts.record import disk, lines
from batchtts.record.ledger import Ledger
from batchtts.record.lines import Covered

VERSION = 2

#: File systems tell times apart by up to so much.
SETTLED_S = 2.0

#: Rows that are read and written together; a multiple of eight.
GROUP_ROWS = 1 << 16

SCHEMA = pa.schema(
    [
        pa.field("is_done", pa.bool_(), nullable=False),
        pa.field("kind", pa.uint8(), nullable=False),
        pa.field("address", pa.int64(), nullable=False),
        pa.field("print", pa.int64(), nullable=False),
        pa.field("characters_sent", pa.int64(), nullable=False),
        pa.field("cost_usd", pa.float64(), nullable=False),
    ]
)

_WRITTEN: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": ["characters_sent", "cost_usd"],
    "column_encoding": {"address": "DELTA_BINARY_PACKED"},
    "write_page_checksum": True,
}

#: What reading a file that is damaged, or is something else, may raise.
_UNREADABLE = (OSError, ValueError, KeyError, pa.ArrowException, msgspec.MsgspecError)

_KEY = "batchtts"


class StandingBroken(OutputBroken):
    """A standing cannot be read; without it all would be well."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a file; when its content changes, so does the state.

    That holds for a change that comes some time after the last one, see `is_settled`.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Look at a file.

        Raises:
            OSError: there is none.
        """
        found = path.stat()
        return cls(
            path=str(path.resolve()),
            size_bytes=found.st_size,
            mtime_ns=found.st_mtime_ns,
            ctime_ns=found.st_ctime_ns,
            inode=found.st_ino,
        )

    def is_settled(self, at: float) -> bool:
        """Whether whoever writes to it after *at* (seconds since the epoch) leaves another time."""
        return max(self.mtime_ns, self.ctime_ns) / 1e9 < at - SETTLED_S


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a manifest.

    Attributes:
        table, carried: The schemas of the file, and of what goes to the results: Arrow's own bytes.
    """

    rows: int
    columns: dict[str, str | None]
    table: bytes
    carried: bytes


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a ledger, and what is before it."""

    snapshot: Covered | None
    size_bytes: int
    tail: str

    @classmethod
    def of(cls, ledger: Ledger) -> Self:
        """The end of a ledger, now."""
        snapshot = ledger.head.snapshot if ledger.head is not None else None
        size_bytes = ledger.size_bytes
        return cls(snapshot=snapshot, size_bytes=size_bytes, tail=_tail_at(ledger, size_bytes))

    def is_in(self, ledger: Ledger) -> bool:
        """Whether the ledger begins with all that was before this place."""
        snapshot = ledger.head.snapshot if ledger.head is not None else None
        return (
            snapshot == self.snapshot
            and 0 < self.size_bytes <= ledger.size_bytes
            and _tail_at(ledger, self.size_bytes) == self.tail
        )


def _tail_at(ledger: Ledger, end: int) -> str:
    """The checksum of the line that ends at *end*, in the file that has the ledger's name now."""
    length, place = lines.seal_at(end)
    with ledger.path.open("rb") as file:
        file.seek(max(0, place))
        return file.read(length).decode(errors="replace")


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What the standing was made from.

    Attributes:
        settings: Stands for all that decides which audio is wanted.
        contested: File names, case-folded and without an ending, that more than one id of the
            manifest would have; None if nobody had to find out.
    """

    version: int
    batchtts: str
    manifest: File
    settings: str
    shape: Shape
    mark: Mark
    contested: list[str] | None


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a standing says of itself.

    Attributes:
        sums: Of each row group the checksums of its columns, for Parquet's own ones leave
            out what says where the columns are, and how to read them.
    """

    seal: Seal
    sums: list[list[int]]


@dataclass(slots=True)
class Standing:
    """A standing that can be read, and was made from what its seal says."""

    path: Path
    seal: Seal
    _file: pq.ParquetFile
    _sums: list[list[int]]

    @classmethod
    def open(cls, path: Path) -> Standing | None:
        """Open a standing; None if there is none that can be read."""
        try:
            file = pq.ParquetFile(path, page_checksum_verification=True)
        except _UNREADABLE:
            return None
        told = _told_by(file)
        if told is None:
            file.close()
            return None
        return cls(path, told.seal, file, told.sums)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def facts(self) -> Iterator[Facts]:
        """Yield what was known of the rows, in order, *GROUP_ROWS* at a time.

        Raises:
            StandingBroken: the file cannot be read.
        """
        return map(self._read, range(self._groups))

    def some(self, are_wanted: Callable[[Kinds, Ints], bool]) -> Iterator[Facts]:
        """Yield the same, but where nothing is wanted only kinds and fingerprints are right.

        Args:
            are_wanted: Tells by kinds and fingerprints.

        Raises:
            StandingBroken: the file cannot be read.
        """
        for group in range(self._groups):
            kinds, prints = self._columns(group, ["kind", "print"])
            if are_wanted(kinds, prints):
                yield self._read(group)
            else:
                yield replace(Facts.blank(len(kinds)), kinds=kinds, prints=prints)

    def left(self) -> Facts:
        """What was known of ids that the manifest has no longer, addresses ascending.

        Raises:
            StandingBroken: the file cannot be read.
        """
        return Facts.joined(
            [self._read(group) for group in range(self._groups, self._file.num_row_groups)]
        )

    @property
    def _groups(self) -> int:
        return -(-self.seal.shape.rows // GROUP_ROWS)

    def _read(self, group: int) -> Facts:
        return Facts(*self._columns(group, SCHEMA.names))

    def _columns(self, group: int, names: list[str]) -> list[Any]:
        try:
            table = self._file.read_row_group(group, columns=names)
            # A copy: what comes from Arrow cannot be written to.
            columns = [np.array(table[name].to_numpy()) for name in names]
            told = [self._sums[group][SCHEMA.names.index(name)] for name in names]
            if _sums_of(columns) != told:
                raise ValueError("damaged")
        except _UNREADABLE as error:
            hint = "run the same command again"
            raise StandingBroken(f"{self.path}: cannot be read: {error}", hint=hint) from error
        return columns


def _told_by(file: pq.ParquetFile) -> _Told | None:
    """What a standing says of itself; None if that is not what was written, or not by us."""
    try:
        raw = (file.metadata.metadata or {})[_KEY.encode()]
        if not lines.is_whole(raw):
            return None
        told = msgspec.json.decode(raw, type=_Told)
        is_ours = told.seal.version == VERSION and file.schema_arrow.equals(SCHEMA)
    except _UNREADABLE:
        return None
    return told if is_ours and file.num_row_groups == len(told.sums) else None


def _sums_of(columns: Iterable[Any]) -> list[int]:
    return [crc32(column.data) for column in columns]


def write(path: Path, facts: Iterable[Facts], *, seal: Seal, scratch: Path) -> None:
    """Write a standing whole and durably.

    Args:
        facts: Of the rows of the manifest, *GROUP_ROWS* at a time, and of what it has no longer.

    Raises:
        OutputBroken: it could not be written.
    """
    with (
        disk.telling(path),
        disk.replacing(path, scratch=scratch) as sink,
        pq.ParquetWriter(cast(BinaryIO, sink), SCHEMA, **_WRITTEN) as writer,
    ):
        sums = [_add(writer, some) for each in facts for some in _groups_of(each)]
        writer.add_key_value_metadata({_KEY: lines.encode(_Told(seal=seal, sums=sums))})


def _groups_of(facts: Facts) -> Iterator[Facts]:
    for start in range(0, len(facts), GROUP_ROWS):
        yield facts.at(slice(start, start + GROUP_ROWS))


def _add(writer: pq.ParquetWriter, facts: Facts) -> list[int]:
    """Write a row group; return its checksums."""
    columns = list(map(np.ascontiguousarray, facts.columns))
    writer.write_table(pa.table(list(map(pa.array, columns)), schema=SCHEMA))
    return _sums_of(columns)
