"""What comes over a socket, in the clear or by TLS, in a room that all connections share.

What is there stays there until the next pause of the task that reads, and no longer:
who wants to keep it makes a copy before. A room for all stays in the processor's
cache, and one for each would be most of a connection's memory.
"""

from __future__ import annotations

import os
import ssl
from typing import cast

import trio

from batchtts.wire.frames import Buffer

_RECORDS_BYTES = 64 * 1024  # that are received at once; TLS keeps as much for each connection


class Plain:
    """A socket without a detour: receives into a room, and sends what leaves at once."""

    def __init__(self, stream: trio.SocketStream, room: memoryview) -> None:
        self._socket = stream.socket
        self._room = room
        self._has_waited = False

    async def read(self) -> memoryview:
        """Wait for bytes, and return them without a pause behind it; none is the end.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: none will come.
        """
        if self._has_waited:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        self._has_waited = False
        while True:
            try:
                return self._room[: os.readv(self._socket.fileno(), [self._room])]
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket)
                self._has_waited = True
            except OSError as error:
                raise self._lost(error) from error

    def write(self, data: bytes) -> int:
        """Send as much as leaves at once; return how many bytes that is.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: nothing will leave.
        """
        try:
            return os.write(self._socket.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> Exception:
        if self._socket.fileno() < 0:
            return trio.ClosedResourceError("this socket was already closed")
        return trio.BrokenResourceError(f"{error}")


class Secure(trio.abc.Stream):
    """TLS, the client's side; all records that have come are decrypted at once.

    trio's own stream gives one record at a time and lets others run after each, which
    costs more than the decryption. As with most servers, the end of the connection
    is the end of what is said, with TLS's own goodbye or without. Renegotiation,
    which nobody does any more, may break the connection.
    """

    def __init__(
        self, stream: trio.SocketStream, context: ssl.SSLContext, host: str, room: memoryview
    ) -> None:
        """Begin to talk; nothing may be said before do_handshake() is through.

        Args:
            host: Who must be there, by certificate.
            room: See the module.
        """
        self._stream = stream
        self._plain = Plain(stream, room[:_RECORDS_BYTES])
        self._room = room
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._sending = trio.Lock()
        self._is_torn = False  # a record did not leave to its end
        self._is_over = False
        self._failure: ssl.SSLError | None = None

    async def do_handshake(self) -> None:
        """Agree on keys, and make sure who is there.

        Raises:
            trio.BrokenResourceError: it is not who it should be, or nobody; the cause says.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError as error:
                raise trio.BrokenResourceError from error
            else:
                await self._flush()
                return

    async def read(self, max_bytes: int | None = None) -> memoryview:
        """Wait for bytes, and return them without a pause behind it; none is the end.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: none will come.
        """
        room = self._room[:max_bytes]
        while not (size := self._decrypt(room)) and not self._is_over:
            await self._flush()
            await self._fill()
        if not size and self._failure is not None:
            raise trio.BrokenResourceError from self._failure
        return room[:size]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return a copy of what has come."""
        return bytes(await self.read(max_bytes))

    async def send_all(self, data: Buffer) -> None:
        """Send, whoever else is sending; nothing behind a record that was cut short."""
        async with self._sending:
            rest = memoryview(data)
            try:
                while rest:
                    rest = rest[self._tls.write(rest) :]
            except ssl.SSLError as error:
                raise trio.BrokenResourceError from error
            await self._send_records()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below would."""
        async with self._sending:
            await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the socket, without a goodbye: the WebSocket has one of its own."""
        await self._stream.aclose()

    async def _flush(self) -> None:
        """Send what TLS itself has to say."""
        if self._outgoing.pending:
            async with self._sending:
                await self._send_records()

    async def _send_records(self) -> None:
        if self._is_torn:
            raise trio.BrokenResourceError("the last record was cut short")
        self._is_torn = True
        await self._stream.send_all(self._outgoing.read())
        self._is_torn = False

    async def _fill(self) -> None:
        if data := await self._plain.read():
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _decrypt(self, room: memoryview) -> int:
        """Decrypt what has come, as much of it as there is room for; return its size."""
        size = 0
        try:
            while size < len(room) and not self._is_over:
                more = self._tls.read(len(room) - size, cast(bytearray, room[size:]))
                size += cast(int, more)
                self._is_over = not more
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            self._is_over = True
        except ssl.SSLError as error:
            self._is_over, self._failure = True, error
        return size
