"""What the page about what came out is made of: histograms, times, places, pieces of text."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.review.compare import Span
from batchtts.review.page import alignment, band, drawing, plots, ranking, spelling
from batchtts.review.page.bins import Floats, Histograms, even, logarithmic
from batchtts.review.page.timeline import Clock, Occupancy, Timeline

EDGES = logarithmic(0.001, 10_000.0, 200)


def floats(*values: float) -> Floats:
    return np.array(values, np.float64)


@given(st.lists(st.floats(0.002, 9_000), min_size=1, max_size=60), st.floats(0, 1))
def test_a_quantile_is_as_exact_as_a_bin_is_wide(values: list[float], share: float) -> None:
    found = Histograms(EDGES)
    for some in (values[::2], values[1::2]):
        found.add(floats(*some))
    exact = float(np.quantile(values, share, method="inverted_cdf"))
    assert found.all.quantile(share) == pytest.approx(exact, rel=0.012)
    shown = found.all.shown(20)
    assert shown.total == len(values)
    assert len(shown.counts) <= 21


def test_what_is_not_known_is_not_counted_and_what_is_outside_is() -> None:
    found = Histograms(even(1.0, 5.0, 0.5))
    found.add(floats(np.nan, 0.0, 3.2, 9.0))
    assert found.all.counts.tolist() == [1, 0, 0, 0, 1, 0, 0, 1]
    assert np.isnan(Histograms(EDGES).all.quantile(0.5))


def test_groups_are_counted_apart() -> None:
    found = Histograms(even(0.0, 4.0, 1.0))
    found.add(floats(0.5, 1.5), np.array([0, 3]))
    found.add(floats(1.5), np.array([1]))
    assert [found.of(it).counts.tolist() for it in (0, 1, 3, 9)] == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
    ]
    assert found.together([1, 3, 9]).total == 2


# ── times ─────────────────────────────────────────────────────────────────────


def clock_of(*spans: tuple[float, float]) -> Clock:
    seen = Occupancy()
    begins, ends = np.array(spans).T
    seen.add(begins, ends)
    clock = seen.clock()
    assert clock is not None
    return clock


def test_time_in_which_nothing_was_done_is_left_out() -> None:
    day = 86_400.0
    begins = [night * day + second for night in (1, 2) for second in range(600)]
    clock = clock_of(*((it, it + 5) for it in begins))
    assert len(clock.begins) == 2
    assert clock.length_s == pytest.approx(1204, abs=61)
    assert clock.at(floats(2 * day)) == clock.at(floats(1.5 * day))


def test_a_row_that_takes_an_hour_is_no_pause() -> None:
    clock = clock_of((0, 10), (100, 3700), (3800, 3810))
    assert clock.begins.tolist() == [0.0]
    assert clock.length_s == 3810


@given(
    st.lists(
        st.tuples(st.floats(0, 5_000), st.floats(0.01, 500)).map(lambda it: (it[0], sum(it))),
        min_size=1,
        max_size=40,
    )
)
def test_rows_in_work_add_up_to_the_time_that_they_took(spans: list[tuple[float, float]]) -> None:
    clock = clock_of(*spans)
    line = Timeline(clock, 100)
    begins, ends = np.array(spans).T
    line.add_work(begins, ends)
    line.add_events(line.done, ends)
    shown = float((clock.at(ends) - clock.at(begins)).sum())
    assert line.in_work.sum() * line.bin_s == pytest.approx(shown, rel=1e-6, abs=1e-6)
    assert line.done.sum() == len(spans)


def test_times_that_are_not_known_are_no_times() -> None:
    seen = Occupancy()
    seen.add(floats(np.nan, 5.0), floats(1.0, np.nan))
    assert seen.clock() is None


# ── what is usual, and what is worst ──────────────────────────────────────────


def test_the_band_is_of_the_voice_and_not_of_what_is_broken() -> None:
    chance = np.random.default_rng(1)
    chars = chance.integers(10, 300, 400).astype(float)
    seconds = 0.06 * (chars + band.BREATH_CHARS) * np.exp(chance.normal(0, 0.05, 400))
    seconds[::5] *= 0.3
    paces = band.paces(seconds, chars)
    found = Histograms(band.PACES)
    found.add(paces)
    learned = band.learn(found.all)
    assert learned is not None
    assert learned.pace_s == pytest.approx(0.06, rel=0.05)
    away = band.distances(paces, np.full(400, learned.pace_s), np.full(400, learned.half_width))
    assert (away[::5] > 1).all()
    assert (np.delete(away, slice(0, None, 5)) < 1).all()
    low, high = learned.limits_s(100)
    assert low < 0.06 * 106 < high


def test_of_too_few_rows_nothing_is_learned() -> None:
    found = Histograms(band.PACES)
    found.add(floats(0.06, 0.07))
    assert band.learn(found.all) is None


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 10), st.integers(1, 20))
def test_the_worst_are_kept_in_order(worse: list[int], size: int, at_once: int) -> None:
    top = ranking.Top(size)
    for first in range(0, len(worse), at_once):
        top.add(np.array(worse[first : first + at_once], np.int64), first)
    order = sorted(range(len(worse)), key=lambda it: (-worse[it], it))
    assert [place for _, place in top.ranked()] == order[:size]


def test_each_reason_decides_where_those_before_it_do_not() -> None:
    nan = np.nan
    rows = [  # tier, errors, MOS, away, retries
        (2, nan, nan, nan, 0),
        (1, 0.9, nan, nan, 0),
        (0, 0.5, 4.0, nan, 0),
        (0, 0.1, 2.0, nan, 0),
        (0, 0.1, 4.0, 3.0, 0),
        (0, 0.1, 4.0, 0.1, 2),
        (0, 0.1, 4.0, 0.1, 0),
        (ranking.LEAST, 0.9, 1.0, 9.0, 9),
    ]
    tier, *others = np.array(rows).T
    found = ranking.suspicion(tier.astype(np.int64), *others).tolist()
    assert all(a > b for a, b in pairwise(found))


# ── texts ─────────────────────────────────────────────────────────────────────

words = st.lists(st.sampled_from("ten boats came in, and Nine went; 12 % out".split()), max_size=30)


@given(words, words)
def test_what_is_shown_of_a_script_is_the_script(ours: list[str], theirs: list[str]) -> None:
    script = "  ".join(ours)
    for heard in (" ".join(theirs), ""):
        spans = alignment.align(script, heard, "en-us")
        assert spans is not None
        shown = alignment.pieces(script, spans)
        assert "".join(it.script for it in shown) == script
        assert all(it.kind != "equal" or not it.heard for it in shown)


@given(st.text(max_size=40), st.text(max_size=40))
def test_texts_of_any_kind_are_compared_without_what_knows_how(script: str, heard: str) -> None:
    ours = [*alignment._WORD.finditer(script)]
    spans = alignment._by_letters(script, ours, alignment._WORD.findall(heard))
    shown = alignment.pieces(script, spans)
    assert "".join(it.script for it in shown) == script


def test_what_was_heard_besides_is_set_apart() -> None:
    script = "Ten boats."
    for at, before, after in ((0, "", " "), (3, " ", ""), (4, "", " "), (10, " ", "")):
        [piece] = [
            it
            for it in alignment.pieces(script, [Span("inserted", at, at, "or so")])
            if it.kind == "inserted"
        ]
        assert (piece.before, piece.after) == (before, after)


def test_long_stretches_without_a_fault_are_cut() -> None:
    script = "word " * 2000 + "end"
    shown = alignment.pieces(script, [Span("substituted", 5000, 5004, "sword")])
    assert sum(len(it.script) + it.left_out for it in shown) == len(script)
    assert sum(len(it.script) for it in shown) < 1700
    assert [it.kind for it in shown if it.heard] == ["substituted"]


# ── figures ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("told", "spelled"),
    [
        (spelling.seconds(0.0123), "12 ms"),
        (spelling.seconds(1.234), "1.23 s"),
        (spelling.seconds(138), "2.3 min"),
        (spelling.seconds(600), "10 min"),
        (spelling.seconds(None), "–"),
        (spelling.clock(62.4), "1:02"),
        (spelling.hours(5400), "1.5 h"),
        (spelling.usd(0.00001), "under $0.0001"),
        (spelling.usd(3.5, is_part=True), "at least $3.50"),
        (spelling.usd(0.0, is_part=True), "not known"),
        (spelling.percent(0.051), "5.1 %"),
        (spelling.size(2_345_678), "2.35 MB"),
        (spelling.moment(1_772_332_201.0, "m"), "2026-03-01 02:30"),
        (spelling.short(1234.5), "1,234"),
        (spelling.short(float("nan")), "–"),
    ],
)
def test_figures_are_told_as_people_read_them(told: str, spelled: str) -> None:
    assert told == spelled


@given(st.floats(1e-3, 1e6), st.floats(1.01, 1e6))
def test_an_axis_has_some_ticks_within_it(low: float, times: float) -> None:
    high = low * times
    assert all(low * 0.99 <= it <= high * 1.01 for it in drawing.log_ticks(low, high))
    assert 1 <= len(drawing.even_ticks(low, high)) <= 7
    assert drawing.round_up(low) >= low * 0.999


@given(st.lists(st.floats(0.001, 5_000), min_size=1, max_size=40))
def test_a_plot_stays_within_its_frame(values: list[float]) -> None:
    found = Histograms(EDGES)
    found.add(floats(*values))
    plot = plots.spread("it", "It", found.all, "nothing")
    assert all(0 <= it.x <= drawing.WIDTH for it in plot.labels)
    assert plot.table is not None
    assert sum(int(row[1].replace(",", "")) for row in plot.table.rows) == len(values)
