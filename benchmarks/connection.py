"""One client of the replay server: the upgrade, the greeting, and an answer to each commit."""

from __future__ import annotations

import time
from base64 import b64encode
from collections import deque
from hashlib import sha1

import msgspec

from benchmarks.frames import CLOSE, PING, PONG, TEXT, Script, encode, frame, head, unmask
from benchmarks.pulse import Pings
from benchmarks.tls import Peer

_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3

_RECEIVE_BYTES = 1 << 16
_PIECES = 512  # buffers in one system call; Linux takes 1,024


class Said(msgspec.Struct):
    """The parts of a client's message that matter here."""

    type: str
    text: str = ""
    context_id: str = "default"


_decode = msgspec.json.Decoder(Said).decode


class Connection:
    """One client. Bytes in, pieces out; never waits."""

    def __init__(self, peer: Peer, script: Script, pings: Pings, *, paced: bool) -> None:
        self.peer = peer
        self.commits = 0
        self.sent_bytes = 0
        self.ended = False
        self.upgraded = False
        self._script = script
        self._pings = pings
        self._inbox = bytearray()
        self._outbox: deque[bytes | memoryview] = deque()
        self._held: deque[list[bytes]] | None = deque() if paced else None

    @property
    def unsent(self) -> bool:
        """Whether the socket was full."""
        return bool(self._outbox)

    def receive(self) -> None:
        """Take in what has come, and answer it."""
        try:
            data = self.peer.recv(_RECEIVE_BYTES)
            self.ended = not data
        except BlockingIOError:
            data = b""  # half a record of TLS
        except ConnectionError:
            data, self.ended = b"", True
        self._inbox += data
        if not self.upgraded:
            self._upgrade()
        if self.upgraded:
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

    def drip(self) -> None:
        """Let go of one message that was held back."""
        if self._held:
            self._outbox.extend(self._held.popleft())

    def ping(self) -> None:
        """Ask whether anybody is there."""
        if self.upgraded:
            self._outbox.append(frame(PING, self._pings.ping(time.monotonic())))

    def _forget(self, sent: int) -> None:
        while sent:
            piece = self._outbox.popleft()
            if sent < len(piece):
                self._outbox.appendleft(memoryview(piece)[sent:])
            sent -= min(sent, len(piece))

    def _upgrade(self) -> None:
        request, blank, rest = bytes(self._inbox).partition(b"\r\n\r\n")
        if not blank:
            return
        lines = (line.partition(b":") for line in request.split(b"\r\n")[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in lines}
        accept = b64encode(sha1(headers[b"sec-websocket-key"] + _ACCEPT).digest())
        self._inbox[:] = rest
        self.upgraded = True
        self._outbox.append(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._say({"type": "session.created", "event_id": "evt_1", "session": {"id": "s-1"}})

    def _say(self, message: dict[str, object]) -> None:
        self._outbox.append(frame(TEXT, encode(message)))

    def _read_frames(self) -> None:
        while len(self._inbox) >= 6:
            opcode, at, size = head(self._inbox)
            if size < 0 or len(self._inbox) < at + size:
                return
            payload = unmask(self._inbox[at : at + size], self._inbox[at - 4 : at])
            del self._inbox[: at + size]
            self._answer(opcode, payload)

    def _answer(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self._reply(_decode(payload))
        elif opcode == PING:
            self._outbox.append(frame(PONG, payload))
        elif opcode == PONG:
            self._pings.pong(payload, time.monotonic())
        elif opcode == CLOSE:
            self._outbox.append(frame(CLOSE, payload))
            self.send()
            self.ended = True

    def _reply(self, said: Said) -> None:
        if said.type == "input_text_buffer.append":
            self._say({"type": "conversation.item.input_text.received", "text": said.text})
        elif said.type == "input_text_buffer.commit":
            self.commits += 1
            if self._held is None:
                self._outbox.extend(self._script.answer(said.context_id))
            else:
                self._held.extend(self._script.one_by_one(said.context_id))
