"""A long job taken up again: how soon the first script leaves, and what is held by then.

All but one row in a thousand are done. Their lines are in a snapshot that is written by
batchtts's own modules; their audio is not there, which a run finds out only when what is
missing is spoken, and then this is over: the run is killed as soon as it has asked for
something. The manifest is the one that the last run saw, or the same rows in another
order. A peer reads the column of ids, and does nothing with it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

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
from benchmarks import measure
from benchmarks.replay import Replay

UNCHANGED, CHANGED, PEER = "unchanged", "another order", "pyarrow reads the ids"

#: What is promised for ten million rows: seconds, MB.
PROMISES = {UNCHANGED: (5.0, 500.0), CHANGED: (60.0, 2500.0)}

_ONE_IN = 1000  # rows that are not done
_TEXT = "Sentence {:08d} of a corpus that nobody will ever hear in full."
_BATCH_ROWS = 100_000
_GROUP_ROWS = 1_000_000
_UTTERANCE_S = 1.0
_POLL_S = 0.01
_READ_IDS = "import sys, pyarrow.parquet as pq\nfor _ in pq.ParquetFile(sys.argv[1])"
_READ_IDS += ".iter_batches(columns=['id']): pass"


def compare(where: Path, *, rows: int, rounds: int) -> dict[str, Any]:
    """Take a job up again and again, each time as it was."""
    began_at = time.monotonic()
    build(where, rows)
    built_s = time.monotonic() - began_at
    layout = Layout(where / "out")
    ledger = layout.ledger.read_bytes()
    seen: dict[str, list[tuple[float, int]]] = {UNCHANGED: [], CHANGED: [], PEER: []}
    with Replay(utterance_s=_UTTERANCE_S) as server:
        for name in measure.alternate(list(seen), rounds):
            layout.ledger.write_bytes(ledger)
            layout.begun.unlink(missing_ok=True)
            manifest = where / ("changed" if name == CHANGED else "corpus") / "m.parquet"
            if name == PEER:
                seen[name].append(_read_ids(manifest))
            else:
                seen[name].append(_first_commit(manifest, layout.root, server))
    return {
        "rows": rows,
        "rounds": rounds,
        "built_s": built_s,
        "contenders": {
            name: {
                "wall_s": median(wall_s for wall_s, _ in found),
                "peak_mb": median(peak for _, peak in found) / 1e6,
            }
            for name, found in seen.items()
        },
    }


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


def _first_commit(manifest: Path, out: Path, server: Replay) -> tuple[float, int]:
    """Run until the server is asked for something; return seconds and the peak in bytes."""
    before = server.served().commits
    speaker = ("--provider", "local", "--endpoint", server.url, "--voice", "af_heart")
    command = measure.batchtts("run", manifest, "--out", out, "--quiet", *speaker)
    began_at = time.monotonic()
    process = subprocess.Popen(
        list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    with process:
        try:
            while server.served().commits == before:
                if process.poll() is not None:
                    raise RuntimeError(f"ended with {process.returncode} and asked for nothing")
                time.sleep(_POLL_S)
            return time.monotonic() - began_at, _peak_bytes(process.pid)
        finally:
            process.send_signal(signal.SIGKILL)


def _peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no peak of process {pid}")


def _read_ids(manifest: Path) -> tuple[float, int]:
    cost = measure.run([sys.executable, "-c", _READ_IDS, manifest])
    return cost.wall_s, cost.peak_bytes


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings as a table."""
    yield f"The first script of a job of {found['rows']:,} rows, all but a thousandth done"
    for name, cost in found["contenders"].items():
        most = PROMISES.get(name)
        told = f"  (promised for ten million: {most[0]:g} s, {most[1]:g} MB)" if most else ""
        yield f"  {name:<22} {cost['wall_s']:6.2f} s {cost['peak_mb']:6.0f} MB{told}"


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resume", description=__doc__)
    parser.add_argument("where", type=Path, help="a directory that is not there; removed again")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="do not remove the directory")
    options = parser.parse_args()
    options.where.mkdir(parents=True)
    try:
        print(*lines(compare(options.where, rows=options.rows, rounds=options.rounds)), sep="\n")
    finally:
        if not options.keep:
            shutil.rmtree(options.where)


if __name__ == "__main__":
    main()
