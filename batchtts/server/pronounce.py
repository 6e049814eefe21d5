"""Words that are to be read as others. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable


def read_entries(entries: Iterable[str]) -> dict[str, str]:
    """Return word → how it is read, of entries like ``NATO/nay toe``.

    Raises:
        ValueError: one has no slash, or nothing before it.
    """
    found = {}
    for entry in entries:
        source, slash, reading = entry.partition("/")
        if not slash or not source.strip():
            raise ValueError(f"{entry!r} is not source/replacement")
        found[source.strip()] = reading.strip()
    return found


def respell(text: str, readings: dict[str, str]) -> str:
    """Put readings in the place of whole words, the longest first, all at once."""
    if not readings:
        return text
    words = "|".join(map(re.escape, sorted(readings, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)(?:{words})(?!\w)", lambda found: readings[found[0]], text)
