"""Where outcomes are handed over and wait, several at a time, for becoming durable."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import trio

Outcome = TypeVar("Outcome")

#: Seconds to wait for more outcomes, at most, and as a share of what one takes to come about.
GATHER_S = 0.05
GATHER_SHARE = 0.03

_NEWEST = 0.1  # weight of the newest in the mean of how long they take


@dataclass(slots=True)
class Handed(Generic[Outcome]):
    """An outcome on its way to the disk; settled once it is there, or never will be."""

    outcome: Outcome
    settled: trio.Event = field(default_factory=trio.Event)
    is_durable: bool = False


class Desk(Generic[Outcome]):
    """What is handed over is recorded, whatever becomes of who has handed it over."""

    def __init__(self, most: int) -> None:
        """Open it.

        Args:
            most: Outcomes that are recorded together.
        """
        self._most = most
        self._handed: list[Handed[Outcome]] = []
        self._mean_s = 0.0
        self._is_closed = False
        self._called = trio.lowlevel.ParkingLot()

    def hand_over(self, outcome: Outcome, took_s: float) -> Handed[Outcome]:
        """Leave an outcome here, which took so long to come about."""
        handed = Handed(outcome)
        self._handed.append(handed)
        self._mean_s += _NEWEST * (took_s - self._mean_s)
        if self._is_closed:
            handed.settled.set()  # who records has failed
        elif len(self._handed) in (1, self._most):
            self._called.unpark_all()
        return handed

    def close(self) -> None:
        """Nobody will hand over anything any more."""
        self._is_closed = True
        self._called.unpark_all()

    async def keep_record(self, record: Callable[[Sequence[Outcome]], Awaitable[None]]) -> None:
        """Record what is handed over until it is closed."""
        group: list[Handed[Outcome]] = []
        with trio.CancelScope(shield=True):  # who works has been told to end, and hands over
            try:
                while group := await self._gather():
                    await record([handed.outcome for handed in group])
                    for handed in group:
                        handed.is_durable = True
                    _settle(group)
            finally:
                self._is_closed = True
                _settle([*group, *self._handed])

    async def _gather(self) -> list[Handed[Outcome]]:
        """Wait for something, and a moment for more: many cost little more than one."""
        while not (self._handed or self._is_closed):
            await self._called.park()
        with trio.move_on_after(min(GATHER_S, GATHER_SHARE * self._mean_s)):
            while len(self._handed) < self._most and not self._is_closed:
                await self._called.park()
        group, self._handed = self._handed[: self._most], self._handed[self._most :]
        return group


def _settle(group: Sequence[Handed[Outcome]]) -> None:
    for handed in group:
        handed.settled.set()
