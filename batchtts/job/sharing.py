"""Rows that sound the same, of which one is spoken, or none. Pure."""

from __future__ import annotations

import numpy as np

from batchtts.job.plan import DONE, Ints, Kinds, Past, places

_MASK = (1 << 20) - 1  # of the bits of a fingerprint that are looked at first


class Sieve:
    """Finds finished audio with certain fingerprints, of which few are sought.

    Args:
        prints: Those, ascending.
    """

    def __init__(self, prints: Ints) -> None:
        self._prints = prints
        self._holes = np.zeros(_MASK + 1, np.bool_)
        self._holes[prints & _MASK] = True

    def among(self, kinds: Kinds, prints: Ints) -> Ints:
        """Return the places of those that are found."""
        maybe = np.flatnonzero(self._holes[prints & _MASK] & (kinds == DONE))
        return maybe[places(self._prints, prints[maybe]) >= 0]


def find_twins(fingerprints: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Of rows with the same fingerprint the first one speaks for the others.

    Args:
        fingerprints: Of all rows, shape (all,).
        rows: Those to look at, ascending.

    Returns:
        The rows that are spoken for, ascending, and for each the one that speaks.
    """
    _, first, inverse = np.unique(fingerprints[rows], return_index=True, return_inverse=True)
    speaker = rows[first[inverse]]
    others = speaker != rows
    return rows[others], speaker[others]


def find_spoken(
    fingerprints: Ints, rows: Ints, past: Past, *, lost: Ints, sound: Ints
) -> tuple[Ints, Ints]:
    """Find rows whose audio is there already, under another id.

    Args:
        lost: Addresses of lines whose audio is not there any more.
        sound: Addresses of lines whose audio was looked for and stays.

    Returns:
        Those of *rows*, and for each the address of a line that tells of its audio.
    """
    prints, addresses = past.spoken(fingerprints[rows], lost=lost, sound=sound)
    at = places(prints, fingerprints[rows])
    return rows[at >= 0], addresses[at[at >= 0]]
