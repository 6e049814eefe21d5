"""What a long ledger is folded into: the last line about each id, as Parquet.

A snapshot is written whole, named by the ledger's first line and never changed. It
keeps the lines as they were, with a few columns beside them, so that a plan need
not read the lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchtts.errors import LedgerBroken
from batchtts.job.plan import KINDS, Bools, Ints, Told
from batchtts.model import Status
from batchtts.record import disk, lines
from batchtts.record.hashes import sha256_of
from batchtts.record.lines import Covered, Place

GROUP_ROWS = 8192

#: The statuses, each at the place of its kind.
_STATUSES = pa.array([{kind: it for it, kind in KINDS.items()}.get(at) for at in range(4)])

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("fingerprint", pa.int64(), nullable=False),  # its first 64 bits
        pa.field("path", pa.string()),
        pa.field("characters_sent", pa.int64(), nullable=False),  # in all lines about the id
        pa.field("cost_usd", pa.float64(), nullable=False),  # the same; NaN if a price is not known
        pa.field("bytes", pa.int64()),
        pa.field("mtime_ns", pa.int64()),
        pa.field("line", pa.binary(), nullable=False),
    ]
)

#: What makes the file small and quick to write: hardly a value of the others comes twice.
_WRITTEN: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": ["status", "characters_sent", "cost_usd", "bytes"],
    "column_encoding": {"id": "DELTA_BYTE_ARRAY", "mtime_ns": "DELTA_BINARY_PACKED"},
    "write_statistics": False,
    "write_page_checksum": True,
}

_NAME = re.compile(r"ledger-\d{6,}\.parquet")
#: What reading a damaged Parquet file may raise; names in it may be no text any more.
UNREADABLE = (OSError, ValueError, pa.ArrowException)

#: What is wrong with a file that was a snapshot.
HINT = "`batchtts check OUT --repair` keeps what can still be read"


class Kept(NamedTuple):
    """The last lines about some ids, and what was spent on each id in all."""

    lines: Sequence[bytes]
    characters_sent: Sequence[int]
    costs_usd: Sequence[float]


class _Beside(msgspec.Struct, frozen=True, gc=False):
    """What of a line is in columns of its own."""

    id: str
    status: Status
    fingerprint: str = ""
    path: str | None = None
    bytes: int | None = None
    mtime_ns: int | None = None


_decode_lines = msgspec.json.Decoder(_Beside).decode_lines


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
        found = (file.metadata.num_rows, file.num_row_groups)
        is_told = found == (covered.rows, -(-covered.rows // GROUP_ROWS))
        if not is_told or not file.schema_arrow.equals(SCHEMA):
            raise _other_rows(path)
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

    def lines_at(self, rows: Ints) -> list[bytes]:
        """Return the lines of some rows, each row group read once.

        Raises:
            LedgerBroken: the file is damaged.
        """
        found: list[bytes] = [b""] * len(rows)
        for at, table in self._rows(rows, ["line"]):
            for place, line in zip(at.tolist(), table["line"].to_pylist(), strict=True):
                found[place] = line
        return found

    def places_at(self, rows: Ints) -> Iterator[Place]:
        """Yield where the audio of some rows is, rows ascending.

        Raises:
            LedgerBroken: the file is damaged.
        """
        for _, table in self._rows(rows, ["path", "bytes", "mtime_ns"]):
            yield from map(Place, *(column.to_pylist() for column in table.columns))

    def _rows(self, rows: Ints, names: list[str]) -> Iterator[tuple[Ints, pa.Table]]:
        """Yield places in *rows*, and what is in these rows."""
        groups = rows // GROUP_ROWS
        for group in np.unique(groups).tolist():
            at = np.flatnonzero(groups == group)
            yield at, self._read(group, names).take(pa.array(rows[at] - group * GROUP_ROWS))

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
            table = self._file.read_row_group(group, columns=names, use_threads=False)
            table.validate(full=True)
        except UNREADABLE as error:
            raise LedgerBroken(f"{self.path}: damaged: {error}", hint=HINT) from error
        if len(table) != min(GROUP_ROWS, self.rows - group * GROUP_ROWS):
            raise _other_rows(self.path)
        return table


def write(kept: Iterable[Kept], path: Path, *, scratch: Path) -> Covered:
    """Write a snapshot whole and durably; return what a ledger says of it.

    Args:
        kept: GROUP_ROWS at a time, the last ones fewer.
    """
    rows = 0
    with (
        disk.replacing(path, scratch=scratch) as sink,
        pq.ParquetWriter(cast(BinaryIO, sink), SCHEMA, **_WRITTEN) as writer,
    ):
        for group in kept:
            rows += len(group.lines)
            writer.write_table(_table(group), row_group_size=GROUP_ROWS)
    return Covered(name=path.name, rows=rows, bytes=path.stat().st_size, sha256=sha256_of(path))


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


def tell(rows: pa.RecordBatch | pa.Table, addresses: Ints) -> Told:
    """What rows of a snapshot at these addresses tell a plan."""
    numbers = ("fingerprint", "characters_sent", "cost_usd")
    return Told(
        np.array([hash(row_id) for row_id in rows["id"].to_pylist()], np.int64),
        addresses,
        pc.index_in(rows["status"], _STATUSES).to_numpy().astype(np.uint8),
        *(rows[name].to_numpy() for name in numbers),
    )


def are_true(rows: pa.Table) -> Bools:
    """Which rows hold a whole line, and say what the line says."""
    true = np.array([lines.is_whole(line) for line in rows["line"].to_pylist()], np.bool_)
    rows = rows.filter(pa.array(true))
    spent = (rows[name].to_pylist() for name in ("characters_sent", "cost_usd"))
    again = _table(Kept(rows["line"].to_pylist(), *spent))
    both = (table.drop_columns("cost_usd").to_pylist() for table in (rows, again))
    true[true] = [row == told for row, told in zip(*both, strict=True)]
    return true


def _other_rows(path: Path) -> LedgerBroken:
    return LedgerBroken(f"{path}: damaged: not the rows that the ledger says", hint=HINT)


def _table(group: Kept) -> pa.Table:
    told = _decode_lines(b"\n".join(group.lines))
    columns = [
        [each.id for each in told],
        [each.status for each in told],
        lines.shorts([each.fingerprint for each in told]),
        [each.path for each in told],
        group.characters_sent,
        group.costs_usd,
        [each.bytes for each in told],
        [each.mtime_ns for each in told],
        group.lines,
    ]
    arrays = [pa.array(column, each.type) for column, each in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
