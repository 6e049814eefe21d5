"""From a tree of elements to blocks of text, as a browser would lay them out.

Elements that lie in a line never glue or split words; those that make a block of their
own do. What stands in a block without one of its own, between blocks, is a block too.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from lxml import etree

from batchtts.book.notes import Notes, Resolve, is_raised_mark
from batchtts.book.parts import Block, Item, Omission, count_words, is_spoken
from batchtts.book.tree import Element, all_text, local, types

BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset"
    " figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li"
    " listing main menu nav noframes ol optgroup p pre search section summary table tbody tfoot"
    " thead tr ul xmp".split()
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_CELLS = frozenset(("td", "th"))
_NOTE_PLACES = frozenset(("p", "div", "li", "dd", "aside", "section", "td", "tr", "ol", "ul", "dl"))
_KEPT_LINES = frozenset(("pre", "listing", "xmp", "poem"))
_ITEMS = frozenset(("li", "dt", "dd", "tr", "pre"))  # where a number alone may be text

_KIND_BY_TAG = {
    **dict.fromkeys(("script", "style", "template", "noscript"), "scripts"),
    **dict.fromkeys(
        "img svg image picture audio video object embed iframe canvas map".split(), "images"
    ),
    **dict.fromkeys(("rt", "rp", "rtc"), "ruby"),
    **dict.fromkeys(("input", "select", "textarea", "datalist"), "forms"),
    "nav": "navigation",
}
_KIND_BY_TYPE = {
    **dict.fromkeys(("toc", "toc-brief", "lot", "loi", "loa", "lov"), "contents"),
    **dict.fromkeys(("landmarks", "page-list", "pagelist"), "navigation"),
    **dict.fromkeys(("copyright-page", "imprint"), "copyright"),
    "index": "index",
}
_PAGE_CLASS = re.compile(r"page-?_?(?:num|no|number|break)\w*", re.IGNORECASE)
_PAGE = re.compile(r"\W*(?:p(?:age|g)?\W*)?(?:\d{1,4}|[ivxlcdm]{1,8})?\W*", re.IGNORECASE)
_PAGE_ALONE = re.compile(r"\W*(?:page\s+)?\d{1,4}\W*", re.IGNORECASE)
_LONGEST_PAGE = 20  # characters
_LICENCE_IDS = frozenset(("pg-header", "pg-footer", "pg-machine-header", "pg-end-separator"))

# Stand for what is no text until a block is whole; none of them can be in a tree.
_BREAK, _CELL, _MARK = "\x00", "\x01", "\x02"
_CELL_BREAK = re.compile(r"\x01[ \x01]*")
_MARK_IN_BRACKETS = re.compile(r"\[ ?\x02 ?\]|\( ?\x02 ?\)")
_MARK_BEFORE_STOP = re.compile(r" ?\x02(?= ?[.,;:!?…)\]”’»])")
_UNSEEN = {0xAD: None, 0x200B: None, 0xFEFF: None, 0x2060: None}
_INITIAL = re.compile(r"[“‘\"'«]?[^\W\d_]")


class Flow:
    """Reads one document.

    Args:
        name: Of the document, as links have it.
        keep: Kinds of what is otherwise left out.
        wanted: Fragments that somebody asks for.
        resolve: Makes a place of the book of an href of this document.
    """

    def __init__(
        self,
        name: str,
        notes: Notes,
        resolve: Resolve,
        *,
        keep: Collection[str] = (),
        wanted: Collection[str] = (),
    ) -> None:
        self._name = name
        self._notes = notes
        self._resolve = resolve
        self._keep = keep
        self._wanted = set(wanted)  # less what was met
        self._items: list[Item] = []
        self._pieces: list[str] = []
        self._anchors: list[tuple[int, str]] = []  # how many pieces stand before it
        self._linked = 0  # characters
        self._level = self._links = self._lines = self._lists = 0
        self._begun: list[int] = []  # items that were there when each open <p> began
        self._skipped: Element = None
        self._initial = ""  # what an image shows that may be the first letter of a word

    def read(self, root: Element) -> list[Item]:
        """Return the blocks below *root*, and what was left out, in order."""
        walk = etree.iterwalk(root, events=("start", "end"))
        for event, element in walk:
            tag = local(element)
            if event == "end":
                self._end(element, tag, is_root=element is root)
            elif self._leave_out(element, tag):
                walk.skip_subtree()
                self._skipped = element
            else:
                self._begin(element, tag)
        self._flush()
        return self._items

    # ── what is left out ──────────────────────────────────────────────────────

    def _leave_out(self, element: Element, tag: str) -> bool:
        if tag == "math":
            return self._say_math(element)
        kind = self._kind(element, tag)
        if kind is None or kind in self._keep:
            return False
        if tag in BLOCKS:
            self._flush()
        if tag == "rp":  # brackets for who shows no ruby
            return True
        words = 0 if kind in ("scripts", "images") else count_words(all_text(element))
        self._items.append(Omission(kind, self._name, words))
        self._initial = ""
        if kind == "marks":
            self._pieces.append(_MARK)
        elif kind == "images" and tag == "img":
            self._initial = (element.get("alt") or "").strip()
        if self._wanted:
            for each in element.iter():
                self._anchor(each)
        return True

    def _kind(self, element: Element, tag: str) -> str | None:
        kind = _KIND_BY_TAG.get(tag)
        if kind is not None and kind != "navigation":
            return kind
        if tag == "sup" and is_raised_mark(element, self._resolve, self._notes):
            return "marks"
        if element.attrib:
            kind = self._kind_by_attributes(element, tag) or kind
        elif tag in _NOTE_PLACES and self._notes.is_note(self._name, element):
            return "notes"
        return kind

    def _kind_by_attributes(self, element: Element, tag: str) -> str | None:
        told = types(element)
        for each in told:
            if each in _KIND_BY_TYPE and tag not in _HEADINGS:
                return _KIND_BY_TYPE[each]
        if self._is_page_number(element, told):
            return "pages"
        if tag in ("a", "span") and self._is_mark(element, tag):
            return "marks"
        if tag in _NOTE_PLACES and self._notes.is_note(self._name, element):
            return "notes"
        classes = element.get("class") or ""
        if element.get("id") in _LICENCE_IDS or "pg-boilerplate" in classes.split():
            return "licence"
        style = (element.get("style") or "").replace(" ", "").lower()
        is_hidden = element.get("hidden") is not None or "display:none" in style
        return "hidden" if is_hidden else None

    def _is_page_number(self, element: Element, told: Collection[str]) -> bool:
        if "pagebreak" in told:
            return _is_number_of_page(all_text(element))
        if not any(map(_PAGE_CLASS.fullmatch, (element.get("class") or "").split())):
            return False
        text = all_text(element)
        return is_spoken(text) and _is_number_of_page(text)

    def _is_mark(self, element: Element, tag: str) -> bool:
        if tag == "a":
            return self._notes.is_mark(element, self._resolve)
        return "noteref" in types(element) and is_raised_mark(element, self._resolve, self._notes)

    def _say_math(self, element: Element) -> bool:
        told = element.get("alttext") or ""
        if is_spoken(told):
            self._pieces.append(told)
        else:
            words = count_words(all_text(element))
            self._items.append(Omission("math", self._name, words))
        return True

    # ── what is read ──────────────────────────────────────────────────────────

    def _begin(self, element: Element, tag: str) -> None:
        if tag in BLOCKS:
            self._flush()
            self._begin_block(element, tag)
        elif tag == "br":
            self._pieces.append(_BREAK)
        elif tag in _CELLS:
            self._pieces.append(_CELL)
        elif tag == "a" and self._leads_inside(element):
            self._links += 1
        if self._wanted:
            self._anchor(element)
        if element.text:
            self._add(element.text)

    def _begin_block(self, element: Element, tag: str) -> None:
        if tag == "p":
            self._begun.append(len(self._items))
        self._lines += tag in _KEPT_LINES
        self._lists += tag in _ITEMS
        if tag in _HEADINGS:
            self._level = _HEADINGS[tag]
        elif element.get("role") == "heading":
            level = element.get("aria-level") or "2"
            self._level = min(6, int(level)) if level.isdecimal() and level != "0" else 2

    def _end(self, element: Element, tag: str, *, is_root: bool) -> None:
        if element is self._skipped:
            self._skipped = None
        elif tag in BLOCKS:
            self._flush()
            self._end_block(element, tag)
        elif tag == "a" and self._leads_inside(element):
            self._links -= 1
        if element.tail and not is_root:
            self._add(element.tail)

    def _end_block(self, element: Element, tag: str) -> None:
        if tag == "p" and self._begun.pop() == len(self._items):
            self._items.append(Omission("empty", self._name, 0))
        self._lines -= tag in _KEPT_LINES
        self._lists -= tag in _ITEMS
        if tag in _HEADINGS or element.get("role") == "heading":
            self._level = 0

    def _leads_inside(self, element: Element) -> bool:
        return self._resolve(element.get("href") or "") is not None

    def _anchor(self, element: Element) -> None:
        for name in {element.get("id"), element.get("name")} - {None}:
            if name in self._wanted:
                self._wanted.discard(name)
                self._anchors.append((len(self._pieces), name))

    def _add(self, text: str) -> None:
        if self._initial:
            # The picture of the first letter of a word stands for that letter.
            if _INITIAL.fullmatch(self._initial) and text.lstrip()[:1].isalpha():
                self._pieces.append(self._initial)
            self._initial = ""
        if self._links:
            self._linked += sum(map(str.isalnum, text))
        self._pieces.append(text.replace("\n", _BREAK) if self._lines else text)

    def _flush(self) -> None:
        """Make blocks of what has been gathered."""
        self._initial = ""
        if not self._pieces:
            return
        raw = "".join(self._pieces)
        end = max((n for n, it in enumerate(self._pieces, 1) if not it.isspace()), default=0)
        here = [name for at, name in self._anchors if at < end]
        later = [name for at, name in self._anchors if at >= end]
        letters = sum(map(str.isalnum, raw))
        linked = self._linked / letters if letters else 0.0
        for text in _paragraphs(raw):
            kind = self._kind_of_text(text)
            if kind is None:
                self._items.append(Block(text, self._level, self._name, tuple(here), linked))
                here = []
            else:
                self._items.append(Omission(kind, self._name, count_words(text)))
        self._anchors = [(0, name) for name in here + later]
        self._pieces.clear()
        self._linked = 0

    def _kind_of_text(self, text: str) -> str | None:
        if not is_spoken(text):
            return "empty"
        return "pages" if self._is_page_alone(text) else None

    def _is_page_alone(self, text: str) -> bool:
        if self._level or self._lists or "pages" in self._keep:
            return False
        return len(text) <= _LONGEST_PAGE and bool(_PAGE_ALONE.fullmatch(text))


def _is_number_of_page(text: str) -> bool:
    text = text.strip()
    return len(text) <= _LONGEST_PAGE and bool(_PAGE.fullmatch(text))


def _paragraphs(raw: str) -> list[str]:
    """Collapse white space; an empty line between two breaks parts paragraphs."""
    raw = " ".join(raw.translate(_UNSEEN).split())  # the signs of _BREAK and so on stay
    if _MARK in raw:
        raw = _MARK_BEFORE_STOP.sub("", _MARK_IN_BRACKETS.sub("", raw)).replace(_MARK, "")
    raw = _CELL_BREAK.sub(_BREAK, raw)
    if _BREAK not in raw:
        text = " ".join(raw.split())
        return [text] if text else []
    found: list[list[str]] = [[]]
    for line in raw.split(_BREAK):
        words = " ".join(line.split())
        if words:
            found[-1].append(words)
        elif found[-1]:
            found.append([])
    return ["\n".join(lines) for lines in found if lines]
