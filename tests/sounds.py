"""Something to hear, encoded in every way that comes over a wire, and how alike two sounds are."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import soundfile

from batchtts.audio.decode import decode
from batchtts.audio.mpeg import frame_at

Samples = np.ndarray[Any, np.dtype[Any]]

MP3 = ("MP3", "MPEG_LAYER_III")
VORBIS = ("OGG", "VORBIS")
OPUS = ("OGG", "OPUS")
FLAC = ("FLAC", "PCM_16")
WAV = ("WAV", "PCM_16")


def speech(rate_hz: int = 24_000, seconds: float = 1.0, seed: int = 0) -> Samples:
    """Tones that come and go like syllables; another seed is another sound."""
    chance = np.random.default_rng(seed)
    times = np.arange(round(rate_hz * seconds)) / rate_hz
    tones = [
        strength * np.sin(2 * np.pi * (hertz * times) + phase)
        for hertz, phase, strength in zip(
            chance.uniform(150, 3000, 12),
            chance.uniform(0, 6, 12),
            chance.uniform(0.2, 1.0, 12),
            strict=True,
        )
    ]
    mixed = sum(tones) * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * times))
    scaled: Samples = (mixed / np.abs(mixed).max() * 16_000).astype("<i2")
    return scaled


def encoded(samples: Samples, rate_hz: int, kind: tuple[str, str]) -> bytes:
    """A whole file, or what `RAW` is."""
    whole = io.BytesIO()
    container, code = kind
    # libsndfile 1.2 writes integers wrongly as floats, and as MP3 of two channels.
    floats = samples / np.float32(32768)
    soundfile.write(whole, floats, rate_hz, format=container, subtype=code, closefd=False)
    return whole.getvalue()


def mp3(rate_hz: int = 24_000, seconds: float = 1.0, seed: int = 0) -> bytes:
    """`speech` as one MP3, which begins with a header of LAME's."""
    return encoded(speech(rate_hz, seconds, seed), rate_hz, MP3)


def bare_mp3(rate_hz: int = 24_000, seconds: float = 1.0, seed: int = 0) -> bytes:
    """The same without the header."""
    whole = mp3(rate_hz, seconds, seed)
    return whole[frames(whole)[0][1] :]


def frames(data: bytes) -> list[tuple[int, int]]:
    """Where the frames of one MP3 without tags begin and end."""
    found, at = list[tuple[int, int]](), 0
    while frame := frame_at(data, at):
        found.append((at, at + frame.length))
        at += frame.length
    return found


def id3(size: int = 300) -> bytes:
    """An ID3 tag of version 2.4 with so many bytes of nothing in it."""
    return b"ID3\4\0\0" + bytes([0, 0, size >> 7, size & 0x7F]) + bytes(size)


def heard(data: bytes, rate_hz: int = 24_000) -> Samples:
    """What comes out, which must be at this rate."""
    sound = decode(data, 24_000)
    assert sound.sample_rate_hz == rate_hz
    return np.frombuffer(sound.pcm, "<i2")


def is_like(found: Samples, source: Samples, rate_hz: int = 24_000, late: int = 0) -> bool:
    """Whether two sounds differ by less than anybody hears.

    Args:
        late: Samples that *found* has more in front.
    """
    lasts_as_long = abs(len(found) - late - len(source)) < 0.050 * rate_hz
    length = min(len(found) - late, len(source))
    correlation = np.corrcoef(found[late : late + length], source[:length])[0, 1]
    return bool(lasts_as_long and correlation > 0.98)
