"""Histograms of values that are seen once, some at a time, by group. Pure.

The edges are fixed before anything is counted, so a million rows need as much memory as ten.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]


def logarithmic(low: float, high: float, in_a_decade: int) -> Floats:
    """Edges that lie evenly on a logarithmic scale; *low* and *high* are powers of ten."""
    first, last = round(np.log10(low)), round(np.log10(high))
    edges: Floats = 10 ** np.linspace(first, last, (last - first) * in_a_decade + 1)
    return edges


def even(low: float, high: float, step: float) -> Floats:
    """Edges that lie evenly."""
    return np.linspace(low, high, round((high - low) / step) + 1)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values lie between two edges each.

    Attributes:
        edges: Shape (bins + 1,).
        counts: Shape (bins,); what lies outside was counted in the outermost.
    """

    edges: Floats
    counts: Ints

    @property
    def total(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """Return what this share of the values is not above; NaN if there are none."""
        sums = np.cumsum(self.counts)
        if not self.total:
            return float("nan")
        wanted = share * self.total
        at = int(np.searchsorted(sums, max(wanted, 1e-9)))
        before = float(sums[at] - self.counts[at])
        inside = (wanted - before) / float(self.counts[at])
        return float(self.edges[at] + inside * (self.edges[at + 1] - self.edges[at]))

    def shown(self, most: int) -> Histogram:
        """Return the part that has values, in at most *most* bins that are equally many of ours."""
        filled = np.flatnonzero(self.counts)
        if not len(filled):
            return Histogram(self.edges[:1], self.counts[:0])
        first, last = int(filled[0]), int(filled[-1]) + 1
        width = max(1, ceil((last - first) / most))
        first -= first % width
        last = min(first + width * ceil((last - first) / width), len(self.counts))
        starts = np.arange(first, last, width)
        counts = np.add.reduceat(self.counts[:last], starts)
        return Histogram(np.append(self.edges[starts], self.edges[last]), counts)


class Histograms:
    """One for each of some groups, which are numbered from 0."""

    def __init__(self, edges: Floats) -> None:
        self.edges = edges
        self._counts: Ints = np.zeros((1, len(edges) - 1), np.int64)

    def add(self, values: Floats, groups: Ints | None = None) -> None:
        """Count values; those that are NaN are not known."""
        is_known = np.isfinite(values)
        at = np.searchsorted(self.edges, values[is_known], side="right") - 1
        bins = len(self.edges) - 1
        at = np.clip(at, 0, bins - 1)
        if groups is not None and len(at):
            of = groups[is_known]
            self._grow(int(of.max()) + 1)
            at += of * bins
        found = np.bincount(at, minlength=self._counts.size)
        self._counts += found.reshape(self._counts.shape)

    def _grow(self, groups: int) -> None:
        more = groups - len(self._counts)
        if more > 0:
            self._counts = np.pad(self._counts, ((0, more), (0, 0)))

    def of(self, group: int) -> Histogram:
        """The histogram of one group."""
        if group >= len(self._counts):
            return Histogram(self.edges, np.zeros(len(self.edges) - 1, np.int64))
        return Histogram(self.edges, self._counts[group])

    def together(self, groups: list[int]) -> Histogram:
        """The histogram of some groups."""
        here = [group for group in groups if group < len(self._counts)]
        return Histogram(self.edges, self._counts[here].sum(axis=0))

    @property
    def all(self) -> Histogram:
        """Of all groups together."""
        return Histogram(self.edges, self._counts.sum(axis=0))
