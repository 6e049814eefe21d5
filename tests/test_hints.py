"""The words for mistakes of people."""

from __future__ import annotations

import msgspec
import pytest

from batchtts.hints import meant, misfit, nearest

FRUIT = ("apple", "apricot", "banana")


@pytest.mark.parametrize(("word", "near"), [("aple", "apple"), ("bananna", "banana"), ("x", None)])
def test_the_nearest_word_is_found_if_one_is_near(word: str, near: str | None) -> None:
    assert nearest(word, FRUIT) == near


def test_a_hint_asks_for_the_nearest_or_says_something_else() -> None:
    assert meant("aple", FRUIT, otherwise="there are many") == "did you mean apple?"
    assert meant("xyz", FRUIT, otherwise="there are many") == "there are many"


class Basket(msgspec.Struct):
    """Something that a value may not fit."""

    size: int


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"size": "big"}, ("size", "expected `int`, got `str`")),
        ([], ("", "expected `object`, got `array`")),
    ],
)
def test_a_misfit_is_told_with_its_place(value: object, told: tuple[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(value, Basket)
    assert misfit(raised.value) == told
