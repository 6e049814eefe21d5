from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtts.model import Judgement, Measures
from batchtts.review.norms import FEW, MANY, Norms
from batchtts.review.units import count, units
from benchmarks.prose import sentences

KEY = ("model", "voice", "en-us")
UNIT_S = 0.06
USUAL = Measures(
    speech_s=3.0,
    pause_s=0.0,
    lead_s=0.3,
    tail_s=0.5,
    gap_s=0.2,
    level_dbfs=-24.0,
    floor_dbfs=-90.0,
    end_dbfs=-90.0,
    clipped=0.0001,
    dc=0.0,
    dropouts=0,
    click=1.5,
)

Row = tuple[str, Measures]


def rows(seed: int = 1, usual: Measures = USUAL) -> Iterator[Row]:
    """What one voice says, and how, with some variety."""
    chance = np.random.default_rng(seed)
    for script in sentences(seed):
        measures = msgspec.structs.replace(
            usual,
            speech_s=0.2 + UNIT_S * units(script, "en-us") * chance.normal(1, 0.05),
            lead_s=usual.lead_s + chance.normal(0, 0.01),
            tail_s=usual.tail_s + chance.normal(0, 0.02),
            level_dbfs=usual.level_dbfs + chance.normal(0, 0.5),
            click=usual.click * np.exp(chance.normal(0, 0.15)),
        )
        yield script, measures


def taught(number: int = 100, usual: Measures = USUAL, speed: float = 1.0) -> Norms:
    norms = Norms()
    for script, measures in islice(rows(usual=usual), number):
        norms.learn(KEY, script, speed, measures)
    return norms


def judged(norms: Norms, **unusual: float) -> Judgement:
    script, measures = next(rows(seed=9))
    changed = msgspec.structs.replace(measures, **unusual)
    return norms.judge(KEY, script, 1.0, changed)


def test_what_a_voice_usually_does_passes() -> None:
    norms = taught()
    found = [norms.judge(KEY, script, 1.0, it) for script, it in islice(rows(seed=2), 300)]
    assert [it for it in found if it.verdict != "pass"] == []


@pytest.mark.parametrize(
    ("reason", "unusual"),
    [
        ("dropouts", {"dropouts": 1}),
        ("clipped", {"clipped": 0.01}),
        ("noisy", {"floor_dbfs": -50.0}),
        ("cut_end", {"end_dbfs": -30.0}),
        ("cut_end", {"tail_s": 0.05}),
        ("splice", {"click": 6.0}),
        ("long_gap", {"gap_s": 1.5}),
        ("long_tail", {"tail_s": 1.5}),
        ("long_lead", {"lead_s": 1.5}),
        ("quiet", {"level_dbfs": -40.0}),
        ("loud", {"level_dbfs": -8.0}),
        ("dc", {"dc": -0.02}),
        ("too_short", {"speech_s": 0.3}),
        ("too_long", {"speech_s": 30.0}),
    ],
)
def test_what_is_unusual_has_a_name(reason: str, unusual: dict[str, float]) -> None:
    found = judged(taught(), **unusual)
    assert found.verdict in ("suspect", "fail")
    assert reason in found.reasons


@pytest.mark.parametrize(
    "unusual",
    [
        {"speech_s": 0.3},
        {"speech_s": 30.0},
        {"dropouts": 4},
        {"clipped": 0.2},
        {"end_dbfs": -26.0, "tail_s": 0.0},
        {"lead_s": 2.0, "tail_s": 2.0, "level_dbfs": -60.0},
    ],
)
def test_what_is_surely_damaged_fails(unusual: dict[str, float]) -> None:
    assert judged(taught(), **unusual).verdict == "fail"


@pytest.mark.parametrize(
    "habit",
    [
        {"end_dbfs": -24.0, "tail_s": 0.0},
        {"clipped": 0.2},
        {"floor_dbfs": -40.0},
        {"dropouts": 3},
        {"dc": 0.1},
        {"level_dbfs": -5.0},
        {"tail_s": 3.0, "lead_s": 2.0},
    ],
)
def test_what_a_voice_always_does_is_no_fault(habit: dict[str, float]) -> None:
    usual = msgspec.structs.replace(USUAL, **habit)
    norms = taught(usual=usual)
    script, measures = next(rows(seed=9, usual=usual))
    assert norms.judge(KEY, script, 1.0, measures) == Judgement()


def test_what_some_rows_always_do_is_no_fault() -> None:
    norms = Norms()
    for number, (script, measures) in enumerate(islice(rows(), 100)):
        tail_s = 1.4 if number % 4 == 0 else 0.5
        norms.learn(KEY, script, 1.0, msgspec.structs.replace(measures, tail_s=tail_s))
    assert judged(norms, tail_s=1.4) == Judgement()


def test_before_a_voice_is_known_nothing_fails() -> None:
    norms = taught(FEW - 1)
    assert judged(norms, tail_s=3.0, end_dbfs=-20.0, clipped=0.3, click=20.0) == Judgement()
    assert judged(norms, dropouts=9) == Judgement("suspect", ("dropouts",))
    assert judged(norms, speech_s=0.3) == Judgement("suspect", ("too_short",))
    assert judged(norms, speech_s=60.0) == Judgement("suspect", ("too_long",))


def test_voices_are_judged_by_what_they_do_themselves() -> None:
    norms = taught()
    script, measures = next(rows(seed=9))
    cut = msgspec.structs.replace(measures, end_dbfs=-24.0, tail_s=0.0)
    assert norms.judge(KEY, script, 1.0, cut).verdict == "fail"
    assert norms.judge(("model", "other", "en-us"), script, 1.0, cut).verdict == "pass"
    assert norms.judge(KEY, script, 2.0, cut).verdict == "pass"


def test_half_of_all_rows_may_be_damaged() -> None:
    chance = np.random.default_rng(4)
    norms = Norms()
    for number, (script, measures) in enumerate(islice(rows(), 300)):
        if number % 2:
            factor = chance.choice([0.5, 0.66, 1.0, 1.0, 1.5, 2.0])
            measures = msgspec.structs.replace(
                measures,
                speech_s=measures.speech_s * factor,
                floor_dbfs=chance.choice([-90, -50.0]),
            )
        norms.learn(KEY, script, 1.0, measures)
    low_s, high_s = norms.band(KEY, 60)
    assert low_s < 0.2 + 60 * UNIT_S < high_s
    assert high_s / low_s < 2.2
    assert judged(norms) == Judgement()


def test_a_whole_corpus_is_learned_first_and_judged_then() -> None:
    corpus = [(KEY, script, 1.0, measures) for script, measures in islice(rows(), 60)]
    corpus[0] = (*corpus[0][:3], msgspec.structs.replace(corpus[0][3], dropouts=4))
    norms = Norms()
    norms.learn_all(corpus)
    found = [norms.judge(*each) for each in corpus]
    assert [it.verdict for it in found] == ["fail", *["pass"] * 59]


def test_the_band_is_wide_while_nothing_is_known() -> None:
    low_s, high_s = Norms().band(KEY, 100)
    known_low_s, known_high_s = taught().band(KEY, 100)
    assert low_s < known_low_s < 0.2 + 100 * UNIT_S < known_high_s < high_s


def test_scripts_of_one_length_have_a_band() -> None:
    norms = Norms()
    for _, measures in islice(rows(), 50):
        said = msgspec.structs.replace(measures, speech_s=3.0)
        norms.learn(KEY, "All of them have the same length.", 1.0, said)
    low_s, high_s = norms.band(KEY, units("All of them have the same length."))
    assert low_s < 3.0 < high_s


def test_memory_is_bounded() -> None:
    norms = taught(2 * MANY)
    assert len(norms._learned[(*KEY, "1")].rows) == MANY
    for number in range(2000):
        norms.learn(("model", f"{number}", "en-us"), "Hello there.", 1.0, USUAL)
    assert len(norms._learned) == 256


def test_the_same_rows_have_the_same_judgements() -> None:
    assert taught().band(KEY, 80) == taught().band(KEY, 80)


figures = st.floats(-120, 120, allow_nan=False)
anything = st.builds(
    Measures,
    *[st.floats(0, 1000)] * 5,
    *[st.floats(-120, 0)] * 3,
    *(st.floats(0, 1), st.floats(-1, 1), st.integers(0, 100), st.floats(0, 1000)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=80), anything), min_size=FEW, max_size=3 * FEW))
def test_whatever_is_learned_there_is_a_judgement(some: list[Row]) -> None:
    norms = Norms()
    for script, measures in some:
        norms.learn(KEY, script, 1.0, measures)
    found = [norms.judge(KEY, script, 1.0, measures) for script, measures in some]
    assert all(it.verdict == "pass" or it.reasons for it in found)
    assert all(np.isfinite(norms.band(KEY, size)).all() for size in (0, 10, 1e4))


@pytest.mark.parametrize(
    ("script", "least", "most"),
    [
        ("Plain words", 10, 10),
        ("1987", 15, 25),
        ("It has 3,856 rows", 30, 45),
        ("BBC!", 8, 12),
        ("The BBC said so", 18, 24),
        ("吾輩は猫である", 13, 22),
        ("안녕하세요", 12, 18),
        ("", 0, 0),
        ("?!… — ...", 0, 6),
        ("50 %", 9, 14),
    ],
)
def test_what_there_is_to_say(script: str, least: float, most: float) -> None:
    assert least <= units(script) <= most


def test_what_is_said_one_way_or_another_is_told_apart() -> None:
    assert count("Call me Ishmael.").loose == 0
    assert 0 < count("Room 42 is free").loose < count("Room 42 is free").all


@given(st.text(max_size=100), st.sampled_from(["en-us", "de", "ja", ""]))
def test_any_text_has_units(script: str, language: str) -> None:
    found = count(script, language)
    assert 0 <= found.loose <= found.all
