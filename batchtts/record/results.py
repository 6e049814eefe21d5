"""Fold the ledger into results.parquet: one row per manifest row, in its order.

Derived and never read back for a decision: deleting it is harmless. It is
written beside and renamed, so a reader sees the old file or the new one.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchtts.job.manifest import Batch, Manifest
from batchtts.model import Result, Status
from batchtts.record import disk
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout

SCHEMA_VERSION = 3

_STATUSES: tuple[Status, ...] = ("done", "failed", "pending")
_TIME = pa.timestamp("us", tz="UTC")
_WORDS = pa.list_(
    pa.struct([("text", pa.string()), ("start_s", pa.float64()), ("end_s", pa.float64())])
)


class _Column(NamedTuple):
    name: str
    type: pa.DataType
    unit: str
    about: str
    value: Callable[[Result], Any]


_COLUMNS = (
    _Column("id", pa.string(), "", "row id", lambda r: r.id),
    _Column("status", pa.string(), "", "done, failed or pending", lambda r: r.status),
    _Column("path", pa.string(), "", "audio file, below the output directory", lambda r: r.path),
    _Column("text_chars", pa.int64(), "characters", "of the script", lambda r: r.text_chars),
    _Column("provider", pa.string(), "", "who was asked", lambda r: r.provider or None),
    _Column("model", pa.string(), "", "model that spoke", lambda r: r.model or None),
    _Column("voice", pa.string(), "", "voice that spoke", lambda r: r.voice or None),
    _Column("language", pa.string(), "", "of the voice", lambda r: r.language or None),
    _Column("sample_rate_hz", pa.int32(), "Hz", "of the file", lambda r: r.sample_rate_hz),
    _Column("audio_s", pa.float64(), "s", "duration of the audio", lambda r: r.audio_s),
    _Column("bytes", pa.int64(), "bytes", "size of the file", lambda r: r.bytes),
    _Column("sha256", pa.string(), "", "of the file", lambda r: r.sha256),
    _Column("peak_dbfs", pa.float64(), "dBFS", "loudest sample", lambda r: r.peak_dbfs),
    _Column("segments", pa.int32(), "", "commits that the script took", lambda r: r.segments),
    _Column("attempts", pa.int32(), "", "tries at all segments together", lambda r: r.attempts),
    _Column("started_at", _TIME, "UTC", "taken up", lambda r: _microseconds(r.started_at)),
    _Column(
        "finished_at",
        _TIME,
        "UTC",
        "all heard, or given up",
        lambda r: _microseconds(r.finished_at),
    ),
    _Column("queue_s", pa.float64(), "s", "waiting for a slot in flight", lambda r: r.queue_s),
    _Column("connect_s", pa.float64(), "s", "opening connections", lambda r: r.connect_s),
    _Column("ttfa_s", pa.float64(), "s", "first commit to first audio", lambda r: r.ttfa_s),
    _Column("synth_s", pa.float64(), "s", "commits to last audio", lambda r: r.synth_s),
    _Column("wall_s", pa.float64(), "s", "started_at to finished_at", lambda r: r.wall_s),
    _Column("rtf", pa.float64(), "", "synth_s per audio_s", lambda r: r.rtf),
    _Column(
        "characters_sent",
        pa.int64(),
        "characters",
        "in all attempts of all runs, lost ones too",
        lambda r: r.characters_sent,
    ),
    _Column("cost_usd", pa.float64(), "USD", "list price of those", lambda r: r.cost_usd),
    _Column(
        "same_as",
        pa.string(),
        "",
        "row with the same script that was spoken for this one, too",
        lambda r: r.same_as,
    ),
    _Column(
        "words",
        _WORDS,
        "s",
        "spoken words and their times, from the beginning of the file",
        lambda r: None if r.words is None else [msgspec.structs.asdict(w) for w in r.words],
    ),
    _Column("error_code", pa.string(), "", "why it failed, a stable word", lambda r: r.error_code),
    _Column("error_message", pa.string(), "", "why it failed", lambda r: r.error_message),
)

_WHY = ("error_code", "error_message")
_NAMES = frozenset(column.name for column in _COLUMNS)


@dataclass(slots=True)
class Tally:
    """What the results amount to.

    Attributes:
        unpriced: Rows whose model has no known price; *cost_usd* is without them.
    """

    rows: int = 0
    status: Counter[Status] = field(default_factory=Counter)
    audio_s: float = 0.0
    cost_usd: float = 0.0
    unpriced: int = 0

    def add(self, result: Result) -> None:
        """Count one row."""
        self.rows += 1
        self.status[result.status] += 1
        self.audio_s += result.audio_s or 0.0
        self.cost_usd += result.cost_usd or 0.0
        self.unpriced += result.is_unpriced


class _Seal(msgspec.Struct, frozen=True, kw_only=True):
    """What the results were made from; as long as it is the same, so are they."""

    batchtts: str
    schema: int
    ledger_mark: int
    ledger_tail: str
    counted: str
    manifest: str
    manifest_bytes: int
    manifest_mtime_ns: int
    tally: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One manifest and one ledger, about to become results.

    Attributes:
        addresses: Shape (rows,), int64: where the line about each row is; below zero
            for a row that has none that counts.
        characters_sent, costs_usd: Shape (rows,): of all runs.
        version: Of batchtts.
    """

    manifest: Manifest
    ledger: Ledger
    addresses: np.ndarray[tuple[int], np.dtype[np.int64]]
    characters_sent: np.ndarray[tuple[int], np.dtype[np.int64]]
    costs_usd: np.ndarray[tuple[int], np.dtype[np.float64]]
    layout: Layout
    version: str

    def tally(self) -> Tally | None:
        """The tally of current results; None if they must be written anew."""
        seal = self._sealed()
        if seal is None:
            return None
        numbers = seal.tally
        counts: Counter[Status] = Counter()
        for status in _STATUSES:
            counts[status] = int(numbers[status])
        return Tally(
            rows=int(numbers["rows"]),
            status=counts,
            audio_s=numbers["audio_s"],
            cost_usd=numbers["cost_usd"],
            unpriced=int(numbers["unpriced"]),
        )

    def write(self) -> Tally:
        """Write results.parquet and failed.parquet.

        Raises:
            ManifestChanged: the manifest is not what was read at the start.
            OutputBroken: they could not be written.
        """
        with disk.telling(self.layout.root):
            return self._write()

    def _write(self) -> Tally:
        tally = Tally()
        layout = self.layout
        results = _Table(layout.results, layout.scratch, results_schema(self.manifest.schema))
        failed = _Table(layout.failed, layout.scratch, failed_schema(self.manifest))
        with results, failed:
            for batch, rows in self._rows():
                for row in rows:
                    tally.add(row)
                results.add(as_columns(rows) + batch.carried.columns)
                broken = [i for i, row in enumerate(rows) if row.status == "failed"]
                if broken:
                    failed.add(_failed_columns(self.manifest, batch, rows, broken))
            results.seal(msgspec.json.encode(self._seal(tally)))
        if tally.status["failed"]:
            failed.publish()
        else:
            failed.remove()
        results.publish()  # last: its seal says that all is written
        return tally

    def _rows(self) -> Iterator[tuple[Batch, list[Result]]]:
        for batch in self.manifest.batches():
            first, n = batch.first_row, len(batch.ids)
            rows = slice(first, first + n)
            told = self.ledger.results(self.addresses[rows].tolist())
            spent = zip(
                self.characters_sent[rows].tolist(), self.costs_usd[rows].tolist(), strict=True
            )
            yield (
                batch,
                [as_row(*each) for each in zip(told, batch.ids, batch.texts, spent, strict=True)],
            )

    def _seal(self, tally: Tally) -> _Seal:
        numbers = {status: float(tally.status[status]) for status in _STATUSES} | {
            "rows": float(tally.rows),
            "audio_s": tally.audio_s,
            "cost_usd": tally.cost_usd,
            "unpriced": float(tally.unpriced),
        }
        return _Seal(
            batchtts=self.version,
            schema=SCHEMA_VERSION,
            ledger_mark=self.ledger.mark,
            ledger_tail=self.ledger.tail,
            counted=sha256(np.packbits(self.addresses >= 0).tobytes()).hexdigest(),
            manifest=str(self.manifest.path.resolve()),
            manifest_bytes=self.manifest.stamp.size_bytes,
            manifest_mtime_ns=self.manifest.stamp.mtime_ns,
            tally=numbers,
        )

    def _sealed(self) -> _Seal | None:
        try:
            metadata = pq.read_metadata(self.layout.results).metadata or {}
            seal = msgspec.json.decode(metadata[b"batchtts"], type=_Seal)
        except (OSError, ValueError, KeyError, pa.ArrowException, msgspec.MsgspecError):
            return None
        if self.layout.failed.exists() != bool(seal.tally.get("failed")):
            return None
        wanted = msgspec.structs.replace(self._seal(Tally()), tally=seal.tally)
        return seal if seal == wanted else None


def as_row(
    result: Result | None, row_id: str, text: str | None, spent: tuple[int, float]
) -> Result:
    """The last result of a row, with the spend of all of them."""
    if result is None:
        result = Result(id=row_id, status="pending", text_chars=len(text or ""))
    characters_sent, cost_usd = spent
    is_known = not math.isnan(cost_usd)
    return msgspec.structs.replace(
        result,
        characters_sent=characters_sent,
        cost_usd=cost_usd if is_known and (result.finished_at or characters_sent) else None,
    )


def results_schema(carried: pa.Schema) -> pa.Schema:
    """The columns of results.parquet; a manifest's column that would hide one is renamed."""
    ours = [
        pa.field(column.name, column.type, metadata={"unit": column.unit, "about": column.about})
        for column in _COLUMNS
    ]
    taken = {*_NAMES, *carried.names}
    theirs = [own.with_name(_free_name(own.name, taken)) for own in carried]
    units = {column.name: column.unit for column in _COLUMNS if column.unit}
    return pa.schema([*ours, *theirs], metadata={"batchtts.units": msgspec.json.encode(units)})


def _free_name(name: str, taken: set[str]) -> str:
    """The name that a manifest's column has in the results."""
    if name not in _NAMES:
        return name
    while name in taken:
        name = f"manifest_{name}"
    taken.add(name)
    return name


def as_columns(rows: list[Result]) -> list[pa.Array]:
    """Return the results' own columns of some rows, in the order of the schema."""
    return [pa.array([column.value(row) for row in rows], column.type) for column in _COLUMNS]


def failed_schema(manifest: Manifest) -> pa.Schema:
    """The manifest's own columns, then why; so that it is a manifest itself."""
    fields = [pa.field(name, pa.string()) for name in _named(manifest)]
    fields.extend(each for each in manifest.schema if each.name not in _WHY)
    return pa.schema([*fields, *(pa.field(name, pa.string()) for name in _WHY)])


def _named(manifest: Manifest) -> dict[str, str]:
    """The columns that say who is who: their names → what a batch calls their values.

    One column may be two things, such as the id and the text of a list of words;
    if it is carried anyway it is not named here.
    """
    columns = manifest.columns
    named = {
        columns.id or "id": "ids",
        columns.voice: "voices",
        columns.model: "models",
        columns.language: "languages",
    }
    carried = manifest.schema.names
    return {name: values for name, values in named.items() if name and name not in carried}


def _failed_columns(
    manifest: Manifest, batch: Batch, rows: list[Result], at: list[int]
) -> list[pa.Array]:
    named = [getattr(batch, values) for values in _named(manifest).values()]
    found = [pa.array([values[i] for i in at], pa.string()) for values in named]
    carried = batch.carried.take(pa.array(at))
    found.extend(carried.column(name) for name in carried.schema.names if name not in _WHY)
    found.append(pa.array([rows[i].error_code for i in at], pa.string()))
    found.append(pa.array([rows[i].error_message for i in at], pa.string()))
    return found


def _microseconds(at: float | None) -> int | None:
    return None if at is None else round(at * 1e6)


class _Table:
    """A Parquet file that comes to be out of sight and appears whole."""

    def __init__(self, path: Path, scratch: Path, schema: pa.Schema) -> None:
        self._path = path
        self._scratch = scratch / path.name
        self._schema = schema
        self._descriptor = disk.create(self._scratch)
        self._sink = disk.Sink(self._descriptor)
        self._writer = pq.ParquetWriter(
            self._sink, schema, compression="zstd", write_page_checksum=True
        )

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        try:
            self._writer.close()
            self._sink.flush()
            disk.sync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def add(self, columns: list[pa.Array]) -> None:
        """Add a batch of rows, columns in the schema's order."""
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))

    def seal(self, seal: bytes) -> None:
        """Note in the file's metadata what it was made from."""
        self._writer.add_key_value_metadata({"batchtts": seal})

    def publish(self) -> None:
        """Give the finished file its name, durably."""
        disk.rename(self._scratch, self._path)
        disk.sync_directory(self._path.parent)

    def remove(self) -> None:
        """Let there be no such file, nor an older one."""
        disk.remove(self._scratch)
        disk.remove(self._path)
