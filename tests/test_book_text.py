"""Plain text, Markdown and HTML."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchtts.book.parts import Book, BookError
from batchtts.book.reading import read_book
from tests.epubs import kinds_of, told

LONG = (
    "Call me Ishmael. Some years ago, never mind how long precisely, having\n"
    "little or no money in my purse, and nothing particular to interest me\n"
    "on shore, I thought I would sail about a little.\n"
)


def book_of(
    tmp_path: Path, text: str | bytes, name: str = "a.txt", *, keep: tuple[str, ...] = ()
) -> Book:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_book(path, keep=keep)


def texts(tmp_path: Path, text: str) -> list[str]:
    return [it for _, all_of_it in told(book_of(tmp_path, text)) for it in all_of_it]


def test_lines_that_were_broken_to_fit_are_joined(tmp_path: Path) -> None:
    assert texts(tmp_path, f"{LONG}\n\n{LONG}") == [" ".join(LONG.split())] * 2
    assert texts(tmp_path, LONG.replace("\n", "\r\n")) == [" ".join(LONG.split())]
    assert "a well-known way" in texts(tmp_path, f"{LONG.rstrip()} It was a well-\nknown way.")[0]


def test_lines_that_end_early_on_purpose_stay_lines(tmp_path: Path) -> None:
    verse = "  Roses are red,\n  Violets are blue,\n  Sugar is sweet.\n"
    assert texts(tmp_path, f"{LONG}\n{verse}")[1:] == [
        "Roses are red,\nViolets are blue,\nSugar is sweet."
    ]


def test_paragraphs_may_begin_with_an_indent_or_be_a_line_each(tmp_path: Path) -> None:
    indented = "   " + LONG + "   " + LONG
    assert texts(tmp_path, indented) == [" ".join(LONG.split())] * 2
    lines = f"{' '.join(['long'] * 60)}\nNext.\n{' '.join(['more'] * 60)}"
    assert texts(tmp_path, lines) == lines.split("\n")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Chapter 1", "Chapter 2"),
        ("CHAPTER I.", "CHAPTER II."),
        ("CHAPTER ONE: Loomings", "CHAPTER TWO: The Bag"),
        ("Kapitel 1", "Kapitel 2"),
        ("Part One", "Part Two"),
        ("I.", "II."),
        ("LOOMINGS", "THE CARPET-BAG"),
    ],
)
def test_headings_that_keep_a_pattern_make_chapters(
    tmp_path: Path, first: str, second: str
) -> None:
    text = f"{first}\n\n{LONG}\n{LONG}\n\n{second}\n\n{LONG}\n"
    book = book_of(tmp_path, text)
    assert [it.title for it in book.chapters] == [first, second]
    assert [it.blocks[0].kind for it in book.chapters] == ["heading"] * 2
    assert [it.paragraphs for it in book.chapters] == [2, 1]


def test_a_heading_may_have_a_title_below_it(tmp_path: Path) -> None:
    text = f"Chapter 1\n\nDown the Hole\n\n{LONG}\nChapter 2\nThe Pool\n\n{LONG}"
    found = told(book_of(tmp_path, text))
    assert [title for title, _ in found] == ["Chapter 1: Down the Hole", "Chapter 2 The Pool"]
    assert found[1][1][0] == "Chapter 2\nThe Pool"


def test_parts_have_chapters(tmp_path: Path) -> None:
    text = "".join(
        f"PART {part}\n\nCHAPTER {n}\n\n{LONG}\nCHAPTER {n + 1}\n\n{LONG}\n"
        for part, n in (("ONE", 1), ("TWO", 3))
    )
    titles = [it.title for it in book_of(tmp_path, text).chapters]
    assert titles == ["PART ONE: CHAPTER 1", "CHAPTER 2", "PART TWO: CHAPTER 3", "CHAPTER 4"]


def test_what_is_no_heading_makes_no_chapter(tmp_path: Path) -> None:
    text = f"{LONG}\nChapter 3 of the book says so.\n\nSTOP!\n\n{LONG}\nNO\n\nNO\n\n{LONG}"
    assert len(book_of(tmp_path, text).chapters) == 1


def test_gutenberg_is_left_out_of_a_text(tmp_path: Path) -> None:
    text = (
        "The Project Gutenberg eBook of X\n\nTitle: The Whale\n\nAuthor: Jo Doe\n\n"
        "*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nBody.\n\n"
        "*** END OF THE PROJECT GUTENBERG EBOOK X ***\n\nLicence.\n"
    )
    book = book_of(tmp_path, text)
    assert told(book) == [("The Whale", ["Body."])]
    assert (book.about.title, book.about.authors) == ("The Whale", ("Jo Doe",))
    assert kinds_of(book.omissions) == ["licence"] * 6
    assert len(book_of(tmp_path, text, keep=("licence",)).chapters[0].blocks) == 7


def test_contents_in_a_text_are_left_out(tmp_path: Path) -> None:
    lines = "CHAPTER 1. Loomings . . . 1\n\nCHAPTER 2. The Bag . . . 9\n\n"
    dedication = "In memory of Ann\n\n"
    body = f"CHAPTER 1. Loomings\n\n{LONG}\n\nCHAPTER 2. The Bag\n\n{LONG}"
    book = book_of(tmp_path, f"CONTENTS\n\n{lines}{dedication}{body}")
    assert kinds_of(book.omissions) == ["contents"] * 3
    assert [it.title for it in book.chapters][-2:] == ["CHAPTER 1. Loomings", "CHAPTER 2. The Bag"]
    assert "In memory of Ann" in str(told(book))


def test_contents_that_never_come_again_are_read(tmp_path: Path) -> None:
    body = f"CHAPTER 1\n\n{LONG}\n\nCHAPTER 2\n\n{LONG}"
    book = book_of(tmp_path, f"CONTENTS\n\nwere burned\n\n{LONG}\n\n{body}")
    assert told(book)[0][1][:2] == ["CONTENTS", "were burned"]
    assert kinds_of(book.omissions) == []


def test_marks_of_gutenberg_in_the_wrong_order_mean_nothing(tmp_path: Path) -> None:
    text = "*** END OF THE BOOK ***\n\nBody.\n\n*** START OF THE BOOK ***"
    assert kinds_of(book_of(tmp_path, text).omissions) == []


def test_numbers_and_ornaments_alone_are_left_out(tmp_path: Path) -> None:
    book = book_of(tmp_path, "a\n\n12\n\n* * *\n\nPage 13\n\nb")
    assert told(book)[0][1] == ["a", "b"]
    assert [it[:2] for it in book.omissions] == [
        ("pages", "line 3"),
        ("empty", "line 5"),
        ("pages", "line 7"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_text_is_read_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    book = book_of(tmp_path, "Naïve text, no more.".encode(encoding))
    assert (told(book)[0][1], book.notes) == (["Naïve text, no more."], [])


def test_a_text_that_is_no_unicode_is_read_with_a_note(tmp_path: Path) -> None:
    book = book_of(tmp_path, "na\xefve".encode("cp1252"))
    assert (told(book)[0][1], book.notes) == (["naïve"], ["not UTF-8; read as cp1252"])
    assert book_of(tmp_path, b"na\xefve \x81").notes == ["not UTF-8; read as Latin-1"]


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    for name, data, problem in [
        ("a.pdf", b"%PDF", "PDF files cannot be read"),
        ("a.mobi", b"x", "Kindle books cannot be read"),
        ("a.txt", b"a\x00b" + bytes(range(1, 200)) * 9, "neither a book nor a text"),
        ("a.txt", b" \n", "nothing to speak in it"),
        ("a.html", b"", "there is nothing in it"),
    ]:
        with pytest.raises(BookError, match=problem):
            book_of(tmp_path, data, name)
    with pytest.raises(BookError, match="is a directory"):
        read_book(tmp_path)


def test_markdown_is_read_by_its_headings(tmp_path: Path) -> None:
    text = (
        "---\ntitle: 'The Whale'\nauthor: [Jo Doe, Ann Roe]\nlang: en\n---\n"
        "# Loomings\n\nCall *me* **Ish**mael[^1].\nStill.\n\n- one\n    - two\n\n> quoted\n\n"
        "```\nx = 1\n```\n\n[^1]: A note.\n\n# The Bag\n\n| a | b |\n|---|---|\n| c | d |\n\n"
        "![no](x.png) &amp; a [link](http://example.org)\\\nbelow\n"
    )
    book = book_of(tmp_path, text, "a.md")
    assert told(book) == [
        ("Loomings", ["Loomings", "Call me Ishmael. Still.", "one", "two", "quoted", "x = 1"]),
        ("The Bag", ["The Bag", "a\nb", "c\nd", "& a link\nbelow"]),
    ]
    assert kinds_of(book.omissions) == ["marks", "notes", "images"]
    about = book.about
    assert (about.title, about.authors, about.language) == (
        "The Whale",
        ("Jo Doe", "Ann Roe"),
        "en",
    )


def test_html_is_read_by_its_headings(tmp_path: Path) -> None:
    text = (
        '<!doctype html><html lang="de"><head><title>The Whale</title>'
        '<meta name="author" content="Jo Doe"></head><body><h1>The Whale</h1><p>by Jo Doe'
        "<h2>One</h2><p>a<br>b<p>c<h2>Two</h2>d</body></html>"
    )
    book = book_of(tmp_path, text, "a.html")
    assert told(book) == [
        ("The Whale", ["The Whale", "by Jo Doe"]),
        ("One", ["One", "a\nb", "c"]),
        ("Two", ["Two", "d"]),
    ]
    about = book.about
    assert (about.title, about.authors, about.language) == ("The Whale", ("Jo Doe",), "de")
    assert told(book_of(tmp_path, text, "a.txt")) == told(book)
