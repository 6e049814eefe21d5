"""Fold the ledger into results.parquet: one row per manifest row, in its order.

Derived and never read back for a decision: deleting it is harmless. It is
written beside and renamed, so a reader sees the old file or the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchtts.job.manifest import Batch, Manifest
from batchtts.job.plan import Facts
from batchtts.record import disk
from batchtts.record.columns import as_columns, results_schema
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout
from batchtts.record.table import Table
from batchtts.record.tally import SCHEMA_VERSION, Seal, Tally, numbers_of, tally_of

_WHY = ("error_code", "error_message")


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
        return tally_of(seal.tally)

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
        results = Table(layout.results, layout.scratch, results_schema(self.manifest.schema))
        failed = Table(layout.failed, layout.scratch, failed_schema(self.manifest))
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

    def _seal(self, tally: Tally) -> Seal:
        return Seal(
            batchtts=self.version,
            schema=SCHEMA_VERSION,
            ledger_mark=self.ledger.mark,
            ledger_tail=self.ledger.tail,
            counted=self._counted(),
            manifest=str(self.manifest.path.resolve()),
            manifest_bytes=self.manifest.stamp.size_bytes,
            manifest_mtime_ns=self.manifest.stamp.mtime_ns,
            manifest_ctime_ns=self.manifest.stamp.ctime_ns,
            tally=numbers_of(tally),
        )

    def _counted(self) -> str:
        """Stands for the rows that have a line that counts."""
        counted = sha256()
        for facts in self.told():
            counted.update(np.packbits(facts.counting >= 0).tobytes())
        return counted.hexdigest()

    def _sealed(self) -> Seal | None:
        try:
            metadata = pq.read_metadata(self.layout.results).metadata or {}
            seal = msgspec.json.decode(metadata[b"batchtts"], type=Seal)
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
