"""Many rows: what a run holds in memory, and what running again costs.

Speaking a million rows takes most of an hour, so the short form stops a run over a
million-row manifest after some thousands of them. That shows the plan and the
results of a million rows, and hardly any of the ledger.
`--full` speaks every row.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import measure
from benchmarks.cost import write_manifest
from benchmarks.figures import figure
from benchmarks.replay import Replay

MEMORY_MIB = 300  # the promise for a million rows
AGAIN_S = 2.0  # the promise for a finished job of a hundred thousand

_TEXT = "say {:07d}"  # ten letters and digits fit into 0.2 s
_UTTERANCE_S = 0.2
_SOCKETS = 64
_NOWHERE = "ws://127.0.0.1:9"  # where nobody listens: a run that speaks would fail


def peak(where: Path, *, rows: int, spoken: int) -> dict[str, Any]:
    """Run over *rows* rows and stop after about *spoken* of them; all of them if as many."""
    manifest = write_manifest(where / "million.csv", rows, _TEXT)
    out = where / "million"
    with Replay(utterance_s=_UTTERANCE_S) as server:

        def stop(process: subprocess.Popen[bytes]) -> None:
            measure.wait_until(lambda: server.served().commits >= spoken, process)
            process.send_signal(signal.SIGTERM)

        cost = measure.run(
            _run(manifest, out, server.url),
            exit_code=0 if spoken >= rows else 128 + signal.SIGTERM,
            stop=None if spoken >= rows else stop,
        )
    summary = msgspec.json.decode((out / "summary.json").read_bytes())
    peak_mib = cost.peak_bytes / measure.MIB
    told = f"{rows / 1e6:g} M rows, new: peak"
    return {
        "figures": [figure(told, peak_mib, unit="MiB", at_most=MEMORY_MIB)],
        "rows": rows,
        "spoken": summary["spoken"],
        "in_results": summary["done"] + summary["pending"],
        "peak_mib": peak_mib,
        "wall_s": cost.wall_s,
        "cpu_s": cost.cpu_s,
        "promise_mib": MEMORY_MIB,
    }


def again(where: Path, *, rows: int, rounds: int) -> dict[str, Any]:
    """Run a finished job again and again; at first it writes the results."""
    first, costs = _finished(where / "large", rows, rounds=rounds)
    found = measure.middle(costs)
    return {
        "figures": [
            figure(f"{rows:,} finished rows, again", found.wall_s, unit="s", at_most=AGAIN_S)
        ],
        "rows": rows,
        "rounds": rounds,
        "first_wall_s": first.wall_s,
        "first_peak_mib": first.peak_bytes / measure.MIB,
        "wall_s": found.wall_s,
        "cpu_s": found.cpu_s,
        "peak_mib": found.peak_bytes / measure.MIB,
        "promise_s": AGAIN_S,
    }


def _finished(where: Path, rows: int, *, rounds: int) -> tuple[measure.Cost, list[measure.Cost]]:
    """Run a finished job once, and then so many times more."""
    where.mkdir()
    manifest, out = write_manifest(where / "finished.csv", rows, _TEXT), where / "out"
    measure.run([sys.executable, "-m", "benchmarks.finished", manifest, out])
    command = _run(manifest, out, _NOWHERE)
    first, *costs = [measure.run(command) for _ in range(1 + rounds)]
    summary = msgspec.json.decode((out / "summary.json").read_bytes())
    assert (summary["done"], summary["spoken"]) == (rows, 0), summary
    return first, costs


def _run(manifest: Path, out: Path, url: str) -> list[str | Path]:
    # The local dialect is Together's with a shorter quiet window, and names its voice
    # so that it does not depend on what is installed.
    speaker = ("--provider", "local", "--endpoint", url, "--voice", "af_heart")
    sockets = ("--workers", f"{_SOCKETS}")
    return measure.batchtts("run", manifest, "--out", out, "--quiet", *speaker, *sockets)


def peak_lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings about memory as a table."""
    rate = found["spoken"] / found["wall_s"]
    yield f"Peak memory of a run over {found['rows']:,} rows (promised: < {MEMORY_MIB} MiB)"
    yield (
        f"  {found['peak_mib']:.0f} MiB; {found['spoken']:,} spoken, {found['in_results']:,} in the"
        f" results, {found['wall_s']:.0f} s, {found['cpu_s']:.0f} s of processor,"
        f" {rate:,.0f} rows a second in all"
    )


def again_lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings about running again as a table."""
    yield f"A finished job of {found['rows']:,} rows, run again (promised: < {AGAIN_S:g} s)"
    yield (
        f"  {found['wall_s']:.2f} s, {found['cpu_s']:.2f} s of processor,"
        f" {found['peak_mib']:.0f} MiB; {found['first_wall_s']:.2f} s and"
        f" {found['first_peak_mib']:.0f} MiB when the results are still to be written"
    )
