from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.text.segment import split

limits = st.integers(1, 40)
scripts = st.one_of(
    st.text(),
    st.text(alphabet="ab. ,!?\n\t—…。、”)é\u0301🎉-", max_size=200),
    st.lists(st.sampled_from(["Dr.", "Ahab", "said:", "“No!”", "3.5", "\n\n", "—", "鯨。"])).map(
        " ".join
    ),
)


def said(piece: str) -> str:
    """What a piece says, from its first letter to its last."""
    spoken = [at for at, character in enumerate(piece) if character.isalnum()]
    return piece[spoken[0] : spoken[-1] + 1] if spoken else ""


@given(scripts, limits)
def test_joining_the_pieces_gives_the_script_back(script: str, limit: int) -> None:
    assert "".join(split(script, limit)) == script


@given(scripts, limits)
def test_no_piece_says_more_than_the_limit(script: str, limit: int) -> None:
    assert all(len(said(piece)) <= limit for piece in split(script, limit))


@given(st.lists(st.from_regex(r"[a-z]{1,9}[.,]?", fullmatch=True)).map(" ".join), limits)
def test_pieces_of_plain_prose_are_within_the_limit(script: str, limit: int) -> None:
    assert all(len(piece.rstrip(" .,")) <= limit for piece in split(script, limit))


@given(scripts, limits)
def test_every_piece_has_something_to_say(script: str, limit: int) -> None:
    pieces = split(script, limit)
    assert len(pieces) < 2 or all(map(said, pieces))


@given(scripts, limits)
def test_a_script_within_the_limit_is_one_piece(script: str, limit: int) -> None:
    short = script[:limit]
    assert split(short, limit) == ([short] if short else [])


@pytest.mark.parametrize(
    ("script", "limit", "pieces"),
    [
        # Paragraphs before sentences.
        ("One. Two.\n\nThree. Four.", 20, ["One. Two.\n\n", "Three. Four."]),
        ("One. Two.\n \t\nThree. Four.", 20, ["One. Two.\n \t\n", "Three. Four."]),
        # Sentences before clauses.
        ("Call me Ishmael. Some years, ago", 30, ["Call me Ishmael. ", "Some years, ago"]),
        ("Is it? Yes, it is, it is.", 20, ["Is it? ", "Yes, it is, it is."]),
        ("“No!” he said, and left.", 18, ["“No!” ", "he said, and left."]),
        ("Well … then we go, all.", 20, ["Well … ", "then we go, all."]),
        # A full stop that ends no sentence.
        ("So Dr. Bunger and Mr. Boomer", 25, ["So Dr. Bunger and Mr. ", "Boomer"]),
        ("We left. Mr. Starbuck stayed.", 20, ["We left. ", "Mr. Starbuck stayed."]),
        ("He came. J. R. stayed behind.", 22, ["He came. ", "J. R. stayed behind."]),
        ("Fertig. Herr Dr. Ahab kommt.", 22, ["Fertig. ", "Herr Dr. Ahab kommt."]),
        ("It costs 3.50 in all. Pay now.", 25, ["It costs 3.50 in all. ", "Pay now."]),
        # Clauses before words.
        ("Some years ago, never mind how", 25, ["Some years ago, ", "never mind how"]),
        ("Call me: I am here at home", 20, ["Call me: ", "I am here at home"]),
        ("The sea – the sea is calling", 22, ["The sea – ", "the sea is calling"]),
        # Words before letters.
        ("never mind how long", 12, ["never mind ", "how long"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        # Writing without spaces.
        ("吾輩は猫である。名前はまだ無い。", 10, ["吾輩は猫である。", "名前はまだ無い。"]),
        ("彼は言った「行け。」そして去った。", 12, ["彼は言った「行け。」", "そして去った。"]),
        ("海は広いな、大きいな", 8, ["海は広いな、", "大きいな"]),
        # An early cut would leave a scrap.
        ("Oh. wonderful whaling voyages", 20, ["Oh. wonderful ", "whaling voyages"]),
        # Not between a letter and its accent.
        ("cafe\u0301s", 4, ["caf", "e\u0301s"]),
        ("e\u0301\u0302\u0303", 2, ["e\u0301\u0302\u0303"]),
        # Nothing to say is said with something.
        ("abc ...... ... def", 4, ["abc ...... ... ", "def"]),
        ("......... abc", 4, ["......... abc"]),
        ("abcd" + " " * 20, 4, ["abcd" + " " * 20]),
        (". . . . . .", 4, [". . . . . ."]),
        ("", 4, []),
    ],
)
def test_a_cut_falls_where_a_speaker_would_pause(
    script: str, limit: int, pieces: list[str]
) -> None:
    assert split(script, limit) == pieces


@pytest.mark.parametrize(
    "unit", ["a", ".", " ", "a.", "! ", "a. ", "\n", "\n\n", "\n ", "é\u0301", ".\u201d", "\u0301"]
)
def test_no_script_takes_long_to_split(unit: str) -> None:
    script = unit * (50_000 // len(unit))
    began = time.process_time()
    assert "".join(split(script, 250)) == script
    assert time.process_time() - began < 2.0
