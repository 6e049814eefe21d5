"""Where tags, comments and entities of HTML are in a text, and what is none. Pure.

A tag is what has the name of an element and attributes as HTML has them: `a < b`, `<3`
and `x<b and c>d` are text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from html.entities import html5
from typing import NamedTuple

#: Elements that stand apart from what is before and behind them.
BLOCKS = frozenset(
    "address article aside blockquote body caption center dd details dialog dir div dl dt fieldset"
    " figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu"
    " nav ol optgroup option p pre search section summary table tbody tfoot thead title tr"
    " ul".split()
)
#: Elements whose content is not for readers; of ruby text only the base is spoken.
HIDDEN = ("head", "noembed", "noframes", "rp", "rt", "script", "style", "template")

_INLINE = frozenset(
    "a abbr acronym area audio b base bdi bdo big br button canvas cite code col colgroup data"
    " datalist del dfn em embed font head i iframe img input ins kbd label link map mark math meta"
    " meter noembed noframes noscript object output param picture progress q rb rp rt rtc ruby s"
    " samp script select slot small source span strike strong style sub sup svg td template"
    " textarea th time track tt u var video wbr".split()
)
_FLAGS = (
    "allowfullscreen|async|autofocus|autoplay|checked|controls|default|defer|disabled|hidden|inert"
    "|ismap|loop|multiple|muted|nomodule|novalidate|nowrap|open|readonly|required|reversed|selected"
)
_ATTRIBUTE = (
    r"""\s{1,99}(?:[\w:.@-]{1,99}\s{0,9}=\s{0,9}(?:"[^"]{0,9999}"|'[^']{0,9999}'|[^\s"'=<>`]{1,9999})"""
    rf"|(?:{_FLAGS})(?![\w=-]))"
)
_TAG = re.compile(
    rf"<(?P<slash>/?)(?P<name>[a-z][\w:.-]{{0,99}})(?P<attributes>(?:{_ATTRIBUTE}){{0,99}})\s{{0,99}}/?>",
    re.IGNORECASE,
)
_DECLARATION = re.compile(r"<!doctype\b[^<>]{0,999}>|<\?xml\b[^<>]{0,999}\?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ALT = re.compile(r"""\salt\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+))""", re.IGNORECASE)
_START = re.compile("[<&]")
_SPACES = str.maketrans({"\u00a0": " ", "\u00ad": None, "\u200b": None})


class Mark(NamedTuple):
    """``text[start:end]`` is markup.

    Attributes:
        kind: "comment", "entity", or the name of the element in lower case.
        said: What is spoken for it: an entity's character, an image's description.
    """

    start: int
    end: int
    kind: str
    said: str = ""
    is_closing: bool = False


def mark_at(text: str, at: int) -> Mark | None:
    """Return the tag, comment or entity that begins here; None if it is text."""
    if text[at] == "&":
        return _entity(text, at)
    if text.startswith("<!--", at):
        end = text.find("-->", at + 4)
        return None if end < 0 else Mark(at, end + 3, "comment")
    declaration = _DECLARATION.match(text, at)
    if declaration:
        return Mark(at, declaration.end(), "comment")
    tag = _TAG.match(text, at)
    return _tag(tag) if tag else None


def _entity(text: str, at: int) -> Mark | None:
    found = _ENTITY.match(text, at)
    if found is None or (found[0][1] != "#" and found[0][1:] not in html5):
        return None
    return Mark(at, found.end(), "entity", html.unescape(found[0]).translate(_SPACES))


def _tag(found: re.Match[str]) -> Mark | None:
    name, attributes = found["name"].lower(), found["attributes"]
    is_odd = name not in BLOCKS and name not in _INLINE
    if is_odd and "=" not in attributes and ":" not in name and "-" not in name:
        return None
    alt = _ALT.search(attributes) if name == "img" else None
    said = next((it for it in alt.groups() if it), "") if alt else ""
    said = html.unescape(said).translate(_SPACES)
    return Mark(*found.span(), name, said, bool(found["slash"]))


def marks(text: str) -> Iterator[Mark]:
    """Find all marks, one behind the other; what is hidden is one mark with its content."""
    at = 0
    while found := _START.search(text, at):
        mark = mark_at(text, found.start())
        if mark is None:
            at = found.end()
        else:
            mark = hide(text, mark)
            yield mark
            at = mark.end


def hide(text: str, mark: Mark) -> Mark:
    """Take the content of an element that is not for readers with its opening tag."""
    if mark.kind not in HIDDEN or mark.is_closing or text.endswith("/>", mark.start, mark.end):
        return mark
    end = _ENDS[mark.kind].search(text, mark.end)
    return mark._replace(end=end.end()) if end else mark


def _end_of(name: str) -> re.Pattern[str]:
    """Where the content of a hidden element ends; `rt` and `rp` need no closing tag."""
    if name in ("rt", "rp"):
        return re.compile(rf"</{name}\s*>|(?=</?(?:rb|rt|rp|rtc|ruby)\b)", re.IGNORECASE)
    return re.compile(rf"</{name}\s*>", re.IGNORECASE)


_ENDS = {name: _end_of(name) for name in HIDDEN}
