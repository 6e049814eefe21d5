from __future__ import annotations

import unicodedata
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.text.dictionary import Dictionary, Entry
from batchtts.text.rendering import Rendering

FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
words = st.text(alphabet="aAbB '’+.#éß\u0301鯨ไ", min_size=1, max_size=6).filter(
    lambda it: it.strip() != ""
)
scripts = st.one_of(st.text(), st.text(alphabet="aAbB '’+.#éß\u0301鯨ไİ\n", max_size=60))


def read(dictionary: str, text: str) -> str:
    edits = Dictionary.parse(dictionary).edits(text)
    return Rendering.of(text).edited(edits).spoken


@pytest.mark.parametrize(
    ("dictionary", "text", "spoken"),
    [
        ("NATO,nay toe", "NATO, nato, NATOs and SNATO", "nay toe, nato, NATOs and SNATO"),
        ("gif,jif", "A gif, a GIF, Gif!", "A jif, a jif, jif!"),
        (
            "Nguyen,win",
            "Nguyen's hat, the Nguyens’, Nguyen-Smith",
            "win's hat, the Nguyens’, win-Smith",
        ),
        ("don,dawn", "don't tell the don", "don't tell the dawn"),
        ("O'Brien,oh bryan", "O’Brien and O'Brien", "oh bryan and oh bryan"),
        ("Brien,bryan", "O'Brien and O’Brien", "O'Brien and O’Brien"),
        ("Oréal,oh ray ahl", "L’Oréal, d'Oréal, Oréal", "L’oh ray ahl, d'oh ray ahl, oh ray ahl"),
        ("C++,see plus plus", "C++, C++11 and (C++).", "see plus plus, C++11 and (see plus plus)."),
        (".NET,dot net", ".NET, ASP.NET, “.NET”", "dot net, ASP.NET, “dot net”"),
        ("C#,see sharp", "C# or C", "see sharp or C"),
        (
            "New York,noo yawk",
            "New York, New\n  York, New Yorker",
            "noo yawk, noo yawk, New Yorker",
        ),
        ("new,old\nNew York,ny\nYork,yo", "New York York new", "ny yo old"),
        ("New York City Hall,hall\nNew York,ny", "New York City", "ny City"),
        ("polish,shine\nPolish,pole ish", "polish Polish POLISH", "shine pole ish shine"),
        ("Zoë,zo ee", "Zoë Zoe\u0308 Zoe Zoës", "zo ee zo ee Zoe Zoës"),
        ("straße,road", "Straße STRASSE straßen", "road STRASSE straßen"),
        ("é,e", "née é", "née e"),
        ("हिन्दी,hindi", "हिन्दी हिन्दीभाषी", "hindi हिन्दीभाषी"),
        ("鯨,くじら", "白鯨です", "白くじらです"),
        ("4,four", "4 apples, 3.4, 4.5, 44, 4.", "four apples, 3.4, 4.5, 44, four."),
        ('"Hello, world",hi', "Hello, world!", "hi!"),
        ("# a comment\n\nword,replacement\n  it , that ", "it", "that"),
        ("\ufeffa,b\r\nc,d\r\n", "a c", "b d"),
        ('"#1",number one', "We are #1!", "We are number one!"),
        ("AIDS,aids", "İ AIDS İ", "İ aids İ"),
        ("", "nothing is said otherwise", "nothing is said otherwise"),
    ],
)
def test_whole_words_are_read_as_the_dictionary_says(
    dictionary: str, text: str, spoken: str
) -> None:
    assert read(dictionary, text) == spoken


@pytest.mark.parametrize(
    ("dictionary", "message"),
    [
        ("a,b\nNATO", "names.csv, line 2: no comma behind 'NATO'; it is word,replacement"),
        ("a,b,c", "line 1: 3 columns; a comma within one is quoted"),
        ("\n# x\nNATO, ", "line 3: nothing is said for 'NATO'"),
        (",b", "line 1: no word before the comma"),
        ('"a,b', "line 1: its quotation marks do not fit together"),
        ("a,b\nc,d\na,e", "line 3: 'a' is on line 1 already"),
        ("O'Brien,b\nO’Brien,e", "line 2: 'O’Brien' is on line 1 already"),
        ("Zoë,b\nZoe\u0308,e", "line 2: 'Zoe\u0308' is on line 1 already"),
    ],
)
def test_a_line_that_is_no_entry_is_named(dictionary: str, message: str) -> None:
    with pytest.raises(ValueError) as raised:
        Dictionary.parse(dictionary, "names.csv")
    assert message in str(raised.value)


def test_a_heading_line_is_an_entry_anywhere_but_at_the_top() -> None:
    found = Dictionary.parse("a,b\nword,replacement").entries
    assert found == (Entry("a", "b"), Entry("word", "replacement"))


def test_a_providers_dictionary_gets_what_it_cannot_read_otherwise() -> None:
    found = Dictionary.parse("NATO,nay toe\ngif,jif\nTCP/IP,tee see pee\nNguyen,/wɪn/")
    assert found.as_pairs() == {"NATO": "nay toe"}
    assert [entry.word for entry in found.rest().entries] == ["gif", "TCP/IP", "Nguyen"]


@given(st.dictionaries(words, st.text(min_size=1), max_size=8), scripts)
def test_any_text_gives_edits_in_order_of_what_is_in_the_dictionary(
    said: dict[str, str], text: str
) -> None:
    entries = [Entry(" ".join(word.split()), reading) for word, reading in said.items()]
    edits = Dictionary.of(entries).edits(text)
    assert all(0 <= edit.start < edit.end <= len(text) for edit in edits)
    assert all(first.end <= second.start for first, second in pairwise(edits))
    assert {edit.said for edit in edits} <= set(said.values())


@given(st.from_regex(r"[A-Za-zÀ-ÖØ-öø-ÿ]{1,8}", fullmatch=True), st.sampled_from(FORMS))
def test_a_word_is_found_in_every_case_and_form(word: str, form: Literal["NFC", "NFD"]) -> None:
    entry = Entry(unicodedata.normalize("NFC", word).lower(), "said")
    text = unicodedata.normalize(form, f"({word}) {entry.word}")
    assert Rendering.of(text).edited(Dictionary.of([entry]).edits(text)).spoken == "(said) said"


def test_an_entry_is_found_among_five_thousand_that_begin_as_it_does() -> None:
    many = Dictionary.of(Entry(f"and word{n} more", f"said{n}") for n in range(5_000))
    spoken = Rendering.of("And word4999 more, and word7.").edited(
        many.edits("And word4999 more, and word7.")
    )
    assert spoken.spoken == "said4999, and word7."
