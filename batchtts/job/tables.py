"""Rows in batches, from CSV, TSV, JSON Lines and Parquet.

Each reader opens its file anew for every pass, keeps one batch in memory and names
the row of what it cannot read: counted from 1, a header is not a row.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Protocol, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from batchtts.errors import ManifestError
from batchtts.job.source import Malformed, Source, newline_cut, quoted_cut

BATCH_ROWS = 10_000
_OURS = b"batchtts."  # begins the names of what batchtts says in a file's metadata
BATCH_BYTES = 4 << 20

_DELIMITERS = {"csv": ",", "tsv": "\t"}
_Fit = TypeVar("_Fit")
_MISFITS = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError)


class Table(Protocol):
    """A manifest as rows.

    Attributes:
        schema: The names and types of the columns, in order.
        typed: Whether these types are the manifest's own; if not, all is text.
    """

    schema: pa.Schema
    typed: bool

    def batches(
        self, first_row: int = 0, names: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows from *first_row* (0-based) on.

        Args:
            names: Of the columns that are needed; there may be others.
        """
        ...


def open_table(source: Source, schema: pa.Schema | None = None) -> Table:
    """Return the reader of a manifest's kind.

    Args:
        schema: What it was found to have, if that is known.

    Raises:
        ManifestError: it cannot even be begun.
    """
    if source.form == "parquet":
        return ParquetTable(source)
    return JsonTable(source, schema) if source.form == "jsonl" else CsvTable(source)


class CsvTable:
    """CSV and TSV. The header is parsed like any row: in the counts here it is row 0."""

    typed = False

    def __init__(self, source: Source) -> None:
        self._source = source
        self._delimiter = _DELIMITERS[source.form]
        try:
            self.schema = pa.schema([(name, pa.string()) for name in self._header()])
        except Malformed as error:
            raise self._misquoted(error, 0) from error

    def batches(
        self, first_row: int = 0, names: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        seen = 0
        try:
            for chunk in self._chunks():
                rows = self._rows(chunk, seen)
                yield from _sliced(rows, first_row + 1 - seen)
                seen += len(rows)
        except Malformed as error:
            raise self._misquoted(error, seen) from error

    def _header(self) -> list[str]:
        for chunk in self._chunks():
            if chunk.strip(b"\r\n"):
                return list(self._parse(chunk, None, lambda _: "skip").schema.names)
        return []

    def _rows(self, chunk: bytes, seen: int) -> pa.Table:
        ragged: list[Any] = []

        def refuse(row: object) -> str:
            ragged.append(row)
            return "error"

        try:
            return self._parse(chunk, self.schema.names, refuse)
        except pa.ArrowInvalid as error:
            row = ragged[0]
            problem = f"expected {row.expected_columns} columns, got {row.actual_columns}"
            row_number = seen + row.number - 1
            raise ManifestError(self._source.path, problem, row=row_number) from error

    def _parse(
        self, chunk: bytes, names: Sequence[str] | None, on_ragged: Callable[[Any], str]
    ) -> pa.Table:
        return pyarrow.csv.read_csv(
            pa.BufferReader(chunk),
            read_options=pyarrow.csv.ReadOptions(
                column_names=names, block_size=len(chunk) + 1, use_threads=False
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=on_ragged
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names or (), pa.string()),
                strings_can_be_null=False,
                check_utf8=False,  # the chunk has been
            ),
        )

    def _chunks(self) -> Iterator[bytes]:
        return self._source.chunks(quoted_cut(self._delimiter))

    def _misquoted(self, error: Malformed, row: int) -> ManifestError:
        problem = f"{error}" if row else f"header: {error}"
        hint = 'inside a quoted field, write a quote twice: ""'
        return ManifestError(self._source.path, problem, row=row or None, hint=hint)


class JsonTable:
    """JSON Lines: one object per line; a key that is missing is null.

    A column that is text here and a number there is refused rather than made all
    text: which of the two a cell was could not be told any more from the results.
    """

    typed = True

    def __init__(self, source: Source, schema: pa.Schema | None) -> None:
        self._source = source
        self.schema = schema or self._find_schema()

    def _find_schema(self) -> pa.Schema:
        types: dict[str, pa.DataType] = {}
        for seen, rows in self._rows():
            for name in dict.fromkeys(chain.from_iterable(rows)):
                known = types.get(name, pa.null())
                types[name] = self._fitted(_unified, name, rows, known, seen)
        return pa.schema([(name, self._kept(name, types[name])) for name in types])

    def batches(
        self, first_row: int = 0, names: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        for seen, rows in self._rows():
            cells = [self._fitted(_typed, it.name, rows, it.type, seen) for it in self.schema]
            yield from _sliced(pa.Table.from_arrays(cells, schema=self.schema), first_row - seen)

    def _rows(self) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Yield rows, each time with the number of those before."""
        seen = 0
        try:
            for chunk in self._source.chunks(newline_cut):
                lines = [line for line in chunk.split(b"\n") if line and not line.isspace()]
                rows = self._decoded(lines, seen)
                if rows:
                    yield seen, rows
                seen += len(rows)
        except Malformed as error:
            raise ManifestError(self._source.path, str(error), row=seen + 1) from error

    def _decoded(self, lines: list[bytes], seen: int) -> list[dict[str, Any]]:
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        rows: list[dict[str, Any]] = []
        try:
            rows.extend(map(decode, lines))
        except msgspec.DecodeError as error:
            problem = f"not a JSON object: {error}"
            raise ManifestError(self._source.path, problem, row=seen + len(rows) + 1) from error
        return rows

    def _fitted(
        self,
        fit: Callable[[list[Any], pa.DataType], _Fit],
        name: str,
        rows: list[dict[str, Any]],
        type: pa.DataType,
        seen: int,
    ) -> _Fit:
        cells = [row.get(name) for row in rows]
        try:
            return fit(cells, type)
        except _MISFITS as error:
            position = _first_misfit(fit, cells, type)
            before = _unified(cells[:position], type)
            cell = msgspec.json.encode(cells[position]).decode()
            problem = f'column "{name}" cannot hold {cell:.40}, it is {before} elsewhere'
            row = seen + position + 1
            raise ManifestError(self._source.path, problem, row=row) from error

    def _kept(self, name: str, type: pa.DataType) -> pa.DataType:
        # Parquet has no column of nothing, and the results are Parquet.
        if pa.types.is_null(type):
            return pa.string()
        if pa.types.is_list(type):
            return pa.list_(self._kept(name, type.value_type))
        if pa.types.is_struct(type):
            if not type.num_fields:
                problem = f'column "{name}" holds objects that never have a key'
                raise ManifestError(self._source.path, problem)
            return pa.struct([(part.name, self._kept(name, part.type)) for part in type])
        return type


def _unified(cells: list[Any], known: pa.DataType) -> pa.DataType:
    inferred = pa.array(cells).type
    if pa.types.is_floating(inferred) and bool in map(type, cells):
        raise pa.ArrowTypeError("true is not 1.0")
    both = [pa.schema([("", known)]), pa.schema([("", inferred)])]
    return pa.unify_schemas(both, promote_options="permissive").field(0).type


def _typed(cells: list[Any], type: pa.DataType) -> pa.Array:
    return pa.array(cells, type=type)


def _first_misfit(
    fit: Callable[[list[Any], pa.DataType], object], cells: list[Any], type: pa.DataType
) -> int:
    def fails(count: int) -> bool:
        try:
            fit(cells[:count], type)
        except _MISFITS:
            return True
        return False

    return bisect_left(range(len(cells)), True, key=fails) - 1


class ParquetTable:
    """Columns with types of their own, read a bounded piece of a row group at a time."""

    typed = True

    def __init__(self, source: Source) -> None:
        self._path = source.path
        with self._file() as file:
            fields = [(it.name, it.type) for it in file.schema_arrow]
            self.schema = pa.schema(fields, metadata=_told(file.schema_arrow))

    def batches(
        self, first_row: int = 0, names: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([it for it in self.schema if names is None or it.name in names])
        with self._file() as file:
            groups, row = _groups_from(file.metadata, first_row)
            rows = _batch_rows(file.metadata)
            for batch in file.iter_batches(rows, row_groups=groups, columns=schema.names):
                self._check(batch, row)
                same = pa.Table.from_arrays(batch.columns, schema=schema)
                yield from _sliced(same, first_row - row)
                row += len(batch)

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        try:
            # With a buffer, a column is read bit by bit and not a row group at once.
            with pq.ParquetFile(self._path, buffer_size=1 << 20) as file:
                yield file
        except pa.ArrowNotImplementedError as error:
            raise ManifestError(self._path, f"Parquet that cannot be read: {error}") from error
        except (pa.ArrowException, OSError) as error:
            problem = "not a whole Parquet file; it was cut short or is something else"
            raise ManifestError(self._path, problem) from error

    def _check(self, batch: pa.RecordBatch, row: int) -> None:
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            problem = f"damaged in rows {row + 1} to {row + len(batch)}: {error}"
            raise ManifestError(self._path, problem) from error


def _groups_from(metadata: pq.FileMetaData, first_row: int) -> tuple[list[int], int]:
    """Return the row groups that are not wholly before *first_row*, and their first row."""
    row = group = 0
    while group < metadata.num_row_groups:
        rows = metadata.row_group(group).num_rows
        if row + rows > first_row:
            break
        row += rows
        group += 1
    return list(range(group, metadata.num_row_groups)), row


def _told(schema: pa.Schema) -> dict[bytes, bytes] | None:
    """What a manifest says of itself beside its rows, in our own words."""
    told = schema.metadata or {}
    return {name: value for name, value in told.items() if name.startswith(_OURS)} or None


def _batch_rows(metadata: pq.FileMetaData) -> int:
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    widest = max((it.total_byte_size // max(it.num_rows, 1) for it in groups), default=0)
    return min(BATCH_ROWS, max(1, BATCH_BYTES // max(widest, 1)))


def _sliced(rows: pa.Table, start: int) -> Iterator[pa.RecordBatch]:
    if start < len(rows):
        yield from rows.slice(max(start, 0)).to_batches(max_chunksize=BATCH_ROWS)
