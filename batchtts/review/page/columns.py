"""Results as columns of numbers, some rows at a time; what a file does not have is not known.

Results of an older version lack columns. Each that is wanted is there all the same, and
holds nothing; which are lacking is told once, in the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchtts.job.columns import in_utf8
from batchtts.record.columns import results_schema
from batchtts.record.scripts import has_transcripts, script_column
from batchtts.review.page.bins import Floats, Ints

ROWS_AT_ONCE = 1 << 16
SCRIPT = "the script"  # the manifest's column, whatever it is called

_OWN = results_schema(pa.schema([]))
_HEARD = frozenset({"transcript"})


class Rows:
    """Some rows of the results.

    Attributes:
        first: Place of the first of them among all.
    """

    def __init__(self, batch: pa.RecordBatch, first: int) -> None:
        self._batch = batch
        self.first = first

    def __len__(self) -> int:
        return int(self._batch.num_rows)

    def column(self, name: str) -> pa.Array:
        """A column in the type that it has today; nulls if it is lacking, or is something else."""
        wanted = _OWN.field(name).type
        if name in self._batch.schema.names:
            try:
                return self._batch[name].cast(wanted)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                pass
        return pa.nulls(len(self), wanted)

    def floats(self, name: str) -> Floats:
        """Numbers; NaN where nothing is known."""
        found: Floats = self.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
        return found

    def times(self, name: str) -> Floats:
        """Seconds since the epoch; NaN where nothing is known."""
        whole = self.column(name).cast(pa.int64()).cast(pa.float64(), safe=False)
        found: Floats = whole.to_numpy(zero_copy_only=False) / 1e6
        return found

    def failed_at(self) -> Floats:
        """When attempts failed, of all rows together; seconds since the epoch."""
        failures = pc.list_flatten(self.column("failures"))
        at = pc.struct_field(failures, "at").cast(pa.int64()).drop_null()
        found: Floats = at.to_numpy(zero_copy_only=False) / 1e6
        return found

    def codes(self, name: str) -> tuple[Ints, list[str]]:
        """Texts as numbers, and what the numbers mean; nulls are the empty text."""
        encoded = pc.fill_null(self.column(name), "").dictionary_encode()
        numbers: Ints = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return numbers, encoded.dictionary.to_pylist()

    def are(self, name: str, value: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which rows have this text."""
        found = pc.fill_null(pc.equal(self.column(name), value), False)
        is_it: np.ndarray[tuple[int], np.dtype[np.bool_]] = found.to_numpy(zero_copy_only=False)
        return is_it


class Results:
    """A results.parquet.

    Attributes:
        script: The manifest's column with the scripts, if there is one.
        lacking: Columns that results have today, and these do not.
    """

    def __init__(self, file: pq.ParquetFile, script: str | None = None) -> None:
        self._file = file
        self._names = set(file.schema_arrow.names)
        if not has_transcripts(file):
            self._names -= _HEARD
        script = script or script_column(file)
        self.script = script if script in file.schema_arrow.names else None
        self.lacking = [name for name in _OWN.names if name not in self._names]
        self.metadata: dict[bytes, bytes] = file.schema_arrow.metadata or {}

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def batches(self, names: Sequence[str]) -> Iterator[Rows]:
        """Yield all rows with some of the columns."""
        first = 0
        wanted = [name for name in names if name in self._names]
        # Without any column a batch would not know how many rows it has.
        for batch in self._file.iter_batches(ROWS_AT_ONCE, columns=wanted or ["id"]):
            yield Rows(batch, first)
            first += batch.num_rows

    def pick(self, places: Sequence[int], names: Sequence[str]) -> list[dict[str, Any]]:
        """Return some rows, in this order: what they have by these names, and SCRIPT."""
        wanted = [name for name in names if name in self._names]
        if self.script is not None:
            wanted.append(self.script)
        found: dict[int, dict[str, Any]] = {}
        sought = np.sort(np.array(places, np.int64))
        first = 0
        for group in range(self._file.num_row_groups):
            last = first + self._file.metadata.row_group(group).num_rows
            here = sought[(sought >= first) & (sought < last)]
            # One group may be larger than memory would like.
            for batch in self._file.iter_batches(4096, row_groups=[group], columns=wanted):
                if not len(here):
                    break
                inside = here[here < first + batch.num_rows]
                some = batch.take(pa.array(inside - first))
                found.update(zip(inside.tolist(), self._told(some, names), strict=True))
                here = here[len(inside) :]
                first += batch.num_rows
            first = last
        return [found[place] for place in places]

    def _told(self, batch: pa.RecordBatch, names: Sequence[str]) -> list[dict[str, Any]]:
        known = [name for name in batch.schema.names if name in self._names]
        rows = Rows(batch.select(known), 0)
        ours = {name: rows.column(name) for name in names}
        if self.script is None:
            ours[SCRIPT] = pa.nulls(len(rows), pa.string())
        else:
            ours[SCRIPT] = in_utf8(batch[self.script])
        told: list[dict[str, Any]] = pa.table(ours).to_pylist()
        return told
