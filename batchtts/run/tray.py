"""Rows that have been read and not begun: the longest first, so that the end is not long.

Whoever speaks the longest script last is waited for by everybody else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

import trio

Row = TypeVar("Row")

#: More are read when there are fewer rows than this.
ROWS = 1024


class Tray(Generic[Row]):
    """What workers take their rows from while somebody fills it."""

    def __init__(self, size: Callable[[Row], int], feeding: trio.CancelScope) -> None:
        """Begin without rows.

        Args:
            size: How long a row is, in any unit.
            feeding: Once this is cancelled, no row is given out any more.
        """
        self._size = size
        self._feeding = feeding
        self._rows: list[tuple[int, int, Row]] = []
        self._numbers = count()
        self._is_over = False
        self._filled = trio.lowlevel.ParkingLot()
        self._lacking = trio.lowlevel.ParkingLot()

    async def fill(self, batches: Iterator[Sequence[Row]]) -> None:
        """Read batches, each in a thread, as they are needed."""
        try:
            with self._feeding:
                while batch := await trio.to_thread.run_sync(next, batches, ()):
                    for row in batch:
                        heappush(self._rows, (-self._size(row), next(self._numbers), row))
                    self._filled.unpark_all()
                    while len(self._rows) >= ROWS:
                        await self._lacking.park()
        finally:
            self._is_over = True
            self._filled.unpark_all()

    async def take(self) -> Row | None:
        """Return the longest row; None if there will be no more."""
        while not self._feeding.cancel_called:
            if self._rows:
                *_, row = heappop(self._rows)
                if len(self._rows) < ROWS:
                    self._lacking.unpark_all()
                return row
            if self._is_over:
                break
            await self._filled.park()
        return None
