"""A file written piece by piece: the same as one written whole, and no larger in memory."""

from __future__ import annotations

import errno
import gc
import io
import itertools
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtts.audio import riff
from batchtts.audio.file import WAV_BYTES_AT_MOST, AudioFile, Facts, File
from batchtts.audio.pcm import peak_dbfs
from batchtts.audio.write import encode, resample
from batchtts.errors import BadAudio, ScriptRejected
from batchtts.model import AudioFormat, Container

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

RATES_HZ = (8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000)

containers = st.sampled_from(["wav", "flac"])
rates_hz = st.sampled_from(RATES_HZ)
every_container = pytest.mark.parametrize("container", ["wav", "flac"])


def noise(frames: int, seed: int = 0, level: float = 9000) -> bytes:
    samples = np.random.default_rng(seed).normal(0, level, frames)
    return bytes(np.clip(samples, -32768, 32767).astype("<i2").tobytes())


def fill(file: File, pieces: Iterable[bytes], form: AudioFormat, from_hz: int) -> Facts:
    with AudioFile(file, form, from_hz) as audio:
        for piece in pieces:
            audio.write(piece)
    return audio.facts


def written(pieces: list[bytes], form: AudioFormat, from_hz: int) -> tuple[bytes, Facts]:
    whole = io.BytesIO()
    facts = fill(whole, pieces, form, from_hz)
    return whole.getvalue(), facts


def cut(pcm: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(pcm) // 2 + 1) for place in places), len(pcm) // 2]
    return [pcm[2 * start : 2 * end] for start, end in pairwise(edges)]


@settings(max_examples=60)
@given(
    containers,
    rates_hz,
    rates_hz,
    st.integers(0, 20_000),
    st.lists(st.integers(0, 20_000), max_size=8),
)
def test_pieces_make_the_samples_that_the_whole_makes(
    container: Container, from_hz: int, to_hz: int, frames: int, places: list[int]
) -> None:
    form = AudioFormat(container, to_hz)
    pcm = noise(frames, seed=frames)
    data, facts = written(cut(pcm, places), form, from_hz)
    expected = resample(pcm, from_hz, to_hz)
    assert data == b"".join(encode(expected, form))
    if data:
        samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16")
        assert rate_hz == to_hz
        assert samples.astype("<i2").tobytes() == expected
    assert facts == Facts(
        frames=len(expected) // 2,
        bytes=len(data),
        sha256=sha256(data).hexdigest(),
        peak_dbfs=peak_dbfs(expected),
    )


@every_container
def test_silence_stays_silence_at_another_rate(container: Container) -> None:
    data, facts = written([bytes(48_000)] * 3, AudioFormat(container, 44_100), 24_000)
    samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    assert not samples.any()
    assert facts.peak_dbfs == -inf


@every_container
def test_a_file_on_disk_is_what_its_facts_say(tmp_path: Path, container: Container) -> None:
    path = tmp_path / "row"
    form = AudioFormat(container, 24_000)
    with path.open("x+b") as file, AudioFile(file, form, 24_000) as audio:
        for seed in range(20):
            audio.write(noise(24_000, seed))
    data = path.read_bytes()
    assert audio.facts.bytes == len(data)
    assert audio.facts.sha256 == sha256(data).hexdigest()
    assert soundfile.info(path).frames == audio.facts.frames == 480_000


class Nowhere(io.BytesIO):
    """A file that takes everything and keeps the first of it."""

    def write(self, data: ReadableBuffer, /) -> int:
        return super().write(data) if self.tell() < 1000 else len(bytes(data))


def test_a_wav_that_would_be_too_long_is_refused() -> None:
    pieces = itertools.repeat(bytes(16 << 20), 257)
    with pytest.raises(ScriptRejected, match=r"^more audio than a WAV can hold: 24\.9 hours at "):
        fill(Nowhere(), pieces, AudioFormat("wav", 24_000), 24_000)


def test_the_longest_wav_fits_into_its_header() -> None:
    header = riff.header(riff.Format(riff.PCM, 1, 24_000, 16), WAV_BYTES_AT_MOST)
    assert header[4:8] == bytes([255] * 4)


class Full(io.BytesIO):
    """A disk with room for so many bytes."""

    room = 30_000

    def write(self, data: ReadableBuffer, /) -> int:
        if self.tell() + len(bytes(data)) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@every_container
def test_a_full_disk_is_told_at_once(
    container: Container, capfd: pytest.CaptureFixture[str]
) -> None:
    pieces = (noise(24_000, seed) for seed in range(10))
    with pytest.raises(OSError, match="No space left"):
        fill(Full(), pieces, AudioFormat(container, 24_000), 24_000)
    assert next(pieces, None)
    assert capfd.readouterr().err == ""


@every_container
def test_a_disk_that_is_full_in_the_end_is_told(container: Container) -> None:
    disk = Full()

    def pieces() -> Iterator[bytes]:
        yield noise(2_000)
        disk.room = 0

    with pytest.raises(OSError, match="No space left"):
        fill(disk, pieces(), AudioFormat(container, 48_000), 24_000)


@every_container
def test_a_block_that_fails_says_so_alone(
    container: Container, capfd: pytest.CaptureFixture[str]
) -> None:
    with io.BytesIO() as whole, pytest.raises(BadAudio):
        fill(whole, [noise(24_000), b"\0"], AudioFormat(container, 24_000), 24_000)
    gc.collect()
    assert capfd.readouterr().err == ""


MEASURE = """
import resource, sys
from pathlib import Path
from batchtts.audio.file import AudioFile
from batchtts.audio.join import Joiner
from batchtts.model import AudioFormat
from tests.test_audio_file import noise

container, segments = sys.argv[1], int(sys.argv[2])
joiner, second = Joiner(24_000), bytes(9_600) + noise(14_400) + bytes(9_600)
with Path(sys.argv[3]).open("x+b") as file:
    with AudioFile(file, AudioFormat(container, 44_100), 24_000) as audio:
        for _ in range(segments):
            audio.write(joiner.add(second, 0.35).pcm)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, audio.facts.frames)
"""


@every_container
def test_memory_does_not_grow_with_the_length(tmp_path: Path, container: Container) -> None:
    def kilobytes(segments: int) -> int:
        command = [
            sys.executable,
            "-c",
            MEASURE,
            container,
            f"{segments}",
            f"{tmp_path}/{segments}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        peak, frames = map(int, done.stdout.split())
        assert frames > segments * 0.9 * 44_100
        return peak

    # 10 minutes more are 50 MB of samples.
    assert kilobytes(620) - kilobytes(20) < 8_000
