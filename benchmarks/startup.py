"""What one waits for before anything happens, beside what Python itself takes.

How long that is on a quiet machine: the fastest of all rounds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.cost import write_manifest
from benchmarks.figures import figure

HELP_S = 0.15
PLAN_S = 1.5

_PASS = "python -c pass"
_HELP = "batchtts --help"
_KINDS = {".csv": "CSV", ".parquet": "Parquet"}

_CONVERT = """
import sys
from pyarrow import csv, parquet
parquet.write_table(csv.read_csv(sys.argv[1]), sys.argv[2])
"""
_READ = {
    ".csv": "import sys; from pyarrow import csv; csv.read_csv(sys.argv[1])",
    ".parquet": "import sys; from pyarrow import parquet; parquet.read_table(sys.argv[1])",
}


def compare(where: Path, rows: int, rounds: int) -> dict[str, Any]:
    """Start everything in turn."""
    commands: dict[str, list[str | Path]] = {
        _PASS: [sys.executable, "-c", "pass"],
        "import batchtts": [sys.executable, "-c", "import batchtts"],
        _HELP: measure.batchtts("--help"),
        "batchtts run --help": measure.batchtts("run", "--help"),
    }
    for path in manifests(where, rows):
        commands[_plan(path.suffix)] = plan(path)
        commands[_reading(path.suffix)] = read(path)
    costs: dict[str, list[measure.Cost]] = {name: [] for name in commands}
    for name in measure.alternate(list(commands), rounds):
        costs[name].append(measure.run(commands[name]))
    fastest = {name: min(each, key=lambda cost: cost.wall_s) for name, each in costs.items()}
    found = {
        "rows": rows,
        "rounds": rounds,
        "commands": {
            name: {
                "wall_s": cost.wall_s,
                "cpu_s": cost.cpu_s,
                "peak_mib": cost.peak_bytes / measure.MIB,
                "ratio": cost.wall_s / fastest[_PASS].wall_s,
            }
            for name, cost in fastest.items()
        },
    }
    return found | {"figures": list(_figures(found))}


def manifests(where: Path, rows: int) -> list[Path]:
    """The same rows as CSV and as Parquet, which a process of its own makes."""
    table = write_manifest(where / f"{rows}.csv", rows)
    columns = table.with_suffix(".parquet")
    measure.run([sys.executable, "-c", _CONVERT, table, columns])
    return [table, columns]


def plan(manifest: Path) -> list[str | Path]:
    """The command that plans it."""
    out = manifest.with_name("never")
    return measure.batchtts("plan", manifest, "--provider", "together", "--out", out)


def read(manifest: Path) -> list[str | Path]:
    """The command that only reads it."""
    return [sys.executable, "-c", _READ[manifest.suffix], manifest]


def _plan(suffix: str) -> str:
    return f"batchtts plan, {_KINDS[suffix]}"


def _reading(suffix: str) -> str:
    return f"pyarrow reads the {_KINDS[suffix]}"


def _figures(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    wall_s = {name: it["wall_s"] for name, it in found["commands"].items()}
    yield figure(
        _HELP, wall_s[_HELP], unit="s", at_most=HELP_S, peer=f"{_PASS} {wall_s[_PASS]:.3f} s"
    )
    for suffix, kind in _KINDS.items():
        yield figure(
            f"plan {found['rows']:,} rows of {kind}",
            wall_s[_plan(suffix)],
            unit="s",
            at_most=PLAN_S,
            peer=f"pyarrow reads it in {wall_s[_reading(suffix)]:.2f} s",
        )


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings as a table."""
    rounds, rows = found["rounds"], found["rows"]
    yield f"Starting up, the fastest of {rounds} rounds; the plans are of {rows:,} rows"
    yield f"  {'':32}{'wall':>9}{'ratio':>7}{'processor':>11}{'peak':>9}"
    for name, it in found["commands"].items():
        yield (
            f"  {name:32}{it['wall_s']:7.3f} s{it['ratio']:7.1f}{it['cpu_s']:9.3f} s"
            f"{it['peak_mib']:5.0f} MiB"
        )
