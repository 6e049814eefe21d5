"""PCM → WAV or FLAC, through soundfile."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import soxr

from batchtts.model import AudioFormat


def resample(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Return mono s16le samples at another rate; the same bytes if it is the same."""
    if from_hz == to_hz:
        return pcm
    samples = np.frombuffer(pcm, dtype="<i2")
    return bytes(soxr.resample(samples, from_hz, to_hz, quality="VHQ").astype("<i2").tobytes())


def encode(pcm: bytes, format: AudioFormat) -> memoryview:
    """Return a whole audio file of mono s16le samples at the rate of *format*.

    In memory, because soundfile makes a file durable whenever it closes one, and
    so does whoever publishes it: one of the two is enough.
    """
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
    return whole.getbuffer()
