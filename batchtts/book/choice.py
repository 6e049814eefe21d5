"""Which chapters: ``3-7``, ``1,3-5,9-``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from batchtts.book.parts import Chapter
from batchtts.errors import SettingsError

_RANGE = re.compile(r"\s*(\d{1,9})\s*(?:(-)\s*(\d{1,9})?\s*)?")


def choose(chapters: Sequence[Chapter], wanted: str) -> list[Chapter]:
    """Return those that are asked for, in the order of the book.

    Raises:
        SettingsError: one is not there, or it is no choice.
    """
    chosen: set[int] = set()
    for part in wanted.split(","):
        found = _RANGE.fullmatch(part)
        if found is None:
            hint = "for example 3, 3-7 or 1,3-5,9-"
            raise SettingsError(f"--chapters {wanted}: {part.strip()!r} is no range", hint=hint)
        first = int(found[1])
        last = int(found[3] or len(chapters)) if found[2] else first
        missing = next((it for it in (first, last) if not 1 <= it <= len(chapters)), None)
        if missing is not None:
            raise SettingsError(f"--chapters {wanted}: no chapter {missing}; {_there(chapters)}")
        if last < first:
            raise SettingsError(f"--chapters {wanted}: {part.strip()!r} ends before it begins")
        chosen.update(range(first, last + 1))
    return [chapter for chapter in chapters if chapter.number in chosen]


def _there(chapters: Sequence[Chapter]) -> str:
    return "there is one" if len(chapters) == 1 else f"there are {len(chapters)}"
