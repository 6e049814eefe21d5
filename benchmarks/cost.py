"""Processor time per hour of audio: `batchtts run` beside the vendor's own sample.

Each contender runs twice a round, short and long; the difference is what audio
costs, the rest is starting up and connecting. Every run writes to a new folder and
nothing is deleted before the end: ext4 is slow to create files where others have
just been deleted, and would bill the next contender.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measure
from benchmarks.replay import Replay, Served

OURS = "batchtts run"
SAMPLE = "vendor's sample + wave"
BARE = "vendor's sample, bare samples"

_CHUNK = 1 << 20  # bytes
_TAIL = 256  # bytes; longer than the last frame of an utterance
_TEXT = "Sentence {} of a book that nobody will ever read."  # 1 s is enough for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is spoken, and in which pieces.

    Attributes:
        short, long: Utterances per socket in the two runs of a round.
    """

    sockets: int = 64
    short: int = 1
    long: int = 20
    utterance_s: float = 5.0
    delta_bytes: int = 16_384
    context: bool = True

    def hours(self, per_socket: int) -> float:
        """Hours of audio of a run."""
        return self.sockets * per_socket * self.utterance_s / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One contender in one round, and what the server did for its long run."""

    short: measure.Cost
    long: measure.Cost
    served: Served

    def per_hour(self, load: Load) -> float:
        """Processor seconds per hour of audio, start-up left out."""
        hours = load.hours(load.long) - load.hours(load.short)
        return (self.long.cpu_s - self.short.cpu_s) / hours

    def startup_s(self, load: Load) -> float:
        """Processor seconds before the first audio: imports, plan, connections."""
        return self.short.cpu_s - self.per_hour(load) * load.hours(load.short)


def compare(where: Path, load: Load, rounds: int) -> dict[str, Any]:
    """Run all contenders in turn, each in every round."""
    manifests = {n: write_manifest(where / f"{n}.csv", n * load.sockets) for n in _lengths(load)}
    seen: dict[str, list[Round]] = {name: [] for name in (OURS, SAMPLE, BARE)}
    with _replay(load) as server:
        for number, name in enumerate(measure.alternate(list(seen), rounds)):
            costs, served = [], server.served()
            for per_socket in _lengths(load):
                served = server.served()
                out = where / f"{number}-{per_socket}"
                command = _command(name, manifests[per_socket], out, server.url, load.sockets)
                costs.append(measure.run(command))
            done = server.served().since(served)
            assert done.commits == load.sockets * load.long, done
            seen[name].append(Round(short=costs[0], long=costs[1], served=done))
    return {
        "load": {name: getattr(load, name) for name in load.__slots__},
        "rounds": rounds,
        "contenders": {name: _sum_up(found, load) for name, found in seen.items()},
        "ratio": _ratio(seen[OURS], seen[SAMPLE], load),
        "ceiling": ceiling(load),
    }


def _replay(load: Load) -> Replay:
    return Replay(utterance_s=load.utterance_s, delta_bytes=load.delta_bytes, context=load.context)


def _lengths(load: Load) -> tuple[int, int]:
    return load.short, load.long


def write_manifest(path: Path, rows: int, text: str = _TEXT) -> Path:
    """Write a manifest of so many rows."""
    with path.open("w") as file:
        file.write("id,text\n")
        file.writelines(f"u{row:07d},{text.format(row)}\n" for row in range(rows))
    return path


def _command(name: str, manifest: Path, out: Path, url: str, sockets: int) -> list[str | Path]:
    if name == OURS:
        provider = ("--provider", "together", "--endpoint", url, "--workers", f"{sockets}")
        return measure.batchtts("run", manifest, "--out", out, "--quiet", *provider)
    peer = [sys.executable, "-m", "benchmarks.vendor", str(manifest), str(out), "--url", url]
    return [*peer, "--sockets", f"{sockets}", *(["--plain"] if name == BARE else [])]


def _sum_up(rounds: list[Round], load: Load) -> dict[str, Any]:
    long = measure.middle([each.long for each in rounds])
    return {
        "cpu_s_per_audio_hour": median(each.per_hour(load) for each in rounds),
        "each_round": [each.per_hour(load) for each in rounds],
        "startup_cpu_s": median(each.startup_s(load) for each in rounds),
        "whole_cpu_s": long.cpu_s,
        "wall_s": long.wall_s,
        "peak_mib": long.peak_bytes / measure.MIB,
        "server_cpu_s_per_audio_hour": median(each.served.cpu_s for each in rounds)
        / load.hours(load.long),
    }


def _ratio(ours: list[Round], theirs: list[Round], load: Load) -> dict[str, float]:
    """Ours divided by theirs, round by round, so that a slow minute hits both."""
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "audio": median(a.per_hour(load) / b.per_hour(load) for a, b in pairs),
        "whole": median(a.long.cpu_s / b.long.cpu_s for a, b in pairs),
    }


def ceiling(load: Load) -> dict[str, float]:
    """Measure how fast the server serves somebody who only reads.

    Returns:
        Processor seconds per hour of audio of both sides, and the hours of audio
        that come in one second.
    """
    with _replay(load) as server, _dialed(server, load.sockets) as peers:
        served = server.served()
        began_at, cpu_s = time.monotonic(), time.process_time()
        for _ in range(load.long):
            for peer in peers:
                peer.sendall(_COMMIT)
            for peer in peers:
                _read_until(peer, b"audio_output.done")
        wall_s, cpu_s = time.monotonic() - began_at, time.process_time() - cpu_s
        done = server.served().since(served)
    hours = load.hours(load.long)
    return {
        "reader_cpu_s_per_audio_hour": cpu_s / hours,
        "server_cpu_s_per_audio_hour": done.cpu_s / hours,
        "audio_hours_per_s": hours / wall_s,
    }


_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: replay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_SAYING = b'{"type":"input_text_buffer.commit"}'
_COMMIT = bytes([0x81, 0x80 | len(_SAYING), 0, 0, 0, 0]) + _SAYING


@contextmanager
def _dialed(server: Replay, sockets: int) -> Iterator[list[socket.socket]]:
    peers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(sockets)]
    try:
        for peer in peers:
            peer.sendall(_UPGRADE)
            _read_until(peer, b"session.created")
        yield peers
    finally:
        for peer in peers:
            peer.close()


def _read_until(peer: socket.socket, mark: bytes) -> None:
    """Read on until *mark* is near the end of all that has come."""
    into, tail = memoryview(bytearray(_CHUNK)), b""
    while mark not in tail:
        size = peer.recv_into(into)
        assert size, "the server hung up"
        tail = (tail + bytes(into[max(0, size - _TAIL) : size]))[-_TAIL:]


def lines(found: dict[str, Any]) -> Iterator[str]:
    """The findings as a table."""
    load = found["load"]
    yield (
        f"Processor seconds per hour of audio: {load['sockets']} sockets, utterances of"
        f" {load['utterance_s']:g} s, deltas of {load['delta_bytes'] / 1024:g} KiB,"
        f" {found['rounds']} rounds"
    )
    yield f"  {'':32}{'per hour':>9}{'ratio':>7}{'start-up':>10}{'server':>8}{'wall':>8}{'peak':>9}"
    peer = found["contenders"][SAMPLE]["cpu_s_per_audio_hour"]
    for name, it in found["contenders"].items():
        ratio = found["ratio"]["audio"] if name == OURS else it["cpu_s_per_audio_hour"] / peer
        yield (
            f"  {name:32}{it['cpu_s_per_audio_hour']:9.2f}{ratio:7.2f}"
            f"{it['startup_cpu_s']:8.2f} s{it['server_cpu_s_per_audio_hour']:8.2f}"
            f"{it['wall_s']:6.1f} s{it['peak_mib']:5.0f} MiB"
        )
    top = found["ceiling"]
    yield (
        f"  {'a reader that drops everything':32}{top['reader_cpu_s_per_audio_hour']:9.2f}"
        f"{top['reader_cpu_s_per_audio_hour'] / peer:7.2f}{'':10}"
        f"{top['server_cpu_s_per_audio_hour']:8.2f}"
        f"   {top['audio_hours_per_s']:.1f} h of audio a second"
    )
    whole = found["ratio"]["whole"]
    yield f"  the long runs with their start-up: {whole:.2f} x the vendor's sample"
