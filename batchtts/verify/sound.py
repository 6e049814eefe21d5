"""Audio files, a stretch at a time: what recognizers take, however long a file is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from batchtts.errors import BadAudio
from batchtts.record.hashes import sha256_of

#: A stretch is cut at the quietest place of its last third.
LONGEST_S = 60.0

_STEPS_PER_S = 100

Samples = np.ndarray[tuple[int], np.dtype[np.int16]]


class Stretch(NamedTuple):
    """A part of a file: mono s16le."""

    pcm: bytes
    sample_rate_hz: int

    @property
    def audio_s(self) -> float:
        """How long it plays."""
        return len(self.pcm) / 2 / self.sample_rate_hz


def stretches(path: Path, sha256: str | None) -> Iterator[Stretch]:
    """Yield a file in stretches that join to all of it.

    Args:
        sha256: Of the file that is meant.

    Raises:
        BadAudio: it is another file, or none.
    """
    try:
        if sha256_of(path) != sha256:
            raise BadAudio(f"{path}: not the file that was recorded", hint="`batchtts check OUT`")
        with soundfile.SoundFile(path) as file:
            yield from _stretches(file)
    except OSError as error:
        raise BadAudio(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except soundfile.LibsndfileError:
        raise BadAudio(f"{path}: not a sound file") from None


def stretches_of(pcm: bytes, sample_rate_hz: int) -> Iterator[Stretch]:
    """Yield audio that was not written yet in the same way."""
    size = 2 * round(LONGEST_S * sample_rate_hz)
    while len(pcm) >= size:
        end = 2 * _quietest(np.frombuffer(pcm[:size], "<i2"), sample_rate_hz)
        yield Stretch(pcm[:end], sample_rate_hz)
        pcm = pcm[end:]
    if pcm:
        yield Stretch(pcm, sample_rate_hz)


def _stretches(file: soundfile.SoundFile) -> Iterator[Stretch]:
    rate_hz = int(file.samplerate)
    longest = round(LONGEST_S * rate_hz)
    rest = np.empty(0, np.int16)
    while True:
        more = file.read(longest - len(rest), dtype="int16")
        samples = np.concatenate([rest, more])
        if len(samples) < longest:
            if len(samples):
                yield Stretch(samples.tobytes(), rate_hz)
            return
        end = _quietest(samples, rate_hz)
        yield Stretch(samples[:end].tobytes(), rate_hz)
        rest = samples[end:]


def _quietest(samples: Samples, rate_hz: int) -> int:
    """Return the middle of the quietest tenth of a second in the last third."""
    step = rate_hz // _STEPS_PER_S
    begin = len(samples) * 2 // 3
    count = (len(samples) - begin) // step
    cells = samples[begin : begin + count * step].astype(np.float32).reshape(count, step)
    power = np.convolve(np.einsum("ij,ij->i", cells, cells), np.ones(10), "same")
    return begin + int(power.argmin()) * step + step // 2
