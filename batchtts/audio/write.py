"""PCM → WAV, or FLAC through soundfile."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import soxr

from batchtts.audio import riff
from batchtts.model import AudioFormat


def resample(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Return mono s16le samples at another rate; the same bytes if it is the same."""
    if from_hz == to_hz:
        return pcm
    samples = np.frombuffer(pcm, dtype="<i2")
    return bytes(soxr.resample(samples, from_hz, to_hz, quality="VHQ").astype("<i2").tobytes())


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
