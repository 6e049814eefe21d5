"""The floor: bytes from the kernel, frames cut by hand, JSON and base64 in C, no more.

One buffer is shared by all sockets; a frame that lies whole in it is decoded where it
lies. No masks, no fragments, no limits: nobody should use this.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import msgspec
import pybase64

from benchmarks.frames import TEXT, encode, plain_mask

if TYPE_CHECKING:
    from benchmarks.peers import Task

_BUFFER_BYTES = 1 << 18
_DELTA = "conversation.item.audio_output.delta"
_DONE = "conversation.item.audio_output.done"


class _Said(msgspec.Struct):
    type: str
    delta: msgspec.Raw = msgspec.Raw(b'""')


_decode = msgspec.json.Decoder(_Said).decode


class Floor(asyncio.BufferedProtocol):
    """One socket."""

    def __init__(
        self, buffer: memoryview, task: Task, name: str, over: asyncio.Future[None]
    ) -> None:
        self._buffer = buffer
        self._task = task
        self._over = over
        self._name = name
        self._left = task.utterances
        self._audio = list[bytes]()
        self._rest = bytearray()
        self._upgraded = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(
            b"GET / HTTP/1.1\r\nHost: replay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )

    def get_buffer(self, sizehint: int) -> memoryview:
        """The one that all share."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Cut what has come."""
        with self._buffer[:nbytes] as data:
            if not self._rest:
                at = self._cut(data)
                self._rest += data[at:]
                return
            self._rest += data
        with memoryview(self._rest) as rest:
            at = self._cut(rest)
        del self._rest[:at]

    def _cut(self, data: memoryview) -> int:
        at, end = 0, len(data)
        if not self._upgraded:
            at = bytes(data).find(b"\r\n\r\n") + 4
            if at < 4:
                return 0
            self._upgraded = True
            self._speak()
        while end - at >= 2:
            size, start = data[at + 1], at + 2
            if size >= 126:
                start = at + (4 if size == 126 else 10)
                if start > end:
                    break
                size = int.from_bytes(data[at + 2 : start])
            if start + size > end:
                break
            self._hear(data[start : start + size])
            at = start + size
        return at

    def _hear(self, message: memoryview) -> None:
        said = _decode(message)
        if said.type == _DELTA:
            payload = memoryview(said.delta)[1:-1]
            self._audio.append(pybase64.b64decode(payload, validate=True))
        elif said.type == _DONE:
            self._task.check(len(b"".join(self._audio)))
            self._audio.clear()
            self._left -= 1
            self._speak()

    def _speak(self) -> None:
        assert self._transport is not None
        if not self._left:
            self._transport.close()
            return
        context = f"{self._name}-{self._left}"
        append = {"type": "input_text_buffer.append", "text": "Hear.", "context_id": context}
        commit = {"type": "input_text_buffer.commit", "context_id": context}
        messages = (plain_mask(TEXT, encode(it)) for it in (append, commit))
        self._transport.write(b"".join(messages))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell how it ended."""
        if exc is None and not self._left:
            self._over.set_result(None)
        else:
            self._over.set_exception(RuntimeError(f"{self._left} utterances are left"))


async def receive(task: Task) -> None:
    """Receive on all sockets at once.

    Raises:
        RuntimeError: one was lost before its end.
    """
    from benchmarks.peers import host

    loop, trust = asyncio.get_running_loop(), task.trust()
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    await asyncio.gather(
        *(_one(loop, buffer, task, trust, f"{at}", *host(task.url)) for at in range(task.sockets))
    )


async def _one(
    loop: asyncio.AbstractEventLoop,
    buffer: memoryview,
    task: Task,
    trust: ssl.SSLContext | None,
    name: str,
    host: str,
    port: int,
) -> None:
    over: asyncio.Future[None] = loop.create_future()
    await loop.create_connection(lambda: Floor(buffer, task, name, over), host, port, ssl=trust)
    await over
