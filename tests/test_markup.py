from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

import batchtts
from batchtts.text.markup import html_edits, markdown_edits
from batchtts.text.rendering import Edit, Rendering

MARKS = (
    "* ** *** _ __ ` `` ``` ~~ ~~~ [ ] ( ) ![ [^1] [a]: ]( <b> </b> <br> <p> </p> <!-- -->"
    " <script> </script> <rt> & &amp; &#8217; \\ # ## > - + 1. | |-| --- === http://x ' \" word a"
    " b 5 é 鯨 . , ! ? : <td> <img alt='x'> <a href='*'>"
)
SPACES = (" ", " ", "\n", "\n", "\n\n", "\t", "\r\n", "    ")
fragments = st.sampled_from([*MARKS.split(), *SPACES])
texts = st.one_of(st.text(), st.lists(fragments, max_size=40).map("".join))
plain = st.lists(
    st.from_regex(r"[A-Za-zÀ-ÖØ-öø-ÿ0-9]{1,9}['’]?[a-z]?[.,;:!?)”\"]?", fullmatch=True), max_size=30
).map(" ".join)


def markdown(text: str) -> str:
    return Rendering.of(text).edited(markdown_edits(text)).spoken


def html(text: str) -> str:
    return Rendering.of(text).edited(html_edits(text)).spoken


def is_well_formed(edits: list[Edit], text: str) -> bool:
    are_inside = all(0 <= edit.start <= edit.end <= len(text) for edit in edits)
    return are_inside and all(first.end <= second.start for first, second in pairwise(edits))


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("*a* **b** ***c*** _d_ __e__", "a b c d e"),
        ("so*me*thing **bold**ly, “*quoted*”, **Note:** x", "something boldly, “quoted”, Note: x"),
        ("*a **b** c*", "a b c"),
        ("*a\nb*", "a\nb"),
        ("~~gone~~ is said", "gone is said"),
        ("say `*this*` and ``a`b``", "say *this* and a`b"),
        ("[text](http://x/_a_b_) and [*x*](u 'title')", "text and x"),
        ("[a](<b c>) [wiki](http://x/A_(b))", "a wiki"),
        ('![a *cat*](cat.png "t") ![](x.png)', "a cat "),
        ("[![badge](a.png)](b)", "badge"),
        ("[a][b], [b] and [B][]\n\n[b]: http://x 'y'", "a, b and B\n\n"),
        ("<https://x.y/z_a_> <a@b.c>", "https://x.y/z_a_ a@b.c"),
        ("# Head #\nText", "Head\n\nText"),
        ("# Head <!-- c -->\nText <!-- d --> e", "Head\n\nText  e"),
        ("## C# and F#\n\nText", "C# and F#\n\nText"),
        ("Head\n====\nText\n\nNext\n----\nText", "Head\n\nText\n\nNext\n\nText"),
        ("> a\n> > b *c\n> d*", "a\nb c\nd"),
        ("- one\n- [x] two\n  * three\n+ four", "one\n\ntwo\n\nthree\n\nfour"),
        ("1. One\n2. Two", "1. One\n\n2. Two"),
        ("a\n\n***\n\n- - -\n\nb", "a\n\n\n\n\n\nb"),
        ("| a | *b* |\n|---|:-:|\n| 1 | 2\\|3 |\nx", "a, b\n\n1, 2|3\n\nx"),
        ("```py\n*x* = [1](2)\n```\n*z*", "\n*x* = [1](2)\n\nz"),
        ("word[^1].\n\n[^1]: A *note*.", "word.\n\nA note."),
        (r"\*a\* \# b \a", r"*a* # b \a"),
        ("a\\\nb", "a\nb"),
        ("a<!-- *b\n\n c* -->d", "ad"),
        ("a <b>b</b><br>c &amp; d", "a b\nc & d"),
        ("# H\r\nText\r\n- a\r\n", "H\r\n\nText\r\n\na\r\n"),
    ],
)
def test_marks_of_markdown_are_not_spoken(text: str, spoken: str) -> None:
    assert markdown(text) == spoken


@pytest.mark.parametrize(
    "text",
    [
        "snake_case and a_b_c",
        "2 * 3 * 4, 2*3*4 and 5**2**3",
        "It cost $5, *or $6.",
        "C# and F#, #1, #hashtag",
        "Mr. X* said _that",
        "f**k this s**t",
        "a < b > c, <3, x<b and c>d, List<String>",
        "R&D, AT&T, a & b",
        "[Alice] Hello. [sic] [1] [a][b] (see)",
        "[Alice]: Hello there, he said.\n[Bob]: Hello.",
        "a | b\nc | d",
        "~5 or ~ 6, ~~~ and -",
        "—No—, she said.\n– Yes.",
        "-5 degrees, +1",
        "C:\\new\\path",
        "In\n1984. He came.",
        "``` is no fence",
        "~~~\nNor is this",
        "[text](two words)",
        "1984\n2 people",
        "Line\n=",
    ],
)
def test_what_only_looks_like_markdown_is_spoken_as_it_is(text: str) -> None:
    assert markdown_edits(text) == []


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("<p>One</p><p>Two</p>\n<div>three<br/>four</div>", "One\n\nTwo\n\nthree\nfour"),
        ("so<b>me</b>thing <i>a</i> <i>b</i>", "something a b"),
        ("a &amp; b&nbsp;c&hellip; it&#8217;s &#x41;", "a & b c… it’s A"),
        ("soft&shy;hyphen", "softhyphen"),
        ("a<script>if (a<b) x()</script><style>p {}</style>b", "ab"),
        ("a<!-- <p>x</p> -->b", "ab"),
        ("<!DOCTYPE html><head><title>t</title></head><body><h1>H</h1>b", "H\n\nb"),
        ("<ul>\n <li>a</li>\n <li>b</li>\n</ul>", "a\n\nb"),
        ("<tr><td>1</td>\n<td>2</td></tr><tr><td>3</td></tr>", "1, 2\n\n3"),
        ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rt>ji</ruby>!", "漢字!"),
        ("a <img src='x' alt=\"A &lt; B\"/> b<img src=y>", "a A < B b"),
        ("<a href='x>y' title=\"*\">link</a>", "link"),
        ("<custom:tag a='b'>x</custom:tag><my-tag>y</my-tag>", "xy"),
        ("<P CLASS=x>a</P><INPUT disabled>", "a"),
    ],
)
def test_tags_are_not_spoken(text: str, spoken: str) -> None:
    assert html(text) == spoken


@pytest.mark.parametrize(
    "text",
    [
        "a < b and c > d, a<b",
        "<3 and <- and <>",
        "x<b and c>d",
        "List<String>, <Alice> said",
        "AT&T, R&D, &bogus; &copy 2020",
        "*stars* and _lines_",
    ],
)
def test_what_only_looks_like_html_is_spoken_as_it_is(text: str) -> None:
    assert html_edits(text) == []


def words_by_another_reader(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type in ("softbreak", "hardbreak", "inline"):
            yield " "
        if token.children is not None:
            yield from words_by_another_reader(token.children)
        elif token.type in ("text", "code_inline"):
            yield token.content
        elif token.type in ("fence", "code_block"):
            yield f" {token.content} "


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_every_word_of_a_document_is_spoken_once_and_no_mark(name: str) -> None:
    text = (Path(batchtts.__file__).parents[1] / name).read_text(encoding="utf-8")
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    expected = "".join(words_by_another_reader(reader.parse(text)))
    numbers_of_lists = re.compile(r"^ *[0-9]+\. ", re.MULTILINE)
    assert parts(numbers_of_lists.sub("", markdown(text))) == parts(expected)


def parts(text: str) -> list[str]:
    return re.findall(r"\w+|[*`|<>#]", text)


@given(texts)
def test_any_text_gives_well_formed_edits(text: str) -> None:
    assert is_well_formed(markdown_edits(text), text)
    assert is_well_formed(html_edits(text), text)


@given(plain)
def test_prose_without_marks_is_left_alone(text: str) -> None:
    assert markdown_edits(text) == []
    assert html_edits(text) == []


@given(plain, st.sampled_from(["*{}*", "**{}**", "# {}", "> {}", "- {}", "`{}`", "\n\n{}\n\n"]))
def test_no_word_between_marks_is_lost(text: str, marks: str) -> None:
    assert re.findall(r"\w+", markdown(marks.format(text))) == re.findall(r"\w+", text)


@given(st.lists(plain, min_size=1, max_size=5))
def test_no_word_between_tags_is_lost(paragraphs: list[str]) -> None:
    text = "".join(f"<p class='x'>{it}</p>" for it in paragraphs)
    assert re.findall(r"\w+", html(text)) == re.findall(r"\w+", " ".join(paragraphs))
