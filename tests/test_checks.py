from __future__ import annotations

import numpy as np
import pytest

from batchtts.audio.pcm import duration_s, peak_dbfs
from batchtts.errors import BadAudio, Truncated
from batchtts.review.checks import find_fault

RATE_HZ = 24_000
SCRIPT = "Call me Ishmael. " * 4  # 52 letters


def noise(seconds: float, amplitude: int = 3000) -> bytes:
    samples = amplitude * (-1) ** np.arange(int(seconds * RATE_HZ))
    return bytes(samples.astype("<i2").tobytes())


def fault(pcm: bytes, script: str = SCRIPT, speed: float = 1.0) -> tuple[type, str] | None:
    found = find_fault(peak_dbfs(pcm), duration_s(pcm, RATE_HZ), script, speed=speed)
    return None if found is None else (type(found), str(found))


def test_speech_at_an_ordinary_pace_has_no_fault() -> None:
    assert fault(noise(4.0)) is None


@pytest.mark.parametrize("pcm", [b"", noise(4.0, 0)])
def test_digital_silence_is_bad_audio(pcm: bytes) -> None:
    assert fault(pcm) == (BadAudio, "nothing but silence (-inf dBFS at its loudest)")


def test_hiss_is_silence() -> None:
    assert fault(noise(4.0, 16)) == (BadAudio, "nothing but silence (-66 dBFS at its loudest)")


def test_a_whisper_is_no_silence() -> None:
    assert fault(noise(4.0, 104)) is None


def test_audio_too_short_for_its_letters_is_truncated() -> None:
    told = "0.85 s of audio cannot hold 52 letters and digits"
    assert fault(noise(0.85)) == (Truncated, told)
    assert fault(noise(0.87)) is None


def test_only_letters_and_digits_take_time() -> None:
    assert fault(noise(0.1), "“…” (5) — !!! " + " " * 1000) is None


def test_who_asks_for_haste_gets_it() -> None:
    assert fault(noise(0.45), speed=2.0) is None
    assert fault(noise(0.42), speed=2.0) is not None


def test_who_asks_for_slowness_is_held_to_nothing_more() -> None:
    assert fault(noise(0.87), speed=0.5) is None


def test_half_a_sample_is_bad_audio() -> None:
    with pytest.raises(BadAudio):
        fault(noise(4.0)[:-1])


@pytest.mark.parametrize(
    "script", ["吾輩は猫である。名前はまだ無い。", "Привет, мир.", "नमस्ते दुनिया"]
)
def test_every_writing_is_counted(script: str) -> None:
    assert fault(noise(1.0), script) is None
    assert fault(noise(0.1), script) is not None
