"""Audio that is made louder by steps, with a short ramp at each. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from batchtts.export.meter import Floats
from batchtts.export.orders import Step

RAMP_S = 0.01


def stepped(
    blocks: Iterator[Floats], steps: Sequence[Step], sample_rate_hz: int
) -> Iterator[Floats]:
    """Yield audio as loud as it is to be; as it is, if there are no steps.

    Args:
        steps: In order. What comes before the first is as loud as what follows it.
    """
    if not steps:
        yield from blocks
        return
    places, gains = _corners(steps, round(RAMP_S * sample_rate_hz / 2))
    at = 0
    for block in blocks:
        yield _louder(block, at, places, gains)
        at += len(block)


def _corners(steps: Sequence[Step], half: int) -> tuple[list[int], list[float]]:
    """Where the gain begins and ends to change, and what it is there."""
    factors = [10 ** (step.gain_db / 20) for step in steps]
    places, gains = [0], [factors[0]]
    for step, (before, after) in zip(steps[1:], pairwise(factors), strict=True):
        begin = max(step.at - half, places[-1])
        places += [begin, max(step.at + half, begin + 1)]
        gains += [before, after]
    return places, gains


def _louder(block: Floats, at: int, places: list[int], gains: list[float]) -> Floats:
    """A block, whose first sample is the one *at* of all."""
    end = at + len(block)
    borders = [at, *places[bisect_right(places, at) : bisect_left(places, end)], end]
    made = block.copy()
    found = np.interp(borders, places, gains)
    for (start, stop), (first, last) in zip(pairwise(borders), pairwise(found), strict=True):
        gain = first if first == last else np.linspace(first, last, stop - start, endpoint=False)
        made[start - at : stop - at] *= gain
    return made
