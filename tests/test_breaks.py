from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.text.breaks import clause_breaks, quotations, space_breaks, word_breaks


def parts(text: str, limit: int) -> list[str]:
    ends = [each.at for each in word_breaks(text, limit, lambda _: True)]
    return [text[start:end] for start, end in pairwise([0, *ends, len(text)])]


@pytest.mark.parametrize(
    ("limit", "whole"),
    [
        (3, ["e\u0301", "e\u0301", "e\u0301"]),
        (7, ["👩‍👩‍👧", "👩‍👩‍👧"]),
        (3, ["👍🏽", "👍🏽"]),
        (3, ["🇩🇪", "🇫🇷", "🇮🇹"]),
        (3, ["❤️", "❤️"]),
        (4, ["\u1112\u1161\u11ab", "\u1100\u1173\u11af"]),
        (4, ["क", "क्षक"]),
        (3, ["กำ", "กำ"]),
        (7, ["1,000", "abcd"]),
        (7, ["abcd", "3.14"]),
        (3, ["a\u200d🎉", "b"]),
    ],
)
def test_a_character_is_not_taken_apart_if_the_limit_has_room(limit: int, whole: list[str]) -> None:
    assert parts("".join(whole), limit) == whole


@given(st.text(min_size=1), st.integers(1, 9))
def test_no_part_of_a_word_is_longer_than_the_limit(text: str, limit: int) -> None:
    assert all(0 < len(part) <= limit for part in parts(text, limit))


@given(st.integers(1, 400), st.integers(1, 50))
def test_parts_of_a_word_are_of_about_the_same_length(length: int, limit: int) -> None:
    lengths = {len(part) for part in parts("a" * length, limit)}
    assert max(lengths) - min(lengths) <= 1


def test_a_forbidden_place_is_taken_if_there_is_no_other() -> None:
    breaks = list(word_breaks("abcdefgh", 4, lambda at: at == 2))
    assert [each.at for each in breaks] == [2, 5]
    assert breaks[1].badness > 10 * breaks[0].badness


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("He said “Go.” And «va».", ["“Go.”", "«va»"]),
        ('He said "go" and "no".', ['"go"', '"no"']),
        ("„Halt“ rief er, »und «", ["„Halt“", "»und «"]),
        ("彼は「『行け』と言え」と言った", ["「『行け』と言え」"]),
        ("“never closed", []),
        ("closed” only", []),
    ],
)
def test_quotations_are_found_with_their_marks(text: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in quotations(text)] == found


@pytest.mark.parametrize(
    "marked",
    [
        "One, |two; |three: |four",
        "One — |two – |three—|four",
        "One |(two) |“three”",
        "One\n|two",
        "1,000,000 and 3.14 at 12:30",
        "一、|二，|三",
        "He went ... |on and Mr. Boomer too",
        "“Stop!” |she said, |“no”",
    ],
)
def test_clauses_end_where_a_reader_takes_breath(marked: str) -> None:
    text = marked.replace("|", "")
    ends = [0, *(each.at for each in clause_breaks(text, "en")), len(text)]
    assert "|".join(text[start:end] for start, end in pairwise(ends)) == marked


def test_a_number_is_not_parted_from_its_unit_if_there_is_another_space() -> None:
    badness = [each.badness for each in space_breaks("all 3.5 kg of it", "en")]
    assert badness.index(max(badness)) == 1
    assert badness.count(max(badness)) == 1
