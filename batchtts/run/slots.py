"""Requests in flight: who may send next.

A slot goes to whoever has the most left to say of a row that was begun, then to who
came first. How many there are may change at any time; if there are fewer than are held,
none is handed out until enough have come back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

import trio

from batchtts.run.pace import InFlight, Turn


@dataclass(slots=True)
class _Waiter:
    """Somebody who wants a slot."""

    called: trio.Event = field(default_factory=trio.Event)
    has_left: bool = False


class Slots:
    """Hands out what *pace* allows.

    Attributes:
        pace: How many there are.
        tell: Told how many are somebody's, whenever that changes.
        held: Slots that are somebody's.
        waiting: Those who want one.
    """

    def __init__(self, pace: InFlight, tell: Callable[[int], None] = lambda held: None) -> None:
        self.pace = pace
        self._tell = tell
        self.held = 0
        self.waiting = 0
        self._is_shut = False
        self._came = 0
        self._queue: list[tuple[int, int, _Waiter]] = []

    @property
    def is_full(self) -> bool:
        """Whether there is none to be had."""
        return self._is_shut or self.held >= self.pace.limit

    async def acquire(self, urgency: int = 0) -> None:
        """Wait for a slot; the most urgent is served first."""
        await trio.lowlevel.checkpoint()
        if not self.is_full:
            self._hold()
            return
        waiter = _Waiter()
        self._came += 1
        heappush(self._queue, (-urgency, self._came, waiter))
        self.waiting += 1
        try:
            await waiter.called.wait()
        except trio.Cancelled:
            if waiter.called.is_set():  # when it was already on its way out
                self.release()
            else:
                waiter.has_left = True
                self.waiting -= 1
            raise

    def release(self) -> None:
        """A slot comes back."""
        assert self.held > 0
        self.held -= 1
        self.serve()
        self._tell(self.held)

    def serve(self) -> None:
        """Hand out what there is; to be called when there may be more."""
        while self._queue and not self.is_full:
            waiter = heappop(self._queue)[2]
            if not waiter.has_left:
                self.waiting -= 1
                self._hold()
                waiter.called.set()

    def _hold(self) -> None:
        self.held += 1
        self._tell(self.held)

    def shut(self) -> None:
        """Hand out none until they are opened again."""
        self._is_shut = True

    async def open_after(self, seconds: float) -> None:
        """Open them again, if they are shut, after a while."""
        await trio.sleep(seconds)
        self._is_shut = False
        self.serve()


class Slot:
    """One request in flight, from commit until the provider is no longer at work on it."""

    def __init__(self, slots: Slots, urgency: int = 0) -> None:
        self._slots = slots
        self._urgency = urgency
        self._turn = Turn(0, 0)
        self._is_held = False

    async def acquire(self) -> float:
        """Wait for it; return for how long, in seconds."""
        began_at = trio.current_time()
        await self._slots.acquire(self._urgency)
        self._is_held = True
        self._turn = self._slots.pace.send(self._slots.held)
        return trio.current_time() - began_at

    def release(self) -> None:
        """Give it back; once is enough."""
        if self._is_held:
            self._is_held = False
            self._slots.release()

    def succeeded(self) -> None:
        """The request was answered in full."""
        slots = self._slots
        slots.pace.succeeded(self._turn, is_full=slots.is_full)
        slots.serve()

    def refused(self) -> float:
        """The provider would not have it: give it back.

        Returns:
            For how long the slots are to stay shut, which they are now, if it is not 0.
        """
        slots = self._slots
        pause_s = slots.pace.refused(self._turn, slots.held - self._is_held)
        if pause_s:
            slots.shut()
        self.release()
        return pause_s
