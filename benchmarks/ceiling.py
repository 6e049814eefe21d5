"""How fast the replay server serves somebody who only reads: what nobody here can beat."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.frames import TEXT, plain_mask
from benchmarks.replay import Replay
from benchmarks.rounds import Load

_CHUNK = 1 << 20  # bytes
_TAIL = 256  # bytes; longer than the last frame of an utterance
_TIMEOUT_S = 60.0

_UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: replay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_COMMIT = plain_mask(TEXT, b'{"type":"input_text_buffer.commit"}')


def ceiling(load: Load) -> dict[str, float]:
    """Drop everything that a server says.

    Returns:
        Processor seconds per hour of audio of both sides, and the hours of audio
        that come in one second.
    """
    with load.replay() as server, _dialed(server, load.sockets) as peers:
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
        "server_share": done.cpu_s / wall_s,
        "audio_hours_per_s": hours / wall_s,
    }


@contextmanager
def _dialed(server: Replay, sockets: int) -> Iterator[list[socket.socket]]:
    trust = server.environment.get("SSL_CERT_FILE")
    context = ssl.create_default_context(cafile=trust) if trust else None
    peers = [_dial(server.port, context) for _ in range(sockets)]
    try:
        for peer in peers:
            peer.sendall(_UPGRADE)
            _read_until(peer, b"session.created")
        yield peers
    finally:
        for peer in peers:
            peer.close()


def _dial(port: int, context: ssl.SSLContext | None) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
    return peer if context is None else context.wrap_socket(peer, server_hostname="127.0.0.1")


def _read_until(peer: socket.socket, mark: bytes) -> None:
    """Read on until *mark* is near the end of all that has come."""
    into, tail = memoryview(bytearray(_CHUNK)), b""
    while mark not in tail:
        size = peer.recv_into(into)
        assert size, "the server hung up"
        tail = (tail + bytes(into[max(0, size - _TAIL) : size]))[-_TAIL:]


def line(top: dict[str, float]) -> str:
    """It, as a line below the others' figures."""
    return (
        f"  a reader that drops everything: {top['reader_cpu_s_per_audio_hour']:.2f} s per hour,"
        f" the server {top['server_cpu_s_per_audio_hour']:.2f} s"
        f" and {top['server_share']:.0%} busy, {top['audio_hours_per_s']:.1f} h of audio a second"
    )
