"""What was probably meant, and what does not fit: the words for mistakes of people. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of *words* that looks most like *word*, if one does."""
    return next(iter(difflib.get_close_matches(word, list(words), n=1)), None)


def meant(word: str, words: Iterable[str], *, otherwise: str) -> str:
    """Ask whether the nearest of *words* was meant; if none is near, say something else."""
    near = nearest(word, words)
    return f"did you mean {near}?" if near else otherwise


def misfit(error: Exception) -> tuple[str, str]:
    """Take a validation error of msgspec apart: the place, which may be empty, and the problem."""
    problem, _, place = str(error).partition(" - at `$.")
    return place.rstrip("`"), f"{problem[:1].lower()}{problem[1:]}"
