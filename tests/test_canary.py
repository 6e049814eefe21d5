"""What is kept of a canary, and when a provider has changed: sounds made here, and real voices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.errors import BadAudio
from batchtts.model import Voice
from batchtts.review.canary import BANDS, Drift, Portrait, drifts, portray
from batchtts.server.damage import damage
from batchtts.server.engine import load as load_engine
from batchtts.wire.embedded import HIBARI, NANOTTS
from tests.sounds import MP3, OPUS, encoded, heard, speech
from tests.test_ear import SENTENCES

RATE_HZ = 24_000

Samples = np.ndarray[Any, np.dtype[Any]]


def drawn(pcm: bytes | Samples, rate_hz: int = RATE_HZ, mos: float | None = None) -> Portrait:
    data = pcm if isinstance(pcm, bytes) else np.clip(pcm, -32768, 32767).astype("<i2").tobytes()
    return portray(data, rate_hz, fingerprint="one", at=0.0, mos=mos)


def take(
    duration_s: float = 4.0,
    level_dbfs: float = -26.0,
    mos: float | None = None,
    spectrum: tuple[float, ...] = (-20.0,) * BANDS,
    fingerprint: str = "one",
) -> Portrait:
    return Portrait(
        duration_s=duration_s,
        level_dbfs=level_dbfs,
        mos=mos,
        spectrum=spectrum,
        at=0.0,
        fingerprint=fingerprint,
    )


def found(history: list[Portrait], now: Portrait) -> list[str]:
    return [drift.what for drift in drifts(history, now)]


# ── portraits ─────────────────────────────────────────────────────────────────


def test_a_portrait_is_of_the_speech_and_not_of_the_silence_around_it() -> None:
    sound = speech(RATE_HZ, 3.0)
    short, long = drawn(sound), drawn(np.pad(sound, (9000, 20_000)))
    assert short.duration_s == pytest.approx(3.0, abs=0.1)
    assert long.duration_s == pytest.approx(short.duration_s, abs=0.03)
    assert long.level_dbfs == pytest.approx(short.level_dbfs, abs=0.2)
    assert found([short], long) == []


def test_a_level_is_that_of_the_speech_without_its_pauses() -> None:
    at = np.arange(RATE_HZ) / RATE_HZ
    hum = 10_000 * np.sin(2 * np.pi * 440 * at)
    pause = np.zeros(RATE_HZ)
    portrait = drawn(np.concatenate([hum, pause, hum]))
    expected = 20 * np.log10(10_000 / 32_768 / np.sqrt(2))
    assert portrait.level_dbfs == pytest.approx(expected, abs=0.2)


def test_a_spectrum_does_not_depend_on_the_level_or_on_the_rate() -> None:
    sound = speech(RATE_HZ, 2.0) / 2
    portrait = drawn(sound)
    assert len(portrait.spectrum) == BANDS
    assert found([portrait], drawn(sound / 4)) == ["level"]
    twice = np.fft.irfft(np.fft.rfft(sound), 2 * len(sound)) * 2
    assert found([portrait], drawn(twice, 2 * RATE_HZ)) == []


@pytest.mark.parametrize("samples", [0, 1, 100, 24_000])
def test_silence_has_a_portrait_that_can_be_written_down(samples: int) -> None:
    portrait = drawn(bytes(2 * samples))
    assert portrait.level_dbfs == -120
    assert msgspec.json.decode(msgspec.json.encode(portrait), type=Portrait) == portrait
    assert set(found([drawn(speech(RATE_HZ, 3.0))], portrait)) >= {"level", "spectrum"}


@given(st.integers(0, 3000), st.sampled_from([8000, 16_000, 24_000, 44_100]), st.integers(0, 9))
def test_anything_has_a_portrait(length: int, rate_hz: int, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(-9000, 9000, length)
    portrait = drawn(noise, rate_hz)
    assert np.isfinite([portrait.duration_s, portrait.level_dbfs, *portrait.spectrum]).all()
    assert found([portrait], portrait) == []


def test_half_a_sample_has_no_portrait() -> None:
    with pytest.raises(BadAudio):
        drawn(b"odd")


# ── what is told ──────────────────────────────────────────────────────────────


def test_the_first_take_of_a_fingerprint_has_nothing_to_be_compared_with() -> None:
    assert drifts([], take()) == ()
    assert drifts([take(fingerprint="another")], take(duration_s=9.0)) == ()


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (take(duration_s=4.1), []),
        (take(duration_s=4.2), ["duration"]),
        (take(duration_s=3.8), ["duration"]),
        (take(level_dbfs=-27.4), []),
        (take(level_dbfs=-28.0), ["level"]),
        (take(level_dbfs=-20.0, duration_s=8.0), ["duration", "level"]),
        (take(spectrum=(-21.9,) * BANDS), []),
        (take(spectrum=(-22.1,) * BANDS), ["spectrum"]),
        (take(spectrum=(-20.0,) * (BANDS - 1) + (-31.0,)), ["spectrum"]),
        (take(mos=2.0), []),
    ],
)
def test_one_earlier_take_is_enough_to_tell(now: Portrait, what: list[str]) -> None:
    assert found([take()], now) == what


@pytest.mark.parametrize(("score", "what"), [(4.3, []), (4.1, ["mos"]), (4.9, ["mos"])])
def test_scores_are_compared_where_there_are_some(score: float, what: list[str]) -> None:
    assert found([take(), take(mos=4.5)], take(mos=score)) == what
    assert found([take(), take(mos=4.5)], take()) == []


def test_a_drift_says_what_it_was_and_what_is_usual() -> None:
    now = take(duration_s=4.8, spectrum=(-25.0,) * BANDS)
    duration, spectrum = drifts([take()] * 3, now)
    assert duration == Drift(what="duration", value=4.8, usual=4.0, band=0.16)
    assert f"{duration}" == "duration 4.80 s, usually 4.00 ± 0.16"
    assert f"{spectrum}" == "spectrum 5.0 dB away, at most 2.0 dB is usual"
    (level,) = drifts([take()], take(level_dbfs=-10.04))
    assert f"{level}" == "level -10.0 dBFS, usually -26.0 ± 1.5"


def test_one_outlier_in_the_past_neither_widens_the_band_nor_moves_it() -> None:
    history = [take(), take(), take(duration_s=12.0), take(), take()]
    assert found(history, take()) == []
    assert found(history, take(duration_s=4.3)) == ["duration"]


def test_a_new_sound_is_told_of_until_most_of_what_is_remembered_has_it() -> None:
    history = [take()] * 100
    told = 0
    for _ in range(30):
        now = take(level_dbfs=-20.0)
        told += bool(drifts(history, now))
        history = [*history, now]
    assert told == 10


def test_portraits_of_an_older_version_are_not_compared_by_their_spectrum() -> None:
    assert found([take(spectrum=(-50.0,) * 8)], take()) == []


@dataclass
class Varying:
    """A provider that never says a thing twice in the same way."""

    chance: np.random.Generator

    def take(self, *, slower: float = 1.0) -> Portrait:
        spectrum = np.full(BANDS, -20.0) + self.chance.normal(0, 1.5, BANDS)
        return take(
            duration_s=float(4.0 * slower * self.chance.normal(1, 0.05)),
            level_dbfs=float(self.chance.normal(-26, 1.5)),
            mos=float(self.chance.normal(4.3, 0.2)),
            spectrum=tuple(map(float, spectrum)),
        )


def test_natural_variation_is_not_told_of_once_it_has_been_seen_and_a_change_still_is() -> None:
    alarms, missed = 0, 0
    for seed in range(200):
        provider = Varying(np.random.default_rng(seed))
        history = [provider.take() for _ in range(10)]
        alarms += bool(drifts(history, provider.take()))
        missed += "duration" not in found(history, provider.take(slower=1.6))
    assert alarms <= 14  # 7 %: ten takes tell a deviation only roughly
    assert missed <= 2


# ── real voices ───────────────────────────────────────────────────────────────


def spoken(engine: str, name: str, speed: float = 1.0) -> bytes:
    voice = Voice(name, engine, "en-us")
    return b"".join(load_engine(engine).speak(SENTENCES[0], voice, speed))


@pytest.fixture(scope="module")
def usual() -> bytes:
    return spoken(HIBARI, "af_heart")


def samples(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2")


@pytest.mark.slow
def test_the_same_engine_says_the_same(usual: bytes) -> None:
    assert drawn(spoken(HIBARI, "af_heart")) == drawn(usual)


@pytest.mark.slow
@pytest.mark.parametrize("code", [MP3, OPUS])
def test_a_good_code_is_no_other_sound(usual: bytes, code: tuple[str, str]) -> None:
    packed = heard(encoded(samples(usual), RATE_HZ, code))
    assert found([drawn(usual)], drawn(packed)) == []


@pytest.mark.slow
def test_another_voice_is_another_sound(usual: bytes) -> None:
    other = drawn(spoken(NANOTTS, "pico_us"))
    assert {"level", "spectrum"} <= set(found([drawn(usual)], other))


@pytest.mark.slow
@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_another_speed_is_told(usual: bytes, speed: float) -> None:
    assert "duration" in found([drawn(usual)], drawn(spoken(HIBARI, "af_heart", speed)))


@pytest.mark.slow
@pytest.mark.parametrize("gain_db", [-3, 6])
def test_another_level_is_told_and_is_not_another_spectrum(usual: bytes, gain_db: float) -> None:
    louder = samples(usual) * 10 ** (gain_db / 20)
    assert found([drawn(usual)], drawn(louder)) == ["level"]


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_a_telephone_is_told(usual: bytes, rate_hz: int) -> None:
    size = len(samples(usual)) * rate_hz // RATE_HZ
    narrow = np.fft.irfft(np.fft.rfft(samples(usual))[: size // 2 + 1], size) * rate_hz / RATE_HZ
    assert found([drawn(usual)], drawn(narrow, rate_hz)) == ["spectrum"]


@pytest.mark.slow
def test_noise_is_another_spectrum(usual: bytes) -> None:
    assert "spectrum" in found([drawn(usual)], drawn(damage(usual, RATE_HZ, "noise", 0)))
