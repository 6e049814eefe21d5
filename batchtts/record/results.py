"""Fold the ledger into results.parquet: one row per manifest row, in its order.

Derived and never read back for a decision: deleting it is harmless. It is
written beside and renamed, so a reader sees the old file or the new one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batchtts.job.manifest import Batch, Manifest
from batchtts.job.plan import Facts
from batchtts.model import Status
from batchtts.record import disk
from batchtts.record.columns import as_columns, results_schema
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout

SCHEMA_VERSION = 5

_STATUSES: tuple[Status, ...] = ("done", "failed", "pending")
_WHY = ("error_code", "error_message")


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

    def add(self, own: pa.Table) -> None:
        """Count rows, given as the results' own columns."""
        self.rows += len(own)
        for status in pc.value_counts(own["status"]).to_pylist():
            self.status[status["values"]] += status["counts"]
        self.audio_s += pc.sum(own["audio_s"]).as_py() or 0.0
        self.cost_usd += pc.sum(own["cost_usd"]).as_py() or 0.0
        is_unknown = own["cost_usd"].is_null().to_numpy()
        self.unpriced += int(np.count_nonzero(is_unknown & (own["characters_sent"].to_numpy() > 0)))


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
    manifest_ctime_ns: int
    tally: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One manifest and one ledger, about to become results.

    Attributes:
        told: Yields what is known of the rows, in order, some at a time: multiples of eight,
            but for the last.
        version: Of batchtts.
    """

    manifest: Manifest
    ledger: Ledger
    told: Callable[[], Iterator[Facts]]
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
            for batch, own in self._rows():
                tally.add(own)
                results.add(own.columns + batch.carried.columns)
                broken = np.flatnonzero(own["status"].to_numpy() == "failed")
                if len(broken):
                    failed.add(_failed_columns(self.manifest, batch, own, pa.array(broken)))
            results.seal(msgspec.json.encode(self._seal(tally)))
        if tally.status["failed"]:
            failed.publish()
        else:
            failed.remove()
        results.publish()  # last: its seal says that all is written
        return tally

    def _rows(self) -> Iterator[tuple[Batch, pa.Table]]:
        reel = _Reel(self.told())
        for batch in self.manifest.batches():
            facts = reel.next(len(batch))
            told = self.ledger.results(facts.counting.tolist())
            spent = (facts.characters_sent, facts.costs_usd)
            yield batch, as_columns(told, batch.ids, batch.texts, *spent)

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
            counted=self._counted(),
            manifest=str(self.manifest.path.resolve()),
            manifest_bytes=self.manifest.stamp.size_bytes,
            manifest_mtime_ns=self.manifest.stamp.mtime_ns,
            manifest_ctime_ns=self.manifest.stamp.ctime_ns,
            tally=numbers,
        )

    def _counted(self) -> str:
        """Stands for the rows that have a line that counts."""
        counted = sha256()
        for facts in self.told():
            counted.update(np.packbits(facts.counting >= 0).tobytes())
        return counted.hexdigest()

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


class _Reel:
    """Facts that come in pieces of one length, and are wanted in pieces of another."""

    def __init__(self, pieces: Iterator[Facts]) -> None:
        self._pieces = pieces
        self._rest = Facts.blank(0)

    def next(self, count: int) -> Facts:
        """The facts about the next rows."""
        found = [self._rest]
        missing = count - len(self._rest)
        while missing > 0:
            found.append(next(self._pieces))
            missing -= len(found[-1])
        whole = Facts.joined(found) if len(found) > 1 else self._rest
        self._rest = whole.at(slice(count, None))
        return whole.at(slice(count))


def failed_schema(manifest: Manifest) -> pa.Schema:
    """The manifest's own columns, then why; so that it is a manifest itself."""
    fields = [pa.field(name, pa.string()) for name in _named(manifest)]
    fields.extend(each for each in manifest.schema if each.name not in _WHY)
    fields.extend(pa.field(name, pa.string()) for name in _WHY)
    return pa.schema(fields, metadata=manifest.schema.metadata)


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
    manifest: Manifest, batch: Batch, own: pa.Table, at: pa.Array
) -> list[pa.Array | pa.ChunkedArray]:
    named = [getattr(batch, values) for values in _named(manifest).values()]
    found = [pa.array(values, pa.string()).take(at) for values in named]
    carried = batch.carried.take(at)
    found.extend(carried[name] for name in carried.schema.names if name not in _WHY)
    found.extend(own[name].take(at) for name in _WHY)
    return found


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

    def add(self, columns: list[pa.Array | pa.ChunkedArray]) -> None:
        """Add a batch of rows, columns in the schema's order."""
        self._writer.write_table(pa.table(columns, schema=self._schema))

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
