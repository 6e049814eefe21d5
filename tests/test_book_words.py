"""Every word of the body stands in the manifest once, in order."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import html5lib
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchtts.book.markup import read_html
from batchtts.book.parts import Omission
from batchtts.book.reading import read_book
from batchtts.book.writing import write_manifest
from tests.epubs import by_library

# What html5lib finds, laid out by this list; nothing of ours has a part in it.
IN_A_LINE = frozenset("a abbr b bdi cite code em i q s small span strong sub u var".split())

letters = st.text(st.characters(categories=["Lu", "Ll", "Lo"]), min_size=2, max_size=8)
words = st.one_of(letters, st.sampled_from(["don’t", "naïve", "a<b", "R&D", "שלום", "漢字", "x1"]))
spaces = st.sampled_from([" ", "\n", "\t ", "  ", "\u00a0", " \u2003"])


@st.composite
def lines(draw: st.DrawFn, depth: int = 2) -> str:
    """What stands in a line: words, and elements that neither glue nor split them."""
    parts: list[str] = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["word", "word", "space", "break", "element"]))
        if kind == "word":
            parts.append(escape(draw(words)))
        elif kind == "space":
            parts.append(draw(spaces))
        elif kind == "break":
            parts.append("<br/>")
        elif depth:
            tag = draw(st.sampled_from(sorted(IN_A_LINE - {"a"})))
            parts.append(f"<{tag}>{draw(lines(depth - 1))}</{tag}>")
    return "".join(parts)


def within(tag: str, inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return inner.map(lambda text: f"<{tag}>{text}</{tag}>")


def many(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(inner, min_size=1, max_size=3).map("".join)


def around(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    mixed = many(st.one_of(inner, lines()))
    cells = many(st.one_of(within("td", mixed), within("th", mixed)))
    return st.one_of(
        *(within(tag, mixed) for tag in ("div", "section", "blockquote", "article", "aside")),
        *(within(tag, many(within("li", mixed))) for tag in ("ul", "ol")),
        within("dl", many(st.one_of(within("dt", lines()), within("dd", mixed)))),
        within("table", within("tbody", many(within("tr", cells)))),
    )


plain = st.one_of(*(within(tag, lines()) for tag in ("p", "p", "h1", "h2", "h4", "pre")))
bodies = many(st.recursive(plain, around, max_leaves=8))


def expected(document: str) -> list[str]:
    """The words of a page as an independent reader of HTML finds them."""
    tree = html5lib.parse(document, treebuilder="etree", namespaceHTMLElements=False)
    return _laid_out(tree.find("body")).split()


def _laid_out(element: Any) -> str:  # noqa: ANN401  of a library without types
    edge = "" if element.tag in IN_A_LINE else " "
    inner = "".join(_laid_out(it) + (it.tail or "") for it in element)
    return f"{edge}{element.text or ''}{inner}{edge}"


def spoken(texts: list[str]) -> list[str]:
    return [word for text in texts for word in text.split()]


@given(bodies)
@settings(max_examples=150, deadline=None)
def test_every_word_of_a_page_is_read_once_in_order(body: str) -> None:
    document = f"<html><head><title>t</title></head><body>{body}</body></html>"
    for is_xml in (True, False):
        _, found = read_html(Path("page"), document, keep=(), is_xml=is_xml)
        assert not any(it.words for it in found.items if isinstance(it, Omission))
        assert spoken([block.text for block in found.blocks]) == expected(document)


@given(st.lists(bodies, min_size=1, max_size=3), st.sampled_from([2, 3]))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_word_of_a_book_is_in_the_manifest_once_in_order(
    tmp_path: Path, texts: list[str], version: int
) -> None:
    chapters = {f"Title {n}": f"<p>begin</p>{text}" for n, text in enumerate(texts)}
    path = by_library(tmp_path / "book.epub", chapters, version=version)
    book = read_book(path)
    write_manifest(tmp_path / "book.parquet", book.about, book.chapters)
    rows = pq.read_table(tmp_path / "book.parquet").to_pylist()
    with zipfile.ZipFile(path) as archive:  # the library has laid the pages out anew
        pages = [archive.read(f"EPUB/text/{n}.xhtml").decode() for n in range(len(texts))]
    assert spoken([row["text"] for row in rows]) == [it for one in pages for it in expected(one)]
    assert len({row["id"] for row in rows}) == len(rows)


def test_a_chapter_of_five_megabytes_is_read_whole(tmp_path: Path) -> None:
    body = "".join(f"<p>number{n} {'of many words ' * 20}end</p>" for n in range(18_000))
    assert len(body) > 5_000_000
    book = read_book(by_library(tmp_path / "long.epub", {"One": body}))
    (chapter,) = book.chapters
    assert chapter.words == 18_000 * 62
    assert [block.text.split()[0] for block in chapter.blocks] == [
        f"number{n}" for n in range(18_000)
    ]
