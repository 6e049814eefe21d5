"""A manifest, read in batches and never whole.

It is read once from end to end before anything is spent, so that whatever is wrong
with a row is known then; later passes read the same file or stop. What stays in
memory is eight bytes a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from batchtts.errors import ManifestError
from batchtts.job.columns import (
    Columns,
    Guess,
    as_ids,
    as_names,
    as_speeds,
    as_text,
    check_types,
    resolve,
    retyped,
)
from batchtts.job.source import Stamp, identify, take_stamp, unchanged
from batchtts.job.tables import Table, open_table

__all__ = ["Batch", "Columns", "Manifest", "Stamp", "first_repeat", "scan"]

Hashes = npt.NDArray[np.int64]

_SUSPECTS = 1000  # ids looked at together; more than one look is all but never needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some consecutive rows; every list has one entry per row.

    Attributes:
        first_row: 0-based position of its first row in the manifest.
        carried: The columns of `Manifest.schema`.
    """

    first_row: int
    ids: list[str]
    texts: list[str | None]
    voices: list[str | None]
    models: list[str | None]
    languages: list[str | None]
    speeds: list[float | None]
    carried: pa.RecordBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest that has been read once and can be used.

    Attributes:
        rows: How many.
        schema: The columns that are carried to the results, with their types.
        id_hashes: `hash(id)` of each row, shape (rows,); only of use in this process.
        stamp: The state of the file that all this is true of.
    """

    path: Path
    columns: Columns
    rows: int
    schema: pa.Schema
    id_hashes: Hashes
    stamp: Stamp
    table: Table

    def batches(self, first_row: int = 0) -> Iterator[Batch]:
        """Read the file again, from *first_row* (0-based) on.

        Raises:
            ManifestChanged: it is not the file that was scanned, or not any more.
        """
        with unchanged(self.path, self.stamp):
            for batch in self.table.batches(first_row):
                yield self._batch(batch, first_row)
                first_row += len(batch)

    def _batch(self, batch: pa.RecordBatch, first_row: int) -> Batch:
        def names(column: str | None) -> list[str | None]:
            return [None] * len(batch) if column is None else as_names(batch.column(column))

        carried = [retyped(batch.column(it.name), it.type) for it in self.schema]
        return Batch(
            first_row=first_row,
            ids=_ids(self.path, self.columns, batch, first_row),
            texts=as_text(batch.column(self.columns.text)),
            voices=names(self.columns.voice),
            models=names(self.columns.model),
            languages=names(self.columns.language),
            speeds=_speeds(self.path, self.columns, batch, first_row),
            carried=pa.RecordBatch.from_arrays(carried, schema=self.schema),
        )


def scan(path: Path, wanted: Mapping[str, str] = {}) -> Manifest:
    """Read the whole manifest once in bounded memory and make sure that it can be used.

    Args:
        wanted: What --column says: text, id, voice, model, language or speed, to a name.

    Raises:
        ManifestError: it cannot be used.
        ManifestChanged: somebody wrote to it meanwhile.
    """
    stamp = take_stamp(path)
    with unchanged(path, stamp):
        table = open_table(identify(path))
        if not table.schema.names:
            raise ManifestError(path, "no rows")
        columns = resolve(path, table.schema.names, wanted)
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


def _survey(path: Path, columns: Columns, table: Table) -> tuple[Hashes, pa.Schema]:
    """Check every row; return the hashes of the ids and the schema of what is carried."""
    carried = columns.carried(table.schema.names)
    guesses = {} if table.typed else {it: Guess() for it in carried if it != columns.text}
    hashes = [np.empty(0, np.int64)]
    row = 0
    for batch in table.batches():
        ids = _ids(path, columns, batch, row)
        hashes.append(np.fromiter(map(hash, ids), np.int64, len(ids)))
        _speeds(path, columns, batch, row)
        for name, guess in guesses.items():
            guess.see(batch.column(name))
        row += len(batch)
    if not row:
        raise ManifestError(path, "no rows")
    types = {name: guess.type for name, guess in guesses.items()}
    schema = [(name, types.get(name, table.schema.field(name).type)) for name in carried]
    return np.concatenate(hashes), pa.schema(schema)


def _ids(path: Path, columns: Columns, batch: pa.RecordBatch, first_row: int) -> list[str]:
    if columns.id is None:
        return [str(row) for row in range(first_row + 1, first_row + len(batch) + 1)]
    return as_ids(path, batch.column(columns.id), first_row)


def _speeds(
    path: Path, columns: Columns, batch: pa.RecordBatch, first_row: int
) -> list[float | None]:
    if columns.speed is None:
        return [None] * len(batch)
    return as_speeds(path, batch.column(columns.speed), first_row)


def _check_unique(path: Path, columns: Columns, table: Table, hashes: Hashes) -> None:
    def all_ids() -> Iterator[str]:
        row = 0
        for batch in table.batches():
            yield from _ids(path, columns, batch, row)
            row += len(batch)

    if columns.id is None:
        return
    found = first_repeat(hashes, all_ids)
    if found:
        first, again, name = found
        problem = f'id "{name}" is also in row {first + 1}; ids must be unique'
        raise ManifestError(path, problem, row=again + 1)


def first_repeat(
    hashes: Hashes, all_ids: Callable[[], Iterable[str]]
) -> tuple[int, int, str] | None:
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


def _repeated(hashes: Hashes) -> Hashes:
    """Return the hashes that occur more than once, by where they do so for the second time."""
    ordered = np.sort(hashes)
    if not (ordered[1:] == ordered[:-1]).any():
        return ordered[:0]
    order = np.argsort(hashes, kind="stable")
    again = order[1:][hashes[order[1:]] == hashes[order[:-1]]]
    values, positions = np.unique(hashes[np.sort(again)], return_index=True)
    return values[np.argsort(positions)]
