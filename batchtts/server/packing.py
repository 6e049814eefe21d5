"""PCM → what a provider sends: another rate, another code, a container."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import soxr

from batchtts.server.conversation import Packing
from batchtts.server.engine import SAMPLE_RATE_HZ

#: Packing → libsndfile's container and code.
_FORMATS: dict[Packing, tuple[str, str]] = {
    "wav": ("WAV", "PCM_16"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
    "mulaw": ("RAW", "ULAW"),
    "alaw": ("RAW", "ALAW"),
}


def is_plain(packing: Packing, sample_rate_hz: int) -> bool:
    """Whether the engine's own samples are what is wanted."""
    return packing == "pcm" and sample_rate_hz == SAMPLE_RATE_HZ


def pack(pcm: bytes, packing: Packing, sample_rate_hz: int) -> bytes:
    """Return a whole stream of its own.

    Args:
        pcm: mono s16le at the rate of the engines.
        sample_rate_hz: Of what is returned.
    """
    samples = np.frombuffer(pcm, "<i2")
    if sample_rate_hz != SAMPLE_RATE_HZ:
        samples = soxr.resample(samples, SAMPLE_RATE_HZ, sample_rate_hz, quality="HQ")
    if packing == "pcm":
        return bytes(samples.astype("<i2").tobytes())
    container, code = _FORMATS[packing]
    whole = io.BytesIO()
    soundfile.write(whole, samples, sample_rate_hz, format=container, subtype=code, closefd=False)
    return whole.getvalue()
