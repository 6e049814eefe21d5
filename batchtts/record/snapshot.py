"""What a long ledger is folded into: the last line about each id, as Parquet.

A snapshot is written whole, named by the ledger's first line and never changed. It
keeps the lines as they were, with a few columns beside them, so that a plan need
not read the lines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchtts.errors import LedgerBroken
from batchtts.job.plan import short
from batchtts.record import disk, lines
from batchtts.record.hashes import sha256_of
from batchtts.record.lines import Covered

GROUP_ROWS = 8192

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("fingerprint", pa.int64(), nullable=False),  # its first 64 bits
        pa.field("path", pa.string()),
        pa.field("characters_sent", pa.int64(), nullable=False),  # in all lines about the id
        pa.field("cost_usd", pa.float64(), nullable=False),  # the same; NaN if a price is not known
        pa.field("line", pa.binary(), nullable=False),
    ]
)

_NAME = re.compile(r"ledger-\d{6,}\.parquet")
#: What reading a damaged Parquet file may raise; names in it may be no text any more.
UNREADABLE = (OSError, ValueError, pa.ArrowException)

#: What is wrong with a file that was a snapshot.
HINT = "`batchtts check OUT --repair` keeps what can still be read"


class Kept(NamedTuple):
    """The last line about an id, and what was spent on the id in all."""

    line: bytes
    entry: lines.Entry
    characters_sent: int
    cost_usd: float


@dataclass(slots=True)
class Snapshot:
    """A snapshot that is open for reading; rows are counted from 0."""

    path: Path
    rows: int
    _file: pq.ParquetFile

    @classmethod
    def open(cls, directory: Path, covered: Covered) -> Snapshot:
        """Open the snapshot that a ledger names.

        Raises:
            LedgerBroken: it is not there, or is not what the ledger says.
        """
        path = directory / covered.name
        try:
            if path.stat().st_size != covered.bytes:
                raise LedgerBroken(f"{path}: damaged: another size than the ledger says", hint=HINT)
            file = pq.ParquetFile(path, page_checksum_verification=True)
        except UNREADABLE as error:
            told = error.strerror if isinstance(error, OSError) and error.strerror else "damaged"
            raise LedgerBroken(f"{path}: {told.lower()}", hint=HINT) from error
        if file.metadata.num_rows != covered.rows or not file.schema_arrow.equals(SCHEMA):
            raise LedgerBroken(f"{path}: damaged: not the rows that the ledger says", hint=HINT)
        return cls(path, covered.rows, file)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def columns(self) -> Iterator[pa.RecordBatch]:
        """Yield all columns but the lines, in order.

        Raises:
            LedgerBroken: the file is damaged.
        """
        names = [name for name in SCHEMA.names if name != "line"]
        for group in range(self._file.num_row_groups):
            yield from self._read(group, names).to_batches()

    def lines_at(self, rows: Sequence[int]) -> list[bytes]:
        """Return the lines of some rows, each row group read once.

        Raises:
            LedgerBroken: the file is damaged.
        """
        wanted = np.asarray(rows, dtype=np.int64)
        found: list[bytes] = [b""] * len(wanted)
        for group in np.unique(wanted // GROUP_ROWS).tolist():
            column = self._read(group, ["line"]).column("line").combine_chunks()
            at = np.flatnonzero(wanted // GROUP_ROWS == group)
            told = column.take(pa.array(wanted[at] - group * GROUP_ROWS)).to_pylist()
            for place, line in zip(at.tolist(), told, strict=True):
                found[place] = line
        return found

    def groups(self) -> Iterator[tuple[int, pa.Table | None]]:
        """Yield how many rows each row group has, and the rows; None if it is damaged."""
        for group in range(self._file.num_row_groups):
            try:
                read = self._read(group, SCHEMA.names)
            except LedgerBroken:
                read = None
            yield self._file.metadata.row_group(group).num_rows, read

    def _read(self, group: int, names: list[str]) -> pa.Table:
        try:
            table = self._file.read_row_group(group, columns=names)
            table.validate(full=True)
        except UNREADABLE as error:
            raise LedgerBroken(f"{self.path}: damaged: {error}", hint=HINT) from error
        return table


def write(kept: Iterable[Kept], path: Path, *, scratch: Path) -> Covered:
    """Write a snapshot whole and durably; return what a ledger says of it."""
    rows = 0
    descriptor = disk.create(scratch)
    try:
        gathered = disk.Sink(descriptor)
        sink = cast(BinaryIO, gathered)
        with pq.ParquetWriter(sink, SCHEMA, compression="zstd", write_page_checksum=True) as writer:
            for group in _grouped(kept):
                rows += len(group)
                writer.write_table(_table(group), row_group_size=GROUP_ROWS)
        gathered.flush()
        disk.sync(descriptor)
    finally:
        os.close(descriptor)
    covered = Covered(
        name=path.name, rows=rows, bytes=scratch.stat().st_size, sha256=sha256_of(scratch)
    )
    disk.rename(scratch, path)
    disk.sync_directory(path.parent)
    return covered


def among(directory: Path) -> list[Path]:
    """The snapshots in a directory, oldest first."""
    return sorted((it for it in directory.iterdir() if _NAME.fullmatch(it.name)), key=_number)


def following(directory: Path) -> Path:
    """Where the next snapshot goes."""
    newest = max(map(_number, among(directory)), default=0)
    return directory / f"ledger-{newest + 1:06}.parquet"


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def describe(path: Path) -> Covered:
    """Return what a ledger would say of a snapshot.

    Raises:
        LedgerBroken: it is damaged.
    """
    try:
        rows = pq.read_metadata(path).num_rows
    except UNREADABLE as error:
        raise LedgerBroken(f"{path}: damaged: {error}", hint=HINT) from error
    return Covered(name=path.name, rows=rows, bytes=path.stat().st_size, sha256=sha256_of(path))


def _grouped(kept: Iterable[Kept]) -> Iterator[list[Kept]]:
    group = []
    for each in kept:
        group.append(each)
        if len(group) == GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _table(group: list[Kept]) -> pa.Table:
    columns = [
        [each.entry.id for each in group],
        [each.entry.status for each in group],
        [short(each.entry.fingerprint) for each in group],
        [each.entry.path for each in group],
        [each.characters_sent for each in group],
        [each.cost_usd for each in group],
        [each.line for each in group],
    ]
    arrays = [pa.array(column, each.type) for column, each in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
