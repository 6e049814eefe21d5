from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.text.rendering import Edit, Rendering


@st.composite
def renderings(draw: st.DrawFn) -> Rendering:
    rendering = Rendering.of(draw(st.text(max_size=40)))
    for _ in range(draw(st.integers(0, 4))):
        length = len(rendering.spoken)
        places = sorted(draw(st.lists(st.integers(0, length), max_size=6)))
        spans = list(pairwise(places))[::2]
        rendering = rendering.edited(
            Edit(start, end, draw(st.text(max_size=5))) for start, end in spans
        )
    return rendering


def test_a_replacement_is_spoken_and_stands_for_what_it_replaced() -> None:
    rendering = Rendering.of("It costs $5 in all.").edited([Edit(9, 11, "five dollars")])
    assert rendering.spoken == "It costs five dollars in all."
    assert [at for at in range(30) if not rendering.may_cut(at)] == list(range(10, 21))
    assert rendering.script_at(9) == 9
    assert {rendering.script_at(at) for at in range(10, 22)} == {11}
    assert rendering.script_at(22) == 12


def test_what_is_not_spoken_goes_with_what_comes_after_it() -> None:
    rendering = Rendering.of("One. *Two.*").edited([Edit(5, 6, ""), Edit(10, 11, "")])
    assert rendering.spoken == "One. Two."
    assert rendering.script_at(5) == 5
    assert rendering.script_at(len(rendering.spoken)) == 11


def test_what_was_put_in_is_not_cut() -> None:
    rendering = Rendering.of("ab").edited([Edit(1, 1, "xyz")])
    assert rendering.spoken == "axyzb"
    assert [at for at in range(6) if rendering.may_cut(at)] == [0, 1, 4, 5]
    assert [rendering.script_at(at) for at in range(6)] == [0, 1, 1, 1, 1, 2]


def test_a_change_of_a_replacement_stands_for_all_of_it() -> None:
    once = Rendering.of("a 5 b").edited([Edit(2, 3, "five dollars")])
    twice = once.edited([Edit(7, 14, "bucks")])
    assert twice.spoken == "a five bucks b"
    assert [at for at in range(15) if not twice.may_cut(at)] == list(range(3, 12))


def test_an_edit_that_changes_nothing_is_none() -> None:
    rendering = Rendering.of("a b")
    assert rendering.edited([Edit(0, 1, "a")]) is rendering


@pytest.mark.parametrize("edits", [[(0, 2), (1, 3)], [(2, 3), (0, 1)]])
def test_edits_that_overlap_or_are_out_of_order_are_refused(edits: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="overlap"):
        Rendering.of("abc").edited([Edit(*span, "x") for span in edits])


@given(renderings())
def test_the_way_back_never_goes_backwards(rendering: Rendering) -> None:
    places = [rendering.script_at(at) for at in range(len(rendering.spoken) + 1)]
    assert places == sorted(places)
    assert places[0] == 0
    assert places[-1] == (len(rendering.script) if rendering.spoken else 0)


@given(renderings())
def test_a_place_where_it_may_be_cut_takes_no_replacement_apart(rendering: Rendering) -> None:
    if rendering.begins is None or rendering.ends is None:
        return
    parts = list(zip(rendering.begins.tolist(), rendering.ends.tolist(), strict=True))
    for at in range(1, len(parts)):
        before, after = parts[at - 1], parts[at]
        assert rendering.may_cut(at) == (before[1] <= after[0] and before != after)


@given(st.text(max_size=40), st.data())
def test_a_text_without_changes_is_cut_where_it_is(script: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(script)))
    assert Rendering.of(script).script_at(at) == at
    assert Rendering.of(script).may_cut(at)
