"""EPUB 2 and 3: order, chapters, titles, covers, and what is wrong with some of them."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from batchtts.book.parts import Book, BookError, Omission
from batchtts.book.reading import read_book
from batchtts.errors import Exit
from tests.epubs import (
    CONTAINER,
    JPEG,
    PNG,
    by_hand,
    by_library,
    item,
    kinds_of,
    opf,
    pack,
    page,
    told,
)

ONE = page("<h1>One</h1><p>First.</p>")
TWO = page("<h1>Two</h1><p>Second.</p>")


def line(href: str, title: str, below: str = "") -> str:
    """A line of a table of contents."""
    return f'<li><a href="{href}">{title}</a>{f"<ol>{below}</ol>" if below else ""}</li>'


def refusal(path: Path, *, partial: bool = False) -> str:
    """What is said of a book that cannot be read."""
    with pytest.raises(BookError) as caught:
        read_book(path, partial=partial)
    said = str(caught.value)
    assert caught.value.exit_code == Exit.USAGE
    assert "\n" not in said
    assert said.startswith(f"{path}: ")
    return said.removeprefix(f"{path}: ")


def places(book: Book, kind: str) -> list[str]:
    return [it.place for it in book.omissions if it.kind == kind]


@pytest.mark.parametrize("version", [2, 3])
def test_a_book_of_a_real_library_is_read_whole(tmp_path: Path, version: int) -> None:
    chapters = {"Loomings": "<h1>1</h1><p>Call me.</p>", "The Bag": "<h1>2</h1><p>I packed.</p>"}
    book = read_book(by_library(tmp_path / "a.epub", chapters, version=version, cover=JPEG))
    assert told(book) == [("Loomings", ["1", "Call me."]), ("The Bag", ["2", "I packed."])]
    about = book.about
    assert (about.title, about.language) == ("The Whale", "en-GB")
    assert about.authors == ("Jo Doe", "Ann Roe")
    assert about.more == {"identifier": "urn:uuid:1"}
    assert (about.cover, about.cover_type) == (JPEG, "image/jpeg")


def test_chapters_are_what_the_table_of_contents_says(tmp_path: Path) -> None:
    pages = {
        "a.xhtml": page("<h1>T</h1>"),
        "b.xhtml": page("<p>Begins.</p>"),
        "c.xhtml": page("<p>Goes on.</p>"),
        "d.xhtml": page('<p>Ends.</p><h2 id="x">III</h2><p>In the middle.</p><p id="y">IV.</p>'),
    }
    nav = line("b.xhtml", "I") + line("d.xhtml#x", " The \n third ") + line("d.xhtml#y", "Fourth")
    assert told(read_book(by_hand(tmp_path / "a.epub", pages, nav=nav))) == [
        ("I", ["T", "Begins.", "Goes on.", "Ends."]),
        ("The third", ["III", "In the middle."]),
        ("Fourth", ["IV."]),
    ]


def test_a_chapter_begins_with_the_next_text_behind_its_anchor(tmp_path: Path) -> None:
    body = (
        '<p>a<i id="x"/></p><p>b</p><p id="y">* * *</p><p>c</p>'
        '<p>d <i id="z"/>e</p><h1>The End</h1>'
    )
    places = ("#x", "#y", "#z", "#z", "#none")
    nav = "".join(line(f"a.xhtml{it}", f"{n}") for n, it in enumerate(places))
    assert told(read_book(by_hand(tmp_path / "a.epub", {"a.xhtml": page(body)}, nav=nav))) == [
        ("4", ["a"]),
        ("0", ["b"]),
        ("1", ["c"]),
        ("2", ["d e", "The End"]),
    ]


def test_headings_at_the_end_stay_with_the_last_chapter(tmp_path: Path) -> None:
    pages = {"a.xhtml": ONE, "b.xhtml": TWO, "c.xhtml": page("<h1>The End</h1>")}
    book = read_book(by_hand(tmp_path / "a.epub", pages))
    assert told(book)[-1] == ("Two", ["Two", "Second.", "The End"])


def test_parts_are_opened_and_sections_are_not(tmp_path: Path) -> None:
    pages = {
        "p.xhtml": page("<h1>Part One</h1>"),
        "a.xhtml": page('<h2>A</h2><p>a</p><h3 id="s">S</h3><p>s</p>'),
        "b.xhtml": page("<h2>B</h2><p>b</p>"),
    }
    below = line("a.xhtml", "A", line("a.xhtml#s", "S")) + line("b.xhtml", "B")
    path = by_hand(tmp_path / "a.epub", pages, nav=line("p.xhtml", "Part One", below))
    assert told(read_book(path)) == [
        ("A", ["Part One", "A", "a", "S", "s"]),
        ("B", ["B", "b"]),
    ]


def test_without_contents_headings_make_chapters(tmp_path: Path) -> None:
    pages = {
        "a.xhtml": page("<h1>The Book</h1><h2>I.</h2><h3>Rain</h3><p>a</p>"),
        "b.xhtml": page("<p>b</p><h2>II.</h2><p>c</p>"),
    }
    assert told(read_book(by_hand(tmp_path / "a.epub", pages))) == [
        ("The Book: I.", ["The Book", "I.", "Rain", "a", "b"]),
        ("II.", ["II.", "c"]),
    ]


def test_without_headings_documents_make_chapters(tmp_path: Path) -> None:
    pages = {"a.xhtml": page("<p>a</p>"), "b.xhtml": page("<p>b</p>"), "c.xhtml": page("<p>c</p>")}
    path = by_hand(tmp_path / "a.epub", pages, nav=line("b.xhtml", "Start"))
    assert told(read_book(path)) == [("T", ["a"]), ("Start", ["b"]), ("Chapter 3", ["c"])]


def test_front_matter_without_a_body_goes_to_the_first_chapter(tmp_path: Path) -> None:
    pages = {"t.xhtml": page("<h1>The Book</h1>"), "a.xhtml": ONE, "b.xhtml": TWO}
    nav = line("a.xhtml", "One") + line("b.xhtml", "Two")
    path = by_hand(tmp_path / "a.epub", pages, nav=nav)
    assert told(read_book(path))[0] == ("One", ["The Book", "One", "First."])
    pages["t.xhtml"] = page("<p>For Ann.</p>")
    assert told(read_book(by_hand(tmp_path / "b.epub", pages, nav=nav)))[0] == ("T", ["For Ann."])


def test_ncx_is_read_where_there_is_no_nav(tmp_path: Path) -> None:
    ncx = (
        '<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://nowhere.invalid/ncx.dtd">'
        '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>'
        "<navPoint><navLabel><text>Eins &amp; mehr</text></navLabel>"
        '<content src="a%20b.xhtml"/></navPoint>'
        "<navPoint><navLabel><text>Zwei</text></navLabel>"
        '<content src="c.xhtml#top"/></navPoint></navMap></ncx>'
    )
    path = by_hand(
        tmp_path / "a.epub",
        {"a b.xhtml": page("<p>a</p>"), "c.xhtml": page('<p id="top">c</p>')},
        items=item("ncx", "toc.ncx", "application/x-dtbncx+xml"),
        more={"OEBPS/toc.ncx": ncx},
    )
    assert told(read_book(path)) == [("Eins & mehr", ["a"]), ("Zwei", ["c"])]


def test_names_are_found_however_they_are_written(tmp_path: Path) -> None:
    files = {
        "META-INF/container.xml": CONTAINER.format("a/b/book.opf", '<rootfile full-path="no"/>'),
        "a/b/book.opf": opf(
            item("x", "../T%C3%A9xt/Ch%201.XHTML") + item("x", "../T%C3%A9xt/Ch%201.XHTML"),
            '<itemref idref="x"/><itemref idref="x"/>',
        ),
        "a/T\u0065\u0301xt/ch 1.xhtml": page("<p id='i'>a</p><p id='i'>b</p>"),
    }
    assert told(read_book(pack(tmp_path / "a.epub", files))) == [("T", ["a", "b"])]


def test_what_is_outside_the_reading_order_is_left_out_and_told(tmp_path: Path) -> None:
    path = by_hand(
        tmp_path / "a.epub",
        {"a.xhtml": ONE},
        items=item("x", "x.xhtml") + item("s", "s.svg", "image/svg+xml"),
        spine='<itemref idref="x" linear="no"/><itemref idref="s"/>',
        more={"OEBPS/x.xhtml": page("<p>An extra.</p>"), "OEBPS/s.svg": "<svg/>"},
    )
    book = read_book(path)
    assert told(book) == [("One", ["One", "First."])]
    assert places(book, "extras") == ["OEBPS/x.xhtml"]
    assert places(book, "images") == ["OEBPS/s.svg"]
    assert told(read_book(path, keep=["extras"]))[-1][1][-1] == "An extra."


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_is_read_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    text = page("<p>naïve — 漢字</p>").replace("utf-8", encoding)
    book = read_book(by_hand(tmp_path / "a.epub", {"a.xhtml": text.encode(encoding)}))
    assert told(book)[0][1] == ["naïve — 漢字"]
    assert book.notes == []


def test_what_is_no_unicode_is_read_and_told(tmp_path: Path) -> None:
    declared = page("<p>naïve “x”</p>").replace("utf-8", "windows-1252").encode("cp1252")
    book = read_book(by_hand(tmp_path / "a.epub", {"a.xhtml": declared}))
    assert (told(book)[0][1], book.notes) == (["naïve “x”"], [])
    book = read_book(
        by_hand(tmp_path / "b.epub", {"a.xhtml": page("<p>naïve “x”</p>").encode("cp1252")})
    )
    assert told(book)[0][1] == ["naïve “x”"]
    assert book.notes == ["OEBPS/a.xhtml: not UTF-8; read as cp1252"]


@pytest.mark.parametrize(
    ("metadata", "items", "guide"),
    [
        ("", item("c", "c.png", "image/png", 'properties="cover-image"'), ""),
        ('<meta name="cover" content="c"/>', item("c", "c.png", "image/png"), ""),
        ('<meta name="cover" content="c.png"/>', "", ""),
        ("", "", '<reference type="cover" href="c.png"/>'),
        ("", "", '<reference type="cover" href="c.xhtml"/>'),
    ],
)
def test_the_cover_is_found_wherever_it_is_named(
    tmp_path: Path, metadata: str, items: str, guide: str
) -> None:
    shown = '<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="c.png"/></svg>'
    path = by_hand(
        tmp_path / "a.epub",
        {"a.xhtml": ONE},
        metadata=f"<dc:title>T</dc:title>{metadata}",
        items=items,
        guide=guide,
        more={"OEBPS/c.png": PNG, "OEBPS/c.xhtml": page(shown)},
    )
    about = read_book(path).about
    assert (about.cover, about.cover_type) == (PNG, "image/png")


def test_a_cover_of_another_kind_is_told(tmp_path: Path) -> None:
    items = item("c", "c.webp", "image/webp", 'properties="cover-image"')
    path = by_hand(
        tmp_path / "a.epub", {"a.xhtml": ONE}, items=items, more={"OEBPS/c.webp": "RIFF"}
    )
    book = read_book(path)
    assert book.about.cover is None
    assert book.notes == ["OEBPS/c.webp: the cover is neither JPEG nor PNG; it is left out"]


def test_the_main_title_and_the_authors_alone_are_taken(tmp_path: Path) -> None:
    metadata = (
        '<dc:title id="s">A Tale</dc:title><dc:title id="m">The\n Whale</dc:title>'
        '<meta refines="#m" property="title-type">main</meta>'
        '<dc:creator id="x">Ann Roe</dc:creator><meta refines="#x" property="role">ill</meta>'
        '<dc:creator opf:role="aut">Jo Doe</dc:creator><dc:language>en</dc:language>'
    )
    about = read_book(by_hand(tmp_path / "a.epub", {"a.xhtml": ONE}, metadata=metadata)).about
    assert (about.title, about.authors, about.language) == ("The Whale", ("Jo Doe",), "en")


def test_a_page_that_is_not_well_formed_is_read_and_told(tmp_path: Path) -> None:
    broken = page("<p>a & b<br>c</p><p>d &nbsp; &hellip; <b>e</p>")
    book = read_book(by_hand(tmp_path / "a.epub", {"a.xhtml": broken}))
    assert told(book)[0][1] == ["a & b\nc", "d … e"]
    assert book.notes == ["OEBPS/a.xhtml: not well-formed; read as HTML"]


# ── whole documents that are left out ─────────────────────────────────────────


def test_contents_made_of_links_are_left_out(tmp_path: Path) -> None:
    toc = "".join(f'<p><a href="{it}.xhtml">Chapter {it}</a> 12</p>' for it in "abab")
    pages = {"t.xhtml": page(f"<h2>Contents</h2>{toc}"), "a.xhtml": ONE, "b.xhtml": TWO}
    path = by_hand(tmp_path / "a.epub", pages)
    book = read_book(path)
    assert told(book) == [("One", ["One", "First."]), ("Two", ["Two", "Second."])]
    assert places(book, "contents") == ["OEBPS/t.xhtml"] * 5
    assert told(read_book(path, keep=["contents"]))[0][1][0] == "Contents"


def test_a_nav_in_the_reading_order_is_left_out_with_its_heading(tmp_path: Path) -> None:
    nav = page('<h1>Table of Contents</h1><nav epub:type="toc"><ol><li>x</li></ol></nav>')
    book = read_book(by_hand(tmp_path / "a.epub", {"n.xhtml": nav, "a.xhtml": ONE}))
    assert told(book) == [("One", ["One", "First."])]


def test_what_the_guide_calls_so_is_left_out(tmp_path: Path) -> None:
    guide = (
        '<reference type="copyright-page" href="c.xhtml"/><reference type="toc" href="a.xhtml"/>'
        '<reference type="copyright-page" href="b.xhtml#here"/>'
    )
    pages = {"c.xhtml": page("<p>Nobody may.</p>"), "a.xhtml": ONE, "b.xhtml": TWO}
    book = read_book(by_hand(tmp_path / "a.epub", pages, guide=guide))
    assert told(book) == [("One", ["One", "First."]), ("Two", ["Two", "Second."])]
    assert places(book, "copyright") == ["OEBPS/c.xhtml"]


def test_a_page_of_rights_is_left_out(tmp_path: Path) -> None:
    rights = page("<p>Copyright © 1999 Jo Doe.</p><p>All rights reserved. ISBN 1</p>")
    path = by_hand(tmp_path / "a.epub", {"c.xhtml": rights, "a.xhtml": ONE})
    book = read_book(path)
    assert told(book) == [("One", ["One", "First."])]
    assert kinds_of(book.omissions) == ["copyright"] * 2
    assert len(read_book(path, keep=["copyright"]).chapters[0].blocks) == 2


def test_notes_in_a_document_of_their_own_are_left_out_with_its_headings(tmp_path: Path) -> None:
    text = (
        '<h1>One</h1><p>A<sup><a id="r1" href="n.xhtml#x1">1</a></sup>'
        ' b<sup><a id="r2" href="n.xhtml#x2">2</a></sup>.</p>'
    )
    notes = (
        '<h1>Notes</h1><h2>Chapter 1</h2><p id="x1"><a href="a.xhtml#r1">1</a> It is.</p>'
        '<h2>Chapter 2</h2><p id="x2"><a href="a.xhtml#r2">2</a> It was.</p>'
    )
    pages = {"a.xhtml": page(text), "b.xhtml": TWO, "n.xhtml": page(notes)}
    book = read_book(by_hand(tmp_path / "a.epub", pages))
    assert told(book) == [("One", ["One", "A b."]), ("Two", ["Two", "Second."])]
    assert len(places(book, "notes")) == 5
    assert "It is." in told(read_book(tmp_path / "a.epub", keep=["notes"]))[-1][1]


def test_what_gutenberg_puts_around_a_book_is_left_out(tmp_path: Path) -> None:
    head = "<h2>The eBook</h2><p>For all.</p><p>*** START OF THE PROJECT GUTENBERG EBOOK X ***</p>"
    foot = "<p>Last.</p><p>*** END OF THIS PROJECT GUTENBERG EBOOK X ***</p><p>Licence.</p>"
    pages = {
        "a.xhtml": page(head),
        "b.xhtml": ONE,
        "c.xhtml": page(foot),
        "d.xhtml": page("<p>x</p>"),
    }
    path = by_hand(tmp_path / "a.epub", pages)
    book = read_book(path)
    assert [text for _, texts in told(book) for text in texts] == ["One", "First.", "Last."]
    assert len(places(book, "licence")) == 6
    assert "Licence." in str(told(read_book(path, keep=["licence"])))


# ── what is wrong ─────────────────────────────────────────────────────────────


def encrypted(name: str, algorithm: str) -> dict[str, str]:
    text = (
        '<encryption xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
        f'<enc:EncryptionMethod Algorithm="{algorithm}"/><enc:CipherData>'
        f'<enc:CipherReference URI="{name}"/></enc:CipherData></enc:EncryptedData></encryption>'
    )
    return {"META-INF/encryption.xml": text}


def test_a_font_in_disguise_is_no_reason_to_refuse(tmp_path: Path) -> None:
    more = encrypted("OEBPS/f.otf", "http://www.idpf.org/2008/embedding")
    assert read_book(by_hand(tmp_path / "a.epub", {"a.xhtml": ONE}, more=more)).chapters
    more = encrypted("OEBPS/f.otf", "http://www.w3.org/2001/04/xmlenc#aes128-cbc")
    assert read_book(by_hand(tmp_path / "b.epub", {"a.xhtml": ONE}, more=more)).chapters


def test_a_protected_book_is_refused(tmp_path: Path) -> None:
    aes = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
    more = encrypted("OEBPS/a.xhtml", aes)
    path = by_hand(tmp_path / "a.epub", {"a.xhtml": b"\x00\x01"}, more=more)
    assert refusal(path, partial=True) == "is protected (OEBPS/a.xhtml is encrypted)"
    path = by_hand(tmp_path / "b.epub", {"a.xhtml": ONE}, more={"META-INF/rights.xml": "<x/>"})
    assert refusal(path) == "is protected (Adobe DRM, META-INF/rights.xml)"
    path = by_hand(tmp_path / "c.epub", {"a.xhtml": ONE}, more={"META-INF/license.lcpl": "{}"})
    assert refusal(path) == "is protected (Readium LCP, META-INF/license.lcpl)"


def test_what_is_no_epub_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.epub"
    assert refusal(path) == "no such file"
    path.write_bytes(b"")
    assert refusal(path) == "not an EPUB, or damaged: it is no readable ZIP file"
    assert refusal(pack(path, {"a": "b"})) == "not an EPUB: it has no META-INF/container.xml"
    pack(path, {"META-INF/container.xml": "<container>"})
    assert refusal(path) == "META-INF/container.xml is not XML"
    pack(path, {"META-INF/container.xml": "<container/>"})
    assert refusal(path) == "META-INF/container.xml names no package document"
    pack(path, {"META-INF/container.xml": CONTAINER.format("x.opf", "")})
    assert refusal(path) == "the package document x.opf is missing"
    pack(path, {"META-INF/container.xml": CONTAINER.format("x.opf", ""), "x.opf": "<package"})
    assert refusal(path) == "the package document x.opf is not XML"
    assert refusal(by_hand(path, {})) == "OEBPS/book.opf has no spine: no reading order"
    assert refusal(by_hand(path, {"a.xhtml": page("<img src='x'/>")})) == "nothing to speak in it"


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = by_library(tmp_path / "a.epub", {"One": f"<p>{'word ' * 5000}</p>"})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert refusal(path) == "not an EPUB, or damaged: it is no readable ZIP file"
    with zipfile.ZipFile(tmp_path / "b.epub", "w") as archive:
        archive.write(by_hand(tmp_path / "c.epub", {"a.xhtml": ONE}), "x")
    path = by_hand(tmp_path / "d.epub", {"a.xhtml": ONE})
    path.write_bytes(path.read_bytes().replace(b"First", b"Frist"))
    assert refusal(path) == "OEBPS/a.xhtml is damaged in the ZIP file"


@pytest.mark.parametrize(
    ("pages", "spine", "problem"),
    [
        ({"gone.xhtml": None}, "", "chapter file OEBPS/gone.xhtml is missing"),
        ({}, '<itemref idref="who"/>', 'item 2 of the spine, "who", is not in the manifest'),
        ({"void.xhtml": ""}, "", "chapter file OEBPS/void.xhtml is empty"),
        ({"b.xhtml": page("<p> </p>")}, "", 'chapter "B" (OEBPS/b.xhtml) has no text'),
    ],
)
def test_a_missing_chapter_is_told_and_not_passed_over(
    tmp_path: Path, pages: dict[str, str | None], spine: str, problem: str
) -> None:
    path = by_hand(
        tmp_path / "a.epub",
        {"a.xhtml": ONE, **{name: text or "" for name, text in pages.items()}},
        nav=line("a.xhtml", "A") + line("b.xhtml", "B"),
        spine=spine,
    )
    if None in pages.values():
        path = without(path, tmp_path / "b.epub", "OEBPS/gone.xhtml")
    assert refusal(path) == problem
    book = read_book(path, partial=True)
    assert told(book)[0][1] == ["One", "First."]
    assert problem in book.notes
    assert "missing" in kinds_of(book.omissions)


def without(path: Path, copy: Path, name: str) -> Path:
    with zipfile.ZipFile(path) as archive:
        files = {it: archive.read(it) for it in archive.namelist() if it != name}
    return pack(copy, files)


def test_a_page_with_a_picture_alone_is_no_missing_chapter(tmp_path: Path) -> None:
    pages = {"c.xhtml": page('<img src="c.jpg" alt="Cover"/>'), "a.xhtml": ONE}
    nav = line("c.xhtml", "Cover") + line("a.xhtml", "One")
    book = read_book(by_hand(tmp_path / "a.epub", pages, nav=nav))
    assert told(book) == [("One", ["One", "First."])]
    assert book.omissions == [Omission("images", "OEBPS/c.xhtml", 0)]


def test_nothing_outside_the_book_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.xhtml").write_text(page("<p>secret</p>"), encoding="utf-8")
    path = by_hand(
        tmp_path / "a.epub",
        {"a.xhtml": ONE},
        items=item("x", "../../secret.xhtml") + item("y", f"file://{tmp_path}/secret.xhtml"),
        spine='<itemref idref="x"/><itemref idref="y"/>',
    )
    assert re.search("is missing", refusal(path))
    assert "secret" not in str(told(read_book(path, partial=True)))
