"""What may lie in an output directory after a run was hurt, and what must after the next one.

The measure is a run of the same job that was never hurt: an audio file under its
final name is that run's file, byte for byte, or it is a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from batchtts.errors import LedgerBroken
from batchtts.model import Result
from batchtts.record.hashes import sha256_of
from batchtts.record.ledger import Ledger
from batchtts.record.store import Layout
from batchtts.run.memory import recall

Fault = Literal["lost", "duplicated", "partial", "paid twice", "left over", "status"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise that was not kept.

    Attributes:
        fault: Which one.
        what: In words, with the file or the row.
    """

    fault: Fault
    what: str


@dataclass(frozen=True, slots=True)
class Measure:
    """What a run that was never hurt has made.

    Attributes:
        ids: Of all rows.
        audio: Path below the output directory → SHA-256 of the file.
        commits: How many texts the server was given.
    """

    ids: frozenset[str]
    audio: dict[str, str]
    commits: int

    @classmethod
    def of(cls, out: Path, ids: frozenset[str], commits: int) -> Measure:
        """Take the measure of a finished output directory."""
        return cls(ids, {path: sha256_of(out / path) for path in _audio(out)}, commits)


def judge_hurt(out: Path, measure: Measure) -> Iterator[Finding]:
    """Say what is wrong with what a hurt run has left behind."""
    for path in sorted(_audio(out)):
        if sha256_of(out / path) != measure.audio.get(path):
            yield Finding("partial", f"{path} is not the whole file")
    yield from _judge_ledger(out)
    yield from _judge_tables(out)


def judge_finished(out: Path, measure: Measure) -> Iterator[Finding]:
    """Say what is wrong with what the next run, which nobody hurt, has made of it."""
    yield from judge_hurt(out, measure)
    try:
        rows = pq.read_table(Layout(out).results, columns=["id", "status"]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        yield Finding("lost", f"results.parquet cannot be read: {error}")
        return
    counts = Counter(row["id"] for row in rows)
    done = {row["id"] for row in rows if row["status"] == "done"}
    yield from (Finding("lost", f"row {it} is not done") for it in sorted(measure.ids - done))
    for row_id, count in counts.items():
        if count > 1 or row_id not in measure.ids:
            yield Finding("duplicated", f"row {row_id} is {count} times in the results")
    found = _audio(out)
    yield from (
        Finding("lost", f"{it} is not there") for it in sorted(measure.audio.keys() - found)
    )
    yield from (
        Finding("left over", f"{it} is of no row") for it in sorted(found - measure.audio.keys())
    )
    for path in sorted(Layout(out).scratch.glob("*")):
        yield Finding("left over", f"{path.relative_to(out)} was not cleared away")


def _judge_ledger(out: Path) -> Iterator[Finding]:
    """Every row that is done has the file that the ledger tells of."""
    try:
        told = list(_newest_results(Layout(out).ledger))
    except LedgerBroken as error:
        yield Finding("lost", f"the ledger cannot be read: {error}")
        return
    for result in told:
        if result.status == "done" and not _is_true(result, out):
            yield Finding("lost", f"row {result.id} is done, and {result.path} is not its file")


def _newest_results(path: Path) -> Iterator[Result]:
    """What a ledger has to say last of each row; nothing if there is none."""
    if not path.exists():
        return
    with Ledger.peek(path) as ledger:
        newest = recall(ledger).past.addresses.tolist()
        yield from (result for result in ledger.results(sorted(newest)) if result is not None)


def _is_true(result: Result, out: Path) -> bool:
    path = out / (result.path or "")
    if not path.is_file():
        return False
    told = (result.bytes, result.sha256, result.frames)
    return told == (path.stat().st_size, sha256_of(path), _frames(path))


def _frames(path: Path) -> int:
    """How many samples can be read from a file; -1 if it is none."""
    try:
        return len(soundfile.read(path, dtype="int16")[0])
    except soundfile.LibsndfileError:
        return -1


def _judge_tables(out: Path) -> Iterator[Finding]:
    """Results and summary, if they are there, are whole."""
    for path in sorted(out.glob("*.parquet")):
        try:
            pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            yield Finding("partial", f"{path.name} cannot be read: {error}")
    summary = Layout(out).summary
    try:
        if summary.exists():
            msgspec.json.decode(summary.read_bytes())
    except msgspec.MsgspecError as error:
        yield Finding("partial", f"{summary.name} cannot be read: {error}")


def _audio(out: Path) -> set[str]:
    """The audio files under final names, below the output directory."""
    files = (path for kind in ("wav", "flac") for path in out.glob(f"{kind}/**/*"))
    return {path.relative_to(out).as_posix() for path in files if path.is_file()}
