"""English words become phonemes, by the lexicon of the embedded engine if it is installed."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.util import find_spec

from batchtts.review.likeness import Phonemize

# Marks of stress and length; what is no phoneme at all.
_MARKS = str.maketrans("", "", "ˈˌː ‖.,;:!?—…\"“”()'")


@cache
def english() -> Phonemize | None:
    """Return what says how an English word sounds; None if nothing here can.

    It takes half a second the first time, and may be called from one thread at a time.
    """
    if find_spec("hibari") is None:
        return None
    from hibari import g2p

    lexicon = g2p.G2P()

    @lru_cache(maxsize=65536)
    def phonemize(word: str) -> str:
        return str(lexicon(word)).translate(_MARKS)

    return phonemize
