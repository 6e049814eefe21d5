"""EPUB 2 and 3."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from batchtts.book.archive import Archive, join
from batchtts.book.decoding import decode
from batchtts.book.division import divide
from batchtts.book.flow import Flow
from batchtts.book.notes import Notes, Resolve, Target
from batchtts.book.package import Package, Place, read_package
from batchtts.book.parts import (
    Book,
    BookError,
    Document,
    Omission,
    count_words,
    is_spoken,
    leave_out,
)
from batchtts.book.pruning import prune
from batchtts.book.tree import Element, TooDeep, all_text, find, local, parse

HINT = "--partial goes on without what is missing, and says so"

#: What the guide or the landmarks call a document → why it is left out.
_USES = {"toc": "contents", "copyright-page": "copyright", "index": "index"}
_SHOWN = ("img", "image", "svg", "video", "audio", "object", "math", "picture")


def read_epub(path: Path, *, keep: Collection[str], partial: bool) -> Book:
    """Read a book.

    Args:
        keep: Kinds of what is otherwise left out.
        partial: Go on without chapters that are missing or empty.

    Raises:
        BookError: it is damaged, protected or incomplete.
    """
    with Archive.open(path) as archive:
        reader = _Reader(archive, read_package(archive), keep, partial=partial)
        return reader.read()


class _Reader:
    """An EPUB that is being read."""

    def __init__(
        self, archive: Archive, package: Package, keep: Collection[str], *, partial: bool
    ) -> None:
        self._archive = archive
        self._package = package
        self._keep = keep
        self._partial = partial
        self._locked = archive.encrypted()
        self._notes = list(package.notes)
        self._missing: list[Omission] = []
        self._wanted: dict[str, set[str]] = defaultdict(set)
        for entry in package.entries:
            self._wanted[entry.document].add(entry.fragment)
        self._titles = {entry.document: entry.title for entry in reversed(package.entries)}

    def read(self) -> Book:
        documents, extras = self._documents()
        if "extras" not in self._keep:
            for document in extras:
                document.items = leave_out(document.items, "extras")
        prune(documents, self._keep)
        about = self._package.about
        chapters = divide(documents, self._package.entries, title=about.title)
        everything = [item for document in (*documents, *extras) for item in document.items]
        omissions = [item for item in everything if isinstance(item, Omission)]
        return Book(
            about=about,
            chapters=chapters,
            omissions=[*self._missing, *omissions],
            notes=self._notes,
        )

    def _documents(self) -> tuple[list[Document], list[Document]]:
        """The documents of the reading order, and those outside it that are left out."""
        spine = self._spine()
        notes = Notes()
        for place in spine:
            root, _ = self._body(place.name)
            if root is not None:
                notes.look_at(place.name, root, self._resolver(place.name))
        notes.settle()
        documents: list[Document] = []
        extras: list[Document] = []
        for place in spine:
            document = self._document(place.name, notes)
            is_extra = not place.is_linear and "extras" not in self._keep
            (extras if is_extra else documents).append(document)
        return documents, extras

    def _spine(self) -> list[Place]:
        """What is in the reading order, can be read, and may have text in it."""
        found: list[Place] = []
        seen: set[str] = set()
        for n, place in enumerate(self._package.spine, 1):
            if place.name in self._locked:
                raise self._archive.locked(f"{place.name} is encrypted")
            if place.name in seen:
                continue
            seen.add(place.name)
            if self._is_there(place, n):
                found.append(place)
        return found

    def _is_there(self, place: Place, number: int) -> bool:
        if not place.is_listed:
            problem = f'item {number} of the spine, "{place.name}", is not in the manifest'
            self._complain(place.name, problem)
            return False
        if self._archive.find(place.name) is None:
            self._complain(place.name, f"chapter file {place.name} is missing")
            return False
        if not place.is_text:
            self._missing.append(Omission("images", place.name, 0))
        return place.is_text

    def _complain(self, place: str, problem: str) -> None:
        if not self._partial:
            raise BookError(self._archive.path, problem, hint=HINT)
        self._missing.append(Omission("missing", place, 0))
        self._notes.append(problem)

    def _body(self, name: str) -> tuple[Element | None, bool]:
        """The part of a document that is read, and whether it is as XML must be."""
        try:
            root, is_xml = parse(self._text(name))
        except TooDeep as error:
            problem = f"{name}: elements lie too deep in each other"
            raise BookError(self._archive.path, problem) from error
        if root is None:
            return None, is_xml
        return next((it for it in root if local(it) in ("body", "book")), root), is_xml

    def _text(self, name: str) -> str:
        return decode(self._archive.read(name) or b"", is_markup=True).text

    def _document(self, name: str, notes: Notes) -> Document:
        document = Document(name)
        body, is_xml = self._body(name)
        title = self._titles.get(name)
        if body is None:
            self._complain(name, f"chapter file {name} is empty")
            return document
        if title is not None and _is_blank(body):
            self._complain(name, f'chapter "{title}" ({name}) has no text')
            return document
        kind = _USES.get(self._package.uses.get(name, ""))
        if kind == "contents" and not _is_made_of_links(body):
            kind = None
        if kind is not None and kind not in self._keep:
            document.items.append(Omission(kind, name, count_words(all_text(body))))
            return document
        self._note_what_is_odd(name, is_xml=is_xml)
        wanted = self._wanted[name]
        flow = Flow(name, notes, self._resolver(name), keep=self._keep, wanted=wanted)
        document.items = flow.read(body)
        return document

    def _note_what_is_odd(self, name: str, *, is_xml: bool) -> None:
        if not is_xml:
            self._notes.append(f"{name}: not well-formed; read as HTML")
        guess = decode(self._archive.read(name) or b"", is_markup=True).guess
        if guess:
            self._notes.append(f"{name}: not UTF-8; read as {guess}")

    def _resolver(self, name: str) -> Resolve:
        archive = self._archive

        def resolve(href: str) -> Target | None:
            place = join(name, href)
            return place and (archive.find(place[0]) or place[0], place[1])

        return resolve


def _is_blank(body: Element) -> bool:
    """Whether there is nothing to read, and nothing to look at."""
    return not is_spoken(all_text(body)) and not any(local(it) in _SHOWN for it in body.iter())


def _is_made_of_links(body: Element) -> bool:
    """Whether at least half of its letters lead elsewhere."""
    linked = sum(len(all_text(it)) for it in find(body, "a") if it.get("href"))
    return 2 * linked >= len("".join(all_text(body).split()))
