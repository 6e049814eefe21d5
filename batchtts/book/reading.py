"""A book from a file of any known format."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from batchtts.book.parts import About, Book, BookError, Document, Omission
from batchtts.errors import UsageError

INSTALL = "pip install 'batchtts[book]'"

_HTML = (".html", ".htm", ".xhtml", ".xht")
_MARKDOWN = (".md", ".markdown", ".mkd")
_FOREIGN = {
    **dict.fromkeys((".mobi", ".azw", ".azw3", ".kfx"), "Kindle books"),
    **dict.fromkeys((".docx", ".doc", ".odt", ".rtf"), "word processor files"),
    ".pdf": "PDF files",
}
_IS_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html)\b",
    re.IGNORECASE | re.DOTALL,
)
_GUTENBERG = re.compile(r"^(Title|Author):[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
_HEAD = 4000  # characters where a text says what it is


def read_book(path: Path, *, keep: Collection[str] = (), partial: bool = False) -> Book:
    """Read a book: EPUB, plain text, Markdown or HTML.

    Args:
        keep: Kinds of what is otherwise left out.
        partial: Go on without chapters that are missing or empty.

    Raises:
        BookError: it cannot be read, or there is nothing to speak in it.
        UsageError: the libraries that read books are not installed.
    """
    if find_spec("lxml") is None or find_spec("markdown_it") is None:
        raise UsageError("to read books takes the extra `book`", hint=INSTALL)
    suffix = path.suffix.lower()
    if suffix in _FOREIGN:
        hint = "convert it to EPUB first"
        raise BookError(path, f"{_FOREIGN[suffix]} cannot be read", hint=hint)
    with _telling(path):
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        if suffix == ".epub" or is_zip:
            from batchtts.book.epub import read_epub

            book = read_epub(path, keep=keep, partial=partial)
        else:
            book = _read_text(path, suffix, keep)
    if not book.chapters:
        raise BookError(path, "nothing to speak in it")
    about = book.about
    return replace(book, about=replace(about, title=about.title or path.stem))


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BookError(path, "no such file") from error
    except OSError as error:
        raise BookError(path, (error.strerror or str(error)).lower()) from error


def _read_text(path: Path, suffix: str, keep: Collection[str]) -> Book:
    from batchtts.book.decoding import decode
    from batchtts.book.division import divide
    from batchtts.book.pruning import prune

    is_html = suffix in _HTML
    text, guess = decode(path.read_bytes(), is_markup=is_html)
    if "\x00" in text[:_HEAD]:
        raise BookError(path, "neither a book nor a text")
    about, document = _read_as(path, suffix, text, keep)
    # A file alone is never all copyright page.
    prune([document], {*keep, "copyright"})
    alone = [block.line for block in document.blocks if block.level == 1]
    if about.title is None and len(alone) == 1:
        about = replace(about, title=alone[0])
    return Book(
        about=about,
        chapters=divide([document], (), title=about.title),
        omissions=[item for item in document.items if isinstance(item, Omission)],
        notes=[f"not UTF-8; read as {guess}"] if guess else [],
    )


def _read_as(path: Path, suffix: str, text: str, keep: Collection[str]) -> tuple[About, Document]:
    from batchtts.book.markup import read_html, read_markdown
    from batchtts.book.plain import read_plain

    if suffix in _MARKDOWN:
        return read_markdown(path, text, keep=keep)
    if suffix in _HTML or _IS_HTML.match(text, 0, _HEAD):
        is_xml = suffix in (".xhtml", ".xht") or text.lstrip().startswith("<?xml")
        return read_html(path, text, keep=keep, is_xml=is_xml)
    return _about_text(text), read_plain(text, keep=keep)


def _about_text(text: str) -> About:
    """What Project Gutenberg says at the beginning of a text."""
    if "Project Gutenberg" not in text[:_HEAD]:
        return About()
    told = dict(reversed(_GUTENBERG.findall(text[:_HEAD])))
    author = told.get("Author")
    return About(title=told.get("Title"), authors=(author,) if author else ())
