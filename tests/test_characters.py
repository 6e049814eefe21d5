"""Times of characters become times of words, wherever messages are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.model import Word
from batchtts.wire.characters import Reading

BYTES_PER_S = 1000
CHAR_MS = 100.0


def timed(text: str, begins_ms: float = 0.0) -> tuple[list[str], list[float], list[float]]:
    """Characters of a tenth of a second each, one after another."""
    starts = [begins_ms + i * CHAR_MS for i in range(len(text))]
    return list(text), starts, [CHAR_MS] * len(text)


def audio(text: str) -> bytes:
    """As much audio as a text takes."""
    return bytes(round(len(text) * CHAR_MS * BYTES_PER_S / 1000))


def rounded(words: list[Word]) -> list[Word]:
    return [Word(each.text, round(each.start_s, 6), round(each.end_s, 6)) for each in words]


def test_a_word_lasts_from_its_first_character_to_its_last() -> None:
    reading = Reading(BYTES_PER_S)
    assert rounded([*reading.read(*timed("Call me"))]) == [Word("Call", 0.0, 0.4)]
    assert rounded([*reading.rest()]) == [Word("me", 0.5, 0.7)]


def test_nothing_is_left_after_the_rest() -> None:
    reading = Reading(BYTES_PER_S)
    reading.read(*timed("me"))
    assert [bool(reading.rest()), bool(reading.rest())] == [True, False]


def test_what_is_read_begins_where_the_audio_heard_so_far_ends() -> None:
    reading = Reading(BYTES_PER_S)
    reading.hear(bytes(2 * BYTES_PER_S))
    assert rounded([*reading.read(*timed("me "))]) == [Word("me", 2.0, 2.2)]


def test_silence_without_characters_is_time_too() -> None:
    reading = Reading(BYTES_PER_S)
    reading.read(*timed("Call "))
    reading.hear(bytes(BYTES_PER_S))  # half a second more than the characters say
    reading.hear(bytes(BYTES_PER_S))
    assert rounded([*reading.read(*timed("me "))]) == [Word("me", 2.0, 2.2)]


def test_compressed_audio_is_as_long_as_its_characters() -> None:
    reading = Reading(None)
    reading.read(*timed("Call "))
    reading.hear(bytes(7))
    reading.hear(bytes(9))
    assert rounded([*reading.read(*timed("me "))]) == [Word("me", 0.5, 0.7)]


@pytest.mark.parametrize(
    ("begins_ms", "start_s"), [(0.0, 0.5), (400.0, 0.9), (500.0, 0.5), (600.0, 0.6)]
)
def test_times_that_go_on_where_the_last_ended_are_left_as_they_are(
    begins_ms: float, start_s: float
) -> None:
    reading = Reading(BYTES_PER_S)
    reading.read(*timed("Call "))
    reading.hear(audio("Call "))
    words = [*reading.read(*timed("me ", begins_ms))]
    assert rounded(words) == [Word("me", start_s, round(start_s + 0.2, 6))]


@pytest.mark.parametrize("short", [0, 1, 2])
def test_there_must_be_as_many_times_as_characters(short: int) -> None:
    told = timed("me")
    told[short].pop()
    with pytest.raises(ValueError, match=r"zip\(\)"):
        Reading(BYTES_PER_S).read(*told)


@given(st.text("abc \n", max_size=40), st.sets(st.integers(1, 39)), st.booleans())
def test_it_does_not_matter_where_messages_are_cut(
    text: str, places: set[int], counts_on: bool
) -> None:
    ends = [0, *sorted(place for place in places if place < len(text)), len(text)]
    reading, words = Reading(BYTES_PER_S), list[Word]()
    for i, j in pairwise(ends):
        words += reading.read(*timed(text[i:j], i * CHAR_MS if counts_on else 0.0))
        reading.hear(audio(text[i:j]))
    words += reading.rest()
    whole = Reading(BYTES_PER_S)
    assert rounded(words) == rounded([*whole.read(*timed(text)), *whole.rest()])
    assert [word.text for word in words] == text.split()
