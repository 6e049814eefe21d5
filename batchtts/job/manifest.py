"""A manifest, read in batches and never whole.

It is read once from end to end before anything is spent, so that whatever is wrong
with a row is known then; later passes read the same file or stop. What stays in
memory is eight bytes a row. Who knows what was found in a file that is still the
same need not read it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batchtts.errors import ManifestError
from batchtts.job.columns import (
    Columns,
    Guess,
    as_ids,
    as_names,
    as_speeds,
    as_text,
    as_truths,
    check_types,
    in_utf8,
    resolve,
    retyped,
)
from batchtts.job.plan import Ints
from batchtts.job.source import Stamp, identify, take_stamp, unchanged
from batchtts.job.tables import Table, open_table
from batchtts.lots import lots

__all__ = ["Batch", "Columns", "Manifest", "Stamp", "first_repeat", "scan"]

_LOOKED_THROUGH = 64  # batches at a time, for ids
_SUSPECTS = 1000  # ids looked at together; more than one look is all but never needed


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some rows, ascending. Every list has one entry per row, and is made when it is asked for.

    Attributes:
        rows: 0-based positions in the manifest.
        cells: What the file has in these rows.
    """

    manifest: Manifest
    rows: range | Ints
    cells: pa.RecordBatch

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def first_row(self) -> int:
        """The position of the first one."""
        return int(self.rows[0])

    @cached_property
    def ids(self) -> list[str]:
        """Who is who; the row numbers, from 1, if nothing else says so."""
        return _ids(self.manifest.path, self.manifest.columns, self.cells, self.rows)

    @property
    def texts(self) -> list[str | None]:
        """What is to be spoken."""
        return as_text(self.cells.column(self.manifest.columns.text))

    @property
    def utf8(self) -> pa.StringArray:
        """The same, as it is read."""
        return in_utf8(self.cells.column(self.manifest.columns.text))

    @cached_property
    def voices(self) -> list[str | None]:
        """By which voice."""
        return self._names(self.manifest.columns.voice)

    @cached_property
    def models(self) -> list[str | None]:
        """By which model."""
        return self._names(self.manifest.columns.model)

    @cached_property
    def languages(self) -> list[str | None]:
        """In which language."""
        return self._names(self.manifest.columns.language)

    @cached_property
    def speeds(self) -> list[float | None]:
        """How fast."""
        return _speeds(self.manifest.path, self.manifest.columns, self.cells, self.rows)

    @property
    def wishes(self) -> list[tuple[str | None, str | None, str | None, float | None]]:
        """Voice, model, language and speed."""
        return list(zip(self.voices, self.models, self.languages, self.speeds, strict=True))

    @cached_property
    def speakers(self) -> list[str | None]:
        """By whom, in the words of the job."""
        return self._names(self.manifest.columns.speaker)

    @cached_property
    def canaries(self) -> list[bool]:
        """Which rows are spoken by every run."""
        return _canaries(self.manifest.path, self.manifest.columns, self.cells, self.rows)

    @property
    def carried(self) -> pa.RecordBatch:
        """The columns of `Manifest.schema`."""
        schema = self.manifest.schema
        columns = [retyped(self.cells.column(it.name), it.type) for it in schema]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    def _names(self, column: str | None) -> list[str | None]:
        return [None] * len(self) if column is None else as_names(self.cells.column(column))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that has been read once and can be used.

    Attributes:
        rows: How many.
        schema: The columns that are carried to the results, with their types.
        id_hashes: `hash(id)` of each row, shape (rows,); only of use in this process,
            and of no length if nobody has read the ids in it.
        stamp: The state of the file that all this is true of.
    """

    path: Path
    columns: Columns
    rows: int
    schema: pa.Schema
    id_hashes: Ints
    stamp: Stamp
    table: Table

    @classmethod
    def recalled(
        cls, path: Path, columns: Columns, rows: int, *, table: pa.Schema, carried: pa.Schema
    ) -> Manifest | None:
        """Take a file for what was once found in it; None if that cannot be.

        Args:
            table, carried: The schemas of the file, and of what goes to the results.

        Raises:
            ManifestError: it cannot be read.
        """
        stamp = take_stamp(path)
        opened = open_table(identify(path), table)
        if not opened.schema.equals(table):
            return None
        unread = np.empty(0, np.int64)
        return cls(
            path=path,
            columns=columns,
            rows=rows,
            schema=carried,
            id_hashes=unread,
            stamp=stamp,
            table=opened,
        )

    def batches(self, first_row: int = 0) -> Iterator[Batch]:
        """Read the file again, from *first_row* (0-based) on.

        Raises:
            ManifestChanged: it is not the file that was scanned, or not any more.
        """
        with unchanged(self.path, self.stamp):
            for cells in self.table.batches(first_row):
                rows = range(first_row, first_row + len(cells))
                yield Batch(manifest=self, rows=rows, cells=cells)
                first_row += len(cells)

    def pick(self, wanted: Ints) -> Iterator[Batch]:
        """Read some rows again, and of these only what it takes to speak them.

        Args:
            wanted: Positions, ascending.

        Raises:
            ManifestChanged: as batches().
        """
        if not len(wanted):
            return
        first, last, at = int(wanted[0]), int(wanted[-1]), 0
        with unchanged(self.path, self.stamp):
            for cells in self.table.batches(first, self.columns.used):
                end = int(np.searchsorted(wanted, first + len(cells)))
                rows = wanted[at:end]
                if len(rows) == len(cells):
                    yield Batch(manifest=self, rows=rows, cells=cells)
                elif len(rows):
                    yield Batch(manifest=self, rows=rows, cells=cells.take(pa.array(rows - first)))
                first, at = first + len(cells), end
                if first > last:
                    return

    def find(self, ids: Iterable[str]) -> dict[str, int]:
        """Return the positions of ids; those that no row has are left out.

        Raises:
            ManifestChanged: as batches().
        """
        if self.columns.id is None:
            return {it: int(it) - 1 for it in ids if self._is_number(it)}
        sought, first = pa.array(ids, pa.string()), 0
        found: dict[str, int] = {}
        with unchanged(self.path, self.stamp):
            for some in lots(self.table.batches(0, [self.columns.id]), _LOOKED_THROUGH):
                column = pa.chunked_array([in_utf8(it.column(self.columns.id)) for it in some])
                at = np.flatnonzero(pc.is_in(column, value_set=sought).to_numpy())
                names = column.take(pa.array(at)).to_pylist()
                found.update(zip(names, (first + at).tolist(), strict=True))
                first += len(column)
        return found

    def _is_number(self, row_id: str) -> bool:
        """Whether this is what a row is called that has no id: "7", and not "007"."""
        is_short = row_id.isascii() and row_id.isdigit() and len(row_id) <= len(f"{self.rows}")
        return is_short and row_id[0] != "0" and int(row_id) <= self.rows


def scan(path: Path, wanted: Mapping[str, str] = {}, *, speakers: bool = False) -> Manifest:
    """Read the whole manifest once in bounded memory and make sure that it can be used.

    Args:
        wanted: What --column says: text, id, voice, model, language, speed, speaker or canary, to a
            name.
        speakers: Whether a column "speaker" means something.

    Raises:
        ManifestError: it cannot be used.
        ManifestChanged: somebody wrote to it meanwhile.
    """
    stamp = take_stamp(path)
    with unchanged(path, stamp):
        table = open_table(identify(path))
        if not table.schema.names:
            raise ManifestError(path, "no rows")
        columns = resolve(path, table.schema.names, wanted, speakers=speakers)
        check_types(path, columns, table.schema)
        hashes, schema = _survey(path, columns, table)
        _check_unique(path, columns, table, hashes)
    return Manifest(
        path=path,
        columns=columns,
        rows=len(hashes),
        schema=schema,
        id_hashes=hashes,
        stamp=stamp,
        table=table,
    )


def _survey(path: Path, columns: Columns, table: Table) -> tuple[Ints, pa.Schema]:
    """Check every row; return the hashes of the ids and the schema of what is carried."""
    carried = columns.carried(table.schema.names)
    guesses = {} if table.typed else {it: Guess() for it in carried if it != columns.text}
    hashes = [np.empty(0, np.int64)]
    row = 0
    for batch in table.batches():
        rows = range(row, row + len(batch))
        hashes.append(np.fromiter(map(hash, _ids(path, columns, batch, rows)), np.int64))
        _speeds(path, columns, batch, rows)
        _canaries(path, columns, batch, rows)
        for name, guess in guesses.items():
            guess.see(batch.column(name))
        row += len(batch)
    if not row:
        raise ManifestError(path, "no rows")
    types = {name: guess.type for name, guess in guesses.items()}
    schema = [(name, types.get(name, table.schema.field(name).type)) for name in carried]
    return np.concatenate(hashes), pa.schema(schema, metadata=table.schema.metadata)


def _ids(path: Path, columns: Columns, batch: pa.RecordBatch, rows: range | Ints) -> list[str]:
    if columns.id is None:
        return [f"{row + 1}" for row in rows]
    return as_ids(path, batch.column(columns.id), int(rows[0]))


def _speeds(
    path: Path, columns: Columns, batch: pa.RecordBatch, rows: range | Ints
) -> list[float | None]:
    if columns.speed is None:
        return [None] * len(batch)
    return as_speeds(path, batch.column(columns.speed), int(rows[0]))


def _canaries(
    path: Path, columns: Columns, batch: pa.RecordBatch, rows: range | Ints
) -> list[bool]:
    if columns.canary is None:
        return [False] * len(batch)
    return as_truths(path, batch.column(columns.canary), int(rows[0]))


def _check_unique(path: Path, columns: Columns, table: Table, hashes: Ints) -> None:
    def all_ids() -> Iterator[str]:
        row = 0
        for batch in table.batches():
            yield from _ids(path, columns, batch, range(row, row + len(batch)))
            row += len(batch)

    if columns.id is None:
        return
    found = first_repeat(hashes, all_ids)
    if found:
        first, again, name = found
        problem = f'id "{name}" is also in row {first + 1}; ids must be unique'
        raise ManifestError(path, problem, row=again + 1)


def first_repeat(hashes: Ints, all_ids: Callable[[], Iterable[str]]) -> tuple[int, int, str] | None:
    """Find the first row whose id an earlier row has.

    Two ids may share a hash, so ids are read again, but only these are kept.

    Args:
        hashes: `hash(id)` of each row, shape (rows,).
        all_ids: Reads the ids of all rows, in order.

    Returns:
        The earlier row and the later row, both 0-based, and the id.
    """
    suspects = _repeated(hashes)
    for start in range(0, len(suspects), _SUSPECTS):
        watched = np.isin(hashes, suspects[start : start + _SUSPECTS])
        rows: dict[str, int] = {}
        for row, name in enumerate(all_ids()):
            if watched[row] and rows.setdefault(name, row) != row:
                return rows[name], row, name
    return None


def _repeated(hashes: Ints) -> Ints:
    """Return the hashes that occur more than once, by where they do so for the second time."""
    ordered = np.sort(hashes)
    if not (ordered[1:] == ordered[:-1]).any():
        return ordered[:0]
    order = np.argsort(hashes, kind="stable")
    again = order[1:][hashes[order[1:]] == hashes[order[:-1]]]
    values, positions = np.unique(hashes[np.sort(again)], return_index=True)
    return values[np.argsort(positions)]
