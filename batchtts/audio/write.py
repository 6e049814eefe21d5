"""PCM → WAV or FLAC, through soundfile."""

from __future__ import annotations

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


def write(descriptor: int, pcm: bytes, format: AudioFormat) -> None:
    """Write a whole audio file to an open, empty file that stays open.

    Args:
        descriptor: Opened for reading and writing.
        pcm: mono s16le at the rate of *format*.

    Raises:
        OSError: the file system does not take it.
    """
    try:
        with soundfile.SoundFile(
            descriptor,
            "w",
            samplerate=format.sample_rate_hz,
            channels=1,
            subtype="PCM_16",
            format=format.container.upper(),
            closefd=False,
        ) as file:
            file.buffer_write(pcm, dtype="int16")
    except soundfile.LibsndfileError as error:
        raise OSError(f"cannot write audio: {error}") from error
