"""How far a run is, in figures. Pure: it is told what happens, and has a clock given.

A run tells of every request, segment and row as it comes about, so an event costs next to
nothing; what can be said is worked out when somebody asks. What is counted here at the
end of a run is what its results hold of it.

Who asks may be another thread: nothing that it calls changes anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from batchtts.errors import AttemptError, RateLimited
from batchtts.model import Result

#: What a row takes beside its characters: as long as so many more of them.
ROW_CHARS = 60

#: Seconds that a recent rate is about.
WINDOW_S = 60.0

#: Seconds of work before there is a rate to speak of.
SETTLING_S = 1.0

_SAMPLE_S = 1.0  # between two looks at how far it is, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What there is to do, and the words for it.

    Attributes:
        rows: How many there are.
        size: Of all rows together, in *unit*: the longer, the longer it takes.
        unit: Such as characters, or seconds of audio.
        row_size: What a row takes beside its own size, in the same unit.
        label: What is being done; empty if that goes without saying.
        estimated_usd: What all of it costs by the list prices.
        unpriced: How many models of it have none; then what it costs is not known.
    """

    rows: int = 0
    size: float = 0
    unit: str = "characters"
    row_size: float = ROW_CHARS
    label: str = ""
    estimated_usd: float = 0.0
    unpriced: int = 0


@dataclass(slots=True)
class _Begun:
    """What there is of a row that has not come to its end."""

    size: float = 0
    audio_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Sample:
    """How far it was at one time, counting only what was done since the beginning."""

    at: float
    rows: int
    size: float
    audio_s: float


@dataclass(slots=True)
class Figures:
    """What can be said of a run so far.

    Attributes:
        clock: Seconds, from any beginning.
        in_flight: Requests that the provider is at work on.
        done, failed: Rows that came to their end, and are recorded so.
        kept: Rows that were done, were tried again, failed, and are as they were.
        refused: Requests that the provider would not have, to be sent again.
        faltered: Attempts that failed in another way, and were followed by another.
        spent_usd: The list price of what was sent, as far as it is written down.
        unpriced: Characters of it that have no known price.
        first_at: When the first request was sent; what comes before that is starting up.
    """

    work: Work
    clock: Callable[[], float]
    in_flight: int = 0
    done: int = 0
    failed: int = 0
    kept: int = 0
    refused: int = 0
    faltered: int = 0
    spent_usd: float = 0.0
    unpriced: int = 0
    began_at: float = field(init=False)
    first_at: float | None = None
    _error: tuple[str, str] | None = None
    _ended_size: float = 0  # of rows that came to their end, wherever they had begun
    _begun_size: float = 0  # of others
    _ended_s: float = 0.0  # of audio, and so below
    _begun_s: float = 0.0
    _size: float = 0  # that was worked on since the beginning, and so below
    _heard_s: float = 0.0
    _pieces: int = 0  # rows and segments
    _sent: int = 0  # characters, all attempts together
    _begun: dict[str, _Begun] = field(default_factory=dict)
    _resume_at: list[float] = field(default_factory=list)
    _samples: deque[_Sample] = field(default_factory=deque)
    _ttfa_s: deque[float] = field(default_factory=lambda: deque(maxlen=1000))

    def __post_init__(self) -> None:
        self.began_at = self.clock()

    # what happens

    def fly(self, requests: int) -> None:
        """So many requests are in flight now."""
        self.in_flight = requests
        if self.first_at is None:
            self._start(self.clock())

    def falter(self, row_id: str, error: AttemptError, wait_s: float) -> None:
        """An attempt failed; another one follows in so many seconds."""
        if isinstance(error, RateLimited):
            self.refused += 1
        else:
            self.faltered += 1
        self._error = row_id, str(error)
        now = self.clock()
        self._resume_at = [at for at in self._resume_at if at > now]
        self._resume_at.append(now + wait_s)

    def hear(self, row_id: str, size: float, audio_s: float) -> None:
        """A segment of a row of several is durable."""
        begun = self._begun.get(row_id)
        if begun is None:
            begun = self._begun[row_id] = _Begun()
        begun.size += size
        begun.audio_s += audio_s
        self._begun_size += size
        self._begun_s += audio_s
        self._size += size
        self._heard_s += audio_s
        self._pieces += 1
        self._look()

    def finish(self, row_id: str, size: float, audio_s: float, *, alone: bool = True) -> None:
        """A row came to its end; unless it is *alone* its segments were told of, one by one."""
        self._ended_size += size
        self._ended_s += audio_s
        if alone:
            self._size += size
            self._heard_s += audio_s
            self._pieces += 1
        else:
            begun = self._begun.pop(row_id, None)
            if begun is not None:
                self._begun_size -= begun.size
                self._begun_s -= begun.audio_s
        self._look()

    def pay(self, characters: int, cost_usd: float | None) -> None:
        """So much was sent, which costs so much; None if nobody knows."""
        self._sent += characters
        if cost_usd is None:
            self.unpriced += characters
        else:
            self.spent_usd += cost_usd

    def add(self, result: Result) -> None:
        """A row is done or failed, and durable."""
        if result.status == "done":
            self.done += 1
        else:
            self.failed += 1
        self._end(result)

    def keep(self, result: Result) -> None:
        """A row that was done was tried again and failed like this; it has what it had."""
        self.kept += 1
        self._end(result)

    def correct(self, result: Result) -> None:
        """A row that was counted as done has failed after all."""
        self.done -= 1
        self.failed += 1
        self._error = result.id, result.error_message or ""

    def _end(self, result: Result) -> None:
        if result.error_message is not None:
            self._error = result.id, result.error_message
        if result.ttfa_s is not None:
            self._ttfa_s.append(result.ttfa_s)
        self.pay(result.characters_sent, result.cost_usd)
        alone = result.segments <= 1
        self.finish(result.id, result.text_chars, result.audio_s or 0.0, alone=alone)

    def _start(self, at: float) -> None:
        self.first_at = at
        self._samples.append(_Sample(at, 0, 0, 0.0))

    def _look(self) -> None:
        """Remember how far it is, now and then."""
        now = self.clock()
        if self.first_at is None:
            self._start(self.began_at)
        samples = self._samples
        if now - samples[-1].at < _SAMPLE_S:
            return
        samples.append(_Sample(now, self.ended, self._worked, self._heard_s))
        while samples[1].at <= now - WINDOW_S:
            samples.popleft()

    # what can be said

    @property
    def ended(self) -> int:
        """Rows that came to their end."""
        return self.done + self.failed + self.kept

    @property
    def _worked(self) -> float:
        return self._size + self.work.row_size * self.ended

    @property
    def size_done(self) -> float:
        """How much of the work is done, be it by an earlier run."""
        return self._ended_size + self._begun_size

    @property
    def share(self) -> float:
        """The same, from 0.0 to 1.0, which it is only when all rows came to their end."""
        work = self.work
        if self.ended >= work.rows:
            return 1.0
        whole = work.size + work.row_size * work.rows
        done = self.size_done + work.row_size * self.ended
        return min(done / whole, 1.0) if whole else self.ended / work.rows

    @property
    def audio_s(self) -> float:
        """Seconds of audio of rows that are done, and that there are of others."""
        return self._ended_s + self._begun_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return self.clock() - self.began_at

    @property
    def waiting(self) -> int:
        """Attempts that will be made after a while."""
        now = self.clock()
        return sum(at > now for at in self._resume_at)

    @property
    def last_error(self) -> str | None:
        """What went wrong last, and with which row."""
        return None if self._error is None else ": ".join(self._error)

    def _recent(self, now: float) -> _Sample | None:
        """How far it was at the beginning of the window; None if it is too early to say."""
        samples = list(self._samples)
        if not (samples and self._pieces) or now - samples[0].at < SETTLING_S:
            return None
        before = [it for it in samples if it.at <= now - WINDOW_S]
        return before[-1] if before else samples[0]

    @property
    def rows_per_s(self) -> float | None:
        """Rows that come to their end in a second, of late; None before there is one."""
        now = self.clock()
        start = self._recent(now) if self.ended else None
        return None if start is None else (self.ended - start.rows) / (now - start.at)

    @property
    def x_real_time(self) -> float | None:
        """Seconds of audio that come in a second, of late."""
        now = self.clock()
        start = self._recent(now)
        return None if start is None else (self._heard_s - start.audio_s) / (now - start.at)

    @property
    def left_s(self) -> float | None:
        """Seconds to go; None until there is something to go by.

        That is when as many rows and segments are durable as requests are in flight: of
        those that are in flight nothing is counted yet. The rate is the mean of the recent
        one and that since the first request, both by size and by rows: the longest rows
        come first. Nothing ends before those who wait for another attempt may make it.
        """
        if self.ended >= self.work.rows:
            return 0.0
        now = self.clock()
        start = self._recent(now)
        if start is None or self.first_at is None or self._pieces < max(2, self.in_flight):
            return None
        whole = self._worked / (now - self.first_at)
        recent = (self._worked - start.size) / (now - start.at)
        if whole + recent <= 0:
            return None
        work = self.work
        left = work.size - self.size_done + work.row_size * (work.rows - self.ended)
        waits_s = max((at - now for at in self._resume_at), default=0.0)
        return max(left * 2 / (whole + recent), waits_s, 0.0)

    @property
    def projected_usd(self) -> float | None:
        """What all of it will have cost; None if prices are not known.

        That is what was spent, and the list price of what is left, of which as much will
        be sent again as was so far.
        """
        work = self.work
        if work.unpriced or self.unpriced:
            return None
        if not work.size or self.ended >= work.rows:
            return self.spent_usd
        left = max(0.0, 1 - self.size_done / work.size)
        again = self._sent / self._size if self._size and self._sent else 1.0
        return self.spent_usd + work.estimated_usd * left * again

    @property
    def is_free(self) -> bool:
        """Whether nobody asks for money."""
        work = self.work
        return not (self.spent_usd or self.unpriced or work.estimated_usd or work.unpriced)

    @property
    def ttfa_s(self) -> tuple[float, float] | None:
        """Times to first audio of late: the median and the 95th percentile."""
        ordered = sorted(self._ttfa_s)
        if not ordered:
            return None
        return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]

    def facts(self) -> dict[str, object]:
        """All of it, for machines."""
        work = self.work
        return {
            "rows": work.rows,
            "done": self.done,
            "failed": self.failed,
            "in_flight": self.in_flight,
            "waiting": self.waiting,
            "refused": self.refused,
            "faltered": self.faltered,
            work.unit: work.size,
            f"{work.unit}_done": self.size_done,
            "audio_s": round(self.audio_s, 3),
            "rows_per_s": _rounded(self.rows_per_s, 3),
            "x_real_time": _rounded(self.x_real_time, 3),
            "cost_usd": round(self.spent_usd, 6),
            "projected_usd": _rounded(self.projected_usd, 6),
            "elapsed_s": round(self.elapsed_s, 3),
            "left_s": _rounded(self.left_s, 1),
            "last_error": self.last_error,
        }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
