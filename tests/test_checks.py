from __future__ import annotations

import numpy as np
import pytest

from batchtts.audio.pcm import duration_s, peak_dbfs
from batchtts.errors import BadAudio, Truncated
from batchtts.model import Judgement, Voice
from batchtts.review.checks import _TOLD, check, examine, find_fault
from batchtts.review.norms import FEW, SIGNS, Norms
from tests.test_measure import pcm, silence, utterance

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


# What this voice does.

HEART = Voice("af_heart", "hibari", "en-us")
SAID = "Call me Ishmael, some years ago."


def norms() -> Norms:
    learned = Norms()
    for number in range(FEW):
        judged(pcm(utterance(8000 + 20 * number)), learned)
    return learned


def judged(samples: bytes, known: Norms, *, is_again: bool = False) -> Judgement:
    findings = examine(samples, RATE_HZ)
    return check(findings, SAID, HEART, speed=1.0, norms=known, is_again=is_again)


def test_an_utterance_like_the_others_passes() -> None:
    assert judged(pcm(utterance()), norms()) == Judgement()


def test_a_doubtful_utterance_is_no_lost_attempt() -> None:
    quiet = pcm(utterance(1000))
    assert judged(quiet, norms()) == Judgement("suspect", ("quiet",))


def test_an_end_cut_within_speech_is_truncated() -> None:
    with pytest.raises(Truncated, match=r"unlike this voice: cut at its end \(-\d+ dBFS there"):
        judged(pcm(utterance()[: round(1.9 * RATE_HZ)]), norms())


def test_what_is_half_silent_is_truncated() -> None:
    samples = np.concatenate([utterance()[: round(0.6 * RATE_HZ)], silence(3.0)])
    with pytest.raises(Truncated, match="too short"):
        judged(pcm(samples), norms())


def test_holes_in_speech_are_bad_audio() -> None:
    samples = utterance()
    for at_s in (0.5, 0.7, 0.9, 1.6, 1.8):
        samples[round(at_s * RATE_HZ) :][:1200] = 0
    with pytest.raises(BadAudio, match=r"unlike this voice: holes in speech \(5\)"):
        judged(pcm(samples), norms())


def test_silence_is_bad_audio_whatever_is_usual() -> None:
    with pytest.raises(BadAudio, match="nothing but silence"):
        judged(pcm(silence(2.0)), norms())


def test_what_fails_again_and_again_does_not_become_usual() -> None:
    flat = pcm(np.clip(utterance(8000) * 60, -20_000, 20_000))
    learned, known = norms(), norms()
    for number in range(3 * FEW):
        with pytest.raises(BadAudio, match="clipped"):
            judged(flat, learned, is_again=number > 0)
    for _ in range(3 * FEW - 1):
        with pytest.raises(BadAudio, match="clipped"):
            judged(flat, known, is_again=True)


def test_every_reason_is_told() -> None:
    assert set(_TOLD) == SIGNS
