"""What arithmetic alone can tell of speech: levels, silences, holes. Pure.

Every utterance of a run comes through here, so samples are looked at in single precision,
in blocks that fit a cache, and a handful of times each; everything else is about frames
of 10 ms. Loudness is relative wherever it can be: providers differ by 20 dB.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any

import numpy as np

from batchtts.audio.pcm import FULL_SCALE, samples_of
from batchtts.model import Measures

#: What is digital silence, and quieter than anything that 16 bits can hold.
NOTHING_DBFS = -120.0

_FRAMES_PER_S = 100
_BLOCK_S = 3

#: Power against the loudest frames: what is heard as speech, and how far it stands out of hiss.
_AUDIBLE = 10 ** (-40 / 10)
_OUT_OF_HISS = 10 ** (6 / 10)
_LOUDEST_HISS = 10 ** (-30 / 10)
#: What is loud, against the loudest frames.
_LOUD = 10 ** (-20 / 10)
#: Shorter silences are a part of speech: the closure of a p or a t.
_PAUSE_FRAMES = 6

#: The power of the highest samples against what is loud, in plain speech: 11 dB.
_FAR_OUT = 10 ** (11 / 10)
#: What is so near to the highest or the lowest sample is on top: 0.5 dB.
_TOP = 10 ** (-0.5 / 20)

_HOLES = 200  # no more are looked for in one utterance
#: Speech in the moment before a hole, or after it, against what is loud in it.
_ABRUPT = 10 ** (-24 / 10)

_Samples = np.ndarray[tuple[int], np.dtype[np.int16]]
_Floats = np.ndarray[Any, np.dtype[np.float32]]


def measure(pcm: bytes, sample_rate_hz: int) -> Measures:
    """Measure speech.

    Args:
        pcm: mono s16le samples. All figures of no samples are those of silence.

    Raises:
        BadAudio: *pcm* ends in the middle of a sample.
    """
    samples = samples_of(pcm)
    frame = max(round(sample_rate_hz / _FRAMES_PER_S), 4)
    frame_s = frame / sample_rate_hz
    if samples.size < frame:
        return _of_next_to_nothing(samples, sample_rate_hz)
    total, squares = _sums(samples, frame, sample_rate_hz)
    mean = total / samples.size
    powers = np.maximum(squares / np.float32(frame) - np.float32(mean * mean), 0)
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
        clipped=round(_share_on_top(samples, mean, loud), 6),
        dc=round(mean / FULL_SCALE, 6),
        dropouts=_count_holes(samples, frame // 4, powers, loud * _ABRUPT),
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


def _sums(samples: _Samples, frame: int, sample_rate_hz: int) -> tuple[float, _Floats]:
    """Return the sum of all samples, and those of their squares in each whole frame."""
    of_frame = np.ones(frame, np.float32)
    whole = samples.size // frame * frame
    step = max(_BLOCK_S * sample_rate_hz // frame, 1) * frame
    total, squares = 0.0, list[_Floats]()
    for start in range(0, whole, step):
        floats = samples[start : min(start + step, whole)].astype(np.float32)
        total += float((floats.reshape(-1, frame) @ of_frame).sum(dtype=np.float64))
        np.multiply(floats, floats, out=floats)
        squares.append(floats.reshape(-1, frame) @ of_frame)
    total += float(samples[whole:].sum(dtype=np.float64))
    return total, np.concatenate(squares)


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


def _share_on_top(samples: _Samples, mean: float, loud: float) -> float:
    """Share of samples that are as far out as can be: speech has its peaks for moments.

    Where the highest stand far out of what is loud there are few of them, and none is counted.
    """
    high, low = int(samples.max()), int(samples.min())
    if min(high - mean, mean - low) ** 2 > loud * _FAR_OUT:
        return 0.0
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
    is_loud = np.append(powers > least / 5, False)  # a part of a frame may follow the last one
    is_loud[1:] |= is_loud[:-1].copy()
    near = is_loud.copy()
    near[:-1] |= is_loud[1:]
    if not (is_flat & np.repeat(near, 4)[:count]).any():
        return 0
    flat = np.flatnonzero(is_flat)
    starts = flat[np.flatnonzero(np.diff(flat, prepend=-2) > 1)]
    ends = flat[np.flatnonzero(np.diff(flat, append=count + 1) > 1)] + 1
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
    )


def _dbfs(power: float) -> float:
    least = 10 ** (NOTHING_DBFS / 10)
    return round(10 * log10(max(power / FULL_SCALE**2, least)), 1)


def _to_ms(seconds: float) -> float:
    return round(seconds, 3)
