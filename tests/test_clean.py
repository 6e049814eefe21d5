from __future__ import annotations

import pytest

from batchtts.text.clean import why_unspeakable


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (None, "script is null"),
        ("", "script is empty"),
        (" \t\n\u00a0\u3000", "script is blank"),
        ("… – „“ !?", "script has no letter or digit to speak"),
        ("___", "script has no letter or digit to speak"),
        ("\u200b\ufeff", "script has no letter or digit to speak"),
        ("🎉", "script has no letter or digit to speak"),
    ],
)
def test_a_script_without_a_letter_or_digit_is_unspeakable(script: str | None, why: str) -> None:
    assert why_unspeakable(script) == why


@pytest.mark.parametrize("script", ["a", "7", "—é", "吾輩は猫である", "नमस्ते", "\n ½ \n", "_x_"])
def test_one_letter_or_digit_of_any_writing_is_enough(script: str) -> None:
    assert why_unspeakable(script) is None


def test_a_long_script_is_looked_at_only_up_to_its_first_letter() -> None:
    assert why_unspeakable("a" + "." * 5_000_000) is None
