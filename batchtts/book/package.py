"""The package document of an EPUB: what it says of the book, its files and their order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from batchtts.book.archive import Archive, join
from batchtts.book.parts import About, BookError, Entry
from batchtts.book.tree import Element, all_text, find, local, parse_xml, types

_CONTAINER = "META-INF/container.xml"
_OPF = "application/oebps-package+xml"
_TEXT = ("application/xhtml+xml", "text/html", "text/x-oeb1-document", "application/x-dtbook+xml")
_NCX = "application/x-dtbncx+xml"
_DEEPEST = 16  # lines below lines of a table of contents
_MORE = ("publisher", "date", "identifier")
_MAGIC = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


class Thing(NamedTuple):
    """A line of the manifest of an EPUB."""

    name: str
    media_type: str
    properties: frozenset[str]
    fallback: str


class Place(NamedTuple):
    """A line of the spine.

    Attributes:
        name: A member of the archive, which may be missing; or the id that no thing has.
        is_linear: Whether it is part of the reading order.
        is_text: Whether there may be text in it.
        is_listed: Whether the manifest of the EPUB has it.
    """

    name: str
    is_linear: bool
    is_text: bool
    is_listed: bool


@dataclass(slots=True)
class Package:
    """What was read of it.

    Attributes:
        entries: The table of contents, from nav or NCX.
        uses: Member → what the guide or the landmarks say it is, such as "toc".
    """

    about: About
    spine: list[Place]
    entries: list[Entry]
    uses: dict[str, str]
    notes: list[str] = field(default_factory=list)


class _Reader:
    """The package document, opened."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.name = _find_package(archive)
        self.root = _read(archive, self.name)
        self.things = {it.get("id") or "": self._thing(it) for it in find(self.root, "item")}
        self.guide = [
            ((it.get("type") or "").lower(), it.get("href") or "")
            for it in find(self.root, "reference")
        ]
        self.notes: list[str] = []

    def _thing(self, item: Element) -> Thing:
        place = join(self.name, item.get("href") or "")
        name = place[0] if place else ""
        return Thing(
            self.archive.find(name) or name,
            (item.get("media-type") or "").partition(";")[0].strip().lower(),
            frozenset((item.get("properties") or "").split()),
            item.get("fallback") or "",
        )

    def resolve(self, base: str, href: str) -> tuple[str, str] | None:
        """Where an href leads, by the name of the member."""
        place = join(base, href)
        return place and (self.archive.find(place[0]) or place[0], place[1])


def read_package(archive: Archive) -> Package:
    """Read the package document and the table of contents.

    Raises:
        BookError: there is none, or it has no spine.
    """
    opf = _Reader(archive)
    spine = [_place(opf, it) for it in find(opf.root, "itemref")]
    if not spine:
        raise BookError(archive.path, f"{opf.name} has no spine: no reading order")
    uses = _uses(opf)
    nav = next((it.name for it in opf.things.values() if "nav" in it.properties), None)
    entries = _read_nav(opf, nav, uses) if nav else []
    entries = entries or _read_ncx(opf)
    about = _about(opf)
    return Package(about, spine, entries, uses, opf.notes)


def _find_package(archive: Archive) -> str:
    text = archive.text(_CONTAINER)
    if text is None:
        raise BookError(archive.path, f"not an EPUB: it has no {_CONTAINER}")
    root = parse_xml(text)
    if root is None:
        raise BookError(archive.path, f"{_CONTAINER} is not XML")
    roots = find(root, "rootfile")
    paths = [it.get("full-path") or "" for it in roots if it.get("media-type") in (_OPF, None)]
    if not any(paths):
        raise BookError(archive.path, f"{_CONTAINER} names no package document")
    place = join("", paths[0])
    return place[0] if place else paths[0]


def _read(archive: Archive, name: str) -> Element:
    text = archive.text(name)
    if text is None:
        raise BookError(archive.path, f"the package document {name} is missing")
    if archive.find(name) in archive.encrypted():
        raise archive.locked(f"{name} is encrypted")
    root = parse_xml(text)
    if root is None:
        raise BookError(archive.path, f"the package document {name} is not XML")
    return root


def _place(opf: _Reader, itemref: Element) -> Place:
    idref = itemref.get("idref") or ""
    is_linear = (itemref.get("linear") or "yes").lower() != "no"
    thing = opf.things.get(idref)
    seen = set()
    while thing is not None and thing.media_type not in _TEXT and thing.fallback not in seen:
        seen.add(thing.fallback)
        thing = opf.things.get(thing.fallback, thing)
    if thing is None:
        return Place(idref, is_linear, is_text=True, is_listed=False)
    is_text = thing.media_type in _TEXT or thing.name.lower().endswith((".xhtml", ".html", ".htm"))
    return Place(thing.name, is_linear, is_text, is_listed=True)


def _uses(opf: _Reader) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind, href in opf.guide:
        place = opf.resolve(opf.name, href)
        if place and not place[1]:
            found.setdefault(place[0], kind)
    return found


# ── the table of contents ─────────────────────────────────────────────────────


def _read_nav(opf: _Reader, name: str, uses: dict[str, str]) -> list[Entry]:
    text = opf.archive.text(name)
    root = parse_xml(text) if text else None
    if root is None:
        opf.notes.append(f"{name}: the table of contents cannot be read")
        return []
    navs = find(root, "nav")
    for nav in navs:
        if "landmarks" in types(nav):
            _read_landmarks(opf, name, nav, uses)
    chosen = next((it for it in navs if "toc" in types(it)), None)
    if chosen is None:
        return []
    return [it for each in chosen if local(each) == "ol" for it in _lines(opf, name, each, 0)]


def _read_landmarks(opf: _Reader, name: str, nav: Element, uses: dict[str, str]) -> None:
    for link in find(nav, "a"):
        place = opf.resolve(name, link.get("href") or "")
        if place and not place[1]:
            for kind in types(link):
                uses.setdefault(place[0], kind)


def _lines(opf: _Reader, name: str, ol: Element, depth: int) -> list[Entry]:
    found: list[Entry] = []
    for li in ol if depth < _DEEPEST else ():
        inner = [it for it in li if local(it) == "ol"]
        label = next((it for it in li if local(it) in ("a", "span")), None)
        below = [it for each in inner for it in _lines(opf, name, each, depth + 1)]
        found += _labelled(opf, name, label, depth, below) + below
    return found


def _labelled(
    opf: _Reader, name: str, label: Element, depth: int, below: list[Entry]
) -> list[Entry]:
    """A line that leads nowhere itself leads to the first one below it."""
    if label is None:
        return []
    title = " ".join(all_text(label).split())
    place = opf.resolve(name, label.get("href") or "")
    if place is None:
        return [Entry(title, "", "", depth)] if below else []
    return [Entry(title, *place, depth)]


def _read_ncx(opf: _Reader) -> list[Entry]:
    spine = next(iter(find(opf.root, "spine")), None)
    told = spine.get("toc") if spine is not None else None
    thing = opf.things.get(told or "") or next(
        (it for it in opf.things.values() if it.media_type == _NCX), None
    )
    text = opf.archive.text(thing.name) if thing else None
    root = parse_xml(text) if text else None
    if thing is None or root is None:
        return []
    nav_map = next(iter(find(root, "navmap")), None)
    return [] if nav_map is None else _points(opf, thing.name, nav_map, 0)


def _points(opf: _Reader, name: str, above: Element, depth: int) -> list[Entry]:
    found: list[Entry] = []
    for point in above if depth < _DEEPEST else ():
        if local(point) != "navpoint":
            continue
        label = next((all_text(it) for it in point if local(it) == "navlabel"), "")
        src = next((it.get("src") for it in point if local(it) == "content"), None)
        place = opf.resolve(name, src or "") or ("", "")
        found.append(Entry(" ".join(label.split()), *place, depth))
        found += _points(opf, name, point, depth + 1)
    return found


# ── what it says of the book ──────────────────────────────────────────────────


def _about(opf: _Reader) -> About:
    metadata = next(iter(find(opf.root, "metadata")), opf.root)
    refined: dict[tuple[str, str], str] = {}
    for meta in find(metadata, "meta"):
        key = (meta.get("refines") or "").removeprefix("#"), meta.get("property") or ""
        refined.setdefault(key, all_text(meta).strip())
    cover = _cover(opf, metadata)
    more = {name: _all(metadata, name)[:1] for name in _MORE}
    return About(
        title=_title(metadata, refined),
        authors=_authors(metadata, refined),
        language=next(iter(_all(metadata, "language")), None),
        more={name: texts[0] for name, texts in more.items() if texts},
        cover=cover[0] if cover else None,
        cover_type=cover[1] if cover else None,
    )


def _all(metadata: Element, name: str) -> list[str]:
    texts = (" ".join(all_text(it).split()) for it in find(metadata, name))
    return list(filter(None, texts))


def _title(metadata: Element, refined: dict[tuple[str, str], str]) -> str | None:
    for element in find(metadata, "title"):
        if refined.get((element.get("id") or "-", "title-type")) == "main":
            return " ".join(all_text(element).split()) or None
    return next(iter(_all(metadata, "title")), None)


def _authors(metadata: Element, refined: dict[tuple[str, str], str]) -> tuple[str, ...]:
    roles: list[tuple[str, str]] = []
    for element in find(metadata, "creator"):
        name = " ".join(all_text(element).split())
        own = next((value for key, value in element.items() if key.endswith("role")), "")
        role = own or refined.get((element.get("id") or "-", "role"), "")
        if name:
            roles.append((name, role))
    chosen = [name for name, role in roles if role in ("", "aut")] or [name for name, _ in roles]
    return tuple(dict.fromkeys(chosen))


def _cover(opf: _Reader, metadata: Element) -> tuple[bytes, str] | None:
    for name in _cover_names(opf, metadata):
        data = None if name in opf.archive.encrypted() else opf.archive.read(name)
        if data is None:
            continue
        for magic, media_type in _MAGIC.items():
            if data.startswith(magic):
                return data, media_type
        opf.notes.append(f"{name}: the cover is neither JPEG nor PNG; it is left out")
        return None
    return None


def _cover_names(opf: _Reader, metadata: Element) -> list[str]:
    names = [it.name for it in opf.things.values() if "cover-image" in it.properties]
    for meta in find(metadata, "meta"):
        if (meta.get("name") or "").lower() == "cover":
            told = meta.get("content") or ""
            thing = opf.things.get(told)
            place = None if thing else opf.resolve(opf.name, told)
            names += [thing.name] if thing else [place[0]] if place else []
    for kind, href in opf.guide:
        place = opf.resolve(opf.name, href) if kind == "cover" else None
        names += [place[0]] if place else []
    found = []
    for name in names:
        is_page = name.lower().endswith((".xhtml", ".html", ".htm", ".xml"))
        found += _images(opf, name) if is_page else [name]
    return found


def _images(opf: _Reader, name: str) -> list[str]:
    """The images that a page shows."""
    text = opf.archive.text(name)
    root = parse_xml(text) if text else None
    found = []
    for element in root.iter() if root is not None else ():
        if local(element) in ("img", "image"):
            href = next((v for k, v in element.items() if k.endswith(("src", "href"))), "")
            place = opf.resolve(name, href)
            found += [place[0]] if place else []
    return found
