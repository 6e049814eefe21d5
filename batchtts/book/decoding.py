"""From bytes to text: marks at the beginning, then what is declared, then UTF-8, then a guess."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(
    rb"""<(?:\?xml[^>]{0,200}?encoding|meta[^>]{0,200}?charset)\s*=\s*["']?\s*([\w.:-]{2,40})""",
    re.IGNORECASE,
)
_HEAD_BYTES = 2048


class Decoded(NamedTuple):
    """Text, and what it was taken for if that was a guess."""

    text: str
    guess: str | None = None


def decode(data: bytes, *, is_markup: bool = False) -> Decoded:
    """Make text of bytes; every byte is something in the end.

    Args:
        is_markup: Whether it may declare its encoding.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return Decoded(data[len(bom) :].decode(name, "replace"))
    for name in (*_by_zeros(data), *(_declared(data) if is_markup else ()), "utf-8"):
        text = _try(data, name)
        if text is not None:
            return Decoded(text)
    text = _try(data, "cp1252")
    return Decoded(data.decode("latin-1"), "Latin-1") if text is None else Decoded(text, "cp1252")


def _by_zeros(data: bytes) -> list[str]:
    """UTF-16 without a mark has a zero in every ASCII character."""
    head = data[:_HEAD_BYTES]
    if len(head) < 4 or head.count(0) * 4 < len(head):
        return []
    return ["utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"]


def _declared(data: bytes) -> list[str]:
    found = _DECLARED.search(data, 0, _HEAD_BYTES)
    if found is None:
        return []
    name = found[1].decode("ascii").lower()
    if name.startswith(("utf-16", "utf16", "utf-32")):
        return []  # it was read as ASCII just now
    return ["cp1252" if name in ("iso-8859-1", "latin-1", "latin1", "us-ascii") else name]


def _try(data: bytes, name: str) -> str | None:
    try:
        return data.decode(name)
    except (UnicodeDecodeError, LookupError):
        return None
