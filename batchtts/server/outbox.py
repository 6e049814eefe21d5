"""Messages on their way to one client."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import trio

from batchtts.server.conversation import Frame, Send, SendBinary


def _nothing() -> None:
    """What happens when a message is with the network, as a rule."""


class Outbox:
    """A queue that knows its size."""

    def __init__(self) -> None:
        self._frames: deque[tuple[Frame | None, Callable[[], None]]] = deque()
        self._unsent = 0  # bytes, or characters
        self._more = trio.lowlevel.ParkingLot()
        self._less = trio.lowlevel.ParkingLot()

    def put(self, frames: Iterable[Frame]) -> None:
        """Send them in their turn."""
        for frame in frames:
            self._frames.append((frame, _nothing))
            self._unsent += _size(frame)
        self._more.unpark()

    def mark(self, then: Callable[[], None]) -> None:
        """Have *then* called when everything before it is with the network."""
        self._frames.append((None, then))
        self._more.unpark()

    async def get(self) -> tuple[Frame | None, Callable[[], None]]:
        """Return the next frame, or a mark, and what to call after it."""
        while not self._frames:
            await self._more.park()
        frame, then = self._frames.popleft()
        self._unsent -= _size(frame)
        self._less.unpark_all()
        return frame, then

    def reach(self) -> None:
        """Call what is marked right behind the last frame: nobody will ask for the rest."""
        while self._frames and self._frames[0][0] is None:
            self._frames.popleft()[1]()

    async def room(self, most: int) -> None:
        """Wait until no more than *most* bytes wait for the client."""
        await trio.lowlevel.checkpoint()
        while self._unsent > most:
            await self._less.park()


def _size(frame: Frame | None) -> int:
    match frame:
        case Send(message=message):
            return len(message)
        case SendBinary(payload=payload):
            return len(payload)
        case _:
            return 0
