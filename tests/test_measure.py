from __future__ import annotations

from math import isfinite

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.audio.clicks import sharpest
from batchtts.audio.measure import NOTHING_DBFS, measure, worst
from batchtts.errors import BadAudio
from batchtts.model import Measures

RATE_HZ = 24_000

Samples = np.ndarray[tuple[int], np.dtype[np.float64]]


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ))


def voice(seconds: float, level: float = 8000, seed: int = 1) -> Samples:
    """Pulses at 120 Hz through a smooth mouth: some vowel, louder and softer."""
    chance = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones = sum(np.sin(2 * np.pi * 120 * n * time + chance.uniform(0, 6)) / n for n in range(1, 9))
    edge = np.minimum(np.minimum(time, time[::-1]) / 0.02, 1)
    swell = 0.7 + 0.3 * np.sin(2 * np.pi * 3 * time)
    return np.asarray(level * edge * swell * tones / 3 + chance.normal(size=time.size))


def utterance(level: float = 8000) -> Samples:
    return np.concatenate(
        [silence(0.3), voice(0.8, level), silence(0.25), voice(1.0, level, 2), silence(0.4)]
    )


def pcm(samples: Samples) -> bytes:
    return bytes(np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes())


def measured(samples: Samples) -> Measures:
    return measure(pcm(samples), RATE_HZ)


def test_silences_are_told_apart_from_speech() -> None:
    found = measured(utterance())
    assert found.lead_s == pytest.approx(0.3, abs=0.011)
    assert found.tail_s == pytest.approx(0.4, abs=0.011)
    assert found.gap_s == pytest.approx(0.25, abs=0.021)
    assert found.pause_s == found.gap_s
    assert found.speech_s == pytest.approx(2.05, abs=0.021)


def test_speech_without_damage_has_none() -> None:
    found = measured(utterance())
    assert found.dropouts == 0
    assert found.clipped < 0.02
    assert abs(found.dc) < 0.001
    assert sharpest(pcm(utterance()), RATE_HZ) < 3
    assert found.end_dbfs < found.level_dbfs - 50


def test_an_end_in_the_middle_of_speech_is_loud() -> None:
    found = measured(utterance()[: round(1.9 * RATE_HZ)])
    assert found.end_dbfs > found.level_dbfs - 12
    assert found.tail_s == 0


def test_hiss_does_not_hide_the_silences() -> None:
    samples = utterance()
    hiss = np.random.default_rng(3).normal(scale=60, size=samples.size)
    found = measured(samples + hiss)
    assert found.floor_dbfs == pytest.approx(20 * np.log10(60 / 32768), abs=1.5)
    assert found.lead_s == pytest.approx(0.3, abs=0.03)
    assert found.gap_s == pytest.approx(0.25, abs=0.06)


def test_what_is_constant_is_not_loud() -> None:
    found = measured(utterance() + 1000)
    assert found.dc == pytest.approx(1000 / 32768, abs=0.001)
    assert found.level_dbfs == pytest.approx(measured(utterance()).level_dbfs, abs=0.2)
    assert found.lead_s == pytest.approx(0.3, abs=0.011)


@pytest.mark.parametrize("gain", [1.0, 0.3])
def test_a_flat_top_is_seen_at_any_level(gain: float) -> None:
    flat = np.clip(utterance(8000) * 6, -20_000, 20_000) * gain
    assert measured(flat).clipped > 10 * measured(utterance()).clipped


@pytest.mark.parametrize("held", [0, 1])
def test_a_hole_in_speech_is_a_dropout(held: int) -> None:
    samples = np.rint(utterance())
    at = round(0.7 * RATE_HZ)
    samples[at : at + 240] = held * samples[at - 1]
    assert measured(samples).dropouts == 1


def test_every_hole_counts_once() -> None:
    samples = utterance()
    for at_s in (0.5, 0.7, 0.9, 1.6, 1.8):
        at = round(at_s * RATE_HZ)
        samples[at : at + 1200] = 0
    assert measured(samples).dropouts == 5


def test_digital_silence_between_words_is_no_dropout() -> None:
    assert measured(utterance()).dropouts == 0


def test_sound_that_ends_at_once_and_never_comes_back_is_a_dropout() -> None:
    samples = utterance()
    samples[round(1.7 * RATE_HZ) :] = 0
    assert measured(samples).dropouts == 1


def test_a_piece_cut_out_leaves_a_click() -> None:
    samples = utterance()
    at = round(1.6 * RATE_HZ)
    without = np.concatenate([samples[:at], samples[at + 2000 :]])
    assert abs(without[at] - without[at - 1]) > 1000
    assert sharpest(pcm(without), RATE_HZ) > 5


@pytest.mark.parametrize("size", [0, 1, 2, 100, 239, 240, 241, 479, 481, 1000])
def test_next_to_nothing_can_be_measured(size: int) -> None:
    found = measured(voice(1.0)[10_000 : 10_000 + size])
    assert found.speech_s + found.lead_s + found.tail_s == pytest.approx(size / RATE_HZ, abs=0.002)


def test_silence_is_nothing() -> None:
    found = measured(silence(2.0))
    assert (found.speech_s, found.lead_s) == (0.0, 2.0)
    assert found.level_dbfs == found.floor_dbfs == found.end_dbfs == NOTHING_DBFS


def test_half_a_sample_is_bad_audio() -> None:
    with pytest.raises(BadAudio):
        measure(bytes(4801), RATE_HZ)


def numbers(found: Measures) -> list[float]:
    return [getattr(found, name) for name in found.__struct_fields__]


@given(st.binary(max_size=20_000), st.sampled_from([4_000, 8_000, 16_000, 24_000, 44_100, 192_000]))
def test_any_samples_have_measures(data: bytes, rate_hz: int) -> None:
    found = measure(data[: len(data) // 2 * 2], rate_hz)
    assert all(map(isfinite, numbers(found)))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Measures) == found


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.5, 2.0]))
def test_gain_changes_levels_and_nothing_else(seed: int, gain: float) -> None:
    chance = np.random.default_rng(seed)
    shape = np.repeat(chance.uniform(0, 1, 12) ** 2, 2400)
    samples = chance.normal(scale=4000, size=shape.size) * shape
    plain, louder = measured(samples), measured(samples * gain)
    assert louder.level_dbfs - plain.level_dbfs == pytest.approx(20 * np.log10(gain), abs=0.2)
    for name in ("speech_s", "lead_s", "tail_s", "gap_s"):
        assert getattr(louder, name) == pytest.approx(getattr(plain, name), abs=0.021)
    assert louder.clipped == pytest.approx(plain.clipped, abs=0.001)


def test_blocks_leave_no_trace() -> None:
    samples = np.concatenate([voice(1.7, seed=seed) for seed in range(9)])
    found = measured(samples)
    assert found.speech_s + found.lead_s + found.tail_s == pytest.approx(15.3, abs=0.001)
    assert sharpest(pcm(samples), RATE_HZ) < 5


def test_of_several_segments_the_worst_is_told() -> None:
    one = Measures(1.0, 0.1, 0.3, 0.2, 0.1, -20.0, -80.0, -70.0, 0.001, -0.002, 1, 1.5)
    two = Measures(2.0, 0.2, 0.1, 0.4, 0.1, -26.0, -60.0, -75.0, 0.0, 0.001, 2, 1.0)
    assert worst([one]) is one
    assert worst([one, two]) == Measures(
        *(3.0, 0.3, 0.3, 0.4, 0.1, -26.0, -60.0, -70.0, 0.001, -0.002, 3, 1.5)
    )
