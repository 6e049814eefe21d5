"""Duration against characters, and the band in which a voice usually is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from batchtts.review.page import spelling
from batchtts.review.page.band import Band
from batchtts.review.page.bins import Floats, Histogram, Ints
from batchtts.review.page.drawing import (
    BOTTOM,
    LEFT,
    RIGHT,
    ROWS,
    TOP,
    Plot,
    Table,
    dots,
    line,
    log_ticks,
    num,
)

MOST_POINTS = 5000  # rows that are drawn one by one

_COLUMNS, _ROWS = 66, 29
_SHADES = 5
_LEFT = LEFT + 30  # room for the seconds


@dataclass(frozen=True, slots=True)
class Pane:
    """What is drawn: from so many characters and seconds to so many, on logarithmic scales."""

    low_chars: float
    high_chars: float
    low_s: float
    high_s: float

    @classmethod
    def around(cls, chars: Histogram, seconds: Histogram) -> Pane:
        """With room for all that there is."""
        spans = []
        for found in (chars, seconds):
            shown = found.shown(1 << 30)
            low, high = (0.1, 10.0) if not found.total else (shown.edges[0], shown.edges[-1])
            spans += [float(low) / 1.15, float(high) * 1.15]
        return cls(*spans)

    def x(self, chars: Floats) -> Floats:
        """Where so many characters are."""
        ends = np.log([self.low_chars, self.high_chars])
        x: Floats = _LEFT + (np.log(chars) - ends[0]) / (ends[1] - ends[0]) * (RIGHT - _LEFT)
        return x

    def y(self, seconds: Floats) -> Floats:
        """Where so many seconds are."""
        ends = np.log([self.low_s, self.high_s])
        y: Floats = BOTTOM - (np.log(seconds) - ends[0]) / (ends[1] - ends[0]) * (BOTTOM - TOP)
        return y


@dataclass(slots=True)
class Cloud:
    """The rows of a voice: each by itself, or how many there are where."""

    pane: Pane
    band: Band | None
    is_dense: bool
    rows: int = 0
    outside: int = 0
    _cells: Ints = field(default_factory=lambda: np.zeros((_ROWS, _COLUMNS), np.int64))
    _odd: Ints = field(default_factory=lambda: np.zeros((_ROWS, _COLUMNS), np.int64))
    _usual: list[Floats] = field(default_factory=list)
    _unusual: list[Floats] = field(default_factory=list)

    def add(self, chars: Floats, seconds: Floats, away: Floats) -> None:
        """Take rows; *away* is how far each is from the band, in halves of its width."""
        is_known = np.isfinite(chars) & np.isfinite(seconds) & (chars > 0) & (seconds > 0)
        chars, seconds, away = chars[is_known], seconds[is_known], away[is_known]
        is_outside = np.nan_to_num(away) > 1
        self.rows += len(chars)
        self.outside += int(is_outside.sum())
        x, y = self.pane.x(chars), self.pane.y(seconds)
        if self.is_dense:
            self._count(x[~is_outside], y[~is_outside], self._cells)
            self._count(x[is_outside], y[is_outside], self._odd)
        else:
            points = np.stack([x, y], axis=1)
            self._usual.append(points[~is_outside])
            self._unusual.append(points[is_outside])

    @staticmethod
    def _count(x: Floats, y: Floats, cells: Ints) -> None:
        columns = ((x - _LEFT) / (RIGHT - _LEFT) * _COLUMNS).astype(np.int64)
        rows = ((y - TOP) / (BOTTOM - TOP) * _ROWS).astype(np.int64)
        at = np.clip(rows, 0, _ROWS - 1) * _COLUMNS + np.clip(columns, 0, _COLUMNS - 1)
        cells += np.bincount(at, minlength=cells.size).reshape(cells.shape)

    def plot(self, slug: str, title: str, group: str) -> Plot:
        """Draw it."""
        plot = Plot(slug, title)
        if not self.rows:
            plot.lacks = f"of no row of {group} is known how long it is"
            return plot
        self._draw_band(plot)
        for points, kind in ((self._usual, "dots"), (self._unusual, "dots bad")):
            plot.draw(kind, dots(np.concatenate(points).tolist()) if points else "")
        if self.is_dense:
            _draw_cells(plot, self._cells, "shade")
            _draw_cells(plot, self._odd, "odd")
        _draw_axes(plot, self.pane)
        self._tell(plot, group)
        return plot

    def _tell(self, plot: Plot, group: str) -> None:
        told = f"{spelling.plural(self.rows, 'row')}"
        if self.band is None:
            plot.about = f"{told} of {group}, too few to say what is usual."
            return
        rate = 1 / self.band.pace_s
        plot.about = (
            f"{told} of {group}, usually {spelling.short(rate, 2)} characters a second;"
            f" {spelling.count(self.outside)} outside the band."
        )
        outside = f"{spelling.count(self.outside)} outside the band"
        plot.say(RIGHT, ROWS[1], outside, "end", "value bad" if self.outside else "value")
        rows = []
        for chars in log_ticks(self.pane.low_chars, self.pane.high_chars, 9):
            low, high = self.band.limits_s(chars)
            usual = f"{spelling.seconds(low)} to {spelling.seconds(high)}"
            rows.append((f"{chars:,.0f} characters", usual))
        plot.table = Table(("script", "usual duration"), rows)

    def _draw_band(self, plot: Plot) -> None:
        if self.band is None:
            return
        chars = np.geomspace(self.pane.low_chars, self.pane.high_chars, 24)
        limits = np.array([self.band.limits_s(it) for it in chars.tolist()])
        inside = np.clip(limits, self.pane.low_s, self.pane.high_s)
        x = self.pane.x(chars)
        edges = [self.pane.y(inside[:, side]) for side in (0, 1)]
        there = np.stack([x, edges[0]], axis=1).tolist()
        back = np.stack([x, edges[1]], axis=1)[::-1].tolist()
        plot.draw("band", line([*there, *back]) + "Z")


def _draw_cells(plot: Plot, cells: Ints, kind: str) -> None:
    """Draw how many rows are where, the more the darker; a step is some times as many."""
    most = np.log1p(max(int(cells.max()), 1))
    shades = np.ceil(np.log1p(cells) / most * _SHADES).astype(np.int64)
    across, down = (RIGHT - _LEFT) / _COLUMNS, (BOTTOM - TOP) / _ROWS
    for shade in range(1, _SHADES + 1):
        path = "".join(
            f"M{num(_LEFT + column * across)} {num(TOP + row * down)}h{num(across)}v{num(down)}"
            f"h{num(-across)}z"
            for row, column in np.argwhere(shades == shade).tolist()
        )
        plot.draw(f"{kind}{shade}", path)


def _draw_axes(plot: Plot, pane: Pane) -> None:
    plot.floor()
    for tick in log_ticks(pane.low_s, pane.high_s, 4):
        y = float(pane.y(np.array([tick]))[0])
        plot.draw("grid", f"M{_LEFT} {num(y)}H{RIGHT}")
        plot.say(_LEFT - 4, y + 3.5, spelling.seconds(tick), "end")
    for tick in log_ticks(pane.low_chars, pane.high_chars, 5):
        x = float(pane.x(np.array([tick]))[0])
        plot.tick(x, f"{tick:,.0f}")
    plot.say(RIGHT, BOTTOM + 25, "characters of the script", "end", "tick faint")
