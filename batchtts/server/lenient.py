"""A stream whose request line may hold spaces.

A sample program of Together's, and the clients made from it, put ``Bearer KEY`` into
the address as it is. That is no HTTP (RFC 9112, section 3), the vendor takes it, and
the parser behind trio-websocket does not; so the spaces are escaped on their way there.
"""

from __future__ import annotations

import trio

_LINE_END = b"\r\n"
_LONGEST_LINE = 64 * 1024  # bytes


class Lenient(trio.abc.Stream):
    """The stream below, but for the first line that comes."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._is_begun = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return what comes; the request line whole, and as it should have been."""
        if self._is_begun:
            return await self._stream.receive_some(max_bytes)
        self._is_begun = True
        head = b""
        while _LINE_END not in head and len(head) < _LONGEST_LINE:
            data = await self._stream.receive_some(max_bytes)
            if not data:
                break
            head += data
        line, end, rest = head.partition(_LINE_END)
        return escape_spaces(line) + end + rest

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send as it is."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below would."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream below."""
        await self._stream.aclose()


def escape_spaces(line: bytes) -> bytes:
    """Return a request line with the spaces inside its target escaped."""
    method, first, rest = line.partition(b" ")
    target, last, version = rest.rpartition(b" ")
    return method + first + target.replace(b" ", b"%20") + last + version
