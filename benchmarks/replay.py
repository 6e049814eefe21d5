"""A provider that costs next to nothing: it sends frames that were built beforehand.

It knows just enough of Together's protocol to be spoken to: it accepts the upgrade,
greets, and answers each commit with the same utterance as fast as the socket takes
it. The context id is the client's, so a frame is two pieces, the long one shared by
all utterances. It serves until its standard input ends, and answers each line there
with what it has done so far.
"""

from __future__ import annotations

import argparse
import json
import resource
import selectors
import socket
import subprocess
import sys
import time
from array import array
from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha1
from random import Random
from types import TracebackType
from typing import Self

import msgspec

RATE_HZ = 24_000
GREETING = "listening on "
BACKLOG = 4096

# RFC 6455, 1.3 and 5.2.
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_FIN, _MASKED = 0x80, 0x80
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA

_RECEIVE_BYTES = 1 << 16
_PIECES = 512  # buffers in one system call; Linux takes 1,024


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a server has done since it began."""

    cpu_s: float
    connections: int
    commits: int
    sent_bytes: int

    def since(self, earlier: Served) -> Served:
        """Return what was done after *earlier*."""
        return Served(
            cpu_s=self.cpu_s - earlier.cpu_s,
            connections=self.connections - earlier.connections,
            commits=self.commits - earlier.commits,
            sent_bytes=self.sent_bytes - earlier.sent_bytes,
        )


class Replay:
    """A server in a process of its own, which ends with the block or with us."""

    def __init__(
        self, *, utterance_s: float, delta_bytes: int = 16_384, context: bool = True
    ) -> None:
        options = [f"--utterance-s={utterance_s}", f"--delta-bytes={delta_bytes}"]
        options += [] if context else ["--no-context"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.replay", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.port = int(self._line().removeprefix(GREETING).rpartition(":")[2])
        self.url = f"ws://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def served(self) -> Served:
        """Ask what was done so far."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        return Served(**json.loads(self._line()))

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the replay server ended ({self._process.wait()})")
        return line.strip()


def noise(seconds: float) -> bytes:
    """Return mono s16le at 24 kHz that nothing can compress, about 12 dB below full scale."""
    random = Random(0)
    samples = array("h", random.randbytes(2 * round(seconds * RATE_HZ)))
    for at, sample in enumerate(samples):
        samples[at] = sample // 4
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def frame(opcode: int, payload: bytes, *, more_bytes: int = 0) -> bytes:
    """Return an unmasked frame, or the beginning of one that *more_bytes* will follow."""
    size = len(payload) + more_bytes
    if size < 126:
        head = bytes([_FIN | opcode, size])
    elif size < 1 << 16:
        head = bytes([_FIN | opcode, 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([_FIN | opcode, 127]) + size.to_bytes(8, "big")
    return head + payload


class Script:
    """The utterance that answers every commit, cut into frames."""

    def __init__(self, pcm: bytes, delta_bytes: int, *, context: bool) -> None:
        starts = range(0, len(pcm), delta_bytes)
        deltas = [b64encode(pcm[at : at + delta_bytes]).decode() for at in starts]
        item = "conversation.item"
        self._messages = [
            {"type": f"{item}.audio_output.delta", "item_id": "tts_1", "delta": delta}
            for delta in deltas
        ]
        self._messages.append({"type": f"{item}.audio_output.done", "item_id": "tts_1"})
        self._whole = None if context else [frame(_TEXT, _encode(it)) for it in self._messages]
        self._begun = lru_cache(self._begin)

    def answer(self, context: str) -> list[bytes]:
        """Return the frames of one utterance, in pieces."""
        if self._whole is not None:
            return self._whole
        tail = context.encode() + b'"}'
        return [piece for begun in self._begun(len(tail)) for piece in (begun, tail)]

    def _begin(self, tail_bytes: int) -> list[bytes]:
        """The frames up to the context id; their lengths depend on its length only."""
        return [
            frame(_TEXT, _encode(message)[:-1] + b',"context_id":"', more_bytes=tail_bytes)
            for message in self._messages
        ]


_encode = msgspec.json.encode


class _Said(msgspec.Struct):
    """The parts of a client's message that matter here."""

    type: str
    text: str = ""
    context_id: str = "default"


_decode = msgspec.json.Decoder(_Said).decode


class Connection:
    """One client. Bytes in, pieces out; never waits."""

    def __init__(self, peer: socket.socket, script: Script) -> None:
        self.peer = peer
        self.commits = 0
        self.sent_bytes = 0
        self.ended = False
        self._script = script
        self._upgraded = False
        self._inbox = bytearray()
        self._outbox: deque[bytes | memoryview] = deque()

    @property
    def unsent(self) -> bool:
        """Whether the socket was full."""
        return bool(self._outbox)

    def receive(self) -> None:
        """Take in what has come, and answer it."""
        try:
            data = self.peer.recv(_RECEIVE_BYTES)
        except ConnectionError:
            data = b""
        self.ended = not data
        self._inbox += data
        if not self._upgraded:
            self._upgrade()
        if self._upgraded:
            self._read_frames()
        self.send()

    def send(self) -> None:
        """Send as much as the socket takes."""
        while self._outbox:
            pieces = [self._outbox[at] for at in range(min(len(self._outbox), _PIECES))]
            try:
                sent = self.peer.sendmsg(pieces)
            except BlockingIOError:
                return
            except ConnectionError:
                self.ended = True
                return
            self.sent_bytes += sent
            self._forget(sent)

    def _forget(self, sent: int) -> None:
        while sent:
            piece = self._outbox.popleft()
            if sent < len(piece):
                self._outbox.appendleft(memoryview(piece)[sent:])
            sent -= min(sent, len(piece))

    def _upgrade(self) -> None:
        head, blank, rest = bytes(self._inbox).partition(b"\r\n\r\n")
        if not blank:
            return
        lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in lines}
        accept = b64encode(sha1(headers[b"sec-websocket-key"] + _ACCEPT).digest())
        self._inbox[:] = rest
        self._upgraded = True
        self._outbox.append(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._say({"type": "session.created", "event_id": "evt_1", "session": {"id": "s-1"}})

    def _say(self, message: dict[str, object]) -> None:
        self._outbox.append(frame(_TEXT, _encode(message)))

    def _read_frames(self) -> None:
        while len(self._inbox) >= 6:
            opcode, at, size = _head(self._inbox)
            if size < 0 or len(self._inbox) < at + size:
                return
            payload = _unmask(self._inbox[at : at + size], self._inbox[at - 4 : at])
            del self._inbox[: at + size]
            self._answer(opcode, payload)

    def _answer(self, opcode: int, payload: bytes) -> None:
        if opcode == _TEXT:
            said = _decode(payload)
            if said.type == "input_text_buffer.append":
                self._say({"type": "conversation.item.input_text.received", "text": said.text})
            elif said.type == "input_text_buffer.commit":
                self.commits += 1
                self._outbox.extend(self._script.answer(said.context_id))
        elif opcode == _PING:
            self._outbox.append(frame(_PONG, payload))
        elif opcode == _CLOSE:
            self._outbox.append(frame(_CLOSE, payload))
            self.send()
            self.ended = True


def _head(data: bytearray) -> tuple[int, int, int]:
    """Return opcode, start and length of a client's frame; a length below 0 is not known yet."""
    size, at = data[1] & ~_MASKED, 2
    if size >= 126:
        at = 4 if size == 126 else 10
        size = int.from_bytes(data[2:at], "big") if len(data) >= at else -1
    return data[0] & 0x0F, at + 4, size


def _unmask(payload: bytearray, mask: bytearray) -> bytes:
    size = len(payload)
    whole = (bytes(mask) * (size // 4 + 1))[:size]
    unmasked = int.from_bytes(payload, "little") ^ int.from_bytes(whole, "little")
    return unmasked.to_bytes(size, "little")


class Server:
    """All connections, in one thread."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._ready = selectors.DefaultSelector()
        self._connections = 0
        self._commits = 0
        self._sent_bytes = 0

    def serve(self) -> None:
        """Serve on a free port until standard input ends."""
        with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listener:
            listener.setblocking(False)
            self._ready.register(listener, selectors.EVENT_READ, None)
            self._ready.register(sys.stdin, selectors.EVENT_READ, None)
            print(f"{GREETING}127.0.0.1:{listener.getsockname()[1]}", flush=True)
            while True:
                for key, events in self._ready.select():
                    if isinstance(key.data, Connection):
                        self._move(key.data, events)
                    elif key.fileobj is listener:
                        self._accept(listener)
                    elif sys.stdin.readline():
                        self._report()
                    else:
                        return

    def _accept(self, listener: socket.socket) -> None:
        peer, _ = listener.accept()
        peer.setblocking(False)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections += 1
        self._ready.register(peer, selectors.EVENT_READ, Connection(peer, self._script))

    def _move(self, connection: Connection, events: int) -> None:
        commits, sent_bytes = connection.commits, connection.sent_bytes
        if events & selectors.EVENT_WRITE:
            connection.send()
        if events & selectors.EVENT_READ:
            connection.receive()
        self._commits += connection.commits - commits
        self._sent_bytes += connection.sent_bytes - sent_bytes
        if connection.ended:
            self._ready.unregister(connection.peer)
            connection.peer.close()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        if self._ready.get_key(connection.peer).events != wanted:
            self._ready.modify(connection.peer, wanted, connection)

    def _report(self) -> None:
        told = {
            "cpu_s": time.process_time(),
            "connections": self._connections,
            "commits": self._commits,
            "sent_bytes": self._sent_bytes,
        }
        print(json.dumps(told), flush=True)


def allow_sockets() -> None:
    """Let this process and its children have as many open files as they may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Serve as the options say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--utterance-s", type=float, default=5.0)
    parser.add_argument("--delta-bytes", type=int, default=16_384)
    parser.add_argument("--no-context", action="store_true", help="leave context_id out")
    options = parser.parse_args()
    allow_sockets()
    pcm = noise(options.utterance_s)
    Server(Script(pcm, options.delta_bytes, context=not options.no_context)).serve()


if __name__ == "__main__":
    main()
