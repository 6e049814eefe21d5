from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.server.markdown import plain


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("# Loomings", "Loomings"),
        ("###### Deep", "Deep"),
        ("Loomings\n========", "Loomings\n"),
        ("Call me **Ishmael**.", "Call me Ishmael."),
        ("Call me __Ishmael__, *some* _years_ ~~ago~~.", "Call me Ishmael, some years ago."),
        ("***Aye*** and **_aye_**", "Aye and aye"),
        ("Say `aye`.", "Say aye."),
        ("```python\nprint()\n```", "\nprint()\n"),
        ("See [the whale](http://w.example/a) and ![him](w.png).", "See the whale and him."),
        ("- one\n* two\n+ three\n12. four\n3) five", "one\ntwo\nthree\nfour\nfive"),
        ("> - quoted", "quoted"),
        ("one\n\n---\n\ntwo", "one\n\n\n\ntwo"),
        ("Thar she blows 🐋🏴‍☠️!", "Thar she blows !"),
    ],
)
def test_marks_go_and_words_stay(text: str, spoken: str) -> None:
    assert plain(text) == spoken


@pytest.mark.parametrize(
    "text",
    [
        "2 * 3 * 4 = 24",
        "snake_case_names and 5_000",
        "1984. A year, and no list.",
        "It costs $5 (or #6), -40 °C, a <b>.",
        "[not a link] (nor this)",
        "An apostrophe's fine — and so is „this“.",
    ],
)
def test_what_is_no_mark_stays(text: str) -> None:
    assert plain(text) == text


@given(st.text(alphabet="*_~`[]()#>-+ ab1.\n", max_size=300))
def test_no_letter_is_lost_but_in_an_address(text: str) -> None:
    letters = [each for each in text if each.isalpha()]
    left = [each for each in plain(text) if each.isalpha()]
    assert left == letters or "](" in text or "```" in text or "~~~" in text


def test_a_long_text_of_marks_takes_no_time_to_speak_of() -> None:
    for mark in ("*", "_", "`", "[", "![", "*a", "[a](", "~~a ", "- ", "> "):
        assert isinstance(plain(mark * 30_000), str)
