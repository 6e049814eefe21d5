"""Levels of audio that comes in blocks: RMS, peak, noise floor, head and tail. Pure."""

from __future__ import annotations

from math import log10
from typing import Any

import numpy as np

from batchtts.export.orders import PEAK_STEP_DB, SILENCE_DB

Floats = np.ndarray[tuple[int], np.dtype[np.float32]]

_WINDOWS_PER_S = 100
#: Softer than this is nothing that anybody hears: what ACX asks of a noise floor.
_HEARD = 10 ** (-60 / 10)
_PEAKS = 120
_HELD_WINDOWS = 5  # so long a limiter holds down what follows a peak
_FLOOR_WINDOWS = 50  # half a second, every 10 ms


def from_s16(samples: np.ndarray[Any, Any]) -> Floats:
    """Samples of 16 bits as they are from -1 to 1."""
    made: Floats = samples.astype(np.float32) * np.float32(1 / 32768)
    return made


def to_s16(samples: Floats) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Samples from -1 to 1 in 16 bits; what is louder is cut off."""
    scaled = np.rint(samples * np.float32(32768))
    made: np.ndarray[tuple[int], np.dtype[np.int16]] = np.clip(scaled, -32768, 32767).astype("<i2")
    return made


def decibels(amplitude: float) -> float:
    """A level relative to full scale; never below SILENCE_DB."""
    return 20 * log10(amplitude) if amplitude > 10 ** (SILENCE_DB / 20) else SILENCE_DB


class Meter:
    """Takes one block after another of samples from -1 to 1."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._window = sample_rate_hz // _WINDOWS_PER_S
        self._rest = np.zeros(0, np.float32)
        self._recent = np.zeros(0)
        self._frames = self._windows = 0
        self._first: int | None = None
        self._last = 0
        self._energy = self._peak = 0.0
        self._softest = 1.0
        self._powers = np.zeros(_PEAKS)

    def add(self, samples: Floats) -> None:
        """Measure a block."""
        if not len(samples):
            return
        self._frames += len(samples)
        self._peak = max(self._peak, float(samples.max()), -float(samples.min()))
        self._energy += float(np.dot(samples, samples))
        whole = np.concatenate([self._rest, samples])
        count = len(whole) // self._window
        self._rest = whole[count * self._window :]
        grid = whole[: count * self._window].reshape(count, self._window)
        powers = np.einsum("ij,ij->i", grid, grid) / self._window
        self._add_windows(powers)
        self._add_peaks(powers, np.maximum(grid.max(axis=1), -grid.min(axis=1)))

    def _add_windows(self, powers: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
        heard = np.flatnonzero(powers > _HEARD)
        if len(heard):
            first = self._windows + int(heard[0])
            self._first = first if self._first is None else self._first
            self._last = self._windows + int(heard[-1]) + 1
        self._windows += len(powers)
        recent = np.concatenate([self._recent, powers])
        if len(recent) >= _FLOOR_WINDOWS:
            sums = np.cumsum(np.concatenate([[0.0], recent], dtype=np.float64))
            spans = (sums[_FLOOR_WINDOWS:] - sums[:-_FLOOR_WINDOWS]) / _FLOOR_WINDOWS
            self._softest = min(self._softest, max(0.0, float(spans.min())))
        self._recent = recent[-(_FLOOR_WINDOWS - 1) :]

    def _add_peaks(self, powers: Floats, peaks: Floats) -> None:
        """Add the power of each window to what has as high a peak in it or shortly before."""
        highest = peaks.copy()
        for back in range(1, _HELD_WINDOWS):
            np.maximum(highest[back:], peaks[:-back], out=highest[back:])
        below = -20 / PEAK_STEP_DB * np.log10(np.clip(highest, 1e-6, 1.0))
        steps = np.minimum(below.astype(np.int64), _PEAKS - 1)
        self._powers += np.bincount(steps, powers, _PEAKS)

    @property
    def powers(self) -> list[float]:
        """As Measured has it."""
        found: list[float] = self._powers.tolist()
        return found

    @property
    def duration_s(self) -> float:
        """How long it was."""
        return self._frames / self._rate_hz

    @property
    def peak_dbfs(self) -> float:
        """The loudest sample."""
        return decibels(self._peak)

    @property
    def rms_dbfs(self) -> float:
        """The level of all samples."""
        return decibels((self._energy / max(1, self._frames)) ** 0.5)

    @property
    def noise_floor_dbfs(self) -> float:
        """The level of the softest half second; of all, if it is not as long."""
        if self._windows < _FLOOR_WINDOWS:
            return self.rms_dbfs
        return decibels(self._softest**0.5)

    @property
    def head_s(self) -> float:
        """How long nothing is heard at the beginning."""
        return self.duration_s if self._first is None else self._seconds(self._first)

    @property
    def tail_s(self) -> float:
        """How long nothing is heard at the end."""
        if self._first is None:
            return self.duration_s
        return max(0.0, self.duration_s - self._seconds(self._last))

    def _seconds(self, windows: int) -> float:
        return windows * self._window / self._rate_hz
