"""Between trio-websocket and its stream: plain messages take a shorter way.

They are cut out of what is received and told at once, in the task that reads, and
sent as frames that are made here. The handshake, pings, fragments, closes and
whatever is wrong are trio-websocket's, which sees all bytes that are not of a plain
message, in their order.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence

import trio

from batchtts.wire.frames import Buffer, Cutter, Hear, masked

Receive = Callable[[], Awaitable[Buffer]]
Write = Callable[[bytes], int]

_HEADERS_END = b"\r\n\r\n"
_LONGEST_HEADERS = 64 * 1024
_BANNER_BYTES = 4096
_MASK_BYTES = 4


def _nothing() -> None:
    """What happens at the end of a stream that nobody watches."""


class Tap(trio.abc.Stream):
    """A stream for trio-websocket, and the plain messages that it does not see.

    Attributes:
        on_end: Called when the peer is gone, never spoke HTTP, or sends what is
            uncommon. Without it trio-websocket waits for its handshake for ever.
        banner: What came first.
    """

    def __init__(
        self, stream: trio.abc.Stream, receive: Receive | None = None, write: Write | None = None
    ) -> None:
        """Read from a stream.

        Args:
            receive: How, if not by its own receive_some(). What it returns may be
                overwritten as soon as others run: nothing of it is kept.
            write: Sends what leaves at once, if that can be had.
        """
        self._stream = stream
        self._receive = receive
        self._write = write
        self._headers: bytearray | None = bytearray()  # None once they are whole
        self._early = b""  # what came with them
        self._cutter: Cutter | None = None
        self._listened = trio.Event()
        self._is_passing = False
        self._sending = trio.Lock()
        self._is_torn = False  # a frame did not leave to its end
        self.banner = b""
        self.on_end: Callable[[], None] = _nothing

    @property
    def is_cutting(self) -> bool:
        """Whether messages are told here; if not, trio-websocket has them."""
        return not self._is_passing

    def listen(self, text: Hear, binary: Hear) -> None:
        """Tell of messages from now on; see Cutter. Who is told must not block."""
        self._cutter = Cutter(text, binary)
        self._listened.set()

    def say(self, messages: Sequence[str]) -> bytes:
        """Send text messages, a frame each, as far as they leave at once.

        Returns:
            The rest, which is to be given to send_all() before anything else happens.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: nobody is there any more.
        """
        masks = os.urandom(_MASK_BYTES * len(messages))
        starts = range(0, len(masks), _MASK_BYTES)
        data = b"".join(
            masked(message.encode(), masks[start : start + _MASK_BYTES])
            for message, start in zip(messages, starts, strict=True)
        )
        if self._write is None or self._is_torn or self._sending.locked():
            return data
        return data[self._write(data) :]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what trio-websocket must see; nothing at the end of the stream."""
        passed = b""
        while not passed or (self._is_torn and self.is_cutting):  # no ping can be answered now
            if self._cutter is None and self._headers is None and not self._is_passing:
                await self._listened.wait()
            data = await self._read(max_bytes)
            if not data:
                self._end()
                return b""
            passed = self._pass_on(data)
        return passed

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send as it is, whoever else is sending; nothing behind half a frame.

        Raises:
            trio.BrokenResourceError: nobody is there, or an earlier send was cut short.
        """
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            await self._sending.acquire()
        is_sent = False
        try:
            if self._is_torn:
                raise trio.BrokenResourceError("the last frame was cut short")
            await self._stream.send_all(data)
            is_sent = True
        except trio.BrokenResourceError:
            self.on_end()
            raise
        finally:
            self._is_torn = not is_sent
            self._sending.release()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below would."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream below."""
        self._end()
        await self._stream.aclose()

    async def _read(self, max_bytes: int | None) -> Buffer:
        early, self._early = self._early, b""
        if early:
            return early
        try:
            if self._receive is None:
                return await self._stream.receive_some(max_bytes)
            return await self._receive()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end()
            raise

    def _end(self) -> None:
        self._is_passing = True
        self.on_end()

    def _pass_on(self, data: Buffer) -> bytes:
        """Return what of this is trio-websocket's."""
        if self._is_passing:
            return bytes(data)
        if self._headers is not None:
            return self._pass_headers(self._headers, data)
        assert self._cutter is not None  # else nothing is read
        passed = self._cutter.feed(memoryview(data))
        if not self._cutter.is_cutting:
            self._end()
        return passed

    def _pass_headers(self, headers: bytearray, data: Buffer) -> bytes:
        """Keep back what comes behind the answer to the upgrade: those are frames."""
        headers += data
        self.banner = bytes(headers[:_BANNER_BYTES])
        if not _begins_http(self.banner):
            self._end()
            return bytes(headers)
        end = headers.find(_HEADERS_END)
        if end < 0 and len(headers) < _LONGEST_HEADERS:
            return b""
        come, self._headers = bytes(headers), None
        if end < 0 or b" 101 " not in come[:13]:
            self._is_passing = True  # a refusal, whose words may still be coming
            return come
        end += len(_HEADERS_END)
        self._early = come[end:]
        return come[:end]


def _begins_http(said: bytes) -> bool:
    return said[:5] == b"HTTP/"[: len(said)]
