"""PCM → WAV, or FLAC through soundfile."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import soxr

from batchtts.audio import riff
from batchtts.audio.pcm import FULL_SCALE, samples_of
from batchtts.model import AudioFormat

_Floats = np.ndarray[tuple[int], np.dtype[np.float32]]


class Resampler:
    """Brings mono s16le samples to another rate, piece by piece; the pieces do not matter.

    In floats, which are rounded: soxr's own 16 bits come with noise, which depends on how
    the samples were cut and takes the place of silence.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream: soxr.ResampleStream | None = None
        if from_hz != to_hz:
            self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="VHQ")

    def feed(self, pcm: bytes) -> bytes:
        """Return what can be known so far; the same bytes if the rate is the same."""
        return pcm if self._stream is None else self._resampled(pcm)

    def end(self) -> bytes:
        """Return the rest."""
        return b"" if self._stream is None else self._resampled(b"", last=True)

    def _resampled(self, pcm: bytes, *, last: bool = False) -> bytes:
        assert self._stream is not None
        return _rounded(self._stream.resample_chunk(_floats(pcm), last=last))


def resample(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Return mono s16le samples at another rate; the same bytes if it is the same."""
    if from_hz == to_hz:
        return pcm
    return _rounded(soxr.resample(_floats(pcm), from_hz, to_hz, quality="VHQ"))


def _floats(pcm: bytes) -> _Floats:
    return samples_of(pcm).astype(np.float32)


def _rounded(samples: _Floats) -> bytes:
    """Take floats, which are lost."""
    np.rint(samples, out=samples)
    np.clip(samples, -FULL_SCALE, FULL_SCALE - 1, out=samples)
    return samples.astype("<i2").tobytes()


def encode(pcm: bytes, format: AudioFormat) -> tuple[bytes, bytes | memoryview]:
    """Return a whole audio file of mono s16le samples, in two parts.

    In memory, because soundfile makes a file durable whenever it closes one, and
    so does whoever publishes it: one of the two is enough. A WAV is its header and
    the samples as they are; soundfile would make the same of them, with two copies.
    """
    if format.container == "wav":
        form = riff.Format(tag=riff.PCM, channels=1, sample_rate_hz=format.sample_rate_hz, bits=16)
        return riff.header(form, len(pcm)), pcm
    whole = io.BytesIO()
    with soundfile.SoundFile(
        whole,
        "w",
        samplerate=format.sample_rate_hz,
        channels=1,
        subtype="PCM_16",
        format=format.container.upper(),
    ) as file:
        file.buffer_write(pcm, dtype="int16")
    return b"", whole.getbuffer()
