"""Where speech begins and ends in what a provider sends."""

from __future__ import annotations

import itertools
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.audio.edges import (
    MARGIN_BEFORE_S,
    MARGIN_BEHIND_S,
    Speech,
    find_edges,
    find_edges_of,
    find_speech,
)
from batchtts.errors import BadAudio
from tests.sounds import speech

Samples = np.ndarray[Any, np.dtype[Any]]

rates_hz = st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000])


def silence(rate_hz: int, seconds: float) -> Samples:
    return np.zeros(round(rate_hz * seconds))


def hiss(rate_hz: int, seconds: float, dbfs: float, seed: int = 0) -> Samples:
    chance = np.random.default_rng(seed)
    return chance.normal(0, 32768 * 10 ** (dbfs / 20), round(rate_hz * seconds))


def steady(rate_hz: int, seconds: float = 0.5, hertz: float = 300, dbfs: float = -16) -> Samples:
    """A tone that begins and ends at once."""
    times = np.arange(round(rate_hz * seconds)) / rate_hz
    wave: Samples = np.sqrt(2) * np.sin(2 * np.pi * hertz * times + 1)
    return 32768 * 10 ** (dbfs / 20) * wave


def pcm(*parts: Samples) -> bytes:
    joined = np.clip(np.rint(np.concatenate(parts)), -32768, 32767)
    return bytes(joined.astype("<i2").tobytes())


@given(rates_hz, st.floats(0, 1), st.floats(0, 1), st.floats(-40, -4), st.integers(-9000, 9000))
def test_a_sound_between_silences_is_found_to_4_ms(
    rate_hz: int, before_s: float, behind_s: float, dbfs: float, offset: int
) -> None:
    parts = (
        silence(rate_hz, before_s),
        steady(rate_hz, dbfs=dbfs),
        silence(rate_hz, behind_s),
    )
    found = find_edges(pcm(np.concatenate(parts) + offset), rate_hz)
    start, end = len(parts[0]), len(parts[0]) + len(parts[1])
    # Near an edge of the segment there is no whole window of silence.
    early, late = (0.004 if it > 0.012 else 0.013 for it in (before_s, behind_s))
    assert start - early * rate_hz <= found.audible.start <= start + 0.001 * rate_hz
    assert end - 0.001 * rate_hz <= found.audible.end <= end + late * rate_hz
    assert 0 <= found.kept.start <= found.audible.start
    assert found.audible.end <= found.kept.end <= sum(map(len, parts))


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 48_000])
def test_the_margin_is_what_there_is_of_it(rate_hz: int) -> None:
    wide = pcm(silence(rate_hz, 0.3), steady(rate_hz), silence(rate_hz, 0.46))
    found = find_edges(wide, rate_hz)
    assert found.audible.start - found.kept.start == round(MARGIN_BEFORE_S * rate_hz)
    assert found.kept.end - found.audible.end == round(MARGIN_BEHIND_S * rate_hz)
    narrow = pcm(silence(rate_hz, 0.02), steady(rate_hz), silence(rate_hz, 0.02))
    assert find_speech(narrow, rate_hz) == Speech(0, len(narrow) // 2)


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 48_000])
def test_a_provider_that_hisses_is_trimmed_too(rate_hz: int) -> None:
    spoken = speech(rate_hz, 1.0) * 0.6
    sound = np.concatenate((silence(rate_hz, 0.3), spoken, silence(rate_hz, 0.46)))
    clean, hissing = (
        find_edges(pcm(sound + noise), rate_hz).audible
        for noise in (0, hiss(rate_hz, len(sound) / rate_hz, -50)[: len(sound)])
    )
    assert abs(clean.start - hissing.start) < 0.025 * rate_hz
    assert abs(clean.end - hissing.end) < 0.025 * rate_hz
    assert clean.start > 0.25 * rate_hz


def test_hiss_is_no_soft_sound() -> None:
    rate_hz = 24_000
    sound = np.concatenate((silence(rate_hz, 0.3), steady(rate_hz), silence(rate_hz, 0.4)))
    found = find_edges(pcm(sound + hiss(rate_hz, 1.2, -55)), rate_hz)
    assert found.kept.start > (0.3 - MARGIN_BEFORE_S - 0.010) * rate_hz
    assert found.kept.end < (0.8 + MARGIN_BEHIND_S + 0.010) * rate_hz


def test_a_hum_is_not_kept_for_longer_than_a_decay() -> None:
    rate_hz = 24_000
    hum = steady(rate_hz, 0.4, hertz=100, dbfs=-16 - 45)
    sound = pcm(silence(rate_hz, 0.1), steady(rate_hz), hum, silence(rate_hz, 0.1))
    found = find_edges(sound, rate_hz)
    assert 0.070 * rate_hz < found.kept.end - found.audible.end - MARGIN_BEHIND_S * rate_hz
    assert found.kept.end - found.audible.end <= (0.080 + MARGIN_BEHIND_S) * rate_hz


@pytest.mark.parametrize("dbfs", [-60, -40, -20])
def test_noise_alone_is_kept_whole(dbfs: float) -> None:
    noise = pcm(hiss(24_000, 1.0, dbfs))
    assert find_speech(noise, 24_000) == Speech(0, 24_000)


@given(rates_hz, st.integers(0, 3000), st.integers(-32768, 32767))
def test_silence_is_kept_whole(rate_hz: int, frames: int, level: int) -> None:
    assert find_speech(pcm(np.full(frames, level)), rate_hz) == Speech(0, frames)


def test_what_is_quieter_than_16_bits_can_tell_is_silence() -> None:
    dither = pcm(np.random.default_rng(0).integers(-1, 2, 24_000))
    assert find_speech(dither, 24_000) == Speech(0, 24_000)


@pytest.mark.parametrize("seconds", [0.05, 0.1])
def test_a_soft_beginning_and_a_long_decay_are_kept(seconds: float) -> None:
    rate_hz = 24_000
    soft = hiss(rate_hz, seconds, -16 - 45)  # an f against a vowel
    decay = steady(rate_hz, seconds) * 10 ** (np.linspace(-10, -50, round(seconds * rate_hz)) / 20)
    sound = pcm(silence(rate_hz, 0.3), soft, steady(rate_hz), decay, silence(rate_hz, 0.4))
    found = find_speech(sound, rate_hz)
    assert found.start < round(0.3 * rate_hz)
    assert found.end > round((0.3 + seconds + 0.5 + seconds) * rate_hz)
    assert found.end < len(sound) // 2 - 0.3 * rate_hz


def test_soft_sounds_that_no_silence_surrounds_are_no_hiss() -> None:
    soft = hiss(24_000, 0.1, -16 - 20)
    sound = pcm(soft, steady(24_000), soft)
    assert find_edges(sound, 24_000).audible == Speech(0, len(sound) // 2)


def test_a_pause_inside_does_not_end_speech() -> None:
    sound = pcm(*(steady(24_000, 0.1), silence(24_000, 2.0)) * 3)
    assert find_edges(sound, 24_000).audible.start == 0
    assert abs(find_edges(sound, 24_000).audible.end - 4.3 * 24_000) < 0.004 * 24_000


def test_silence_that_is_not_at_zero_is_silence() -> None:
    rate_hz = 24_000
    sound = pcm(silence(rate_hz, 0.3), steady(rate_hz) + 2000, silence(rate_hz, 0.4))
    found = find_edges(sound, rate_hz).audible
    assert abs(found.start - 0.3 * rate_hz) < 0.004 * rate_hz
    assert abs(found.end - 0.8 * rate_hz) < 0.004 * rate_hz


@given(rates_hz, st.lists(st.integers(0, 3000), max_size=20), st.integers(0, 9))
def test_blocks_have_the_edges_of_the_whole(rate_hz: int, frames: list[int], seed: int) -> None:
    sound = pcm(silence(rate_hz, 0.1), speech(rate_hz, 0.2, seed), silence(rate_hz, 0.1))
    edges = [0, *itertools.accumulate(frames), len(sound)]
    blocks = [sound[2 * start : 2 * end] for start, end in pairwise(edges[:-1])]
    blocks.append(sound[2 * edges[-2] :])
    assert find_edges_of(blocks, rate_hz) == find_edges(sound, rate_hz)


def test_half_a_sample_is_an_error() -> None:
    with pytest.raises(BadAudio):
        find_speech(b"\0\0\0", 24_000)
