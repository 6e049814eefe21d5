"""What is to be done to a chapter, and what is said of what came of it."""

from __future__ import annotations

from math import pi

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.errors import UsageError
from batchtts.export.languages import three_letters
from batchtts.export.loudness import (
    ACX,
    PODCAST,
    Setting,
    Target,
    corrected,
    first_settings,
    of_loudness,
    parse_target,
    wrong_ends,
    wrong_levels,
)
from batchtts.export.meter import Meter, decibels
from batchtts.export.orders import SILENCE_DB, Figures, Measured

GOOD = Figures(
    duration_s=60.0,
    lufs=-18.0,
    rms_dbfs=-20.0,
    peak_dbfs=-4.0,
    true_peak_dbfs=-3.8,
    noise_floor_dbfs=-70.0,
    head_s=0.75,
    tail_s=2.0,
)
BOOK = of_loudness(-18.0)


def but(**figures: float | None) -> Figures:
    return msgspec.structs.replace(GOOD, **figures)


def first(figures: Figures, target: Target, *, margin_db: float) -> Setting:
    """What is done to a book of one chapter."""
    (setting,) = first_settings([Measured([figures], figures)], target, margin_db=margin_db)
    return setting


@pytest.mark.parametrize(
    ("said", "target"),
    [("acx", ACX), ("Podcast", PODCAST), ("-18", BOOK), ("-18 LUFS", BOOK)],
)
def test_a_target_is_a_name_or_a_number(said: str, target: Target) -> None:
    assert parse_target(said) == target


@pytest.mark.parametrize("said", ["", "loud", "nan", "inf", "-4", "18", "-41"])
def test_what_is_no_target_is_refused(said: str) -> None:
    with pytest.raises(UsageError, match="target"):
        parse_target(said)


def test_a_chapter_whose_peaks_allow_it_is_only_multiplied() -> None:
    soft = but(lufs=-30.0, peak_dbfs=-20.0)
    assert first(soft, BOOK, margin_db=1.0) == Setting(12.0, None)


def test_a_chapter_whose_peaks_do_not_is_limited_with_a_margin() -> None:
    soft = but(lufs=-30.0, peak_dbfs=-10.0)
    assert first(soft, BOOK, margin_db=1.0) == Setting(12.0, -2.0)
    assert first(soft, BOOK, margin_db=0.2) == Setting(12.0, -1.2)


def test_the_level_of_acx_is_that_of_all_samples() -> None:
    assert first(but(rms_dbfs=-26.5, peak_dbfs=-20), ACX, margin_db=1.0).gain_db == 6.5


def test_what_a_limiter_takes_is_given_before() -> None:
    loud = but(lufs=-20.0, peak_dbfs=-2.0)
    powers = [0.0] * 4 + [0.5] + [0.0] * 30 + [0.5]
    (one,) = first_settings([Measured([loud], loud, powers=powers)], PODCAST, margin_db=1.0)
    assert one.ceiling_dbfs == -2.0
    assert 5 < one.gain_db < 9


def test_a_chapter_that_is_too_short_has_the_gain_of_the_book() -> None:
    short = but(lufs=-30.0, duration_s=4.0)
    found = first_settings(
        [Measured([it], it) for it in (GOOD, GOOD, short)], of_loudness(-20.0), margin_db=1.0
    )
    assert [setting.gain_db for setting in found] == [-2.0, -2.0, pytest.approx(-2, abs=0.2)]
    assert wrong_levels(short, BOOK) == []
    assert corrected(Setting(1.0), short, BOOK, margin_db=1.0) is None
    assert first_settings([Measured([short], short)], ACX, margin_db=1.0)[0].gain_db == 0.0


def test_silence_is_left_as_it_is() -> None:
    silent = but(lufs=None, rms_dbfs=SILENCE_DB, peak_dbfs=SILENCE_DB, head_s=60.0)
    assert first(silent, ACX, margin_db=1.0) == Setting(0.0, None)
    assert corrected(Setting(0.0), silent, ACX, margin_db=1.0) is None
    assert wrong_levels(silent, BOOK) == [
        "nothing in it can be heard, or too little to be measured"
    ]


def test_what_is_at_the_target_is_not_made_again() -> None:
    assert corrected(Setting(3.0), but(lufs=-18.4), BOOK, margin_db=1.0) is None


def test_what_came_out_too_soft_is_made_louder_by_as_much() -> None:
    found = corrected(Setting(3.0, -2.0), but(lufs=-19.25), BOOK, margin_db=1.0)
    assert found == Setting(4.25, -2.0)


def test_a_peak_that_came_out_too_high_is_limited_next_time() -> None:
    found = corrected(Setting(3.0), but(true_peak_dbfs=-0.5), BOOK, margin_db=1.0)
    assert found == Setting(3.0, -2.0)


def test_a_peak_above_a_limit_takes_the_limit_down_by_as_much_and_some() -> None:
    found = corrected(Setting(3.0, -2.0), but(true_peak_dbfs=-0.5), BOOK, margin_db=1.0)
    assert found == Setting(3.0, -2.6)


@given(st.floats(-60, 30), st.none() | st.floats(-20, -1), st.floats(-60, 0), st.floats(-30, 3))
def test_a_correction_never_asks_for_what_it_has(
    gain: float, ceiling: float | None, lufs: float, peak: float
) -> None:
    figures = but(lufs=lufs, true_peak_dbfs=peak)
    setting = Setting(gain, ceiling)
    found = corrected(setting, figures, BOOK, margin_db=1.0)
    assert found != setting
    if peak <= BOOK.ceiling_db and abs(lufs - BOOK.aim_db) <= 0.5:
        assert found is None


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        (but(rms_dbfs=-23.5), "-23.5 dB RMS, where from -23 to -18 are asked for"),
        (but(peak_dbfs=-2.9), "peaks of -2.9 dB, where -3 is the most"),
        (but(noise_floor_dbfs=-55.0), "a noise floor of -55.0 dB, where -60 is the most"),
    ],
)
def test_what_a_shop_would_refuse_is_told(figures: Figures, told: str) -> None:
    assert wrong_levels(GOOD, ACX) == []
    assert wrong_levels(figures, ACX) == [told]


def test_ends_that_a_shop_would_refuse_are_told() -> None:
    assert wrong_ends(GOOD, ACX) == []
    assert wrong_ends(but(head_s=0.2, tail_s=7.0), ACX) == [
        "a head of 0.20 s, where 0.5 to 1 s are asked for",
        "a tail of 7.00 s, where 1 to 5 s are asked for",
    ]
    assert wrong_ends(but(head_s=0.0), BOOK) == []


# ── the meter ─────────────────────────────────────────────────────────────────

HZ = 24_000
TONE = (0.5 * np.sin(2 * pi * 440 * np.arange(2 * HZ) / HZ)).astype(np.float32)
SOUND = np.concatenate([np.zeros(HZ // 2), TONE, np.full(HZ, 1e-4)]).astype(np.float32)


@given(st.lists(st.integers(1, 40_000), max_size=12))
def test_blocks_of_any_size_measure_the_same(sizes: list[int]) -> None:
    meter, at = Meter(HZ), 0
    for size in [*sizes, len(SOUND)]:
        meter.add(SOUND[at : at + size])
        at += size
    assert meter.duration_s == 3.5
    assert meter.peak_dbfs == pytest.approx(decibels(0.5), abs=0.001)
    assert meter.rms_dbfs == pytest.approx(decibels((0.125 * 2 / 3.5) ** 0.5), abs=0.001)
    assert (meter.head_s, meter.tail_s) == (0.5, 1.0)
    assert meter.noise_floor_dbfs == SILENCE_DB


def test_the_noise_floor_is_that_of_the_softest_half_second() -> None:
    meter = Meter(HZ)
    meter.add(SOUND[HZ // 2 :])
    assert meter.noise_floor_dbfs == pytest.approx(-80, abs=0.01)


def test_nothing_measures_as_nothing() -> None:
    meter = Meter(HZ)
    meter.add(SOUND[:0])
    assert (meter.duration_s, meter.rms_dbfs, meter.peak_dbfs) == (0.0, SILENCE_DB, SILENCE_DB)
    assert (meter.noise_floor_dbfs, meter.head_s, meter.tail_s) == (SILENCE_DB, 0.0, 0.0)


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        ("en-us", "eng"),
        ("DE", "deu"),
        ("fil", "fil"),
        ("grc-Grek", "grc"),
        ("xx", "und"),
        ("", "und"),
    ],
)
def test_a_language_has_three_letters(tag: str, told: str) -> None:
    assert three_letters(tag) == told
