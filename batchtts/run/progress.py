"""How a run is going: a bar on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from batchtts.model import Result
from batchtts.notices import notice

log = logging.getLogger(__name__)

REPORT_EVERY_S = 60.0

#: What a row takes beside its characters: as long as so many more of them.
ROW_CHARS = 60


class Progress(Protocol):
    """Told about a run by the run."""

    def begin(self, rows: int, characters: int) -> None:
        """So much is to be spoken."""

    def add(self, result: Result) -> None:
        """A row is done or failed, and durable."""

    def end(self) -> None:
        """The run is over, however it went."""


class Silent:
    """Says nothing."""

    def begin(self, rows: int, characters: int) -> None: ...

    def add(self, result: Result) -> None: ...

    def end(self) -> None: ...


@dataclass(slots=True)
class Figures:
    """What can be said of a run so far.

    Attributes:
        rows, characters: To be spoken in all.
        first_at: When the first row that came to its end was taken up; None before that.
    """

    rows: int = 0
    characters: int = 0
    done: int = 0
    failed: int = 0
    audio_s: float = 0.0
    spoken_chars: int = 0
    began_at: float = field(default_factory=time.monotonic)
    first_at: float | None = None
    ttfa_s: deque[float] = field(default_factory=lambda: deque(maxlen=1000))

    def add(self, result: Result) -> None:
        """Count one row."""
        self.done += result.status == "done"
        self.failed += result.status == "failed"
        self.audio_s += result.audio_s or 0.0
        self.spoken_chars += result.text_chars
        if self.first_at is None:
            self.first_at = time.monotonic() - (result.wall_s or 0.0)
        if result.ttfa_s is not None:
            self.ttfa_s.append(result.ttfa_s)

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the rate so far; starting up is not part of the rate.

        The longest rows come first, so neither rows nor characters alone would tell.
        """
        finished = self.done + self.failed
        if self.first_at is None or finished < 2:
            return None
        elapsed_s = time.monotonic() - self.first_at
        done = self.spoken_chars + ROW_CHARS * finished
        left = self.characters + ROW_CHARS * self.rows - done
        return elapsed_s * max(0, left) / done

    def facts(self) -> dict[str, object]:
        """The same for machines."""
        left_s = self.left_s
        return {
            "rows": self.rows,
            "done": self.done,
            "failed": self.failed,
            "audio_s": round(self.audio_s, 3),
            "elapsed_s": round(time.monotonic() - self.began_at, 3),
            "left_s": None if left_s is None else round(left_s, 1),
        }

    def line(self) -> str:
        """One line for a log."""
        elapsed_s = max(time.monotonic() - self.began_at, 1e-9)
        finished = self.done + self.failed
        parts = [
            f"{self.done:,}/{self.rows:,} done",
            f"{self.failed:,} failed",
            f"{finished / elapsed_s:.1f}/s",
            f"{self.audio_s / elapsed_s:.1f} x real time",
        ]
        if self.ttfa_s:
            ordered = sorted(self.ttfa_s)
            middle, high = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
            parts.append(f"ttfa p50 {middle:.2f} s p95 {high:.2f} s")
        if self.left_s is not None:
            parts.append(f"{spell_s(self.left_s)} left")
        return ", ".join(parts)


class Lines:
    """A line in the log every minute."""

    def __init__(self) -> None:
        self._figures = Figures()
        self._reported_at = time.monotonic()

    def begin(self, rows: int, characters: int) -> None:
        """So much is to be spoken."""
        self._figures = Figures(rows, characters)
        self._reported_at = time.monotonic()

    def add(self, result: Result) -> None:
        """A row is done or failed, and durable."""
        self._figures.add(result)
        if time.monotonic() - self._reported_at >= REPORT_EVERY_S:
            self._reported_at = time.monotonic()
            figures = self._figures
            log.info("%s", figures.line(), extra=notice("progress", more=figures.facts()))

    def end(self) -> None:
        """The run is over, however it went."""


def spell_s(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
