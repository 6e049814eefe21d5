"""A long job of which little is left: a manifest, the same in another order, and the ledger.

One row in a thousand is not done. The lines of the others are in a snapshot that is
written by batchtts's own modules; their audio is not there.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batchtts import __version__
from batchtts.job.manifest import scan
from batchtts.job.settings import Job
from batchtts.job.speaker import choose_speaker
from batchtts.lots import lots
from batchtts.model import Result, Utterance
from batchtts.record import snapshot
from batchtts.record.ledger import Ledger
from batchtts.record.lines import VERSION, Header, encode
from batchtts.record.store import Layout, Store, occupy
from batchtts.run.ground import Ground
from batchtts.run.memory import recall
from batchtts.run.resume import leave
from batchtts.run.survey import survey

_ONE_IN = 1000  # rows that are not done
_TEXT = "Sentence {:08d} of a corpus that nobody will ever hear in full."
_BATCH_ROWS = 100_000
_GROUP_ROWS = 1_000_000


def build(where: Path, rows: int) -> None:
    """Leave what a run would that came to its end with all but some rows done."""
    manifest, out = where / "corpus" / "m.parquet", where / "out"
    _write_manifest(manifest, range(rows))
    _write_manifest(where / "changed" / "m.parquet", range(rows - 1, -1, -1))
    read_at = time.time() + 3.0  # as of a file that nobody has written to for some seconds
    job = Job(manifest=manifest, out=out, provider="local", endpoint="ws://127.0.0.1:9")
    speaker = choose_speaker(_voiced(job), os.environ, has_hibari=True)
    scanned = scan(manifest)
    with occupy(out) as layout:
        Ledger.open(layout.ledger).close()
        store = Store(layout, speaker.format, rows)
        agenda = survey(job, speaker, scanned, recall(None))
        told = (
            _line(utterance, store)
            for batch in agenda.batches()
            for utterance in batch
            if utterance.row % _ONE_IN
        )
        kept = (
            snapshot.Kept(some, [len(_TEXT)] * len(some), [0.0] * len(some))
            for some in lots(told, snapshot.GROUP_ROWS)
        )
        path = snapshot.following(out)
        covered = snapshot.write(kept, path, scratch=layout.scratch / path.name)
        head = Header(
            ledger=VERSION,
            manifest=str(manifest.resolve()),
            batchtts=__version__,
            created_at=time.time(),
            folded=covered.bytes,
            snapshot=covered,
        )
        layout.ledger.write_bytes(encode(head) * 2)
        with Ledger.open(layout.ledger) as ledger:
            agenda = survey(job, speaker, scanned, recall(ledger))
            leave(
                Ground(None, [agenda]),
                job=_voiced(job),
                speaker=speaker,
                ledger=ledger,
                layout=layout,
                contested=frozenset(),
                read_at=read_at,
                moved=None,
            )
    assert Layout(out).standing.exists()


def _voiced(job: Job) -> Job:
    return Job(
        manifest=job.manifest,
        out=job.out,
        provider=job.provider,
        endpoint=job.endpoint,
        voice="af_heart",
    )


def _write_manifest(path: Path, rows: range) -> None:
    path.parent.mkdir()
    schema = pa.schema([("id", pa.string()), ("text", pa.string())])
    with pq.ParquetWriter(path, schema) as writer:
        for group in _pieces(rows, _GROUP_ROWS):
            tables = [
                pa.table([[f"u{row:08d}" for row in some], list(map(_TEXT.format, some))], schema)
                for some in _pieces(group, _BATCH_ROWS)
            ]
            writer.write_table(pa.concat_tables(tables), row_group_size=_GROUP_ROWS)


def _pieces(rows: range, most: int) -> Iterator[range]:
    return (rows[start : start + most] for start in range(0, len(rows), most))


def _line(utterance: Utterance, store: Store) -> bytes:
    result = Result(
        id=utterance.id,
        status="done",
        fingerprint=utterance.fingerprint,
        script_hash=utterance.script_hash,
        path=store.path_of(utterance.id),
        text_chars=len(utterance.script),
        provider="local",
        model=utterance.voice.model,
        voice=utterance.voice.name,
        language=utterance.voice.language,
        sample_rate_hz=store.format.sample_rate_hz,
        frames=24_000,
        bytes=48_044,
        sha256=utterance.fingerprint * 2,
        mtime_ns=1_700_000_000_000_000_000 + utterance.row,
        peak_dbfs=-12.042,
        segments=1,
        attempts=1,
        started_at=1_700_000_000.25,
        finished_at=1_700_000_000.75,
        queue_s=0.000012,
        connect_s=0.0,
        ttfa_s=0.213457,
        synth_s=0.402118,
        wall_s=0.425331,
        characters_sent=len(utterance.script),
        cost_usd=0.0,
        context=f"5a2f90b1-{utterance.row}-0-0",
    )
    return encode(result)[:-1]


def main() -> None:
    """Build it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unfinished", description=__doc__)
    parser.add_argument("where", type=Path)
    parser.add_argument("--rows", type=int, required=True)
    options = parser.parse_args()
    build(options.where, options.rows)


if __name__ == "__main__":
    main()
