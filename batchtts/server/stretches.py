"""What is done to a recording before anybody listens: one rate, one level, in stretches."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]

_SILENT = 0.001  # of full scale: -60 dBFS, where nothing is amplified any more


def cut(samples: Samples, longest: int) -> Iterator[Samples]:
    """Cut at the quietest places, so that no stretch is longer than that many samples.

    A cut is made in the last two fifths of what a stretch may be.
    """
    bounds = [0]
    while len(samples) - bounds[-1] > longest:
        begin = bounds[-1] + longest * 3 // 5
        bounds.append(begin + _quietest(samples[begin : bounds[-1] + longest]))
    for start, end in pairwise([*bounds, len(samples)]):
        yield samples[start:end]


def at_rate(pcm: bytes, from_hz: int, to_hz: int) -> Samples:
    """Return mono s16le as floats of another rate."""
    import soxr

    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
    if from_hz == to_hz or not samples.size:
        return samples
    resampled: Samples = soxr.resample(samples, from_hz, to_hz, quality="HQ")
    return resampled


def audible(samples: Samples) -> Samples:
    """Make a quiet recording as loud as others, unless there is nothing in it."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < _SILENT:
        return samples[:0]
    return samples * np.float32(0.5 / peak)


def framed(samples: Samples, before: int, after: int) -> Samples:
    """Return it with so many samples of silence on either side."""
    return np.pad(samples, (before, after))


def _quietest(samples: Samples) -> int:
    """The middle of the quietest tenth of a second, looked for in steps of a hundredth."""
    step = 160
    power = np.add.reduceat(np.square(samples, dtype=np.float64), range(0, len(samples), step))
    around = np.convolve(power, np.ones(10), "same")
    return min(int(around.argmin()) * step + step // 2, len(samples) - 1)
