"""What word timings say about completeness."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchtts.model import Word
from batchtts.wire.words import Coverage


def covered(script: str, *items: list[str]) -> Coverage:
    coverage = Coverage(script)
    for number, words in enumerate(items):
        coverage.add(f"{number}", [Word(word, 0.0, 0.1) for word in words])
    return coverage


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("Call me Ishmael.", ["Call", "me", "Ishmael"]),
        ("Call me Ishmael.", ["call", "ME", "Ishmael."]),
        ("It's a well-known “fact”…", ["It's", "a", "well", "known", "fact"]),
        ("Straße", ["strasse"]),
        ("ﬁn", ["fin"]),
        ("日本語。", ["日", "本", "語"]),
        ("Call me 🐋", ["Call", "me"]),
        ("Call me <break time='1s'/> Ishmael.<mark name='end'/>", ["Call", "me", "Ishmael"]),
    ],
)
def test_a_script_is_whole_when_every_letter_was_timed(script: str, words: list[str]) -> None:
    assert covered(script, words).is_whole
    assert covered(script, words).missing() is None


def test_words_count_in_the_order_in_which_their_items_began() -> None:
    coverage = covered("One two three four.", ["One"], ["three"])
    coverage.add("0", [Word("two", 0.2, 0.3)])
    coverage.add("1", [Word("four", 0.2, 0.3)])
    assert coverage.is_whole


@pytest.mark.parametrize(
    ("script", "words", "missing"),
    [
        ("Call me Ishmael.", ["Call", "me"], "Ishmael."),
        ("Call me Ishmael. Some years ago.", ["Call", "me", "Ishmael."], "Some years ago."),
        ("Call me – Ishmael.", ["Call", "me"], "– Ishmael."),
    ],
)
def test_what_was_not_timed_is_named(script: str, words: list[str], missing: str) -> None:
    coverage = covered(script, words)
    assert not coverage.is_whole
    assert coverage.missing() == missing


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("Call me Ishmael.", []),  # no timings at all
        ("It cost $100 then.", ["It", "cost", "one"]),  # its own spelling
        ("Call me in 1851.", ["Call", "me", "in"]),  # figures may be read as words
        ("Plan B", ["Plan"]),  # a single letter may be spelled
        ("", ["and", "more"]),
    ],
)
def test_what_cannot_be_compared_is_not_judged(script: str, words: list[str]) -> None:
    coverage = covered(script, words)
    assert not coverage.is_whole
    assert coverage.missing() is None


def test_a_script_without_letters_is_never_whole() -> None:
    assert not covered("…", ["…"]).is_whole


@given(st.text(), st.integers(0, 50))
def test_the_words_of_any_script_cover_it(script: str, cut: int) -> None:
    assume("<" not in script)
    words = script.split()
    coverage = covered(script, words[:cut], words[cut:])
    assert coverage.is_whole == any(map(str.isalnum, normalize("NFKC", script)))


@given(st.lists(st.from_regex(r"[a-z]{2,8}", fullmatch=True), min_size=2), st.data())
def test_whatever_is_cut_off_is_missed(words: list[str], data: st.DataObject) -> None:
    kept = data.draw(st.integers(1, len(words) - 1))
    assert covered(" ".join(words), words[:kept]).missing() == " ".join(words[kept:])
