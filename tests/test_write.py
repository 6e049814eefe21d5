from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from batchtts.audio.write import encode, resample
from batchtts.model import AudioFormat, Container


def written(path: Path, pcm: bytes, format: AudioFormat) -> bytes:
    """Write a file, look at it, and return its samples."""
    path.write_bytes(b"".join(encode(pcm, format)))
    found = soundfile.info(path)
    assert (found.format, found.subtype) == (format.container.upper(), "PCM_16")
    assert (found.samplerate, found.channels) == (format.sample_rate_hz, 1)
    samples, _ = soundfile.read(path, dtype="int16")
    return bytes(samples.astype("<i2").tobytes())


def tone(hz: float, rate_hz: int) -> bytes:
    """One second of a sine at half of full scale."""
    samples = 16_384 * np.sin(2 * np.pi * hz * np.arange(rate_hz) / rate_hz)
    return bytes(samples.astype("<i2").tobytes())


@pytest.mark.parametrize("container", ["wav", "flac"])
@pytest.mark.parametrize("pcm", [b"\1\2", bytes(range(256)) * 300])
def test_every_sample_comes_back(tmp_path: Path, container: Container, pcm: bytes) -> None:
    assert written(tmp_path / "file", pcm, AudioFormat(container, 24_000)) == pcm


def test_a_wav_file_says_how_long_it_is(tmp_path: Path) -> None:
    written(tmp_path / "file", bytes(48_000), AudioFormat("wav", 24_000))
    data = (tmp_path / "file").read_bytes()
    assert data[:4] == b"RIFF"
    assert int.from_bytes(data[4:8], "little") == len(data) - 8
    assert len(data) == 44 + 48_000


@given(st.binary().map(lambda data: data[: len(data) // 2 * 2]), st.integers(4_000, 192_000))
def test_a_wav_is_what_soundfile_would_write(pcm: bytes, rate_hz: int) -> None:
    whole = io.BytesIO()
    with soundfile.SoundFile(whole, "w", rate_hz, 1, "PCM_16", format="WAV") as file:
        file.buffer_write(pcm, dtype="int16")
    assert b"".join(encode(pcm, AudioFormat("wav", rate_hz))) == whole.getvalue()


@given(st.binary().map(lambda data: data[: len(data) // 2 * 2]))
def test_the_same_rate_is_the_same_bytes(pcm: bytes) -> None:
    assert resample(pcm, 24_000, 24_000) is pcm


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000])
def test_another_rate_is_the_same_tone(rate_hz: int) -> None:
    samples = np.frombuffer(resample(tone(1000, 24_000), 24_000, rate_hz), "<i2")
    spectrum = np.abs(np.fft.rfft(samples))
    assert len(samples) == rate_hz
    assert spectrum.argmax() == 1000
    assert np.abs(samples).max() == pytest.approx(16_384, rel=0.02)


def test_what_the_new_rate_cannot_hold_is_filtered_out() -> None:
    samples = np.frombuffer(resample(tone(6000, 24_000), 24_000, 8_000), "<i2")
    assert np.abs(samples[100:-100]).max() < 16


def test_resampling_full_scale_does_not_wrap_around() -> None:
    square = (np.sign(np.sin(np.arange(24_000) / 20)) * 32_767).astype("<i2")
    samples = np.frombuffer(resample(square.tobytes(), 24_000, 44_100), "<i2").astype(int)
    original = np.interp(np.arange(44_100) * 24_000 / 44_100, np.arange(24_000), square)
    inner = np.abs(original) > 32_000
    assert (np.sign(samples[inner]) == np.sign(original[inner])).mean() > 0.99


def test_nothing_at_another_rate_is_nothing() -> None:
    assert resample(b"", 24_000, 48_000) == b""
