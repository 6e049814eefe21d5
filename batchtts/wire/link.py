"""The messages of one connection, by the shortest way: a tap, or else trio-websocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection

from batchtts.wire.tap import Tap

#: Nobody is there any more.
GONE = (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError)


class Ear(Protocol):
    """Who is told what the other side says; none of these may block."""

    def hear(self, message: str | bytes) -> None:
        """A text message has come, as text or in UTF-8."""

    def hear_binary(self, payload: bytes) -> None:
        """A binary message has come."""

    def hear_close(self, reason: CloseReason | None) -> None:
        """The connection is no more."""


class Link:
    """An open connection."""

    def __init__(self, ws: WebSocketConnection, tap: Tap | None, ear: Ear) -> None:
        """Tell *ear* of what comes: at once, or while listen() waits if *tap* does not cut."""
        self._ws = ws
        self._tap = tap
        self._ear = ear
        self._called = trio.lowlevel.ParkingLot()
        if tap is not None:
            tap.on_end = self.call
            tap.listen(ear.hear, ear.hear_binary)

    @property
    def is_closed(self) -> bool:
        """Whether one side has said goodbye, or is gone."""
        return self._ws.closed is not None

    def say(self, messages: Sequence[str]) -> Callable[[], Awaitable[None]] | None:
        """Send text messages as far as they leave at once; return what sends the rest.

        Raises:
            GONE: they may not have left; so does what sends the rest.
        """
        if self._ws.closed is not None:
            raise ConnectionClosed(self._ws.closed)
        if self._tap is None:
            return partial(self._say_each, messages)
        rest = self._tap.say(messages)
        return partial(self._tap.send_all, rest) if rest else None

    async def _say_each(self, messages: Sequence[str]) -> None:
        for message in messages:
            await self._ws.send_message(message)

    def call(self) -> None:
        """Let listen() return."""
        self._called.unpark_all()

    async def listen(self) -> None:
        """Wait for a message that is not told without asking, or for call()."""
        if self._tap is not None and self._tap.is_cutting:
            await self._called.park()
            return
        try:
            said = await self._ws.get_message()
        except ConnectionClosed as error:
            self._ear.hear_close(error.reason)
            return
        if isinstance(said, bytes):
            self._ear.hear_binary(said)
        else:
            self._ear.hear(said)

    async def aclose(self) -> None:
        """Say goodbye."""
        await self._ws.aclose()
