"""Which rows somebody should look at first. Pure.

What failed comes first, then what is suspect, then by errors per word or phoneme, by how
natural it sounds, by how unusually long it is, by attempts: each in steps, so that a
difference that nobody hears does not decide before the next reason is asked.
"""

from __future__ import annotations

import numpy as np

from batchtts.review.page.bins import Floats, Ints

#: Nobody needs to look at these.
LEAST = -1

_ERRORS, _MOS, _AWAY, _RETRIES = (64, 32, 64, 64)


def suspicion(tier: Ints, errors: Floats, mos: Floats, away: Floats, retries: Floats) -> Ints:
    """Return a number for each row, higher is worse; NaN, which is not known, is no reason.

    Args:
        tier: 2 is failed, 1 suspect, 0 neither; LEAST has no place in the list.
        errors: Per phoneme or word.
        mos: From 1 to 5.
        away: From the usual duration; 1 is the edge of the band.
    """
    steps = (
        (errors / 0.025, _ERRORS),
        ((4.5 - mos) / 0.125, _MOS),
        (away * 4, _AWAY),
        (retries, _RETRIES),
    )
    found: Ints = tier.astype(np.int64)
    for value, size in steps:
        step = np.clip(np.ceil(np.nan_to_num(value, nan=0.0)), 0, size - 1)
        found = found * size + step.astype(np.int64)
    return np.where(tier == LEAST, LEAST, found)


class Top:
    """The worst of all rows that were seen; of equally bad ones the first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: Ints = np.zeros(0, np.int64)

    def add(self, worse: Ints, first: int) -> None:
        """Take rows, the first of which is at this place among all."""
        places = first + np.arange(len(worse))
        keys = (worse << 32) | (0xFFFFFFFF - places)
        keys = np.concatenate([self._kept, keys[worse != LEAST]])
        if len(keys) > self._size:
            keys = np.partition(keys, len(keys) - self._size)[len(keys) - self._size :]
        self._kept = keys

    def ranked(self) -> list[tuple[int, int]]:
        """How bad, and at which place; the worst first."""
        keys = np.sort(self._kept)[::-1]
        places = 0xFFFFFFFF - (keys & 0xFFFFFFFF)
        return list(zip((keys >> 32).tolist(), places.tolist(), strict=True))


def merged(heard: Top, silent: Top, size: int) -> list[int]:
    """Places of the worst rows of both.

    Rows that failed, of which there is nothing to hear, have at most half of the list
    where there is enough to hear.
    """
    loud, quiet = heard.ranked(), silent.ranked()
    room = max(size // 2, size - len(loud))
    chosen = sorted([*quiet[:room], *loud[: size - min(room, len(quiet))]], key=lambda it: -it[0])
    return [place for _, place in chosen]
