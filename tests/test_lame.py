"""MP3 gives back as many samples as went in, and each at its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from batchtts.export.orders import Encode, Part

files = pytest.importorskip("batchtts.export.files", reason="the encoder: the extra `audiobook`")

RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def chirp(count: int, rate_hz: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """A tone that rises, so that no part of it is like another."""
    at = np.arange(count) / rate_hz
    made: np.ndarray[tuple[int], np.dtype[np.float32]] = (
        0.3 * np.sin(2 * np.pi * (200 + 400 * at) * at)
    ).astype(np.float32)
    return made


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("count", [1, 1105, 12_345])
def test_every_sample_comes_back_at_its_place(tmp_path: Path, rate_hz: int, count: int) -> None:
    samples = chirp(count, rate_hz)
    part = Part(title="One", frames=count, gain_db=0.0)
    path = tmp_path / "a.mp3"
    order = Encode(
        path=str(path), format="mp3", sample_rate_hz=rate_hz, bit_rate=64_000, tags={}, parts=[part]
    )
    blocks = [samples[at : at + 1000] for at in range(0, count, 1000)]
    files.encode(order, iter(blocks))
    heard, heard_hz = soundfile.read(path, dtype="float32")
    assert (heard_hz, len(heard)) == (rate_hz, count)
    if count > 10_000:
        shifts = range(-700, 701, 7)
        middle = slice(2000, 8000)
        likeness = [float(samples[middle] @ np.roll(heard, shift)[middle]) for shift in shifts]
        assert shifts[int(np.argmax(likeness))] == 0
