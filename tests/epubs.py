"""EPUBs for the tests: whole ones by a real library, broken ones by hand."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ebooklib import epub

from batchtts.book.flow import Flow
from batchtts.book.markup import resolve_alone
from batchtts.book.notes import Notes
from batchtts.book.parts import Block, Book, Item, Omission
from batchtts.book.tree import find, parse

JPEG = b"\xff\xd8\xff\xe0 a picture"
PNG = b"\x89PNG\r\n\x1a\n a picture"
OPS = 'xmlns:epub="http://www.idpf.org/2007/ops"'
CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
    '<rootfile full-path="{}" media-type="application/oebps-package+xml"/>'
    "{}</rootfiles></container>"
)


def page(body: str, *, head: str = "<title>t</title>", attributes: str = "") -> str:
    """An XHTML document."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml" {OPS}>'
        f"<head>{head}</head><body {attributes}>{body}</body></html>"
    )


def blocks_of(body: str, *, keep: Sequence[str] = ()) -> list[Block]:
    """What is read of the body of a page."""
    return [item for item in items_of(body, keep=keep) if isinstance(item, Block)]


def items_of(body: str, *, keep: Sequence[str] = ()) -> list[Item]:
    """What is read of the body of a page, and what is left out."""
    root, was_xml = parse(page(body))
    assert was_xml
    (body_element,) = find(root, "body")
    notes = Notes()
    notes.look_at("", body_element, resolve_alone)
    notes.settle()
    return Flow("", notes, resolve_alone, keep=keep).read(body_element)


def texts_of(body: str, *, keep: Sequence[str] = ()) -> list[str]:
    """The scripts of the body of a page."""
    return [block.text for block in blocks_of(body, keep=keep)]


def kinds_of(omissions: Sequence[object]) -> list[str]:
    """What was left out, in order."""
    return [it.kind for it in omissions if isinstance(it, Omission)]


def told(book: Book) -> list[tuple[str, list[str]]]:
    """The chapters of a book: titles and scripts."""
    return [(it.title, [block.text for block in it.blocks]) for it in book.chapters]


def pack(path: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write a ZIP file with these members."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def opf(items: str, spine: str, *, metadata: str = "", guide: str = "") -> str:
    """A package document."""
    return (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:opf="http://www.idpf.org/2007/opf">'
        f"{metadata or '<dc:title>T</dc:title>'}</metadata><manifest>{items}</manifest>"
        f"<spine>{spine}</spine><guide>{guide}</guide></package>"
    )


def item(id: str, href: str, media_type: str = "application/xhtml+xml", more: str = "") -> str:
    """A line of a manifest."""
    return f'<item id="{id}" href="{href}" media-type="{media_type}" {more}/>'


def by_hand(
    path: Path,
    pages: Mapping[str, str | bytes],
    *,
    nav: str | None = None,
    more: Mapping[str, str | bytes] = {},
    metadata: str = "",
    guide: str = "",
    items: str = "",
    spine: str = "",
) -> Path:
    """An EPUB with these pages in a folder, all of them in the spine."""
    lines = "".join(item(f"i{n}", name) for n, name in enumerate(pages)) + items
    files: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER.format("OEBPS/book.opf", ""),
    }
    if nav is not None:
        lines += item("nav", "nav.xhtml", more='properties="nav"')
        files["OEBPS/nav.xhtml"] = page(f'<nav epub:type="toc"><ol>{nav}</ol></nav>')
    order = "".join(f'<itemref idref="i{n}"/>' for n in range(len(pages))) + spine
    files["OEBPS/book.opf"] = opf(lines, order, metadata=metadata, guide=guide)
    files |= {f"OEBPS/{name}": text for name, text in pages.items()}
    return pack(path, files | dict(more))


def by_library(
    path: Path, chapters: Mapping[str, str], *, version: int = 3, cover: bytes | None = None
) -> Path:
    """An EPUB with a chapter for each title."""
    book = epub.EpubBook()
    book.set_identifier("urn:uuid:1")
    book.set_title("The Whale")
    book.set_language("en-GB")
    book.add_author("Jo Doe")
    book.add_author("Ann Roe", uid="creator2")
    book.add_author("Ed Itor", role="edt", uid="creator3")
    if cover is not None:
        book.set_cover("cover.jpg", cover, create_page=True)
    pages = []
    for n, (title, body) in enumerate(chapters.items()):
        one = epub.EpubHtml(title=title, file_name=f"text/{n}.xhtml")
        one.content = page(body).encode()
        book.add_item(one)
        pages.append(one)
    book.toc = pages
    book.add_item(epub.EpubNcx())
    if version == 3:
        book.add_item(epub.EpubNav())
    book.spine = [*(["nav"] if version == 3 else []), *pages]
    epub.write_epub(path, book)
    return path
