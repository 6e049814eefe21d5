"""What can happen to speech on its way, done to samples: for detection.py alone. Pure.

The same samples, damage and seed give the same samples, always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from batchtts.audio.edges import Speech, find_edges
from batchtts.audio.pcm import samples_of

#: `other` is the audio of another row: that has to be chosen by whoever has the rows.
OTHER = "other"

MISSING_S = 0.4
DROPOUTS, DROPOUT_S = 6, 0.050
NOISE_DB = 15.0  # below the speech
RATIO = 1.5
GAIN = 8

_Samples = np.ndarray[Any, np.dtype[Any]]
_Way = Callable[[_Samples, Speech, int, np.random.Generator], _Samples]


def damage(pcm: bytes, sample_rate_hz: int, how: str, seed: int) -> bytes:
    """Return speech that is damaged; *how* is one of HOWS."""
    if how == OTHER:
        return pcm
    samples = samples_of(pcm)
    speech = find_edges(pcm, sample_rate_hz).audible
    damaged = _WAYS[how](samples, speech, sample_rate_hz, np.random.default_rng(seed))
    return bytes(np.clip(np.rint(damaged), -32768, 32767).astype("<i2").tobytes())


def _cut_end(it: _Samples, speech: Speech, rate_hz: int, chance: np.random.Generator) -> _Samples:
    """A fifth of the speech, between 0.3 and 1 s."""
    spoken = speech.end - speech.start
    lost = min(max(spoken // 5, round(0.3 * rate_hz)), rate_hz, spoken // 2)
    return it[: speech.end - lost]


def _missing(it: _Samples, speech: Speech, rate_hz: int, chance: np.random.Generator) -> _Samples:
    size = min(round(MISSING_S * rate_hz), (speech.end - speech.start) // 2)
    margin = (speech.end - speech.start - size) // 4
    at = int(chance.integers(speech.start + margin, speech.end - margin - size + 1))
    return np.delete(it, slice(at, at + size))


def _silence(it: _Samples, speech: Speech, rate_hz: int, chance: np.random.Generator) -> _Samples:
    return np.zeros_like(it)


def _doubled(it: _Samples, speech: Speech, rate_hz: int, chance: np.random.Generator) -> _Samples:
    return np.tile(it, 2)


def _rate(it: _Samples, speech: Speech, rate_hz: int, chance: np.random.Generator) -> _Samples:
    """As if the rate in the header were wrong."""
    size = round(len(it) * (RATIO if chance.random() < 0.5 else 1 / RATIO))
    changed: _Samples = np.fft.irfft(np.fft.rfft(it), size) * (size / len(it))
    return changed


def _dropouts(it: _Samples, speech: Speech, rate_hz: int, chance: np.random.Generator) -> _Samples:
    damaged, size = it.copy(), round(DROPOUT_S * rate_hz)
    for at in chance.integers(
        speech.start, max(speech.end - size, speech.start + 1), DROPOUTS
    ).tolist():
        damaged[at : at + size] = 0
    return damaged


def _noise(it: _Samples, speech: Speech, rate_hz: int, chance: np.random.Generator) -> _Samples:
    level = np.sqrt(np.mean(np.square(it[speech.start : speech.end], dtype=np.float64)))
    return it + chance.normal(0.0, level * 10 ** (-NOISE_DB / 20), len(it))


def _clipping(it: _Samples, speech: Speech, rate_hz: int, chance: np.random.Generator) -> _Samples:
    return it.astype(np.int32) * GAIN


_WAYS: dict[str, _Way] = {
    "cut_end": _cut_end,
    "missing": _missing,
    "silence": _silence,
    "doubled": _doubled,
    "rate": _rate,
    "dropouts": _dropouts,
    "noise": _noise,
    "clipping": _clipping,
}

HOWS = (*_WAYS, OTHER)
