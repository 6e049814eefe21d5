"""Which links are footnote marks, and which elements are the notes that they lead to.

Where nothing is declared, a mark is a link that looks like one (a number, a sign, one
letter), and a note comes after its mark in reading order and begins with a link back, or
is called a note by its name. Both are looked for in the whole book before it is read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from batchtts.book.tree import Element, all_text, local, types

#: A place in the book: document and fragment.
Target = tuple[str, str]
Resolve = Callable[[str], Target | None]

_MARK = re.compile(
    r"\W*(?:(?:foot|end)?notes?\W*|fn\W*)?(?:\d{1,4}|[a-z]|[ivxlcdm]{1,6})?\W*", re.IGNORECASE
)
_NUMBER_OR_SIGN = re.compile(r"[\W\d]+")
_BRACKETED = re.compile(r"\s*[\[({]\s*[\w*†‡§]{1,6}\s*[\])}]\s*")
_NOTE_ID = re.compile(
    r"(?:.*[^a-z])?(?:fn|ftn|foot|(?:foot|end|rear)?notes?|e?n)[-_.:]?\d+.*", re.IGNORECASE
)
_NOTE_CLASS = re.compile(r"(?:foot|end|rear)notes?(?:-?text|-?body)?", re.IGNORECASE)
_MARK_CLASS = re.compile(
    r"(?:footnote|note|fn|endnote)[-_]?(?:ref|anchor|mark|link|call)s?", re.IGNORECASE
)
_HEADINGS = frozenset(("h1", "h2", "h3", "h4", "h5", "h6"))

_DECLARED_MARK = frozenset(("noteref", "annoref", "backlink"))
_DECLARED_NOTE = frozenset(
    "footnote endnote rearnote footnotes endnotes rearnotes annotation".split()
)
_LONGEST_MARK = 20  # characters
_CLIMBED = 3  # elements above a link that may bear its name


class _Link(NamedTuple):
    at: int
    target: Target
    own: frozenset[str]  # names that lead to the link itself
    names: frozenset[str]  # and those of what it stands in
    is_declared: bool  # to be a mark
    looks_so: bool


class Notes:
    """What is known of the marks and notes of a book; documents are shown in reading order."""

    def __init__(self) -> None:
        self.targets: set[Target] = set()
        self._origins: set[Target] = set()
        self._places: dict[Target, int] = {}
        self._unfit: set[Target] = set()
        self._marks: list[tuple[str, _Link]] = []
        self._links: dict[str, dict[Target, int]] = defaultdict(dict)
        self._at = 0

    def look_at(self, name: str, root: Element, resolve: Resolve) -> None:
        """Collect the links of one document, and what they may lead to."""
        for element in root.iter():
            self._at += 1
            tag = local(element)
            own = element.get("id") or (tag == "a" and element.get("name"))
            if own:
                self._places.setdefault((name, own), self._at)
            if tag in _HEADINGS or tag == "body":
                above = (element, *element.iterancestors())
                self._unfit.update((name, it.get("id")) for it in above if it.get("id"))
            if tag == "a":
                self._note_link(name, element, resolve)

    def _note_link(self, name: str, element: Element, resolve: Resolve) -> None:
        target = resolve(element.get("href") or "")
        if target is None or not target[1]:
            return
        self._links[name][target] = self._at  # the last one
        if reads_like_mark(element) and not _in_heading_of_its_own(element):
            told = is_declared_mark(element), looks_like_mark(element)
            self._marks.append((name, _Link(self._at, target, *_names(element), *told)))

    def settle(self) -> None:
        """Find the notes, all documents having been looked at."""
        for name, link in self._marks:
            place = self._places.get(link.target)
            if place is None or place < link.at or link.target in self._unfit:
                continue
            is_told = link.is_declared or bool(_NOTE_ID.fullmatch(link.target[1]))
            if is_told or (link.looks_so and self._leads_back(name, link, place)):
                self.targets.add(link.target)
                self._origins.update((name, it) for it in link.own)

    def _leads_back(self, name: str, link: _Link, place: int) -> bool:
        back = self._links[link.target[0]]
        return any(back.get((name, it), -1) >= place for it in link.names)

    def is_mark(self, element: Element, resolve: Resolve) -> bool:
        """Whether a link is the mark of a note, or leads back from one."""
        if not reads_like_mark(element):
            return False
        if is_declared_mark(element):
            return True
        target = resolve(element.get("href") or "")
        if target is None or not target[1]:
            return False
        if target in self.targets or target in self._origins or _NOTE_ID.fullmatch(target[1]):
            return True
        return looks_like_mark(element)

    def is_note(self, name: str, element: Element) -> bool:
        """Whether an element is a note, by its own name or by that of its first words."""
        if types(element) & _DECLARED_NOTE:
            return True
        classes = (element.get("class") or "").split()
        if any(map(_NOTE_CLASS.fullmatch, classes)) and not reads_like_mark(element):
            return True
        return bool(self.targets) and any(
            (name, it) in self.targets for it in _first_names(element)
        )


def reads_like_mark(element: Element) -> bool:
    """Whether its text is a number, a sign or one letter, or nothing."""
    text = all_text(element).strip()
    return len(text) <= _LONGEST_MARK and bool(_MARK.fullmatch(text))


def is_declared_mark(element: Element) -> bool:
    """Whether it says itself that it leads to a note, or back from one."""
    classes = (element.get("class") or "").split()
    return bool(types(element) & _DECLARED_MARK) or any(map(_MARK_CLASS.fullmatch, classes))


def looks_like_mark(element: Element) -> bool:
    """Whether it is raised or in brackets, and a number or a sign."""
    text = all_text(element)
    if _BRACKETED.fullmatch(text):
        return True
    around = (element.getparent(), *element)
    return any(it is not None and local(it) == "sup" for it in around)


def is_raised_mark(element: Element, resolve: Resolve, notes: Notes) -> bool:
    """Whether a raised element has nothing but marks in it."""
    links = [it for it in element.iter() if local(it) == "a"]
    if not links:
        return is_declared_mark(element) and reads_like_mark(element)
    marks = "".join(map(all_text, links))
    rest = all_text(element).replace(marks, "") if len(links) == 1 else ""
    return not any(map(str.isalnum, rest)) and all(notes.is_mark(it, resolve) for it in links)


def _in_heading_of_its_own(element: Element) -> bool:
    """A heading that leads to the table of contents is no mark."""
    text = all_text(element).strip()
    above = element.getparent()
    while above is not None and local(above) not in ("body", "html"):
        if local(above) in _HEADINGS:
            return all_text(above).strip() == text
        above = above.getparent()
    return False


def _names(element: Element) -> tuple[frozenset[str], frozenset[str]]:
    """What leads to an element: its own names and those below it, and those just above it."""
    found = [it.get("id") or it.get("name") for it in element.iter()]
    own = frozenset(filter(None, found))
    for _ in range(_CLIMBED):
        element = element.getparent()
        if element is None:
            break
        found.append(element.get("id"))
    return own, own.union(filter(None, found))


def _first_names(element: Element) -> list[str]:
    """Its own name, and those of what it begins with."""
    found = []
    while True:
        found += [it for it in (element.get("id"), element.get("name")) if it]
        if (element.text or "").strip() or not len(element):
            return found
        below = element[0]
        if local(below) not in ("a", "span", "sup", "b", "i", "em", "strong", "small"):
            return found
        element = below
