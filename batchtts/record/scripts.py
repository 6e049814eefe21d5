"""Which column of the results has the scripts: it is the manifest's, under its own name."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchtts.job.columns import ROLES, in_utf8
from batchtts.record.columns import results_schema


def script_column(file: pq.ParquetFile) -> str:
    """Return the column whose cells are as long as the scripts were; ``text`` if there is none."""
    own = {*results_schema(pa.schema([])).names, "cues"}
    theirs = [each.name for each in file.schema_arrow if _is_text(each.type)]
    usual = [name for name in ROLES["text"] if name in theirs]
    names: list[str] = [name for name in dict.fromkeys([*usual, *theirs]) if name not in own]
    if len(names) < 2:
        return names[0] if names else "text"
    batch = next(file.iter_batches(columns=[*names, "text_chars"]), None)
    return names[0] if batch is None else max(names, key=lambda name: _fits(batch, name))


def _is_text(type: pa.DataType) -> bool:
    if pa.types.is_dictionary(type):
        return _is_text(type.value_type)
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(kind(type) for kind in kinds)


def _fits(batch: pa.RecordBatch, name: str) -> int:
    """In how many rows a column is as long as the script."""
    lengths = pc.utf8_length(in_utf8(batch[name])).cast(pa.int64())
    return pc.sum(pc.equal(lengths, batch["text_chars"])).as_py() or 0
