from __future__ import annotations

import random
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.errors import SettingsError
from batchtts.review import phonemes
from batchtts.review.compare import Comparison, Span, compare, require_comparison
from batchtts.text.spoken import normalize

LANGUAGES = ("en-US", "de", "fr", "ja", "xx")


def by_ear(script: str, transcript: str) -> Comparison:
    pytest.importorskip("hibari")
    return compare(script, transcript, "en-US", phonemes.english())


def differing(comparison: Comparison, script: str) -> list[tuple[str, str, str]]:
    return [
        (span.kind, script[span.start : span.end], span.heard)
        for span in comparison.spans
        if span.kind != "equal"
    ]


@pytest.mark.parametrize(
    ("script", "transcript"),
    [
        ("It's the colour I like.", "It is the color I like"),
        ("She has gone; we'd known.", "She's gone. We had known."),
        ("You cannot, and I can't.", "You can not and I cannot"),
        ("Everyone ate ice cream.", "Every one ate icecream"),
        ("It came to $3,450.75.", "It came to $3450 and 75 cents."),
        ("In 1984 it ended.", "In one thousand nine hundred and eighty-four it ended."),
        ("At 1:05 a.m. sharp.", "At 105 AM sharp."),
        ("The F.B.I. called.", "The F B I called"),
        ("John's cat.", "Johns cat."),
        ("Um, well, hello.", "Well hello."),
    ],
)
def test_what_means_the_same_is_no_error(script: str, transcript: str) -> None:
    comparison = compare(script, transcript, "en-US")
    assert (comparison.wer, comparison.cer, comparison.per) == (0, 0, None)


@pytest.mark.parametrize(
    ("script", "transcript"),
    [
        ("Two smoky rooms, too.", "To smokey rooms to."),
        ("Viktor met Odette.", "Victor met Odet."),
        ("The last ferry left.", "The last fairy left."),
        ("They went to Tallinn.", "They went to Talon."),
    ],
)
def test_what_sounds_the_same_is_no_error(script: str, transcript: str) -> None:
    comparison = by_ear(script, transcript)
    assert (comparison.wer, comparison.cer, comparison.per) == (0, 0, 0)
    assert {span.kind for span in comparison.spans} <= {"equal", "forgiven"}
    assert compare(script, transcript, "en-US").wer > 0


def test_a_lost_ending_is_an_error_but_hardly_a_gap() -> None:
    comparison = by_ear("He parked the truck outside.", "He park the truck outside.")
    assert comparison.wer == pytest.approx(0.2)
    assert comparison.figures.missing_middle == 1


def test_spans_show_the_script_as_it_was_written() -> None:
    script = "“Well, the OLD dog\u2014barked twice,” he said."
    comparison = compare(script, "Well the old hog barked he said so.", "en-US")
    assert comparison.spans == (
        Span("equal", 0, 15, "Well the old"),
        Span("substituted", 15, 18, "hog"),
        Span("equal", 18, 26, "barked"),
        Span("deleted", 26, 31, ""),
        Span("equal", 31, 41, "he said"),
        Span("inserted", 41, 41, "so"),
        Span("equal", 41, 42, ""),
    )


def test_a_number_is_one_thing() -> None:
    script = "It weighs 3,452 pounds today."
    comparison = compare(script, "It weighs 3,462 pounds today", "en-US")
    assert differing(comparison, script) == [("substituted", "3,452", "3,462")]


def test_a_missing_hundred_is_not_forgiven() -> None:
    comparison = by_ear("It had 424 pages.", "It had four twenty-four pages.")
    assert comparison.wer > 0
    assert comparison.figures.missing_middle > 3


def test_gaps_are_told_by_their_place() -> None:
    script = "The copper kettle belonged to a retired pilot from Winnipeg"
    start = by_ear(script, "belonged to a retired pilot from Winnipeg").figures
    middle = by_ear(script, "The copper kettle belonged to a pilot from Winnipeg").figures
    end = by_ear(script, "The copper kettle belonged to a retired pilot").figures
    assert start.missing_start > 8
    assert start.missing_middle == start.missing_end == 0
    assert middle.missing_middle > 5
    assert middle.missing_start == middle.missing_end == 0
    assert end.missing_end > 8
    assert end.missing_start == end.missing_middle == 0


def test_a_doubled_passage_is_counted() -> None:
    script = "A thin layer of frost covered the orchard."
    assert by_ear(script, f"{script} {script}").figures.repeated == 8
    stutter = "A thin layer of frost layer of frost covered the orchard."
    assert by_ear(script, stutter).figures.repeated == 3
    assert by_ear("Stop.", "Stop. Stop.").figures.repeated == 1
    assert by_ear(script, script).figures.repeated == 0


def test_another_text_is_hardly_found() -> None:
    found = by_ear(
        "Honey stored in a sealed jar hardly ever spoils.", "Two herons stood among the reeds."
    ).figures.found
    assert found < 0.5


def test_nothing_heard_is_everything_wrong() -> None:
    figures = compare("Clouds gathered.", "", "en-US").figures
    assert figures.is_silent
    assert (figures.wer, figures.cer, figures.found) == (1, 1, 0)


@pytest.mark.parametrize(("script", "transcript"), [("", ""), ("…", "?"), ("", "so"), ("…", "so")])
def test_a_script_without_words_has_no_errors_in_it(script: str, transcript: str) -> None:
    comparison = compare(script, transcript, "en-US")
    assert comparison.figures.words == 0
    assert "".join(script[it.start : it.end] for it in comparison.spans) == script


def test_characters_count_where_there_are_no_spaces() -> None:
    assert compare("今天天气很好", "今天天汽很好", "zh").wer == pytest.approx(1 / 6)


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(SettingsError, match="comparing transcripts needs jiwer") as caught:
        require_comparison()
    assert caught.value.hint == "pip install 'batchtts[verify]'"


@given(st.text(), st.sampled_from(LANGUAGES))
def test_a_text_is_equal_to_itself(text: str, language: str) -> None:
    comparison = compare(text, text, language)
    assert (comparison.wer, comparison.cer, comparison.figures.found) == (0, 0, 1)
    assert {span.kind for span in comparison.spans} <= {"equal"}


words = st.lists(
    st.sampled_from(
        "the old dog barked 21 $5 it's is two, Dr. St. 9:30 forty-two um é 本 —".split()
    )
    | st.text(max_size=3),
    max_size=25,
).map(" ".join)


@given(words, words, st.sampled_from(LANGUAGES))
def test_spans_are_the_script_and_all_that_was_heard(
    script: str, transcript: str, language: str
) -> None:
    comparison = compare(script, transcript, language)
    at = 0
    for span in comparison.spans:
        assert span.start == at
        assert (span.end > span.start) == (span.kind != "inserted")
        at = span.end
    assert at == len(script)
    figures = comparison.figures
    assert 0 <= figures.found <= 1
    assert min(figures.wer, figures.cer, figures.missing_middle, figures.added) >= 0
    assert figures.heard == len(normalize(transcript, language))


def scrambled(count: int, errors: float) -> tuple[str, str]:
    chance = random.Random(5)
    vocabulary = [f"{a}{b}{c}" for a in "bdgklmnprst" for b in ("a", "ee", "oo") for c in "dlmnst"]
    script = [chance.choice(vocabulary) for _ in range(count)]
    heard = [it for it in script if chance.random() > errors]
    return " ".join(script), " ".join(heard)


def test_ten_thousand_words_take_less_than_a_second() -> None:
    script, transcript = scrambled(10_000, 0.03)
    compare(script[:500], transcript[:500], "en-US")
    began = time.process_time()
    assert compare(script, transcript, "en-US").wer == pytest.approx(0.03, abs=0.005)
    assert time.process_time() - began < 1.0


def test_a_book_takes_no_more_for_a_word_than_a_chapter() -> None:
    def took(words: int) -> float:
        script, transcript = scrambled(words, 0.03)
        began = time.process_time()
        compare(script, transcript, "en-US")
        return time.process_time() - began

    chapter = took(5_000)
    assert took(25_000) < 12 * chapter


def test_another_book_of_that_length_takes_no_square_of_time() -> None:
    script, transcript = scrambled(25_000, 0.0)
    began = time.process_time()
    assert compare(script, " ".join(sorted(transcript.split())), "en-US").wer > 0.5
    assert time.process_time() - began < 15.0
