"""What happened when, over the time in which something happened at all. Pure.

A job that ran on three nights is shown without the days between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from batchtts.review.page.bins import Floats, Ints

MOST_BINS = 90  # a multiple of three, as all numbers of bins are
_FEWEST_BINS = 24

_MINUTE_S = 60.0
_LONGEST_MIN = 24 * 60  # of one row, as far as it counts
_IDLE_SHARE = 0.25  # of the time that is shown: as long a pause is left out


class Occupancy:
    """In which minutes rows were in work."""

    def __init__(self) -> None:
        self._minutes: Ints = np.zeros(0, np.int64)
        self._first, self._last = np.inf, -np.inf

    def add(self, begins: Floats, ends: Floats) -> None:
        """Take rows; those whose times are not known are none."""
        is_known = np.isfinite(begins) & np.isfinite(ends) & (ends >= begins)
        begins, ends = begins[is_known], ends[is_known]
        if not len(begins):
            return
        self._first = min(self._first, float(begins.min()))
        self._last = max(self._last, float(ends.max()))
        first = (begins // _MINUTE_S).astype(np.int64)
        lasts = (ends // _MINUTE_S).astype(np.int64)
        found, step = [np.unique(first), np.unique(lasts)], 1
        long = np.unique(np.stack([first, np.minimum(lasts, first + _LONGEST_MIN)]), axis=1)
        while len(long := long[:, long[0] + step < long[1]]) if long.size else False:
            found.append(long[0] + step)
            step += 1
        self._minutes = np.unique(np.concatenate([self._minutes, *found]))

    def clock(self) -> Clock | None:
        """The time that is shown; None if nothing is known of it."""
        if not len(self._minutes):
            return None
        breaks = np.flatnonzero(np.diff(self._minutes) > 1)
        idle = np.diff(self._minutes)[breaks]
        longest = max(10.0, _IDLE_SHARE * len(self._minutes))
        breaks = breaks[idle > longest]
        begins = self._minutes[np.concatenate([[0], breaks + 1])] * _MINUTE_S
        ends = (self._minutes[np.concatenate([breaks, [len(self._minutes) - 1]])] + 1) * _MINUTE_S
        begins[0], ends[-1] = max(begins[0], self._first), min(ends[-1], self._last)
        return Clock(begins, np.maximum(ends, begins + 1e-3))


@dataclass(frozen=True, slots=True)
class Clock:
    """Stretches of time, one after another without what is between them.

    Attributes:
        begins, ends: Of the stretches, in seconds since the epoch.
    """

    begins: Floats
    ends: Floats

    @property
    def starts(self) -> Floats:
        """Where the stretches begin, in seconds of time shown."""
        return np.concatenate([[0.0], np.cumsum(self.ends - self.begins)[:-1]])

    @property
    def length_s(self) -> float:
        """How much time is shown."""
        return float((self.ends - self.begins).sum())

    def at(self, times: Floats) -> Floats:
        """Seconds of time shown; between two stretches the end of the first."""
        place = np.clip(np.searchsorted(self.begins, times, side="right") - 1, 0, None)
        inside = np.clip(times - self.begins[place], 0, (self.ends - self.begins)[place])
        found: Floats = self.starts[place] + inside
        return found


class Timeline:
    """Rows over the time shown, in bins of equal length; fewer for few rows.

    Attributes:
        done, retries, refusals: How many, in each bin.
    """

    def __init__(self, clock: Clock, rows: int) -> None:
        self.clock = clock
        bins = min(MOST_BINS, max(_FEWEST_BINS, rows // 9 * 3))
        self._bins = bins
        self.bin_s = clock.length_s / bins
        self.edges = np.linspace(0, clock.length_s, bins + 1)
        self.done: Floats = np.zeros(bins)
        self.retries: Floats = np.zeros(bins)
        self.refusals: Floats = np.zeros(bins)
        self._in_work: Floats = np.zeros(bins + 1)

    def add_events(self, into: Floats, times: Floats, weights: Floats | None = None) -> None:
        """Count what happened at some times into one of the three."""
        is_known = np.isfinite(times)
        if weights is not None:
            weights = weights[is_known]
        at = np.clip(self.clock.at(times[is_known]) / self.bin_s, 0, self._bins - 1).astype(
            np.int64
        )
        into += np.bincount(at, weights, minlength=self._bins)

    def add_work(self, begins: Floats, ends: Floats) -> None:
        """Rows that were in work from one time to another."""
        is_known = np.isfinite(begins) & np.isfinite(ends) & (ends >= begins)
        for times, sign in ((begins, 1.0), (ends, -1.0)):
            self._in_work += sign * self._since(self.clock.at(times[is_known]))

    def _since(self, shown: Floats) -> Floats:
        """At each edge, how many seconds have passed since each of some times, in all."""
        at = np.minimum(np.ceil(shown / self.bin_s), self._bins).astype(np.int64)
        counts = np.cumsum(np.bincount(at, minlength=self._bins + 1))
        sums = np.cumsum(np.bincount(at, shown, minlength=self._bins + 1))
        passed: Floats = np.maximum(counts * self.edges - sums, 0)
        return passed

    @property
    def in_work(self) -> Floats:
        """How many rows were in work at once, on average of each bin."""
        return np.maximum(np.diff(self._in_work), 0) / self.bin_s
