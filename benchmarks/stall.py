"""How late the event loop of a run is, while it speaks to durable WAVs as fast as it can."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measure, stalls
from benchmarks.cost import write_manifest
from benchmarks.figures import figure
from benchmarks.rounds import Load

STALL_MS = 20


def compare(where: Path, loads: Sequence[Load], rounds: int) -> dict[str, Any]:
    """Run each load so many times."""
    seen = [
        {
            "title": str(load),
            "utterance_s": load.utterance_s,
            **_middle(where / f"{at}", load, rounds),
        }
        for at, load in enumerate(loads)
    ]
    found = {"rounds": rounds, "loads": seen}
    return found | {"figures": list(_figures(found))}


def _middle(where: Path, load: Load, rounds: int) -> dict[str, float]:
    where.mkdir()
    manifest = write_manifest(where / "rows.csv", load.sockets * load.long)
    with load.replay() as server:
        seen = [_once(manifest, where / f"{at}", server.url, load) for at in range(rounds)]
    return {key: median(each[key] for each in seen) for key in seen[0]}


def _once(manifest: Path, out: Path, url: str, load: Load) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.watched", str(manifest), str(out)]
    done = subprocess.run(
        [*command, "--url", url, "--sockets", f"{load.sockets}"],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, **measure.ENVIRONMENT},
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told


def _figures(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for each in found["loads"]:
        yield figure(
            f"WAVs of {each['utterance_s']:g} s: loop stall, p99",
            each["p99_ms"],
            unit="ms",
            at_most=STALL_MS,
            peer=f"longest {each['max_ms']:.0f} ms",
        )


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings as a table."""
    yield f"How late the loop of a run is, median of {found['rounds']} runs"
    for each in found["loads"]:
        yield f"  {each['title']}: {stalls.spell(each)}"
