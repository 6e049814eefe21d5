"""What arithmetic alone can tell of speech: levels, silences, holes, clicks. Pure.

Every utterance of a run comes through here, so samples are looked at in single precision,
in blocks that fit a cache, and a handful of times each; everything else is about frames
of 10 ms. Loudness is relative wherever it can be: providers differ by 20 dB.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any, NamedTuple

import numpy as np

from batchtts.audio.pcm import FULL_SCALE, samples_of
from batchtts.model import Measures

#: What is digital silence, and quieter than anything that 16 bits can hold.
NOTHING_DBFS = -120.0

_CELLS_PER_S = 2000  # a click is shorter
_FRAME = 20  # cells: 10 ms
_BLOCK_S = 3

#: Power against the loudest frames: what is heard as speech, and how far it stands out of hiss.
_AUDIBLE = 10 ** (-40 / 10)
_OUT_OF_HISS = 10 ** (6 / 10)
_LOUDEST_HISS = 10 ** (-30 / 10)
#: What is loud, against the loudest frames.
_LOUD = 10 ** (-20 / 10)
#: Shorter silences are a part of speech: the closure of a p or a t.
_PAUSE_FRAMES = 6

#: What is so near to the highest or the lowest sample is on top: 0.5 dB.
_TOP = 10 ** (-0.5 / 20)

_HOLES = 200  # no more are looked for in one utterance
#: Speech in the moment before a hole, or after it, against what is loud in it.
_ABRUPT = 10 ** (-24 / 10)

_CLICKS = 6  # places that are looked at in earnest
_AROUND = 48  # cells before and behind them: two periods of a low voice
#: A third difference below that is rounding.
_ROUNDING = 40.0

_Samples = np.ndarray[tuple[int], np.dtype[np.int16]]
_Floats = np.ndarray[Any, np.dtype[np.float32]]


class _Cells(NamedTuple):
    """Sums over samples: of all, of their squares by frame, of what is sharp in each cell."""

    total: float
    squares: _Floats
    sharp: _Floats


def measure(pcm: bytes, sample_rate_hz: int) -> Measures:
    """Measure speech.

    Args:
        pcm: mono s16le samples. All figures of no samples are those of silence.

    Raises:
        BadAudio: *pcm* ends in the middle of a sample.
    """
    samples = samples_of(pcm)
    cell = max(round(sample_rate_hz / _CELLS_PER_S), 1)
    frame = cell * _FRAME
    frame_s = frame / sample_rate_hz
    if samples.size < frame:
        return _of_next_to_nothing(samples, sample_rate_hz)
    cells = _cells(samples, cell, sample_rate_hz)
    mean = cells.total / samples.size
    powers = np.maximum(cells.squares / np.float32(frame) - np.float32(mean * mean), 0)
    order = np.sort(powers)
    loudest, quietest = float(order[-1 - order.size // 50]), float(order[order.size // 20])
    loud = float(order[np.searchsorted(order, loudest * _LOUD) :].mean())
    hiss = min(quietest, loudest * _LOUDEST_HISS)
    is_heard = powers > max(loudest * _AUDIBLE, hiss * _OUT_OF_HISS)
    silences = _silences(is_heard)
    last = samples[-2 * frame :].astype(np.float32) - np.float32(mean)
    first_s, last_s, gap_s, pause_s = (frames * frame_s for frames in silences)
    rest_s = (samples.size - powers.size * frame) / sample_rate_hz
    return Measures(
        speech_s=_to_ms(powers.size * frame_s - first_s - last_s),
        pause_s=_to_ms(pause_s),
        lead_s=_to_ms(first_s),
        tail_s=_to_ms(last_s + rest_s),
        gap_s=_to_ms(gap_s),
        level_dbfs=_dbfs(loud),
        floor_dbfs=_dbfs(quietest),
        end_dbfs=_dbfs(float(last @ last) / last.size),
        clipped=round(_share_on_top(samples, mean), 6),
        dc=round(mean / FULL_SCALE, 6),
        dropouts=_count_holes(samples, frame // 4, powers, loud * _ABRUPT),
        click=round(_sharpest(samples, cells.sharp, cell), 2),
    )


def worst(measures: Sequence[Measures]) -> Measures:
    """Put together what was measured in the segments of a row.

    Seconds of speech and of pauses and holes are added up; of all else it is the worst.
    """
    if len(measures) == 1:
        return measures[0]
    return Measures(
        speech_s=_to_ms(sum(each.speech_s for each in measures)),
        pause_s=_to_ms(sum(each.pause_s for each in measures)),
        lead_s=max(each.lead_s for each in measures),
        tail_s=max(each.tail_s for each in measures),
        gap_s=max(each.gap_s for each in measures),
        level_dbfs=min(each.level_dbfs for each in measures),
        floor_dbfs=max(each.floor_dbfs for each in measures),
        end_dbfs=max(each.end_dbfs for each in measures),
        clipped=max(each.clipped for each in measures),
        dc=max((each.dc for each in measures), key=abs),
        dropouts=sum(each.dropouts for each in measures),
        click=max(each.click for each in measures),
    )


def _cells(samples: _Samples, cell: int, sample_rate_hz: int) -> _Cells:
    """Sum the samples up, as far as they fill frames."""
    frame = cell * _FRAME
    of_frame, of_cell = np.ones(frame, np.float32), np.ones(cell, np.float32)
    whole = samples.size // frame * frame
    step = max(_BLOCK_S * sample_rate_hz // frame, 1) * frame
    total, squares, sharp = 0.0, list[_Floats](), list[_Floats]()
    for start in range(0, whole, step):
        block = samples[start : min(start + step, whole)]
        floats = block.astype(np.float32)
        total += float((floats.reshape(-1, frame) @ of_frame).sum(dtype=np.float64))
        np.multiply(floats, floats, out=floats)
        squares.append(floats.reshape(-1, frame) @ of_frame)
        # Third differences: what is sharp in speech is left, vowels are not. They wrap
        # around where hissing is at its loudest; all around is as sharp there.
        block = samples[max(start - 3, 0) : start + block.size]
        block = np.concatenate([np.full(3, block[0]), block]) if start == 0 else block
        for _ in range(3):
            block = block[1:] - block[:-1]
        floats[:] = block
        np.multiply(floats, floats, out=floats)
        sharp.append(floats.reshape(-1, cell) @ of_cell)
    total += float(samples[whole:].sum(dtype=np.float64))
    return _Cells(total, np.concatenate(squares), np.concatenate(sharp))


def _silences(is_heard: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[int, int, int, int]:
    """Return frames before and behind what is heard, the longest silence in it, and all pauses."""
    heard = np.flatnonzero(is_heard)
    if not heard.size:
        return is_heard.size, 0, 0, 0
    between = np.diff(heard) - 1
    first, last = int(heard[0]), is_heard.size - 1 - int(heard[-1])
    if not between.size:
        return first, last, 0, 0
    pauses = between[between >= _PAUSE_FRAMES]
    return first, last, int(between.max()), int(pauses.sum())


def _share_on_top(samples: _Samples, mean: float) -> float:
    """Share of samples that are as far out as can be: speech has its peaks for moments."""
    high, low = int(samples.max()), int(samples.min())
    highest = mean + (high - mean) * _TOP
    lowest = mean + (low - mean) * _TOP
    if high - low < 64:
        return 0.0
    on_top = np.count_nonzero(samples > np.int16(highest))
    return float(on_top + np.count_nonzero(samples < np.int16(lowest))) / samples.size


def _count_holes(samples: _Samples, width: int, powers: _Floats, least: float) -> int:
    """Count constant stretches that begin or end within speech.

    Args:
        width: Samples that are compared at once, a quarter of a frame; a hole has two of them.
        powers: Of frames.
        least: The power of speech, of its louder moments.
    """
    if width < 3 or not least:
        return 0
    count = (samples.size - 1) // width
    first = samples[: count * width : width]
    is_flat = first == samples[width // 3 : count * width : width]
    is_flat &= first == samples[2 * width // 3 : count * width : width]
    flat = np.flatnonzero(is_flat)
    if not flat.size:
        return 0
    starts = flat[np.flatnonzero(np.diff(flat, prepend=-2) > 1)]
    ends = flat[np.flatnonzero(np.diff(flat, append=count + 1) > 1)] + 1
    is_loud = np.append(
        powers > least / 5, False
    )  # the last frame may be followed by a part of one
    is_loud[1:] |= is_loud[:-1].copy()
    is_near = is_loud[starts // 4] | is_loud[np.minimum((ends + 4) // 4, powers.size)]
    near = np.flatnonzero(is_near)[:_HOLES]
    places = zip((starts[near] * width).tolist(), (ends[near] * width).tolist(), strict=True)
    return sum(_is_hole(samples, *place, width, least) for place in places)


def _is_hole(samples: _Samples, begins: int, ceases: int, width: int, least: float) -> bool:
    value = samples[begins]
    around = samples[max(begins - width, 0) : begins]
    begins -= _run(around[::-1] == value)
    ceases += _run(samples[ceases : ceases + width] == value)
    if ceases - begins < 2 * width or not (samples[begins:ceases] == value).all():
        return False
    before = samples[max(begins - width // 2, 0) : begins]  # speech fades within longer than that
    behind = samples[ceases : ceases + width // 2]
    return _power(before, value) > least or _power(behind, value) > least


def _run(is_so: np.ndarray[Any, np.dtype[np.bool_]]) -> int:
    """How many are true before the first one that is not."""
    return is_so.size if is_so.all() else int(is_so.argmin())


def _power(samples: _Samples, around: np.int16) -> float:
    floats = samples.astype(np.float32) - np.float32(around)
    return float(floats @ floats) / floats.size if floats.size else 0.0


def _sharpest(samples: _Samples, sharp: _Floats, cell: int) -> float:
    """How far the sharpest moment stands out of all that is around it, as a ratio of amplitudes.

    The pulses of a voice come again and again, a consonant lasts; where two pieces of
    audio were put together there is one moment and no other.
    """
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


def _of_next_to_nothing(samples: _Samples, sample_rate_hz: int) -> Measures:
    mean = float(samples.mean()) if samples.size else 0.0
    power = float(samples.astype(np.float64).var()) if samples.size else 0.0
    level = _dbfs(power)
    seconds = _to_ms(samples.size / sample_rate_hz)
    is_heard = power > 0
    return Measures(
        speech_s=seconds if is_heard else 0.0,
        pause_s=0.0,
        lead_s=0.0 if is_heard else seconds,
        tail_s=0.0,
        gap_s=0.0,
        level_dbfs=level,
        floor_dbfs=level,
        end_dbfs=level,
        clipped=0.0,
        dc=round(mean / FULL_SCALE, 6),
        dropouts=0,
        click=0.0,
    )


def _dbfs(power: float) -> float:
    least = 10 ** (NOTHING_DBFS / 10)
    return round(10 * log10(max(power / FULL_SCALE**2, least)), 1)


def _to_ms(seconds: float) -> float:
    return round(seconds, 3)
