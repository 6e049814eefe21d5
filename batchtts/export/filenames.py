"""What the files of a book are called, so that its exports have the same names. Pure."""

from __future__ import annotations

_LONGEST_BYTES = 120
_NOT_IN_NAMES = '/\\:*?"<>|'


def of_book(title: str) -> str:
    """The name of the one file of a book, without an ending."""
    return _fit(title) or "book"


def of_chapter(place: int, count: int, title: str) -> str:
    """The name of a chapter's file, without an ending; its place keeps the order.

    Args:
        place: Among the chapters of the book, from 1.
        count: Of them.
    """
    number = f"{place:0{max(2, len(f'{count}'))}}"
    return f"{number} {_fit(title)}".rstrip()


def _fit(title: str) -> str:
    """As much of a title as every file system takes."""
    kept = "".join(it if it.isprintable() and it not in _NOT_IN_NAMES else " " for it in title)
    told = " ".join(kept.split()).encode()[:_LONGEST_BYTES].decode(errors="ignore")
    return told.strip(" .")
