"""A client that was not written here: the vendor's own library against our server, as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batchtts.audio.write import resample
from batchtts.server.engine import Tone
from batchtts.wire.embedded import EMBEDDED_VOICES, TONE
from tests.e2e import DEADLINE, environment, serving

TOGETHER = "together[realtime]==3.1.1"
PROGRAM = Path(__file__).parent / "peers" / "together_hear.py"
TEXTS = ["Call me Ishmael.", "Never mind how long precisely, I went to sea."]
INSTALL_S = 600.0


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the library, and nothing of ours."""
    home = tmp_path_factory.mktemp("together")
    subprocess.run([sys.executable, "-m", "venv", home], check=True, timeout=DEADLINE)
    python = home / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", TOGETHER], check=True, timeout=INSTALL_S
    )
    return python


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Each text as the tone engine speaks it, at 16 kHz, without a header."""
    voice = next(voice for voice in EMBEDDED_VOICES if voice.model == TONE)
    found = []
    for number, text in enumerate(TEXTS):
        pcm = resample(b"".join(Tone().speak(text, voice, 1.0)), 24_000, 16_000)
        found.append(tmp_path / f"{number}.raw")
        found[-1].write_bytes(pcm)
    return found


def hear(python: Path, url: str, turns: str, files: list[Path]) -> dict[str, Any]:
    done = subprocess.run(
        [python, PROGRAM, url, turns, *files],
        env={**environment(), "PYTHONPATH": ""},
        capture_output=True,
        timeout=2 * DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.slow
@pytest.mark.parametrize("turns", ["none", "server_vad"])
def test_the_vendors_library_hears_every_word(
    turns: str, python: Path, files: list[Path], tmp_path: Path
) -> None:
    with serving(tmp_path / "served.jsonl") as server:
        told = hear(python, f"http://127.0.0.1:{server.port}", turns, files)
    assert told["texts"] == TEXTS
    assert told["kinds"] == ["session.started", "transcript.delta", "transcript.completed"]


@pytest.mark.slow
def test_the_vendors_library_comes_back_after_a_broken_connection(
    python: Path, files: list[Path], tmp_path: Path
) -> None:
    weather = tmp_path / "weather.toml"
    weather.write_text('[[fault]]\nkind = "drop"\nrequests = [1]\n')
    with serving(tmp_path / "served.jsonl", faults=weather) as server:
        told = hear(python, f"http://127.0.0.1:{server.port}", "none", files[:1])
    assert told["texts"] == TEXTS[:1]
    assert told["kinds"] == [
        *("session.started", "transcript.delta", "reconnecting", "reconnected"),
        *("transcript.delta", "transcript.completed"),
    ]
