"""Where speech begins and ends between the silences that a provider puts around it. Pure.

Levels are those of 10 ms, every 2 ms, without whatever is constant in them. All is
relative to the loudest of them: providers differ by 20 dB. The sums are whole numbers
which a double holds exactly, so the same samples have the same edges on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from batchtts.audio.pcm import FULL_SCALE, samples_of

_CELLS_PER_S = 500
_WINDOW = 5  # cells

#: Power against the loudest 10 ms: what is heard as speech, and what an f or a decay still has.
_AUDIBLE = 10 ** (-40 / 10)
_SOFT = 10 ** (-50 / 10)
#: So far around audible speech may soft sounds reach, in cells.
_SOFT_CELLS = 40

#: Power below which nothing is speech, whatever the rest is: -75 dBFS.
_NOTHING = 10 ** (-75 / 10) * FULL_SCALE**2

#: Speech stands out of hiss by so much; but what is so near to the loudest is no hiss.
_OUT_OF_HISS = 10 ** (6 / 10)
_SOFT_OUT_OF_HISS = 10 ** (3 / 10)
_LOUDEST_HISS = 10 ** (-30 / 10)
#: Speech changes more than that between its loudest and its softest parts; noise does not.
_STEADY = 10 ** (-12 / 10)

#: What stays around the softest sounds that were found, if there is so much.
MARGIN_BEFORE_S = 0.030
MARGIN_BEHIND_S = 0.060

_Powers = np.ndarray[tuple[int], np.dtype[np.float64]]


class Speech(NamedTuple):
    """Where speech begins and ends, in frames."""

    start: int
    end: int


class Edges(NamedTuple):
    """Two answers: where a listener begins and ceases to hear something, and what to keep.

    Attributes:
        audible: Pauses are measured from here.
        kept: As much or more: with soft beginnings, decays and a margin.
    """

    audible: Speech
    kept: Speech


def find_speech(pcm: bytes, sample_rate_hz: int) -> Speech:
    """Return what to keep of a segment so that nothing of its speech is lost.

    Args:
        pcm: mono s16le samples. Silence or noise alone is kept whole.

    Raises:
        BadAudio: *pcm* ends in the middle of a sample.
    """
    return find_edges(pcm, sample_rate_hz).kept


def find_edges(pcm: bytes, sample_rate_hz: int) -> Edges:
    """Return where speech is heard, and what to keep; as find_speech()."""
    return find_edges_of([pcm], sample_rate_hz)


def find_edges_of(blocks: Iterable[bytes], sample_rate_hz: int) -> Edges:
    """Do the same for what is too long to be held at once; a second takes 8 kB."""
    cell = max(sample_rate_hz // _CELLS_PER_S, 1)
    powers, frames = _powers(blocks, cell)
    whole = Speech(0, frames)
    if not powers.size or powers.max() < _NOTHING:
        return Edges(whole, whole)
    hiss = float(np.quantile(powers[powers > _NOTHING / 10], 0.05))
    if min(hiss, powers[0], powers[-1]) > powers.max() * _STEADY:
        return Edges(whole, whole)
    heard_from, kept_from = (cells * cell for cells in _onset(powers, hiss))
    unfilled = frames - (powers.size + _WINDOW - 1) * cell
    heard_until, kept_until = (
        frames - (cells * cell + unfilled if cells else 0) for cells in _onset(powers[::-1], hiss)
    )
    before, behind = (
        round(margin_s * sample_rate_hz) for margin_s in (MARGIN_BEFORE_S, MARGIN_BEHIND_S)
    )
    kept = Speech(max(kept_from - before, 0), min(kept_until + behind, frames))
    return Edges(Speech(heard_from, heard_until), kept)


def _powers(blocks: Iterable[bytes], cell: int) -> tuple[_Powers, int]:
    """The variance of each window, which begin at every cell, and the number of frames."""
    sums, squares, frames, rest = [np.empty(0)], [np.empty(0)], 0, b""
    for block in blocks:
        samples = samples_of(rest + block)
        count = samples.size // cell
        cells = samples[: count * cell].astype(np.float64).reshape(count, cell)
        sums.append(cells.sum(axis=1))
        squares.append(np.einsum("ij,ij->i", cells, cells))
        frames += count * cell
        rest = samples[count * cell :].tobytes()
    mean = _of_windows(np.concatenate(sums)) / (_WINDOW * cell)
    power = _of_windows(np.concatenate(squares)) / (_WINDOW * cell)
    return np.maximum(power - mean * mean, 0.0), frames + len(samples_of(rest))


def _of_windows(sums: _Powers) -> _Powers:
    """Add the cells of each window; there is none if there are too few of them."""
    count = max(sums.size - _WINDOW + 1, 0)
    windows = np.zeros(count)
    for first in range(_WINDOW):
        windows += sums[first : first + count]
    return windows


def _onset(powers: _Powers, hiss: float) -> tuple[int, int]:
    """Return how many cells come before audible speech, and how many before soft sounds.

    A window stands for its last cell: what is new in it has lifted it over the threshold.
    """
    loudest = powers.max()
    hiss = min(hiss, powers[0], loudest * _LOUDEST_HISS)
    audible = max(loudest * _AUDIBLE, hiss * _OUT_OF_HISS, _NOTHING)
    soft = max(loudest * _SOFT, hiss * _SOFT_OUT_OF_HISS, _NOTHING)
    first = int(np.argmax(powers > audible))
    quiet = np.flatnonzero(powers[:first] <= soft)
    softest = max(int(quiet[-1]) + 1 if quiet.size else 0, first - _SOFT_CELLS)
    return _cells_before(first), _cells_before(softest)


def _cells_before(window: int) -> int:
    return window + _WINDOW - 1 if window else 0
