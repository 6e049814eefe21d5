"""What can happen to speech on its way: whole, well formed, and yet not what was asked for. Pure.

It is done to all the audio of a request, before that is put into a code or into
messages. The same samples, damage and seed give the same samples, always. What is
taken away or overlaid is speech, never the silence around it or a pause in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from batchtts.audio.edges import Speech, find_edges
from batchtts.audio.pcm import samples_of

How = Literal[
    "cut_end",
    "missing",
    "silence",
    "doubled",
    "other",
    "rate",
    "dropouts",
    "noise",
    "clipping",
]

CUT_SHARE = 0.2  # of the speech, at its end
CUT_S = (0.3, 1.0)  # but so much at least, and at most
MISSING_S = 0.4
RATIO = 1.5
DROPOUTS = 6
DROPOUT_S = 0.050
NOISE_DB = 15.0  # below the speech
GAIN = 8

_CELL_S = 0.010
_VOICED = 10 ** (-35 / 10)  # power against the loudest cell
_MOST = 0.95  # of the most speech that a stretch can have

_Samples = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Harm:
    """What is done to one request.

    Attributes:
        text: What is spoken in truth; another text than was asked for if it is `other`.
    """

    how: How
    seed: int
    text: str


def damage(pcm: bytes, sample_rate_hz: int, how: How, seed: int) -> bytes:
    """Return speech that is damaged.

    Args:
        pcm: mono s16le, all that was spoken.
        how: `other` leaves it as it is: another text was spoken.
        seed: Decides what is left to chance.
    """
    samples = samples_of(pcm)
    if not samples.size or how == "other":
        return pcm
    speech = find_edges(pcm, sample_rate_hz).audible
    damaged = _WAYS[how](_Whole(samples, sample_rate_hz, speech, np.random.default_rng(seed)))
    return bytes(np.clip(np.rint(damaged), -32768, 32767).astype("<i2").tobytes())


@dataclass(frozen=True, slots=True)
class _Whole:
    """All that was spoken, and where in it there is speech."""

    samples: _Samples
    rate_hz: int
    speech: Speech
    chance: np.random.Generator

    @property
    def spoken(self) -> int:
        """Samples between the first sound and the last."""
        return self.speech.end - self.speech.start

    def samples_in(self, seconds: float) -> int:
        """How many samples there are in so many seconds, one at least."""
        return max(round(seconds * self.rate_hz), 1)


def _cut_end(it: _Whole) -> _Samples:
    least, most = map(it.samples_in, CUT_S)
    lost = min(max(round(CUT_SHARE * it.spoken), least), most, it.spoken // 2)
    return it.samples[: it.speech.end - lost]


def _missing(it: _Whole) -> _Samples:
    size = min(it.samples_in(MISSING_S), it.spoken // 2)
    margin = (it.spoken - size) // 4
    among = (it.speech.start + margin, it.speech.end - margin)
    at = _stretch_of_speech(it, size, among, goal=(it.speech.start + it.speech.end - size) // 2)
    return np.delete(it.samples, slice(at, at + size))


def _silence(it: _Whole) -> _Samples:
    return np.zeros_like(it.samples)


def _doubled(it: _Whole) -> _Samples:
    return np.tile(it.samples, 2)


def _rate(it: _Whole) -> _Samples:
    """As if the rate in the header were wrong: faster and higher, or slower and lower."""
    is_faster = it.chance.random() < 0.5
    size = max(round(len(it.samples) / RATIO if is_faster else len(it.samples) * RATIO), 1)
    spectrum = np.fft.rfft(it.samples)
    return np.fft.irfft(spectrum, size) * (size / len(it.samples))


def _dropouts(it: _Whole) -> _Samples:
    samples = it.samples.copy()
    bounds = np.linspace(it.speech.start, it.speech.end, DROPOUTS + 1).astype(int)
    for begin, end in pairwise(map(int, bounds)):
        size = min(it.samples_in(DROPOUT_S), (end - begin) // 2)
        goal = int(it.chance.integers(begin, max(end - size, begin) + 1))
        at = _stretch_of_speech(it, size, (begin, end), goal)
        samples[at : at + size] = 0
    return samples


def _noise(it: _Whole) -> _Samples:
    speech = it.samples[it.speech.start : it.speech.end].astype(np.float64)
    level = np.sqrt(np.mean(np.square(speech))) * 10 ** (-NOISE_DB / 20)
    return it.samples + it.chance.normal(0.0, level, len(it.samples))


def _clipping(it: _Whole) -> _Samples:
    return it.samples.astype(np.int32) * GAIN


_WAYS: Mapping[How, Callable[[_Whole], _Samples]] = {
    "cut_end": _cut_end,
    "missing": _missing,
    "silence": _silence,
    "doubled": _doubled,
    "rate": _rate,
    "dropouts": _dropouts,
    "noise": _noise,
    "clipping": _clipping,
}


def _stretch_of_speech(it: _Whole, size: int, among: tuple[int, int], goal: int) -> int:
    """Return where a stretch of *size* samples begins that has as few pauses in it as can be.

    Args:
        among: The stretch lies between these two.
        goal: Of several that are as good, take the one that begins nearest to this.
    """
    begin, end = among
    starts = np.arange(begin, max(end - size, begin) + 1, it.samples_in(_CELL_S))
    share = np.add.reduce([_voiced(it)[starts + size * part // 8] for part in range(1, 8)])
    good = starts[share >= _MOST * share.max()]
    return int(good[np.abs(good - goal).argmin()])


def _voiced(it: _Whole) -> _Samples:
    """Whether there is speech, for every sample: told by the power of its hundredth of a second."""
    cell = it.samples_in(_CELL_S)
    squares = np.square(it.samples, dtype=np.float64)
    powers = np.add.reduceat(squares, np.arange(0, len(squares), cell))
    return np.repeat(powers > _VOICED * powers.max(), cell)[: len(squares)]
