from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchtts.text.clean import SPOKEN
from batchtts.text.rendering import Edit, Rendering
from batchtts.text.segment import Piece, split
from batchtts.text.speakers import Turn, find_turns
from batchtts.wire import registry

PROVIDER_LIMITS = sorted({registry.get(name).segment_chars for name in registry.built_in()})
BITS = [
    *"ab. ,;:!?\n\t—–…。、！？”“\"'()«»「」[]#*é10।؛؟\r\u2028\u2029\u00a0\u200b\x00\x85_🎉ßǅ",
    *(
        "\u0301",
        "e\u0301\u0302",
        "👩‍👩‍👧",
        "🇩🇪🇫🇷",
        "👍🏽",
        "\u1112\u1161\u11ab",
        "क्षि",
        "กำ",
        "한국",
    ),
    *(
        "Dr. ",
        "Mr. Jones ",
        "J. R. ",
        "e.g. ",
        "Jan. 5th ",
        "No. 5 ",
        "U.S. ",
        "3.14 ",
        "1,000,000 ",
    ),
    *("\n\n", "\r\n\r\n", "# One\n", "Chapter 2\n\n", "* * *", "[1]", "[Alice] ", "[Bob] "),
    *("“Stop! Never. No,” ", "she said. ", "wonderful ", "吾輩は猫である。", "مرحبا بالعالم. "),
    *("สวัสดีครับผมชื่อจอห์น ", "a" * 300, "." * 300, " " * 300, "\u0301" * 300, "word " * 60),
]
limits = st.one_of(st.integers(1, 300), st.sampled_from(PROVIDER_LIMITS))
scripts = st.one_of(
    st.text(max_size=400),
    st.lists(st.sampled_from(BITS), max_size=60).map("".join),
)
languages = st.sampled_from(["en-us", "de", "el", "ja", "zh", "hi", "th", "ar", "zxx", ""])


@st.composite
def renderings(draw: st.DrawFn) -> Rendering:
    """A script after up to three rounds of changes to what is spoken."""
    rendering = Rendering.of(draw(scripts))
    for _ in range(draw(st.integers(0, 3))):
        length = len(rendering.spoken)
        places = sorted(draw(st.lists(st.integers(0, length), max_size=8)))
        spans = list(pairwise(places))[::2]
        rendering = rendering.edited(
            Edit(start, end, draw(st.sampled_from(["", *BITS]))) for start, end in spans
        )
    return rendering


@st.composite
def turns_of(draw: st.DrawFn, rendering: Rendering) -> list[Turn]:
    length = len(rendering.spoken)
    places = sorted({0, length, *draw(st.lists(st.integers(0, length), max_size=4))})
    names = st.sampled_from([None, "Alice", "Bob"])
    return [Turn(start, end, draw(names)) for start, end in pairwise(places)]


def check(rendering: Rendering, limit: int, pieces: list[Piece]) -> None:
    """All that is promised about pieces."""
    assert "".join(rendering.script[it.start : it.end] for it in pieces) == rendering.script
    assert all(one.end == two.start for one, two in pairwise(pieces))
    assert all(it.start <= it.end for it in pieces)
    assert all(len(it.text) <= limit for it in pieces)
    assert all(it.text == it.text.strip() for it in pieces)
    if SPOKEN.search(rendering.spoken):
        assert all(SPOKEN.search(it.text) for it in pieces)
        assert pieces[-1].boundary == "paragraph"
    else:
        assert [it.text for it in pieces] == ([""] if rendering.script else [])


def heard(text: str) -> str:
    """Letters and digits alone."""
    return "".join(SPOKEN.findall(text))


@given(scripts, limits, languages)
@example("a" + "." * 400 + "b", 250, "en")
@example("\u0301" * 300 + "a" + "\u0301" * 300, 250, "en")
@example("a\u00a0.b", 2, "en")
def test_pieces_join_to_the_script_and_keep_to_the_limit(
    script: str, limit: int, language: str
) -> None:
    check(Rendering.of(script), limit, split(Rendering.of(script), limit, language))


@given(st.data(), renderings(), limits)
def test_they_do_after_changes_and_with_several_speakers(
    data: st.DataObject, rendering: Rendering, limit: int
) -> None:
    turns = data.draw(turns_of(rendering))
    check(rendering, limit, split(rendering, limit, "en", turns))


@given(st.data(), renderings(), limits)
def test_every_letter_is_spoken_once_and_in_order(
    data: st.DataObject, rendering: Rendering, limit: int
) -> None:
    turns = data.draw(turns_of(rendering))
    pieces = split(rendering, limit, "en", turns)
    assert "".join(heard(it.text) for it in pieces) == heard(rendering.spoken)


@given(st.data(), renderings(), limits)
def test_each_speaker_says_what_is_in_their_turns(
    data: st.DataObject, rendering: Rendering, limit: int
) -> None:
    turns = data.draw(turns_of(rendering))
    pieces = split(rendering, limit, "en", turns)
    for name in ("Alice", "Bob"):
        said = "".join(heard(it.text) for it in pieces if it.speaker == name)
        assert said == "".join(
            heard(rendering.spoken[turn.start : turn.end]) for turn in turns if turn.speaker == name
        )


@given(scripts, limits)
def test_a_script_within_the_limit_is_one_piece(script: str, limit: int) -> None:
    short = script[:limit]
    assert len(split(Rendering.of(short), limit, "en")) == (1 if short else 0)


@given(st.lists(st.sampled_from(["one", "two", "three,", "four"]), min_size=1), limits)
def test_no_replacement_that_fits_is_taken_apart(words: list[str], limit: int) -> None:
    said = "five hundred"
    script = " 5 ".join(words)
    edits = [Edit(at, at + 1, said) for at, each in enumerate(script) if each == "5"]
    rendering = Rendering.of(script).edited(edits)
    pieces = split(rendering, limit, "en")
    check(rendering, limit, pieces)
    if limit >= len(said):
        assert sum(it.text.count(said) for it in pieces) == len(edits)


def texts(script: str, limit: int, language: str = "en") -> list[str]:
    return [piece.text for piece in split(Rendering.of(script), limit, language)]


@pytest.mark.parametrize(
    ("script", "limit", "pieces"),
    [
        # Paragraphs before sentences.
        ("One. Two.\n\nThree. Four.", 20, ["One. Two.", "Three. Four."]),
        ("One. Two.\n \t\nThree. Four.", 20, ["One. Two.", "Three. Four."]),
        ("One. Two.\r\n\r\nThree. Four.", 20, ["One. Two.", "Three. Four."]),
        # Sentences before clauses.
        ("Call me Ishmael. Some years, ago", 30, ["Call me Ishmael.", "Some years, ago"]),
        ("Is it? Yes, it is, it is.", 20, ["Is it?", "Yes, it is, it is."]),
        # A full stop that ends no sentence.
        ("So Dr. Bunger and Mr. Boomer", 25, ["So Dr. Bunger", "and Mr. Boomer"]),
        ("We left. Mr. Starbuck stayed.", 20, ["We left.", "Mr. Starbuck stayed."]),
        ("He came. J. R. stayed behind.", 22, ["He came.", "J. R. stayed behind."]),
        ("Fertig. Herr Dr. Ahab kommt.", 22, ["Fertig.", "Herr Dr. Ahab kommt."]),
        ("It costs 3.50 in all. Pay now.", 25, ["It costs 3.50 in all.", "Pay now."]),
        ("They had it all for 3.5 kg of it", 21, ["They had it all", "for 3.5 kg of it"]),
        ("It was the room No. 5 and it was", 18, ["It was the room", "No. 5 and it was"]),
        # A quotation and those who say it.
        ("“No! Never!” he said. And left.", 22, ["“No! Never!” he said.", "And left."]),
        ("He is it. “Go. No, go on,” he said.", 26, ["He is it.", "“Go. No, go on,” he said."]),
        # A quotation beyond the limit.
        (
            "“I am here. You are there. Go on,” he said.",
            28,
            ["“I am here. You are there.", "Go on,” he said."],
        ),
        (
            "He said, “no, it is all too late” and left",
            33,
            ["He said,", "“no, it is all too late” and left"],
        ),
        # Clauses before words.
        ("Some years ago, never mind how", 25, ["Some years ago,", "never mind how"]),
        ("Call me: I am here at home", 20, ["Call me:", "I am here at home"]),
        (
            "It was a cold, damp day; it was late, too late",
            40,
            ["It was a cold, damp day;", "it was late, too late"],
        ),
        ("The sea – the sea is calling", 22, ["The sea –", "the sea is calling"]),
        ("Well … then we go all in", 20, ["Well …", "then we go all in"]),
        # Words before letters.
        ("never mind how long", 12, ["never mind", "how long"]),
        ("abcdefghij", 4, ["abcd", "efg", "hij"]),
        # Writing without spaces.
        ("吾輩は猫である。名前はまだ無い。", 10, ["吾輩は猫である。", "名前はまだ無い。"]),
        ("彼は言った「行け。」そして去った。", 12, ["彼は言った「行け。」", "そして去った。"]),
        ("海は広いな、大きいな", 8, ["海は広いな、", "大きいな"]),
        # No scrap is left behind.
        ("One two. Three four. Five six. Oh.", 31, ["One two. Three four.", "Five six. Oh."]),
        ("Oh. wonderful whaling voyages", 20, ["Oh. wonderful", "whaling voyages"]),
        # Not between a letter and its accent, and not within a character.
        ("cafe\u0301s", 4, ["caf", "e\u0301s"]),
        ("ab👩‍👩‍👧‍👦c", 8, ["ab", "👩‍👩‍👧‍👦c"]),
        ("a🇩🇪b🇫🇷c", 4, ["a🇩🇪b", "🇫🇷c"]),
        ("하\u1112\u1161\u11ab글", 4, ["하", "\u1112\u1161\u11ab글"]),
        ("क्षक्ष", 3, ["क्ष", "क्ष"]),
        # Not within a number if there is another place.
        ("about1,000,000", 10, ["about", "1,000,000"]),
        # Nothing to say is said with something, or not at all.
        ("abc ...... ... def", 6, ["abc ..", "def"]),
        ("......... abc", 4, ["abc"]),
        ("abcd" + " " * 20, 4, ["abcd"]),
        ("One.\n\n* * *\n\nTwo.", 8, ["One.", "Two."]),
        (". . . . . .", 4, [""]),
        ("", 4, []),
    ],
)
def test_a_cut_falls_where_a_speaker_would_pause(
    script: str, limit: int, pieces: list[str]
) -> None:
    assert texts(script, limit) == pieces


@pytest.mark.parametrize(
    ("script", "boundaries"),
    [
        ("Chapter 1\n\nIt was late. He slept.", ["heading", "paragraph"]),
        ("One word follows.\n\nIt was late. He slept.", ["paragraph", "paragraph"]),
        ("It was late, and:\n\nIt was late. He slept.", ["paragraph", "paragraph"]),
        ("“Never again!”\n\nIt was late. He slept.", ["paragraph", "paragraph"]),
        ("# Is it late?\nIt was late. He slept.", ["heading", "paragraph"]),
        ("It was late.\n## Two\nHe slept, all of it.", ["paragraph", "heading", "paragraph"]),
        ("It was late, all\nof it\n\nHe slept, all of it.", ["paragraph", "paragraph"]),
        ("It was late. He slept.\n\nThe end", ["paragraph", "paragraph"]),
        ("One\n\n* * *\n\nIt was late. He slept.", ["heading", "paragraph"]),
        ("It was very late. He slept all day.", ["sentence", "paragraph"]),
        ("It was very late, and he slept all day.", ["clause", "paragraph"]),
        ("It was very late and he slept all day.", ["word", "paragraph"]),
    ],
)
def test_what_stands_behind_a_piece_is_told(script: str, boundaries: list[str]) -> None:
    pieces = split(Rendering.of(script), 25, "en")
    assert [piece.boundary for piece in pieces] == boundaries


def test_a_long_line_is_no_heading() -> None:
    script = f"{'word ' * 16}word\n\nIt was late."
    assert [it.boundary for it in split(Rendering.of(script), 90, "en")] == ["paragraph"] * 2


def test_a_marked_heading_is_known_without_its_mark() -> None:
    script = "It was late.\n\n# Is it late?\n\nIt was late."
    rendering = Rendering.of(script).edited([Edit(14, 16, "")])
    pieces = split(rendering, 20, "en")
    assert [it.text for it in pieces] == ["It was late.", "Is it late?", "It was late."]
    assert [it.boundary for it in pieces] == ["paragraph", "heading", "paragraph"]
    assert script[pieces[1].start : pieces[1].end] == "# Is it late?\n\n"


def test_speakers_have_pieces_of_their_own() -> None:
    script = "So it began. [Alice] Good morning. [Bob] Hello.\n\nHow are you?"
    rendering, turns = find_turns(Rendering.of(script), ["Alice", "Bob"])
    pieces = split(rendering, 100, "en", turns)
    assert [(it.speaker, it.text, it.boundary) for it in pieces] == [
        (None, "So it began.", "sentence"),
        ("Alice", "Good morning.", "sentence"),
        ("Bob", "Hello.", "paragraph"),
        ("Bob", "How are you?", "paragraph"),
    ]
    assert script[pieces[1].start : pieces[1].end] == "[Alice] Good morning. "


def test_what_one_speaker_says_alone_is_one_piece() -> None:
    rendering, turns = find_turns(Rendering.of("[Alice] Good morning.\n\nHello."), ["Alice"])
    assert [tuple(it) for it in split(rendering, 100, "en", turns)] == [
        (0, 29, "Good morning.\n\nHello.", "paragraph", "Alice")
    ]


def test_a_replacement_longer_than_the_limit_is_cut_at_a_space() -> None:
    rendering = Rendering.of("I owe 123 now.").edited([Edit(6, 9, "one hundred twenty-three")])
    pieces = split(rendering, 16, "en")
    check(rendering, 16, pieces)
    assert [it.text for it in pieces] == ["I owe", "one hundred", "twenty-three", "now."]
    assert [rendering.script[it.start : it.end] for it in pieces] == ["I owe ", "123", " ", "now."]


def test_the_space_between_phrases_of_thai_is_a_clause() -> None:
    pieces = split(Rendering.of("สวัสดีครับ ผมชื่อจอห์น คุณชื่ออะไร"), 25, "th")
    assert [it.boundary for it in pieces] == ["clause", "paragraph"]


UNITS = ["a", ".", " ", "a.", "! ", "a. ", "Go! ", "\n", "\n\n", "\n ", "a\n", "a\n\n", "é\u0301"]
UNITS += [
    ".\u201d",
    "\u0301",
    "“",
    "“A. “ ",
    "«",
    '"',
    "a, ",
    "a ",
    "吾輩は猫。",
    "🇩",
    "[1]",
    "# a\n",
]
ENDLESS = """
import sys
from batchtts.text.rendering import Rendering
from batchtts.text.segment import split
for unit in eval(sys.argv[1]):
    script = unit * (100_000 // len(unit))
    pieces = split(Rendering.of(script), 250, "en")
    assert "".join(script[it.start : it.end] for it in pieces) == script
"""


def test_a_script_of_one_thing_again_and_again_is_split_before_a_deadline() -> None:
    subprocess.run([sys.executable, "-c", ENDLESS, repr(UNITS)], check=True, timeout=120)
