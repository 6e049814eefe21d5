"""What one waits for before anything happens, beside what Python itself takes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.cost import write_manifest

HELP_S = 0.2  # the promise for --help

_PASS = "python -c pass"


def compare(where: Path, rounds: int) -> dict[str, Any]:
    """Start everything in turn."""
    manifest = write_manifest(where / "ten.csv", 10)
    commands: dict[str, list[str | Path]] = {
        _PASS: [sys.executable, "-c", "pass"],
        "import batchtts": [sys.executable, "-c", "import batchtts"],
        "batchtts --help": measure.batchtts("--help"),
        "batchtts run --help": measure.batchtts("run", "--help"),
    }
    if _has_plan():
        plan = measure.batchtts("plan", manifest, "--provider", "together")
        commands["batchtts plan, 10 rows"] = plan
    costs: dict[str, list[measure.Cost]] = {name: [] for name in commands}
    for name in measure.alternate(list(commands), rounds):
        costs[name].append(measure.run(commands[name]))
    middles = {name: measure.middle(found) for name, found in costs.items()}
    return {
        "rounds": rounds,
        "promise_s": HELP_S,
        "commands": {
            name: {
                "wall_s": cost.wall_s,
                "cpu_s": cost.cpu_s,
                "ratio": cost.wall_s / middles[_PASS].wall_s,
            }
            for name, cost in middles.items()
        },
    }


def _has_plan() -> bool:
    import batchtts.cli

    return (Path(batchtts.cli.__file__).parent / "plan.py").exists()


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings as a table."""
    yield f"Starting up, {found['rounds']} rounds (promised: --help in < {HELP_S:g} s)"
    yield f"  {'':32}{'wall':>9}{'ratio':>7}{'processor':>11}"
    for name, it in found["commands"].items():
        yield f"  {name:32}{it['wall_s']:7.3f} s{it['ratio']:7.1f}{it['cpu_s']:9.3f} s"
