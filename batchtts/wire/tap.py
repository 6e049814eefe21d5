"""Between trio-websocket and its stream: whole text messages are cut out on the way.

A provider sends audio as large, unfragmented, uncompressed text frames. Those
are taken out here as bytes; everything else (the handshake, pings, fragments,
closes, whatever is wrong) goes on to trio-websocket as it came. The first frame
that is neither plain text nor a ping or pong ends the cutting for good, so order
is kept and every rule that is not about plain text is still wsproto's.
Frame layout: RFC 6455, section 5.2.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio

#: Larger messages are left to trio-websocket, which closes with 1009 on its own limit.
LARGEST_BYTES = 16 * 1024 * 1024

#: What may wait for a slow listener before no more is read.
UNHEARD_BYTES = 4 * 1024 * 1024

_TEXT = 0x81  # the whole message in one frame, no reserved bits
_PING, _PONG = 0x89, 0x8A
_COMMON = frozenset({_TEXT, _PING, _PONG})
_MASKED = -1
_HEADERS_END = b"\r\n\r\n"
_LONGEST_HEADERS = 64 * 1024


def _nothing() -> None:
    """What happens at the end of a stream that nobody watches."""


class Tap(trio.abc.Stream):
    """A stream for trio-websocket, and the text messages that it does not see.

    Attributes:
        on_end: Called when the peer is gone or never spoke HTTP: trio-websocket
            waits for its handshake for ever then.
        banner: What came first.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._is_upgraded = False
        self._is_cutting = True
        self._messages: deque[bytes] = deque()
        self._unheard_bytes = 0
        self._arrived = trio.lowlevel.ParkingLot()
        self._heard = trio.lowlevel.ParkingLot()
        self.banner = b""
        self.on_end: Callable[[], None] = _nothing

    async def message(self) -> bytes | None:
        """Return the next text message; None once trio-websocket has to be asked instead."""
        while not self._messages:
            if not self._is_cutting:
                return None
            await self._arrived.park()
        message = self._messages.popleft()
        self._unheard_bytes -= len(message)
        if self._heard:
            self._heard.unpark_all()
        return message

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what trio-websocket must see; text messages are put aside."""
        while not (passed := self._pass_on()):
            while self._unheard_bytes > UNHEARD_BYTES:
                await self._heard.park()
            try:
                data = await self._stream.receive_some(max_bytes)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._end()
                raise
            if not data:
                self._end()
                return data
            self._take_in(data)
        return passed

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send as it is."""
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            self._end()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below would."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream below."""
        self._end()
        await self._stream.aclose()

    def _take_in(self, data: bytes | bytearray) -> None:
        if not self.banner:
            self.banner = bytes(data[:4096])
            if data[:5] != b"HTTP/"[: len(data)]:
                self._end()
        self._buffer += data

    def _end(self) -> None:
        self._stop_cutting()
        self.on_end()

    def _stop_cutting(self) -> None:
        self._is_cutting = False
        self._arrived.unpark_all()

    def _pass_on(self) -> bytes:
        """Cut out what is whole; return the bytes that are trio-websocket's, if there are any."""
        if self._is_cutting and not self._is_upgraded:
            return self._pass_headers()
        if self._is_cutting:
            return self._cut()
        passed = bytes(self._buffer)
        self._buffer.clear()
        return passed

    def _pass_headers(self) -> bytes:
        """Keep back what comes behind the answer to the upgrade: those are frames."""
        end = self._buffer.find(_HEADERS_END)
        if end < 0 and len(self._buffer) < _LONGEST_HEADERS:
            return b""
        self._is_upgraded = b" 101 " in self.banner[:13]
        if end < 0 or not self._is_upgraded:
            self._stop_cutting()
            return self._pass_on()
        return self._take_out(0, end + len(_HEADERS_END))

    def _cut(self) -> bytes:
        """Put text messages aside up to the first frame that is none."""
        at, passed = 0, b""
        while not passed and (frame := self._frame(at)) is not None:
            kind, start, end = frame
            if kind not in _COMMON or end - start > LARGEST_BYTES:
                self._stop_cutting()
                break
            if end > len(self._buffer):
                break
            if kind == _TEXT and not self._put(bytes(memoryview(self._buffer)[start:end])):
                self._stop_cutting()
                break
            if kind != _TEXT:
                passed = bytes(self._buffer[at:end])
            at = end
        del self._buffer[:at]
        if self._messages and self._arrived:
            self._arrived.unpark_all()
        return passed if passed or self._is_cutting else self._pass_on()

    def _frame(self, at: int) -> tuple[int, int, int] | None:
        """First byte, begin and end of the payload of a frame; None if its header is not whole."""
        buffer = self._buffer
        if len(buffer) < at + 2:
            return None
        kind, size, start = buffer[at], buffer[at + 1], at + 2
        if size > 127:
            return _MASKED, start, start  # which a server must not do
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < start + width:
                return None
            size = int.from_bytes(buffer[start : start + width])
            start += width
        return kind, start, start + size

    def _put(self, message: bytes) -> bool:
        """Put a message aside, if it is text at all."""
        if not message.isascii() and not _is_utf8(message):
            return False
        self._messages.append(message)
        self._unheard_bytes += len(message)
        return True

    def _take_out(self, start: int, end: int) -> bytes:
        taken = bytes(self._buffer[start:end])
        del self._buffer[:end]
        return taken


def _is_utf8(message: bytes) -> bool:
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
