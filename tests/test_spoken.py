from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.text.spoken import normalize

LANGUAGES = ("en-US", "en", "de", "fr", "es", "it", "pt-BR", "ja", "zh", "th", "hi", "xx")


def said(text: str, language: str = "en-US") -> str:
    return " ".join(word.text for word in normalize(text, language))


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("$3,450.75", "three thousand four hundred fifty dollars seventy five cents"),
        ("$3450 and 75 cents", "three thousand four hundred fifty dollars seventy five cents"),
        (
            "three thousand four hundred and fifty dollars and seventy-five cents",
            "three thousand four hundred fifty dollars seventy five cents",
        ),
        ("45%", "forty five percent"),
        ("9:30 a.m.", "nine thirty am"),
        ("nine thirty AM", "nine thirty am"),
        ("In 1984,", "in nineteen eighty four"),
        ("the 1950s", "the nineteen fifties"),
        ("on April 18, 1896", "on april eighteenth eighteen ninety six"),
        ("the 4th of July", "the fourth of july"),
        ("1/2 mile, 2½ miles", "one half mile two and a half miles"),
        ("a hundred and five", "one hundred five"),
        ("nine oh five", "nine zero five"),
        ("the $20 bill", "the twenty dollars bill"),
        ("20 km, 20kg, 5 ft", "twenty kilometers twenty kilograms five feet"),
        ("B12 and 007", "b twelve and zero zero seven"),
        ("King Henry VIII", "king henry the eighth"),
        ("Chapter IV", "chapter four"),
        ("Dr. Who, Mr. Ed & Mrs. Miniver", "doctor who mister ed and missus miniver"),
        ("St. Paul on Baker St.", "saint paul on baker street"),
        ("No. 5, and no.", "number five and no"),
        ("F.B.I. and FBI", "fbi and fbi"),
        ("it\u2019s, it's", "it's it's"),
        ("Well-worn, half–finished", "well worn half finished"),
        ("colour, honoured, grey", "color honored gray"),
        ("four hours, your flour", "four hours your flor"),
        ("realize, analysed, theatre", "realise analysed theater"),
        ("travelling, labelled, controlled", "traveling labeled controlled"),
        ("café, naïve", "cafe naive"),
        ("Um, I, er, think so", "i think so"),
        ("ﬁne ＡＢＣ", "fine abc"),
        ("", ""),
        ("?! …", ""),
    ],
)
def test_english_comes_to_the_words_that_are_heard(written: str, words: str) -> None:
    assert said(written) == words


@pytest.mark.parametrize(
    ("language", "written", "words"),
    [
        ("de", "3,50 € am 5. Mai 1984", "drei euro fünfzig am fünften mai"),
        ("de", "Dr. Groß & Co.", "doktor gross und co"),
        ("fr", "L'homme a 21 ans, 80 %", "l homme a"),
        ("es", "la Sra. García", "la señora garcía"),
        ("it", "il 20 % di", "il venti per cento di"),
        ("ja", "これは本", "こ れ は 本"),
        ("zh", "天气很好", "天 气 很 好"),
        ("hi", "नमस्ते दुनिया", "नमस्ते दुनिया"),
        ("xx", "Été 12", "été 12"),
    ],
)
def test_other_languages_come_to_words_too(language: str, written: str, words: str) -> None:
    assert said(written, language).startswith(words)


def test_a_word_knows_where_it_was_written() -> None:
    text = "Pay $5, Dr. No."
    assert [(word.text, text[word.start : word.end]) for word in normalize(text, "en")] == [
        ("pay", "Pay"),
        ("five", "$5"),
        ("dollars", "$5"),
        ("doctor", "Dr."),
        ("no", "No"),
    ]


@given(st.text(), st.sampled_from(LANGUAGES))
def test_words_are_in_order_and_apart_or_the_same(text: str, language: str) -> None:
    words = normalize(text, language)
    for word, behind in pairwise(words):
        assert word.end <= behind.start or word[1:] == behind[1:]
    assert all(0 <= word.start < word.end <= len(text) for word in words)


@given(st.text(alphabet="0123456789.,:/-$£€%½thIVXk msd'&#°\u00a0", max_size=30))
def test_nothing_that_looks_like_a_number_is_too_odd(text: str) -> None:
    for language in LANGUAGES:
        assert not any(" " in word.text or not word.text for word in normalize(text, language))
