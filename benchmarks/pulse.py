"""What a slow provider does from time to time: a message here, a ping there."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Pulse:
    """Deeds that come again and again, each in its own rhythm, until one says no."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, float, Callable[[], bool]]] = []
        self._numbers = count()

    def add(self, first_at: float, every_s: float, deed: Callable[[], bool]) -> None:
        """Do this from then on, for as long as it returns True."""
        heapq.heappush(self._due, (first_at, next(self._numbers), every_s, deed))

    def wait_s(self, now: float) -> float | None:
        """How long there is nothing to do; None is for ever."""
        return max(0.0, self._due[0][0] - now) if self._due else None

    def beat(self, now: float) -> None:
        """Do what is due."""
        while self._due and self._due[0][0] <= now:
            _, number, every_s, deed = heapq.heappop(self._due)
            if deed():
                heapq.heappush(self._due, (now + every_s, number, every_s, deed))


class Pings:
    """Pings of one server, and how long each was waited for."""

    def __init__(self) -> None:
        self.sent = 0
        self.answered = 0
        self.longest_s = 0.0
        self._waiting: dict[bytes, float] = {}

    def ping(self, now: float) -> bytes:
        """Return what a new ping carries."""
        self.sent += 1
        payload = b"%d" % self.sent
        self._waiting[payload] = now
        return payload

    def pong(self, payload: bytes, now: float) -> None:
        """Take an answer; one that nobody has asked for does not count."""
        sent_at = self._waiting.pop(payload, None)
        if sent_at is not None:
            self.answered += 1
            self.longest_s = max(self.longest_s, now - sent_at)
