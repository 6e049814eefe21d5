"""A client that was not written here: pipecat's services against our server, as they are."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import DEADLINE, environment, serving

PIPECAT = "pipecat-ai[websockets-base]==1.14.0"
PROGRAM = Path(__file__).parent / "peers" / "pipecat_speak.py"

#: One sentence a turn: pipecat takes the first of several `done` for the end.
TEXTS = ["Call me Ishmael.", "Never mind how long."]
SAMPLES_PER_CHARACTER = 1440  # of the tone engine

INSTALL_S = 600.0


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has pipecat, and nothing of ours."""
    home = tmp_path_factory.mktemp("pipecat")
    subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=DEADLINE)
    python = home / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", PIPECAT], check=True, timeout=INSTALL_S
    )
    return python


@pytest.mark.slow
@pytest.mark.parametrize("service", ["together", "smallest"])
def test_pipecat_hears_every_sample(service: str, python: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "served.jsonl", engine="tone") as server:
        done = subprocess.run(
            [python, PROGRAM, service, f"ws://127.0.0.1:{server.port}", *TEXTS],
            env={**environment(), "PYTHONPATH": ""},
            capture_output=True,
            timeout=2 * DEADLINE,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    told = json.loads(done.stdout)
    assert told["errors"] == []
    heard = len(base64.b64decode(told["pcm"])) // 2
    assert heard == SAMPLES_PER_CHARACTER * len("".join(TEXTS))
