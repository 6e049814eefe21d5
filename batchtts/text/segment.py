"""Split a script into pieces that a provider accepts in one commit.

Joining the pieces gives the script back, character by character. A cut falls
where a speaker would pause, at the most natural place that the limit allows:
between paragraphs, sentences, clauses, words, and only then inside a word.
"""

from __future__ import annotations

import re
import unicodedata

# Words whose full stop ends no sentence, in the languages of the voices.
_ABBREVIATIONS = (
    "mr mrs ms dr prof rev gen col capt lt sgt st mt jr sr vs etc no nos vol pp fig eq "
    "approx dept est inc ltd co corp e.g i.e cf al jan feb mar apr jun jul aug sep sept "
    "oct nov dec hr frau bzw z.b usw m mme mlle sra srta ud sig"
).split()

_PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
_SENTENCE = re.compile(r"""(?:[.!?…]+["'”’»)\]]*\s+|[。！？｡]+["”’」』）]*\s*)""")
_CLAUSE = re.compile(r"(?:[,;:–—]+\s+|[、，；：]\s*|\s[–—-]\s+)")
_SPACE = re.compile(r"\s+")
_LAST_WORD = re.compile(r"([\w.]+)\.+\s*$")


def split(script: str, limit: int) -> list[str]:
    """Return pieces of at most *limit* characters, white space included.

    Args:
        script: Any text; nothing in it is dropped or changed.
        limit: Characters, at least 1.

    Returns:
        The pieces in order; one piece if the script is short enough.
    """
    pieces, start = [], 0
    while len(script) - start > limit:
        end = start + _cut(script[start : start + limit + 1], limit)
        pieces.append(script[start:end])
        start = end
    if start < len(script):
        pieces.append(script[start:])
    return _mend_blank(pieces)


def _cut(window: str, limit: int) -> int:
    """Where to end a piece: the last good place in *window* that is not beyond *limit*."""
    for pattern in (_PARAGRAPH, _SENTENCE, _CLAUSE, _SPACE):
        ends = [m.end() for m in pattern.finditer(window) if m.end() <= limit]
        if pattern is _SENTENCE:
            ends = [end for end in ends if not _is_abbreviation(window[:end])]
        # A cut so early that the piece is a scrap is worse than a weaker cut later.
        ends = [end for end in ends if end >= limit // 4]
        if ends:
            return ends[-1]
    return _cut_word(window, limit)


def _cut_word(window: str, limit: int) -> int:
    """End inside a word, but not between a letter and its accents, unless there is no end."""
    end = limit
    while end > 1 and unicodedata.combining(window[end]):
        end -= 1
    return limit if unicodedata.combining(window[end]) else end


def _is_abbreviation(text: str) -> bool:
    found = _LAST_WORD.search(text)
    if found is None:
        return False
    word = found[1].lower()
    return word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha())


def _mend_blank(pieces: list[str]) -> list[str]:
    """Give a piece with nothing to say to its neighbour: a provider would refuse it."""
    mended: list[str] = []
    for piece in pieces:
        if mended and (_is_blank(piece) or _is_blank(mended[-1])):
            mended[-1] += piece
        else:
            mended.append(piece)
    return mended


def _is_blank(piece: str) -> bool:
    return not any(map(str.isalnum, piece))
