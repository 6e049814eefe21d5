"""The study of what checks find: its texts, its damage and its table."""

from __future__ import annotations

from itertools import islice

import pytest

from batchtts.model import Judgement
from batchtts.review.checks import examine
from batchtts.server.damage import How, damage
from benchmarks.detection import HEART, HOWS, OTHER, Case, Spoken, damaged, judged_at_the_end, table
from benchmarks.prose import MOST_WORDS, rows, sentences
from tests.test_measure import pcm, utterance

RATE_HZ = 24_000
SAID = "Some years ago, never mind how long."
GOOD = pcm(utterance())


def test_texts_are_varied_and_follow_from_their_seed() -> None:
    some = list(islice(sentences(1), 300))
    assert some == list(islice(sentences(1), 300))
    assert some != list(islice(sentences(2), 300))
    assert len(set(some)) > 290
    lengths = [len(each.split()) for each in some]
    assert (min(lengths), max(lengths) <= MOST_WORDS) == (5, True)


@pytest.mark.parametrize("language", ["en-gb", "de", "es", "fr", "it"])
def test_rows_of_a_language_are_short_and_long(language: str) -> None:
    lengths = [len(each.split()) for each in rows(language, 1, 60)]
    assert (len(lengths), min(lengths)) == (60, 1)
    assert max(lengths) > 200


@pytest.mark.parametrize("how", sorted(set(HOWS) - {OTHER}))
def test_damage_is_the_same_for_the_same_seed(how: How) -> None:
    assert damage(GOOD, RATE_HZ, how, 1) == damage(GOOD, RATE_HZ, how, 1) != GOOD


def test_every_other_row_is_damaged_in_every_way() -> None:
    spoken = [Spoken(SAID, GOOD, RATE_HZ)] * 36
    hows = [case.how for case in damaged(spoken, 1)]
    assert set(hows) == {"", *HOWS}
    assert hows.count("") == 18


def test_what_is_damaged_is_told_by_kind() -> None:
    spoken = [Spoken(SAID, pcm(utterance(8000 + 20 * n)), RATE_HZ) for n in range(54)]
    cases = list(damaged(spoken, 1))
    judgements = list(judged_at_the_end(cases, HEART))
    lines = list(table("here", cases, iter(judgements)))
    assert [line.split()[0] for line in lines] == ["here", "undamaged", *HOWS, "caught"]
    assert lines[1].split()[1:] == ["27", "27", "0", "0", "0.0%"]
    found = {case.how for case, it in zip(cases, judgements, strict=True) if it.reasons}
    assert found >= {"cut_end", "silence", "doubled", "rate", "dropouts", "noise", "clipping"}


def test_silence_is_refused_whatever_is_usual() -> None:
    case = Case(SAID, "silence", examine(bytes(48_000), RATE_HZ))
    assert list(judged_at_the_end([case], HEART)) == [Judgement("fail", ("floor",))]
