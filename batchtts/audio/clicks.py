"""Where two pieces of audio were put together there is one sharp moment and no other. Pure.

Third differences leave of speech what is sharp in it. The pulses of a voice come again and
again and a consonant lasts; what stands alone is a splice. It takes as long as all other
measures together, so it is looked for when a row is heard, not when it is spoken.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from batchtts.audio.pcm import samples_of

_CELLS_PER_S = 2000  # a click is shorter
_FRAME = 20  # cells: 10 ms
_BLOCK_S = 3

_CLICKS = 6  # places that are looked at in earnest
_AROUND = 48  # cells before and behind them: two periods of a low voice
#: A third difference below that is rounding.
_ROUNDING = 40.0

_Samples = np.ndarray[tuple[int], np.dtype[np.int16]]
_Floats = np.ndarray[Any, np.dtype[np.float32]]


def sharpest(pcm: bytes, sample_rate_hz: int) -> float:
    """Return how far the sharpest moment stands out of all around it, as a ratio of amplitudes.

    Args:
        pcm: mono s16le samples. There is nothing in less than 50 ms.

    Raises:
        BadAudio: *pcm* ends in the middle of a sample.
    """
    samples = samples_of(pcm)
    cell = max(round(sample_rate_hz / _CELLS_PER_S), 1)
    if samples.size < 2 * cell * _AROUND + _FRAME * cell:
        return 0.0
    return round(_sharpest(samples, _sharp(samples, cell, sample_rate_hz), cell), 2)


def _sharp(samples: _Samples, cell: int, sample_rate_hz: int) -> _Floats:
    """Sum the squares of third differences in each cell, as far as cells fill frames.

    They wrap around where hissing is at its loudest; all around is as sharp there.
    """
    frame, of_cell = cell * _FRAME, np.ones(cell, np.float32)
    whole = samples.size // frame * frame
    step = max(_BLOCK_S * sample_rate_hz // frame, 1) * frame
    sharp = []
    for start in range(0, whole, step):
        block = samples[max(start - 3, 0) : min(start + step, whole)]
        block = np.concatenate([np.full(3, block[0]), block]) if start == 0 else block
        for _ in range(3):
            block = block[1:] - block[:-1]
        floats = block.astype(np.float32)
        np.multiply(floats, floats, out=floats)
        sharp.append(floats.reshape(-1, cell) @ of_cell)
    return np.concatenate(sharp)


def _sharpest(samples: _Samples, sharp: _Floats, cell: int) -> float:
    around, half = cell * _AROUND, cell // 2
    blocks = sharp.reshape(-1, _FRAME)
    ratio = blocks.max(axis=1) / (blocks @ np.ones(_FRAME, np.float32) + np.float32(_ROUNDING**2))
    count = min(_CLICKS, ratio.size)
    chosen = np.argpartition(ratio, ratio.size - count)[ratio.size - count :]
    places = (chosen * _FRAME + blocks[chosen].argmax(axis=1)) * cell + half
    places = places[(places >= around) & (places + around + 3 <= samples.size)]
    if not places.size:
        return 0.0
    there = samples[places[:, None] + np.arange(-around, around + 3)].astype(np.float32)
    for _ in range(3):
        there = there[:, 1:] - there[:, :-1]
    np.abs(there, out=there)
    middle = slice(around - cell - half, around + cell + half)
    at = there[:, middle].argmax(axis=1) + middle.start
    rows = np.arange(at.size)
    most = there[rows, at]
    there[rows[:, None], at[:, None] + np.arange(-half, half + 1)] = 0
    return float((most / np.maximum(there.max(axis=1), _ROUNDING)).max())
