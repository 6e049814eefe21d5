"""Canaries: rows that every run speaks, and how each sounded before.

The history is OUT/canaries.jsonl, a line for each take. It is no truth of the ledger's: a
line that was cut short by a kill is a take that nobody remembers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq

from batchtts.errors import BadAudio
from batchtts.job.columns import as_truths
from batchtts.model import Result
from batchtts.record import disk, tail
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout
from batchtts.review import transcribe
from batchtts.review.canary import Drift, Portrait, drifts, portray
from batchtts.run.memory import recall


class _Take(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the history."""

    id: str
    portrait: Portrait


def look(layout: Layout, ledger: Ledger, column: str, *, since: float) -> list[tuple[str, Drift]]:
    """Compare the canaries that were spoken with what they were, and remember them.

    Args:
        column: Of the results, which says what rows are canaries.
        since: When the run began, seconds since the epoch.

    Returns:
        What is not as usual, with the id of its row.

    Raises:
        OutputBroken: the history could not be written.
    """
    history = list(_history(layout.canaries))
    found, takes = [], []
    for line in _spoken(layout, ledger, column, since):
        try:
            recording = transcribe.read(layout.root / f"{line.path}")
        except BadAudio:
            continue  # it was removed behind our back, which is for `check` to tell
        portrait = portray(
            recording.pcm,
            recording.sample_rate_hz,
            fingerprint=line.fingerprint,
            at=line.finished_at or since,
            mos=line.mos,
        )
        earlier = [it.portrait for it in history if it.id == line.id]
        found += [(line.id, drift) for drift in drifts(earlier, portrait)]
        takes.append(_Take(id=line.id, portrait=portrait))
    if takes:
        _remember(layout.canaries, takes)
    return found


def _spoken(layout: Layout, ledger: Ledger, column: str, since: float) -> Iterator[Result]:
    ids: list[str] = []
    with pq.ParquetFile(layout.results) as file:
        for batch in file.iter_batches(columns=["id", "status", column]):
            is_canary = np.array(as_truths(layout.results, batch[column], 0), np.bool_)
            is_canary &= batch["status"].to_numpy(zero_copy_only=False) == "done"
            ids += [batch["id"][int(at)].as_py() for at in np.flatnonzero(is_canary)]
    past = recall(ledger).past
    at = past.find(np.array([hash(it) for it in ids], np.int64))
    for line in ledger.results(past.addresses[at[at >= 0]].tolist()):
        if line is not None and (line.finished_at or 0.0) >= since - 1e-3:
            yield line


def _history(path: Path) -> Iterator[_Take]:
    """Read it; what cannot be read is not there."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            yield msgspec.json.decode(line, type=_Take)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue


def _remember(path: Path, takes: Iterable[_Take]) -> None:
    with disk.telling(path):
        is_new = not path.exists()
        descriptor = disk.open_to_append(path)
        try:
            disk.truncate(descriptor, tail.whole_bytes(descriptor))
            data = b"".join(msgspec.json.encode(it) + b"\n" for it in takes)
            disk.write_all(descriptor, data)
            disk.sync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            disk.sync_directory(path.parent)
