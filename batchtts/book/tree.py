"""From text to a tree of elements: strictly as XML where it is that, leniently where not.

Nothing is fetched, and no entity is expanded by the parser: declarations are taken out
before it sees the text, and the named characters of HTML are put in as characters.
"""

from __future__ import annotations

import re
from html.entities import html5
from typing import Any

from lxml import etree

#: An element; lxml publishes no types.
Element = Any

#: How deep elements may lie in each other; libxml2 allows no more.
DEEPEST = 2048

_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>", re.IGNORECASE)
_DOCTYPE = re.compile(r"<!DOCTYPE\s+[^\[>]*(?:\[(.*?)\]\s*)?>", re.IGNORECASE | re.DOTALL)
_ENTITY = re.compile(r"""<!ENTITY\s+(\w[\w.-]*)\s+(?:"([^"&%<]{0,100})"|'([^'&%<]{0,100})')\s*>""")
_REFERENCE = re.compile(r"&([A-Za-z][\w.-]{0,40});")
_OF_XML = frozenset(("amp", "lt", "gt", "quot", "apos"))
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"


class TooDeep(Exception):
    """Elements lie deeper in each other than can be read."""


def parse(text: str, *, is_html: bool = False) -> tuple[Element | None, bool]:
    """Return the root element, None if there is no element, and whether it was read as XML.

    Raises:
        TooDeep: what lies deeper would have been lost.
    """
    data = _prepare(text).encode()
    if not is_html:
        try:
            return etree.fromstring(data, _xml_parser()), True
        except etree.XMLSyntaxError:
            pass
    parser = etree.HTMLParser(
        encoding="utf-8", huge_tree=True, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError:
        return None, False
    if any("depth" in error.message for error in parser.error_log):
        raise TooDeep
    return root, False


def parse_xml(text: str) -> Element | None:
    """Return the root of what must be XML; None if it is not."""
    try:
        return etree.fromstring(_prepare(text).encode(), _xml_parser())
    except etree.XMLSyntaxError:
        return None


def _xml_parser() -> Element:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
    )


def _prepare(text: str) -> str:
    """Take the declarations out and put named characters in."""
    text = _UNFIT.sub("", _DECLARATION.sub("", text.lstrip("\ufeff"), count=1))
    own: dict[str, str] = {}
    doctype = _DOCTYPE.search(text, 0, 1 << 20)
    if doctype is not None:
        text = text[: doctype.start()] + text[doctype.end() :]
        own = {it[1]: it[2] or it[3] or "" for it in _ENTITY.finditer(doctype[1] or "")}
    if "&" not in text:
        return text.lstrip()

    def said(found: re.Match[str]) -> str:
        name = found[1]
        if name in _OF_XML:
            return found[0]
        character = own.get(name, html5.get(f"{name};"))
        return found[0] if character is None else _escaped(character)

    return _REFERENCE.sub(said, text).lstrip()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def local(element: Element) -> str:
    """The name of an element without its namespace, in lower case; "" for what is none."""
    tag = element.tag
    if not isinstance(tag, str):
        return ""
    return tag.rpartition("}")[2].rpartition(":")[2].lower()


def types(element: Element) -> frozenset[str]:
    """What an element is said to be: epub:type, and the roles of its successor."""
    told = element.get(_EPUB_TYPE) or element.get("epub:type") or ""
    roles = (it.removeprefix("doc-") for it in (element.get("role") or "").split())
    return frozenset((*told.split(), *roles))


def all_text(element: Element) -> str:
    """Everything in an element, as it stands."""
    return "".join(element.itertext())


def find(root: Element, name: str) -> list[Element]:
    """All elements of a name, whatever their namespace, in order."""
    return [it for it in root.iter() if local(it) == name]
