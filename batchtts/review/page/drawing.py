"""What a plot is made of: paths with a meaning, and words; no colour. Pure.

A plot is as wide as a phone, in units of its own, and the style sheet says how what has a
meaning looks: by day, by night, on paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Literal

WIDTH, HEIGHT = 360, 178
LEFT, RIGHT, TOP, BOTTOM = 1, 359, 34, 150

ROWS = (12, 26)  # where words stand above what is drawn

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A path; *kind* is its class in the style sheet."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Label:
    """Words at a place."""

    x: float
    y: float
    text: str
    anchor: Anchor = "middle"
    kind: str = "tick"


@dataclass(frozen=True, slots=True)
class Table:
    """The same figures for those who do not see the plot."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(slots=True)
class Plot:
    """A plot, or why there is none.

    Attributes:
        slug: Its own in the page.
        about: What is to be seen in it, in a sentence.
        lacks: Set if nothing can be shown; then there are no marks.
    """

    slug: str
    title: str
    about: str = ""
    marks: list[Mark] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    table: Table | None = None
    lacks: str = ""
    width: int = WIDTH
    height: int = HEIGHT

    def draw(self, kind: str, path: str) -> None:
        """Add a path, unless it is empty."""
        if path:
            self.marks.append(Mark(kind, path))

    def say(
        self, x: float, y: float, text: str, anchor: Anchor = "middle", kind: str = "tick"
    ) -> None:
        """Add words."""
        self.labels.append(Label(round(x, 1), round(y, 1), text, anchor, kind))

    def tick(self, x: float, text: str, y: float = BOTTOM + 14) -> None:
        """Say what is at *x*, below, without leaving the plot."""
        half = wide(text) / 2
        self.say(min(max(x, half), WIDTH - half), y, text)

    def mark(self, x: float, row: int, text: str) -> None:
        """Draw a line down at *x*, and say what it is: of two, the first has the left side."""
        self.draw("marker", f"M{num(x)} {ROWS[row] - 9}V{BOTTOM}")
        is_left = x > wide(text) + 6 if row == 0 else x + wide(text) + 6 > WIDTH
        anchor: Anchor = "end" if is_left else "start"
        self.say(x + (-4 if is_left else 4), ROWS[row], text, anchor, "value")

    def floor(self, y: float = BOTTOM) -> None:
        """Draw the line on which all stands."""
        self.draw("axis", f"M{LEFT} {num(y)}H{RIGHT}")


def wide(text: str) -> float:
    """About how wide words are."""
    return 5.6 * len(text)


def num(value: float) -> str:
    """A coordinate, no longer than it must be."""
    return f"{value:.1f}".removesuffix(".0")


def scale(value: float, low: float, high: float, start: float, end: float) -> float:
    """Where a value lies between two ends."""
    return start if high == low else start + (value - low) / (high - low) * (end - start)


def bars(
    places: Sequence[tuple[float, float]], heights: Iterable[float], base: float = BOTTOM
) -> str:
    """Bars that stand on *base*, or hang from it if they are negative."""
    return "".join(
        f"M{num(left)} {num(base)}V{num(base - height)}H{num(right)}V{num(base)}Z"
        for (left, right), height in zip(places, heights, strict=True)
        if abs(height) >= 0.05
    )


def line(points: Iterable[tuple[float, float]]) -> str:
    """A line through points."""
    told = "L".join(f"{num(x)} {num(y)}" for x, y in points)
    return f"M{told}" if told else ""


def dots(points: Iterable[tuple[float, float]]) -> str:
    """Points; as large as the pen is wide."""
    return "".join(f"M{num(x)} {num(y)}h0" for x, y in points)


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values on a logarithmic scale; ones, twos and fives where there is room."""
    first, last = floor(log10(low)), ceil(log10(high))
    found: list[float] = []
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [
            step * 10.0**power
            for power in range(first, last + 1)
            for step in steps
            if low * 0.999 <= step * 10.0**power <= high * 1.001
        ]
        if len(found) <= most:
            break
    return found[:: ceil(len(found) / most)] if found else []


def even_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values on a plain scale."""
    if high <= low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** floor(log10(rough))
    step = next(it * power for it in (1, 2, 2.5, 5, 10) if it * power >= rough * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [it * step for it in range(first, last + 1)]


def round_up(value: float) -> float:
    """The next round value, for the top of a scale."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(
        it * power
        for it in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
        if it * power >= value * 0.9999
    )
