"""A long job taken up again: how soon the first script leaves, and what is held by then.

All but one row in a thousand are done; see `benchmarks.unfinished`. Their audio is not
there, which a run finds out only when what is missing is spoken, and then this is over:
the run is killed as soon as it has asked for something. The manifest is the one that the
last run saw, or the same rows in another order. A peer reads the column of ids, and does
nothing with it.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measure
from benchmarks.figures import figure
from benchmarks.replay import Replay

UNCHANGED, CHANGED, PEER = "unchanged", "another order", "pyarrow reads the ids"

#: What is promised for ten million rows: seconds, MB.
PROMISES = {UNCHANGED: (5.0, 500.0), CHANGED: (60.0, 2500.0)}

_UTTERANCE_S = 1.0
_POLL_S = 0.01
_READ_IDS = "import sys, pyarrow.parquet as pq\nfor _ in pq.ParquetFile(sys.argv[1])"
_READ_IDS += ".iter_batches(columns=['id']): pass"


def compare(where: Path, *, rows: int, rounds: int) -> dict[str, Any]:
    """Take a job up again and again, each time as it was."""
    began_at = time.monotonic()
    builder: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks.unfinished",
        where,
        "--rows",
        f"{rows}",
    ]
    measure.run(builder)
    built_s = time.monotonic() - began_at
    out = where / "out"
    told, begun = out / "ledger.jsonl", out / ".batchtts" / "begun.jsonl"
    ledger = told.read_bytes()
    seen: dict[str, list[tuple[float, int]]] = {UNCHANGED: [], CHANGED: [], PEER: []}
    with Replay(utterance_s=_UTTERANCE_S) as server:
        for name in measure.alternate(list(seen), rounds):
            told.write_bytes(ledger)
            begun.unlink(missing_ok=True)
            manifest = where / ("changed" if name == CHANGED else "corpus") / "m.parquet"
            if name == PEER:
                seen[name].append(_read_ids(manifest))
            else:
                seen[name].append(_first_commit(manifest, out, server))
    contenders = {
        name: {
            "wall_s": median(wall_s for wall_s, _ in found),
            "peak_mb": median(peak for _, peak in found) / 1e6,
        }
        for name, found in seen.items()
    }
    return {
        "rows": rows,
        "rounds": rounds,
        "built_s": built_s,
        "contenders": contenders,
        "figures": list(_figures(rows, contenders)),
    }


def _figures(rows: int, contenders: dict[str, dict[str, float]]) -> Iterator[dict[str, Any]]:
    """What was promised of ten million rows, whatever their number here."""
    peer = contenders[PEER]
    for name, (most_s, most_mb) in PROMISES.items():
        it, told = contenders[name], f"{rows / 1e6:g} M rows, {name}"
        beside = f"{PEER}: {peer['wall_s']:.1f} s, {peer['peak_mb']:.0f} MB"
        yield figure(f"{told}: begins in", it["wall_s"], unit="s", at_most=most_s, peer=beside)
        yield figure(f"{told}: peak", it["peak_mb"], unit="MB", at_most=most_mb)


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
