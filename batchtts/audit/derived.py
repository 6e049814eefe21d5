"""What is made from the ledger, compared with it: results, failed rows, summary."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isclose
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batchtts.audit.finding import Finding, Kind
from batchtts.audit.reading import Reading
from batchtts.record.columns import as_columns, results_schema
from batchtts.record.store import Layout

_ROWS_AT_ONCE = 4096
_LONGEST = 60  # of a value in a message

# Damaged metadata may name columns that are not there, damaged times be out of all range.
_UNREADABLE = (
    *(OSError, ValueError, ArithmeticError, LookupError),
    *(pa.ArrowException, msgspec.MsgspecError),
)

_OWN = results_schema(pa.schema([]))


class _Seal(msgspec.Struct, frozen=True):
    """As much as is needed of what the results say about themselves."""

    ledger_mark: int
    manifest: str
    tally: dict[str, float]


@dataclass(slots=True)
class Derived:
    """Compares what was made from a ledger with it.

    Attributes:
        manifest: Where the results say that the manifest was.
    """

    layout: Layout
    reading: Reading
    manifest: str = ""
    _ids: array[int] = field(default_factory=lambda: array("q"))
    _failed: array[int] = field(default_factory=lambda: array("q"))
    _whys: array[int] = field(default_factory=lambda: array("q"))
    _counts: Counter[str] = field(default_factory=Counter)

    def findings(self) -> Iterator[Finding]:
        """Compare."""
        if self.layout.results.exists():
            try:
                yield from self._results()
            except _UNREADABLE as error:
                yield _of_results("results_damaged", f"cannot be read: {_one_line(error)}")
            else:
                yield from self._failed_rows()
        yield from self._summary()

    def _results(self) -> Iterator[Finding]:
        with pq.ParquetFile(self.layout.results, page_checksum_verification=True) as file:
            seal = msgspec.json.decode((file.metadata.metadata or {})[b"batchtts"], type=_Seal)
            self.manifest = seal.manifest
            mark = self.reading.ledger.mark
            if seal.ledger_mark < mark:
                message = "older than the ledger; the next run writes it"
                yield _of_results("results_older", message, can_mend=False)
            elif seal.ledger_mark > mark:
                message = "made of lines that the ledger has no longer"
                yield _of_results("results_newer", message)
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                own = batch.select(_OWN.names).cast(_OWN)
                self._see(own)
                if seal.ledger_mark == mark:
                    yield from self._compare(own)
        yield from self._twice()
        told = {status: seal.tally[status] for status in ("done", "failed", "pending")}
        if told != {status: float(self._counts[status]) for status in told}:
            yield _of_results("results_damaged", "not as many rows as it was written with")

    def _see(self, batch: pa.RecordBatch) -> None:
        """Keep what the other comparisons need."""
        columns = ("id", "status", "error_code", "error_message")
        for row_id, status, *why in zip(*(batch[it].to_pylist() for it in columns), strict=True):
            self._ids.append(hash(row_id))
            self._counts[status] += 1
            if status == "failed":
                self._failed.append(hash(row_id))
                self._whys.append(hash(tuple(why)))

    def _compare(self, batch: pa.RecordBatch) -> Iterator[Finding]:
        """Compare the rows that are done or failed with the last lines about them.

        A row may be pending although the ledger has audio of it: of another script.
        """
        settled = np.flatnonzero([it != "pending" for it in batch["status"].to_pylist()])
        batch = batch.take(pa.array(settled))
        expected = self._expected(batch["id"].to_pylist())
        whole = pa.Table.from_batches([batch])
        unlike = [name for name in _OWN.names if not whole[name].equals(expected[name])]
        if not unlike:
            return
        found = {name: batch[name].to_pylist() for name in unlike}
        ours = {name: expected[name].to_pylist() for name in unlike}
        for at, row_id in enumerate(batch["id"].to_pylist()):
            for name in unlike:
                if not _is_same(found[name][at], ours[name][at]):
                    told = f"{name} is {_short(found[name][at])}, and the ledger says"
                    told += f" {_short(ours[name][at])}"
                    yield _of_results("results_differ", told, row_id)
                    break

    def _expected(self, ids: list[str]) -> pa.Table:
        """What the results' own columns should be for some rows."""
        past = self.reading.past
        at = past.find(np.array([hash(it) for it in ids], dtype=np.int64))
        addresses, characters = np.full(len(at), -1), np.zeros(len(at), np.int64)
        costs = np.zeros(len(at))
        known, at = at >= 0, at[at >= 0]
        addresses[known], characters[known] = past.addresses[at], past.characters_sent[at]
        costs[known] = past.costs_usd[at]
        told = self.reading.ledger.results(addresses.tolist())
        return as_columns(told, ids, [None] * len(ids), characters, costs)

    def _twice(self) -> Iterator[Finding]:
        counts = np.unique(np.array(self._ids, dtype=np.int64), return_counts=True)[1]
        twice = int(np.count_nonzero(counts > 1))
        if twice:
            yield _of_results("results_damaged", f"{twice:,} ids come more than once")

    def _failed_rows(self) -> Iterator[Finding]:
        path = self.layout.failed
        if path.exists() != bool(self._failed):
            told = "there, and no row failed" if path.exists() else "not there, and rows failed"
            yield Finding("failed_differ", path.name, told)
        elif path.exists():
            try:
                is_same = self._is_failed(pq.ParquetFile(path, page_checksum_verification=True))
            except _UNREADABLE as error:
                told = f"cannot be read: {_one_line(error)}"
                yield Finding("failed_differ", path.name, told)
            else:
                if not is_same:
                    told = "not the failed rows of results.parquet"
                    yield Finding("failed_differ", path.name, told)

    def _is_failed(self, file: pq.ParquetFile) -> bool:
        """Whether a table is about the failed rows; its column of ids may have any name."""
        with file:
            if file.metadata.num_rows != len(self._failed):
                return False
            ids = {it.name for it in file.schema_arrow if it.type == pa.string()}
            at = 0
            for batch in file.iter_batches(_ROWS_AT_ONCE):
                rows = slice(at, at + batch.num_rows)
                whys = zip(
                    *(batch[it].to_pylist() for it in ("error_code", "error_message")), strict=True
                )
                if list(map(hash, whys)) != self._whys[rows].tolist():
                    return False
                sought = self._failed[rows].tolist()
                ids = {it for it in ids if list(map(hash, batch[it].to_pylist())) == sought}
                at += batch.num_rows
        return bool(ids)

    def _summary(self) -> Iterator[Finding]:
        path = self.layout.summary
        try:
            msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            return
        except _UNREADABLE as error:
            yield Finding("summary_damaged", path.name, f"cannot be read: {_one_line(error)}")


def _of_results(
    kind: Kind, message: str, row_id: str | None = None, *, can_mend: bool = True
) -> Finding:
    return Finding(kind, "results.parquet", message, row_id, can_mend)


def _is_same(found: object, expected: object) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        # Sums of money may have been added up in another order.
        return found == expected or isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)
    return found == expected


def _short(value: object) -> str:
    told = repr(value)
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…"


def _one_line(error: Exception) -> str:
    return " ".join(f"{error}".split())[:200]
