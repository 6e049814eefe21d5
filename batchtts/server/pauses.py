"""Where speech begins and ends, judged by its level. No I/O.

A vendor asks a model for the probability of speech in each frame. Here a frame
of 10 ms stands for one from its level: -60 dBFS is 0, -20 dBFS is 1. That is
enough for clean speech, and for a client to see that its parameters matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np

_FRAME_S = 0.010
_NOTHING_DBFS, _CERTAIN_DBFS = -60.0, -20.0

_Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=60_000)]


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """What counts as speech.

    Attributes:
        threshold: The probability from which a frame does.
        min_silence_duration_ms: Ends a segment.
        min_speech_duration_ms: Less of it is no segment.
        max_speech_duration_s: Ends a segment in the middle of speech.
        speech_pad_ms: Kept before and after a segment, where it is not in another one.
    """

    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3
    min_silence_duration_ms: _Milliseconds = 500.0
    min_speech_duration_ms: _Milliseconds = 250.0
    max_speech_duration_s: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 5.0
    speech_pad_ms: _Milliseconds = 250.0


@dataclass(frozen=True, slots=True)
class Segment:
    """Some speech.

    Attributes:
        begin: Samples before it, since the beginning of everything.
        pcm: mono s16le.
    """

    begin: int
    pcm: bytes


class Segmenter:
    """Takes in audio as it comes, and gives back speech when it is over."""

    def __init__(self, detection: Detection, sample_rate_hz: int, begin: int = 0) -> None:
        """Begin to listen.

        Args:
            begin: Samples that came before.
        """
        self._detection = detection
        self._frame = round(_FRAME_S * sample_rate_hz)
        self._silence = round(detection.min_silence_duration_ms / 1000 * sample_rate_hz)
        self._speech = round(detection.min_speech_duration_ms / 1000 * sample_rate_hz)
        self._longest = round(detection.max_speech_duration_s * sample_rate_hz)
        self._pad = round(detection.speech_pad_ms / 1000 * sample_rate_hz)
        self._pcm = bytearray()  # from the sample `_kept` on
        self._kept = begin
        self._judged = begin  # up to this sample
        self._began: int | None = None  # where speech did
        self._ended = begin  # where the last frame of speech did
        self._spoken = 0  # samples of frames of speech

    def feed(self, pcm: bytes) -> Iterator[Segment]:
        """Take in whole samples; yield the segments that end with them."""
        self._pcm += pcm
        start = self._judged - self._kept
        fresh = np.frombuffer(bytes(self._pcm[2 * start :]), "<i2")
        for is_speech in _judge(fresh, self._frame, self._detection.threshold):
            self._judged += self._frame
            if is_speech:
                self._hear()
            if self._began is not None and (segment := self._end(self._began)):
                yield segment
        if self._began is None:
            self._drop(self._judged - self._pad)

    def flush(self) -> Segment | None:
        """End whatever is being said; None if nothing is."""
        began, self._judged = self._began, self._kept + len(self._pcm) // 2
        if began is None:
            self._drop(self._judged)
            return None
        return self._take(began, self._judged)

    def _hear(self) -> None:
        if self._began is None:
            self._began, self._spoken = self._judged - self._frame, 0
        self._ended = self._judged
        self._spoken += self._frame

    def _end(self, began: int) -> Segment | None:
        """The segment that is over now; None if it goes on, or was too short to be one."""
        if self._judged - began >= self._longest:
            return self._take(began, self._judged)
        if self._judged - self._ended < self._silence:
            return None
        if self._spoken < self._speech:
            self._began = None
            return None
        return self._take(began, min(self._ended + self._pad, self._judged))

    def _take(self, began: int, end: int) -> Segment:
        begin = max(began - self._pad, self._kept)
        pcm = bytes(self._pcm[2 * (begin - self._kept) : 2 * (end - self._kept)])
        self._began = None
        self._drop(end)
        return Segment(begin, pcm)

    def _drop(self, before: int) -> None:
        if before > self._kept:
            del self._pcm[: 2 * (before - self._kept)]
            self._kept = before


def _judge(samples: np.ndarray[Any, Any], frame: int, threshold: float) -> list[bool]:
    """Whether there is speech, for each whole frame."""
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    power = np.square(frames / 32768).mean(axis=1)
    levels = 10 * np.log10(np.maximum(power, 1e-12))
    probabilities = (levels - _NOTHING_DBFS) / (_CERTAIN_DBFS - _NOTHING_DBFS)
    judged: list[bool] = (probabilities.clip(0, 1) >= threshold).tolist()
    return judged
