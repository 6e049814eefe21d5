"""Segments of one script become one sound: the pauses that were asked for, and no clicks. Pure.

A pause runs from where one segment ceases to be heard to where the next one is heard.
What a provider put there gives way to it, but for a margin at either side, which counts
as part of the pause; it fades to zero where it is cut. Each segment is seen alone and
once, so memory does not grow, and the same segments make the same samples.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from batchtts.audio.edges import find_edges
from batchtts.audio.pcm import BYTES_PER_SAMPLE, samples_of

#: At the outer end of a margin. Where there is none, because the provider sends none, speech fades.
FADE_S = 0.005

#: Of a pause that is shorter than the margins; a decay lasts longer than an onset.
_SHARE_BEHIND = 2 / 3

_Samples = np.ndarray[tuple[int], np.dtype[Any]]


class Joined(NamedTuple):
    """A segment in its place.

    Attributes:
        pcm: What to write now: the pause before the segment, and the segment.
        start_s, end_s: When it is heard, from the beginning of the whole.
        shift_s: From the segment's own times to those of the whole.
    """

    pcm: bytes
    start_s: float
    end_s: float
    shift_s: float


class Joiner:
    """Joins segments of one sample rate, which come in order.

    Nothing is taken from the very beginning of the first and the very end of the last.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._fade = round(FADE_S * sample_rate_hz)
        self._written = 0  # frames
        #: Frames of the pause that are not written yet; None before the first segment.
        self._pause: int | None = None

    def add(self, pcm: bytes, pause_s: float = 0.0, *, last: bool = False) -> Joined:
        """Put a segment behind those that came before.

        Args:
            pcm: mono s16le samples.
            pause_s: Until the next segment is heard. One of 0 leaves two fades of 5 ms.
            last: Whether none follows; then there is no pause.

        Raises:
            BadAudio: *pcm* ends in the middle of a sample.
        """
        samples = samples_of(pcm)
        heard, kept = find_edges(pcm, self._rate_hz)
        start, end, silence = 0, samples.size, 0
        if self._pause is not None:
            before = min(heard.start - kept.start, max(self._pause, self._fade))
            start, silence = heard.start - before, max(self._pause - before, 0)
        pause = round(pause_s * self._rate_hz)
        if not last:
            share = max(round(pause * _SHARE_BEHIND), self._fade)
            end = min(kept.end, heard.end + share)
        piece = samples[start:end]
        if self._pause is not None:
            piece = self._faded_in(piece)
        if not last:
            piece = self._faded_in(piece[::-1])[::-1]
        shift = self._written + silence - start
        self._written += silence + piece.size
        self._pause = max(pause - (end - heard.end), 0)
        return Joined(
            bytes(silence * BYTES_PER_SAMPLE) + piece.tobytes(),
            (shift + heard.start) / self._rate_hz,
            (shift + heard.end) / self._rate_hz,
            shift / self._rate_hz,
        )

    def _faded_in(self, samples: _Samples) -> _Samples:
        """Let samples rise from zero in a raised cosine."""
        gain = (1 - np.cos(np.pi * np.arange(self._fade) / self._fade)) / 2
        head = samples[: self._fade]
        faded = np.rint(head * gain[: head.size]).astype(samples.dtype)
        return np.concatenate((faded, samples[self._fade :]))
