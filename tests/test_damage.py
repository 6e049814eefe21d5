"""What damage does to samples, and that it is done to speech and not to the silence around it."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.audio.edges import find_edges
from batchtts.server.damage import GAIN, How, damage
from tests.sounds import speech

RATE_HZ = 24_000
BEFORE, BEHIND = 7_200, 12_000  # samples of silence

Samples = np.ndarray[Any, np.dtype[np.int16]]

WAYS = get_args(How)


def spoken(seconds: float = 3.0) -> Samples:
    """Speech between silences."""
    return np.pad(speech(RATE_HZ, seconds) // 2, (BEFORE, BEHIND)).astype("<i2")


def damaged(how: How, samples: Samples | None = None, seed: int = 0) -> Samples:
    given_samples = spoken() if samples is None else samples
    return np.frombuffer(damage(given_samples.tobytes(), RATE_HZ, how, seed), "<i2")


def level_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def test_the_end_of_the_speech_is_cut_off_and_not_the_silence_behind_it() -> None:
    whole, cut = spoken(), damaged("cut_end")
    assert np.array_equal(cut, whole[: len(cut)])
    assert 0.5 < (len(whole) - BEHIND - len(cut)) / RATE_HZ < 0.7
    assert find_edges(cut.tobytes(), RATE_HZ).audible.end > len(cut) - RATE_HZ // 10


@pytest.mark.parametrize(("seconds", "lost_s"), [(0.4, 0.2), (1.0, 0.3), (20.0, 1.0)])
def test_no_more_than_a_second_is_cut_off_and_no_more_than_half(
    seconds: float, lost_s: float
) -> None:
    whole = spoken(seconds)
    lost = len(whole) - BEHIND - len(damaged("cut_end", whole))
    assert lost / RATE_HZ == pytest.approx(lost_s, abs=0.06)


def test_what_is_missing_was_speech_in_the_middle() -> None:
    whole, rest = spoken(), damaged("missing")
    size = len(whole) - len(rest)
    assert size == round(0.4 * RATE_HZ)
    at = int(np.flatnonzero(whole[: len(rest)] != rest)[0])
    assert np.array_equal(rest[at:], whole[at + size :])
    assert abs(at + size / 2 - (len(whole) + BEFORE - BEHIND) / 2) < 0.4 * RATE_HZ


def test_a_pause_in_the_middle_is_not_what_is_missing() -> None:
    half = speech(RATE_HZ, 2.0) // 2
    pause = np.zeros(RATE_HZ, "<i2")
    whole = np.concatenate([half, pause, half]).astype("<i2")
    rest = damaged("missing", whole)
    assert len(rest) == len(whole) - round(0.4 * RATE_HZ)
    assert np.count_nonzero(rest == 0) >= len(pause)


def test_silence_is_as_long_as_the_speech_was() -> None:
    assert np.array_equal(damaged("silence"), np.zeros_like(spoken()))


def test_all_of_it_comes_twice() -> None:
    assert np.array_equal(damaged("doubled"), np.tile(spoken(), 2))


def test_another_text_is_left_as_it_is() -> None:
    assert np.array_equal(damaged("other"), spoken())


def test_a_wrong_rate_is_faster_and_higher_or_slower_and_lower() -> None:
    at = np.arange(2 * RATE_HZ) / RATE_HZ
    hum = (8000 * np.sin(2 * np.pi * 440 * at)).astype("<i2")
    found = set()
    for seed in range(8):
        other = damaged("rate", hum, seed)
        pitch = np.abs(np.fft.rfft(other)).argmax() * RATE_HZ / len(other)
        assert level_db(other) == pytest.approx(level_db(hum), abs=0.1)
        found.add((len(other), round(float(pitch))))
    assert found == {(len(hum) * 2 // 3, 660), (len(hum) * 3 // 2, 293)}


def test_six_times_there_is_nothing_for_50_ms() -> None:
    whole, rest = spoken(), damaged("dropouts")
    assert len(rest) == len(whole)
    lost = np.flatnonzero(whole != rest)
    gaps = np.split(lost, np.flatnonzero(np.diff(lost) > RATE_HZ // 20) + 1)
    assert len(gaps) == 6
    assert all(40 < (gap[-1] - gap[0]) * 1000 / RATE_HZ <= 50 for gap in gaps)
    assert not rest[lost].any()


def test_noise_is_15_db_below_the_speech_and_all_over_it() -> None:
    whole, rest = spoken(), damaged("noise")
    noise = rest.astype(np.int32) - whole
    assert level_db(whole[BEFORE:-BEHIND]) - level_db(noise) == pytest.approx(15, abs=0.5)
    assert level_db(noise[:BEFORE]) == pytest.approx(level_db(noise[-BEHIND:]), abs=0.5)


def test_what_is_too_loud_is_clipped() -> None:
    whole, rest = spoken(), damaged("clipping")
    assert np.array_equal(rest, np.clip(whole.astype(np.int32) * GAIN, -32768, 32767))
    assert np.count_nonzero(np.abs(rest.astype(np.int32)) >= 32767) > len(rest) // 100


@pytest.mark.parametrize("how", WAYS)
def test_the_same_seed_does_the_same(how: How) -> None:
    assert np.array_equal(damaged(how, seed=3), damaged(how, seed=3))


@pytest.mark.parametrize("how", ["noise", "dropouts"])
def test_another_seed_does_it_elsewhere(how: How) -> None:
    assert not np.array_equal(damaged(how, seed=3), damaged(how, seed=4))


@given(
    st.sampled_from(WAYS),
    st.one_of(st.integers(0, 40), st.integers(0, 4000)),
    st.sampled_from([0, 1, 9000]),
    st.integers(0, 2**64 - 1),
)
def test_anything_can_be_damaged(how: How, length: int, loudness: int, seed: int) -> None:
    samples = (loudness * np.sin(np.arange(length) / 5)).astype("<i2")
    assert (len(damaged(how, samples, seed)) > 0) == (length > 0 and bool(samples.size))
