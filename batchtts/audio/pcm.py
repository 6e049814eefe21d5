"""Sample arithmetic on mono s16le bytes. Pure."""

from __future__ import annotations

from math import inf, log10

import numpy as np

from batchtts.errors import BadAudio

BYTES_PER_SAMPLE = 2
FULL_SCALE = 32768


def duration_s(pcm: bytes, sample_rate_hz: int) -> float:
    """Return how long *pcm* plays, in seconds."""
    return len(pcm) / BYTES_PER_SAMPLE / sample_rate_hz


def peak_dbfs(pcm: bytes) -> float:
    """Return the level of the loudest sample, in dB relative to full scale.

    Args:
        pcm: mono s16le samples, shape (frames,), any sample rate.

    Returns:
        A number ≤ 0.0, or ``-inf`` for digital silence (and for no samples).

    Raises:
        BadAudio: *pcm* ends in the middle of a sample.
    """
    samples = samples_of(pcm)
    peak = max(int(samples.max()), -int(samples.min())) if samples.size else 0
    return 20 * log10(peak / FULL_SCALE) if peak else -inf


def samples_of(pcm: bytes) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """View the samples of *pcm*; BadAudio if it ends in the middle of one."""
    if len(pcm) % BYTES_PER_SAMPLE:
        raise BadAudio(f"{len(pcm)} bytes do not make whole 16-bit samples")
    return np.frombuffer(pcm, dtype="<i2")
