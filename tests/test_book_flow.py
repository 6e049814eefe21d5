"""What is read of a page: as a browser would lay it out, less what belongs to the page."""

from __future__ import annotations

import pytest

from batchtts.book.parts import Block, Omission
from batchtts.book.tree import TooDeep, parse
from tests.epubs import blocks_of, items_of, kinds_of, texts_of


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ("<p><b>H</b>ello</p>", ["Hello"]),
        ("<p>one<br/>two</p>", ["one\ntwo"]),
        ("<p>one<br/><br/>two</p>", ["one", "two"]),
        ("<p>  a \n b\t<i> c</i> </p>", ["a b c"]),
        ("<p>a&#160;b&#xAD;c&shy;d &amp; &eacute;&hellip;</p>", ["a bcd & é…"]),
        ('<p><span class="dropcap">O</span>nce</p>', ["Once"]),
        ('<p><img src="o.png" alt="O"/>nce</p>', ["Once"]),
        ('<p>A <img src="o.png" alt="a ship"/>boat</p>', ["A boat"]),
        ("<div>a<p>b</p>c<div>d</div><i>e</i> f</div>", ["a", "b", "c", "d", "e f"]),
        ("<ul><li>a<ol><li>b</li></ol>c</li><li><p>d</p></li></ul>", ["a", "b", "c", "d"]),
        ("<blockquote>a<p>b</p></blockquote>", ["a", "b"]),
        ("<dl><dt>a</dt><dd>b</dd></dl>", ["a", "b"]),
        ("<table><tr><th>a</th><td>b c</td></tr><tr><td>d</td></tr></table>", ["a\nb c", "d"]),
        ("<table><tr><td><p>a</p></td><td><p>b</p></td></tr></table>", ["a", "b"]),
        ("<pre>a  b\nc\n\nd</pre>", ["a b\nc", "d"]),
        ("<p>x<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rt>ji</rt></ruby>y</p>", ["x漢字y"]),
        ('<p dir="rtl">שלום <b>עו</b>לם</p>', ["שלום עולם"]),
        ("<p>می\u200cخواهم</p>", ["می\u200cخواهم"]),
        ("<p>a<!-- no --><?no no?>b<![CDATA[<c>]]></p>", ["ab<c>"]),
        ('<p>Let <math alttext="x squared"><mi>x</mi></math> be</p>', ["Let x squared be"]),
        ("<center>a</center><hr/>b", ["a", "b"]),
    ],
)
def test_text_is_read_as_it_is_shown(body: str, texts: list[str]) -> None:
    assert texts_of(body) == texts


def test_broken_markup_is_read_too() -> None:
    root, was_xml = parse("<html><body><title/><p>a & b <i>c<p>d&nbsp;e<br>f</body>")
    assert root is not None
    assert not was_xml
    assert "".join(root.itertext()).split() == ["a", "&", "b", "cd", "ef"]


def test_an_entity_is_never_more_than_it_says() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c SYSTEM "/etc/passwd">]>'
    root, _ = parse(f"{bomb}<x><p>&a;|&b;|&c;</p></x>")
    assert root is not None
    assert "".join(root.itertext()) == "ha|&b;|&c;"


def test_what_lies_too_deep_is_refused_and_not_lost() -> None:
    with pytest.raises(TooDeep):
        parse("<div>" * 3000 + "deep" + "</div>" * 3000)
    root, _ = parse("<div>" * 2000 + "deep" + "</div>" * 2000)
    assert root is not None
    assert "".join(root.itertext()) == "deep"


def test_much_white_space_takes_no_longer_than_as_much_text() -> None:
    space = " " * 2_000_000
    body = (
        f'<p>a{space}<sup><a href="#fn1">1</a></sup>b</p><table><tr><td>{space}c</td></tr></table>'
    )
    assert texts_of(body) == ["a b", "c"]


def test_headings_have_levels_and_paragraphs_have_none() -> None:
    found = blocks_of('<h1>a</h1><h3>b<br/>c</h3><p>d</p><div role="heading">e</div>')
    assert [(it.text, it.level, it.kind) for it in found] == [
        ("a", 1, "heading"),
        ("b\nc", 3, "heading"),
        ("d", 0, "paragraph"),
        ("e", 2, "heading"),
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('<p>A<a epub:type="noteref" href="#n">1</a> b</p>', "A b"),
        ('<p>A<a role="doc-noteref" href="#n">*</a> b</p>', "A b"),
        ('<p>A<sup><a href="#x">12</a></sup> b<i id="x"/></p>', "A b"),
        ('<p>A<a href="#x"><sup>[3]</sup></a> b<i id="x"/></p>', "A b"),
        ('<p>A<sup>[<a href="#fn1">1</a>]</sup>, b</p>', "A, b"),
        ('<p>A [<a href="#fn1">1</a>] b</p>', "A b"),
        ('<p>A <a href="#_ftn7">[7]</a>. b</p>', "A. b"),
        ('<p>A<sup class="fnref">9</sup> b</p>', "A b"),
    ],
)
def test_footnote_marks_are_left_out(body: str, text: str) -> None:
    assert texts_of(body) == [text]
    assert "marks" in kinds_of(items_of(body))


@pytest.mark.parametrize(
    "body",
    [
        '<p>see <a href="#c">chapter 12</a> and 10<sup>2</sup></p>',
        '<p>see <a epub:type="noteref" href="#n">the white whale</a></p>',
        '<p>see <a href="http://example.org/#x">12</a> and <a href="other.html">7</a></p>',
        '<p id="c">the 1<sup>st</sup> of May</p>',
    ],
)
def test_what_is_no_mark_is_read(body: str) -> None:
    assert kinds_of(items_of(body)) == []


@pytest.mark.parametrize(
    "note",
    [
        '<aside epub:type="footnote" id="n"><p>It is.</p></aside>',
        '<div role="doc-endnote" id="n">It is.</div>',
        '<section epub:type="endnotes"><ol><li id="n">It is.</li></ol></section>',
        '<div class="footnote"><p><a id="n" href="#r">[1]</a> It is.</p></div>',
        '<p id="n"><a href="#r">1</a> It is.</p>',
        '<p><a id="n" href="#r">[1]</a> It is.</p>',
        '<ol><li id="n">It is. <a href="#r">↩</a></li></ol>',
        '<aside id="n">It is. <a href="#r">back</a></aside>',
    ],
)
def test_notes_are_left_out_with_their_marks(note: str) -> None:
    body = f'<p>A<sup><a href="#n" id="r">1</a></sup> b.</p>{note}<p>Behind.</p>'
    found = items_of(body)
    assert [it.text for it in found if isinstance(it, Block)] == ["A b.", "Behind."]
    assert set(kinds_of(found)) == {"marks", "notes"}
    kept = " ".join(texts_of(body, keep=["notes"]))
    assert "It is." in kept


def test_what_stands_before_its_mark_or_has_a_heading_is_no_note() -> None:
    before = '<p id="fn0">Before.</p><p>A<sup><a href="#fn0">1</a></sup></p>'
    assert texts_of(before) == ["Before.", "A"]
    chapter = '<section id="c"><h2>C</h2><p>All of it.</p></section>'
    body = f'<p>See<a epub:type="noteref" href="#c">1</a></p>{chapter}'
    assert texts_of(body) == ["See", "C", "All of it."]


def test_an_aside_that_nobody_leads_to_is_read() -> None:
    assert texts_of("<aside><p>By the way.</p></aside>") == ["By the way."]


def test_a_chapter_that_a_list_of_contents_leads_to_is_no_note() -> None:
    body = (
        '<p>Go to <a id="t" href="#c">1</a></p>'
        '<section id="c"><h2><a href="#t">1</a></h2><p>All of it.</p></section>'
    )
    assert texts_of(body)[-1] == "All of it."


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ('<p>a<span epub:type="pagebreak" id="p1">12</span>b</p>', "pages"),
        ('<p>a<span class="pagenum">[Pg 12]</span>b</p>', "pages"),
        ("<p>ab</p><p>12</p>", "pages"),
        ("<p>ab</p><div>- 12 -</div>", "pages"),
        ("<nav><a href='x'>x</a></nav><p>ab</p>", "navigation"),
        ('<nav epub:type="toc"><a href="x">x</a></nav><p>ab</p>', "contents"),
        ('<section epub:type="copyright-page">No.</section><p>ab</p>', "copyright"),
        ('<section class="pg-boilerplate">No.</section><p>ab</p>', "licence"),
        ('<section epub:type="index">No.</section><p>ab</p>', "index"),
        ("<p>ab<script>no()</script></p>", "scripts"),
        ('<p>a<img src="x" alt="no"/>b</p>', "images"),
        ("<p>ab</p><svg><text>no</text></svg>", "images"),
        ("<p>a<math><mi>x</mi></math>b</p>", "math"),
        ("<p hidden='hidden'>no</p><p>ab</p>", "hidden"),
        ("<p style='display: none'>no</p><p>ab</p>", "hidden"),
        ("<p>ab</p><p>&#160;</p>", "empty"),
        ("<p>ab</p><p>* * *</p>", "empty"),
    ],
)
def test_what_is_not_read_is_told(body: str, kind: str) -> None:
    found = items_of(body)
    assert [it.text for it in found if isinstance(it, Block)] == ["ab"]
    assert kinds_of(found) == [kind]


def test_what_is_kept_is_read() -> None:
    body = (
        '<p>a<sup><a epub:type="noteref" href="#n">1</a></sup></p><p>12</p><nav>b</nav>'
        '<aside epub:type="footnote" id="n">c</aside><p hidden="">d</p><ruby>漢<rt>kan</rt></ruby>'
    )
    kinds = ["marks", "pages", "navigation", "notes", "hidden", "ruby"]
    assert texts_of(body, keep=kinds) == ["a1", "12", "b", "c", "d", "漢kan"]


def test_a_number_in_a_list_a_table_or_a_heading_is_text() -> None:
    body = "<ul><li>1</li></ul><table><tr><td>2</td></tr></table><h2>3</h2>"
    assert texts_of(body) == ["1", "2", "3"]


def test_words_that_are_left_out_are_counted() -> None:
    (omission,) = items_of('<aside epub:type="footnote"><p>One two</p><p>three</p></aside>')
    assert omission == Omission("notes", "", 2)
