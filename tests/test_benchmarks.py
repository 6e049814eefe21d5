"""The benchmark programs run; what they find is not for a test to judge."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("websockets", reason="the peer of the benchmarks: the extra `bench`")

ROOT = Path(__file__).parent.parent
TINY = (
    "--rounds 1 --sockets 2 --utterances 2 --utterance-s 1 --rows 200 --spoken 20 --window-rows 4"
).split()


@pytest.mark.slow
def test_a_tiny_run_of_every_benchmark_leaves_its_findings(tmp_path: Path) -> None:
    findings = tmp_path / "findings.json"
    command = [sys.executable, "-m", "benchmarks", *TINY, "--json", findings, "--dir", tmp_path]
    subprocess.run(list(map(str, command)), check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    found = json.loads(findings.read_text())
    assert {"machine", "startup", "cost", "again", "memory", "window"} == found.keys()
    assert len(found["cost"]["contenders"]) == 3
    assert found["again"]["rows"] == 20
    assert found["memory"]["in_results"] == 200
    assert len(found["window"]["contenders"]) == 2
