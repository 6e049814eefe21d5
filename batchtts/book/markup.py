"""HTML, and Markdown by way of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from batchtts.book.archive import join
from batchtts.book.flow import Flow
from batchtts.book.notes import Notes, Target
from batchtts.book.parts import About, BookError, Document
from batchtts.book.tree import Element, TooDeep, all_text, find, parse

_FRONT = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_FIELD = re.compile(
    r"^(title|authors?|lang(?:uage)?)[ \t]*:[ \t]*(.+?)[ \t]*$", re.IGNORECASE | re.MULTILINE
)
_NOTE_MARK = re.compile(r"(?<=\S)\[\^([^\]\s]+)\](?!:)")
_NOTE = re.compile(
    r"^[ ]{0,3}\[\^[^\]\s]+\]:[ \t]*(.*(?:\n(?:[ \t]+.*|[^\s\[#].*))*(?:\n[ \t]*\n[ ]{4,}.*)*)",
    re.MULTILINE,
)


def read_html(
    path: Path, text: str, *, keep: Collection[str], is_xml: bool = False
) -> tuple[About, Document]:
    """Make blocks of a page, and take what it says of itself.

    Raises:
        BookError: it has no elements, or they lie too deep in each other.
    """
    try:
        root, _ = parse(text, is_html=not is_xml)
    except TooDeep as error:
        raise BookError(path, "elements lie too deep in each other") from error
    if root is None:
        raise BookError(path, "there is nothing in it")
    body = next(iter(find(root, "body")), root)
    notes = Notes()
    notes.look_at("", body, resolve_alone)
    notes.settle()
    flow = Flow("", notes, resolve_alone, keep=keep)
    return _about(root), Document("", flow.read(body))


def resolve_alone(href: str) -> Target | None:
    """Where a link leads in a page that is a book of its own."""
    place = join("", href)
    return place if place and not place[0] else None


def _about(root: Element) -> About:
    metas = {(it.get("name") or "").lower(): it.get("content") or "" for it in find(root, "meta")}
    title = next((" ".join(all_text(it).split()) for it in find(root, "title")), None)
    language = root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang")
    authors = metas.get("author") or metas.get("dc.creator") or ""
    return About(
        title=title or None,
        authors=tuple(filter(None, [" ".join(authors.split())])),
        language=language or None,
    )


def read_markdown(path: Path, text: str, *, keep: Collection[str]) -> tuple[About, Document]:
    """Make blocks of Markdown (CommonMark and tables).

    Raises:
        BookError: as read_html().
    """
    from markdown_it import MarkdownIt

    front = _FRONT.match(text)
    fields = (
        {it[1].lower(): it[2].strip("\"'") for it in _FIELD.finditer(front[1])} if front else {}
    )
    source = text[front.end() :] if front else text
    rendered = MarkdownIt("commonmark").enable("table").render(_with_notes(source))
    _, document = read_html(path, f"<body>{rendered}</body>", keep=keep)
    return _told(fields), document


def _with_notes(source: str) -> str:
    """Write footnotes, which CommonMark does not know, as elements."""
    if "[^" not in source:
        return source
    source = _NOTE.sub(r"\n\n<aside epub:type='footnote'>\n\n\1\n\n</aside>\n\n", source)
    return _NOTE_MARK.sub(r"<a epub:type='noteref'>1</a>", source)


def _told(fields: Mapping[str, str]) -> About:
    author = fields.get("author") or fields.get("authors") or ""
    names = (it.strip().strip("\"'") for it in author.strip("[]").split(","))
    return About(
        title=fields.get("title"),
        authors=tuple(filter(None, names)),
        language=fields.get("language") or fields.get("lang"),
    )
