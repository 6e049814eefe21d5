"""Real transcripts: sentences of the embedded voice, damaged or not, heard by the embedded
recognizer, taken in regular steps from a study of 645. `gap` is 0.4 s missing in the middle."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from batchtts.model import Differences
from batchtts.review import hearing, phonemes
from batchtts.review.compare import compare
from batchtts.review.hearing import Habits, Opinion, Usual, judge, learn

ROWS = json.loads(Path(__file__).with_name("heard.json").read_text(encoding="utf-8"))


def figures(script: str, transcript: str, *, by_ear: bool = True) -> Differences:
    if by_ear:
        pytest.importorskip("hibari")
    ear = phonemes.english() if by_ear else None
    return compare(script, transcript, "en-US", ear).figures


def verdicts(*, by_ear: bool) -> dict[str | None, Counter[str]]:
    rows = [(it["damage"], figures(it["script"], it["heard"], by_ear=by_ear)) for it in ROWS]
    habits = learn(row for _, row in rows)
    found: dict[str | None, Counter[str]] = {}
    for damage, row in rows:
        found.setdefault(damage, Counter())[judge(row, habits).verdict] += 1
    return found


def test_damage_is_found_by_phonemes_and_good_speech_passes() -> None:
    found = verdicts(by_ear=True)
    assert found[None] == {"pass": 24}
    assert found["gap"]["pass"] <= 1
    assert found["gap"]["fail"] >= 10
    assert found["end"]["pass"] == 0
    assert found["stutter"]["pass"] <= 1  # a recognizer may hear said twice as said once
    assert found["other row"] == {"fail": 4}
    assert found["doubled"] == {"fail": 4}


def test_damage_is_found_by_letters_too() -> None:
    found = verdicts(by_ear=False)
    assert found[None]["pass"] >= 23
    assert found["gap"]["pass"] <= 2
    assert found["other row"]["pass"] == found["doubled"]["pass"] == found["end"]["pass"] == 0


SCRIPT = "The copper kettle belonged to a retired pilot from Winnipeg."


@pytest.mark.parametrize(
    ("heard", "verdict", "reason"),
    [
        ("the copper kettle belonged to a retired pilot from Winnipeg", "pass", None),
        ("The copper cattle belonged to a retired pilot from Winnipeg", "pass", None),
        ("", "fail", "nothing_heard"),
        ("belonged to a retired pilot from Winnipeg", "fail", "beginning_missing"),
        ("The copper kettle belonged to a pilot from Winnipeg", "fail", "words_missing"),
        ("The copper kettle belonged to a retired pilot", "fail", "end_missing"),
        (f"{SCRIPT} {SCRIPT}", "fail", "words_repeated"),
        (f"{SCRIPT} Thank you", "suspect", "words_added"),
        ("Two herons stood among the reeds all day and slept", "fail", "other_words"),
    ],
)
def test_a_verdict_has_its_reason(heard: str, verdict: str, reason: str | None) -> None:
    judgement = judge(figures(SCRIPT, heard))
    assert judgement.verdict == verdict
    assert judgement.reasons[:1] == (() if reason is None else (reason,))


@pytest.mark.parametrize(
    ("script", "heard", "verdict"),
    [
        ("Nguyen.", "Win.", "suspect"),
        ("Viktor!", "Victor", "pass"),
        ("Stop.", "Stop. Stop.", "suspect"),
        ("Good morning.", "Good", "fail"),
        ("Yes.", "Moss grows thickest on the northern side.", "fail"),
    ],
)
def test_a_short_row_is_judged_by_its_sounds(script: str, heard: str, verdict: str) -> None:
    assert judge(figures(script, heard)).verdict == verdict


def test_without_words_in_the_script_nothing_need_be_heard() -> None:
    assert judge(figures("…", "")) == Opinion("pass")


def row(*, missing: float = 0.0, per: float = 0.0) -> Differences:
    return Differences(
        words=12, heard=12, units=40, wer=per, cer=per, per=per, found=1 - per,
        missing_start=0.0, missing_middle=missing, missing_end=0.0, added=0.0, repeated=0,
    )  # fmt: skip


def test_a_voice_that_is_hard_to_understand_is_held_against_itself() -> None:
    rows = [row(missing=2 + number % 3, per=0.3 + 0.1 * (number % 3)) for number in range(30)]
    habits = learn(rows)
    assert habits.missing.median == 3
    assert Counter(judge(it, habits).verdict for it in rows) == {"pass": 30}
    assert judge(row(missing=20), habits).verdict == "fail"


def test_a_pace_far_from_the_usual_one_is_suspect() -> None:
    rows = [replace(row(), audio_s=4 + number / 10) for number in range(-3, 4)] * 3
    habits = learn(rows)
    assert Counter(judge(it, habits).verdict for it in rows) == {"pass": 21}
    assert judge(replace(row(), audio_s=4 / 1.5), habits).reasons == ("too_fast",)
    assert judge(replace(row(), audio_s=8), habits).reasons == ("too_slow",)
    assert judge(replace(row(), audio_s=8), learn(rows[:5])).verdict == "pass"


def test_half_a_run_that_is_damaged_is_not_what_is_usual() -> None:
    habits = learn([row()] * 20 + [row(missing=5, per=0.2)] * 20)
    assert habits == Habits(rows=40)
    assert judge(row(missing=5, per=0.2), habits).verdict == "fail"


def test_few_rows_are_held_against_good_speech() -> None:
    assert learn([]) == Habits()
    assert judge(row(missing=5), learn([row(missing=0)])).verdict == "fail"


def test_a_single_row_is_no_measure_of_itself() -> None:
    assert judge(row(missing=5), learn([row(missing=5)])).verdict != "pass"


def test_a_scale_moves_with_what_is_usual_and_never_down() -> None:
    scale = hearing.Scale(1.0, 3.0)
    assert Usual().moved(scale) == scale
    assert Usual(2.0, 1.0).moved(scale) == hearing.Scale(6.0, 10.0)
