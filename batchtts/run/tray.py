"""Rows that have been read and not begun: the longest first, so that the end is not long.

Whoever speaks the longest script last is waited for by everybody else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Generic, Protocol, TypeVar

import trio

Part = TypeVar("Part")
PartOut = TypeVar("PartOut", covariant=True)


class Row(Protocol[PartOut]):
    """What is read, and begun part by part.

    Attributes:
        size: In any unit; the largest is begun first.
    """

    @property
    def size(self) -> int: ...

    def parts(self) -> Iterator[PartOut]:
        """Give out its parts, each when it is begun."""


#: More are read when there are fewer rows than this.
ROWS = 1024


class Tray(Generic[Part]):
    """What workers take their rows from while somebody fills it."""

    def __init__(self, feeding: trio.CancelScope) -> None:
        """Begin without rows.

        Args:
            feeding: Once this is cancelled, nothing is given out any more.
        """
        self._feeding = feeding
        self._rows: list[tuple[int, int, Row[Part]]] = []
        self._parts: Iterator[Part] = iter(())
        self._numbers = count()
        self._is_over = False
        self._filled = trio.lowlevel.ParkingLot()
        self._lacking = trio.lowlevel.ParkingLot()

    async def fill(self, batches: Iterator[Sequence[Row[Part]]]) -> None:
        """Read batches, each in a thread, as they are needed."""
        try:
            with self._feeding:
                while batch := await trio.to_thread.run_sync(next, batches, ()):
                    for row in batch:
                        heappush(self._rows, (-row.size, next(self._numbers), row))
                    self._filled.unpark_all()
                    while len(self._rows) >= ROWS:
                        await self._lacking.park()
        finally:
            self._is_over = True
            self._filled.unpark_all()

    async def take(self) -> Part | None:
        """Return the next part of the row that was begun, or of the longest; None at the end."""
        while not self._feeding.cancel_called:
            if (part := next(self._parts, None)) is not None:
                return part
            if self._rows:
                *_, row = heappop(self._rows)
                self._parts = row.parts()
                if len(self._rows) < ROWS:
                    self._lacking.unpark_all()
            elif self._is_over:
                break
            else:
                await self._filled.park()
        return None
