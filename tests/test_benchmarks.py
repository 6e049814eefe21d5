"""The benchmark programs run, and the guard guards; what they find is not for a test to judge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("websockets", reason="the peer of the benchmarks: the extra `bench`")
pytest.importorskip("trustme", reason="the certificate of the benchmarks: the extra `bench`")

from benchmarks import figures, guard
from benchmarks.frames import TEXT, Script, frame
from benchmarks.peers import PEERS
from benchmarks.replay import Replay

ROOT = Path(__file__).parent.parent
TINY = (
    "--rounds 1 --sockets 2 --utterances 2 --files 2 --utterance-s 1 --rows 200 --spoken 20"
    " --window-rows 4 --plan-rows 200 --crowd 4 --crowd-s 0.5"
).split()

ALL = [sys.executable, "-m", "benchmarks", *TINY]

HALF_S = 24_000  # bytes of audio


def program(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]


def receive(server: Replay, peer: str, audio_bytes: int) -> subprocess.CompletedProcess[bytes]:
    """Have a peer receive two utterances on each of two sockets."""
    address = ("--url", server.url, "--sockets", 2, "--utterances", 2)
    return subprocess.run(
        program("peers", peer, *address, "--audio-bytes", audio_bytes),
        cwd=ROOT,
        env=server.environment_of_client(),
        capture_output=True,
        timeout=60,
    )


@pytest.mark.slow
def test_a_tiny_run_of_every_benchmark_leaves_its_findings(tmp_path: Path) -> None:
    findings = tmp_path / "findings.json"
    command = [*ALL, "--json", findings, "--dir", tmp_path]
    done = subprocess.run(
        list(map(str, command)), check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    found = json.loads(findings.read_text())
    assert {"machine", "startup", "receive", "receive-tls", "cost", "cost-1s"} <= found.keys()
    assert {"stall", "sockets", "again", "memory"} <= found.keys()
    assert len(found["receive"]["contenders"]) == 4
    assert len(found["cost"]["contenders"]) == 2
    assert {each["open"] for each in found["sockets"]["contenders"].values()} == {4}
    assert found["again"]["rows"] == 20
    assert found["memory"]["in_results"] == 200
    table = done.stdout.splitlines()[-1 - len(figures.gather(found)) :]
    assert len(table) > 10


@pytest.mark.slow
def test_the_quiet_window_is_measured_when_it_is_asked_for(tmp_path: Path) -> None:
    findings = tmp_path / "findings.json"
    command = [*ALL, "--only", "window", "--json", findings]
    subprocess.run(list(map(str, command)), check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    assert len(json.loads(findings.read_text())["window"]["contenders"]) == 2


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("peer", PEERS)
def test_every_peer_gets_every_byte(peer: str, tls: bool) -> None:
    with Replay(utterance_s=0.5, delta_bytes=4096, tls=tls) as server:
        done = receive(server, peer, HALF_S)
        assert (done.returncode, done.stderr) == (0, b"")
        assert server.served().commits == 4


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_that_lacks_a_byte_fails(peer: str) -> None:
    with Replay(utterance_s=0.5) as server:
        done = receive(server, peer, HALF_S + 1)
    assert done.returncode == 1
    assert b"24000 bytes of audio instead of 24001" in done.stderr


def test_a_slow_server_sends_message_by_message_what_a_fast_one_sends_at_once() -> None:
    script = Script(bytes(1000), 400, context=True)
    slow = script.one_by_one("5a2f")
    assert len(slow) == 4
    assert [piece for message in slow for piece in message] == script.answer("5a2f")
    assert slow[0][0].startswith(frame(TEXT, b"", more_bytes=len(b"".join(slow[0])) - 4))


def test_a_crowd_answers_every_ping(tmp_path: Path) -> None:
    from benchmarks import sockets

    found = sockets.compare(tmp_path, sockets=4, seconds=0.5, names=(sockets.OURS,))
    ours = found["contenders"][sockets.OURS]
    assert ours["open"] == 4
    assert 0 < ours["pings"] == ours["pongs"]


def test_a_target_is_met_or_missed_on_its_own_side() -> None:
    values = (0.9, 1.0, 1.1)
    most = [figures.figure("a", value, at_most=1.0)["verdict"] for value in values]
    least = [figures.figure("a", value, at_least=1.0)["verdict"] for value in values]
    assert most == ["ok", "ok", "missed"]
    assert least == ["missed", "ok", "ok"]


def test_the_last_table_has_the_figures_of_every_part_that_left_some() -> None:
    met = figures.figure("pings not answered", 0, at_most=0, peer="of 7")
    missed = figures.figure("rows a second", 1234.5, at_least=2000)
    gathered = figures.gather(
        {"machine": {}, "one": {"figures": [met]}, "two": {"figures": [missed]}}
    )
    assert list(figures.table(gathered))[1:] == [
        "pings not answered          0     <= 0  ok      of 7",
        "rows a second           1,234 >= 2,000  missed",
        "1 of 2 reached",
    ]


def test_the_guard_lets_through_what_is_within_the_tolerance_only() -> None:
    assert guard.judge(1.09, 1.0, 0.1).startswith("ok")
    assert guard.judge(1.11, 1.0, 0.1).startswith("EXCEEDED")
    assert guard.judge(0.89, 1.0, 0.1).startswith("better")
    assert guard.judge(9.0, None, 0.1) == "nothing accepted yet"


def test_the_guard_fails_where_more_is_needed_than_was_accepted(tmp_path: Path) -> None:
    accepted = tmp_path / "guard.json"
    options = ("--by", "time", "--rounds", 1, "--only", "rows of CSV", "--file", accepted)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = program("guard", *options, *more)
        return subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, timeout=300
        )

    assert run("--accept").returncode == 0
    kept = json.loads(accepted.read_text())
    (name,) = kept["ratios"]["processor time"]
    kept["ratios"]["processor time"][name] /= 1000
    accepted.write_text(json.dumps(kept))
    done = run()
    assert done.returncode == 1
    assert "EXCEEDED" in done.stdout
    assert "--accept" in done.stdout


def test_every_load_of_the_guard_has_an_accepted_ratio() -> None:
    kept = json.loads(guard.FILE.read_text())
    assert set(kept["tolerance"]) == {"instructions", "processor time"}
    assert all(set(ratios) == set(guard.LOADS) for ratios in kept["ratios"].values())
