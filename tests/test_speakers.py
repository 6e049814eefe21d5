from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts import errors
from batchtts.text.rendering import Edit, Rendering
from batchtts.text.speakers import find_turns

CAST = ("Alice", "Bob", "Old Captain", "José")
BITS = ["[Alice]", "[bob] ", "[ ALICE ]:", "[1]", "[", "]", "Hi. ", "\n", " ", "…", "[[Bob]]", "[]"]


def said(script: str, *cast: str) -> list[tuple[str | None, str]]:
    rendering, turns = find_turns(Rendering.of(script), cast or CAST)
    return [(turn.speaker, rendering.spoken[turn.start : turn.end]) for turn in turns]


@pytest.mark.parametrize(
    ("script", "turns"),
    [
        ("[Alice] Good morning. [Bob] Hello.", [("Alice", "Good morning. "), ("Bob", "Hello.")]),
        ("So it began. [Bob] Hello.", [(None, "So it began. "), ("Bob", "Hello.")]),
        ("[ALICE] Hi.\n[ bob ] Hi.", [("Alice", "Hi.\n"), ("Bob", "Hi.")]),
        ("[old captain] Ahoy!", [("Old Captain", "Ahoy!")]),
        ("[Jose\u0301] Hola.", [("José", "Hola.")]),
        ("[Alice]: Hi.", [("Alice", "Hi.")]),
        ("[Alice] One. [Alice] Two. [Bob] Three.", [("Alice", "One. Two. "), ("Bob", "Three.")]),
        ("[Alice] [Bob] Hi.", [("Bob", "Hi.")]),
        ("[Alice] See [1] and [Eve] there.", [("Alice", "See [1] and [Eve] there.")]),
        ("[Alice]", []),
        ("[1] One. [Alice] Two.", [(None, "[1] One. "), ("Alice", "Two.")]),
        ("[a] One. [Alice] Two.", [(None, "[a] One. "), ("Alice", "Two.")]),
        ("[^note] One. [Alice] Two.", [(None, "[^note] One. "), ("Alice", "Two.")]),
        ("[A link](x.html). [Alice] Two.", [(None, "[A link](x.html). "), ("Alice", "Two.")]),
        ("Nobody is named. [2]", []),
        ("", []),
    ],
)
def test_a_tag_gives_the_word_to_a_speaker(
    script: str, turns: list[tuple[str | None, str]]
) -> None:
    assert said(script) == turns


def test_without_speakers_nothing_is_a_tag() -> None:
    rendering = Rendering.of("[Alice] Good morning.\n[Eve] No.")
    assert find_turns(rendering, ()) == (rendering, [])


@pytest.mark.parametrize(
    ("script", "message", "hint"),
    [
        ("[Alise] Hi.", "line 1: [Alise] is no speaker", "did you mean Alice?"),
        ("[Bob] Hi.\n\n  [Olde Captain] Hi.", "line 3: [Olde Captain] is no", "Old Captain?"),
        ("[Zzz] Hi.", "line 1: [Zzz] is no speaker", "the speakers are Alice, Bob, José, Old"),
        ("[Bob] Hi.\r\n[Mr. X] Hi.", "line 2: [Mr. X] is no speaker", "the speakers are"),
    ],
)
def test_a_line_of_a_speaker_that_nobody_knows_is_refused(
    script: str, message: str, hint: str
) -> None:
    with pytest.raises(errors.ScriptRejected) as caught:
        find_turns(Rendering.of(script), CAST)
    assert str(caught.value).startswith(message)
    assert hint in (caught.value.hint or "")


def test_the_line_is_that_of_the_script_not_of_what_is_spoken() -> None:
    rendering = Rendering.of("<p>\n</p>[Alise] Hi.").edited([Edit(0, 8, "")])
    with pytest.raises(errors.ScriptRejected, match=r"^line 2: "):
        find_turns(rendering, CAST)


@given(st.lists(st.sampled_from(BITS)).map("".join))
def test_turns_join_to_what_is_spoken(script: str) -> None:
    rendering, turns = find_turns(Rendering.of(script), CAST)
    assert rendering.script == script
    if turns:
        assert (turns[0].start, turns[-1].end) == (0, len(rendering.spoken))
    assert all(one.end == two.start for one, two in pairwise(turns))
    assert all(one.speaker != two.speaker for one, two in pairwise(turns))
    assert all(turn.start < turn.end for turn in turns)


@given(st.text(alphabet="[]: \r\nAaé\u0301\x00\u2028-1^", max_size=20))
def test_what_is_refused_is_told_in_one_line(script: str) -> None:
    told = refusal(script)
    assert told is None or told.isprintable()


def refusal(script: str) -> str | None:
    try:
        find_turns(Rendering.of(script), CAST)
    except errors.ScriptRejected as error:
        return str(error)
    return None
