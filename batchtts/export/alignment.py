"""When each word of a script is heard, as its writer spelled it. Pure.

A provider tells the times of what it said, which need not be what was written: it may
say "one hundred dollars" for `$100`. Both sides are taken apart in the same way, what is
alike in both has the times of the provider, and what stands between two such places in
the script has the time that was spoken between them, by its length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from batchtts.model import Word

# Letters and digits; those of scripts without spaces are words of their own.
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_PART = re.compile(rf"[{_ALONE}]|(?:(?![{_ALONE}])[^\W_])+")


class Timed(NamedTuple):
    """A word of a script, or a part of one: its characters, and when it is heard.

    Attributes:
        word: Which word of the provider it is; None if none is alike.
    """

    start: int
    end: int
    start_s: float
    end_s: float
    word: int | None = None


class _Heard(NamedTuple):
    text: str
    start_s: float
    end_s: float
    word: int


class _Run(NamedTuple):
    """Parts first to last of a script, in characters and in seconds."""

    first: int
    last: int
    start: int
    end: int
    start_s: float
    end_s: float


def align(text: str, words: Sequence[Word], start_s: float, end_s: float) -> list[Timed]:
    """Return the parts of *text* that can be spoken, in order, each with its time.

    Args:
        words: What was heard, in order; if there are none, times are by length.
        start_s, end_s: When all of it is heard.
    """
    places = [found.span() for found in _PART.finditer(text)]
    names = [_plain(text[start:end]) for start, end in places]
    heard = [part for number, word in enumerate(words) for part in _parts(word, number)]
    timed: list[Timed | None] = [None] * len(places)
    matcher = SequenceMatcher(None, names, [part.text for part in heard])
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "equal":
            for at, part in zip(range(i, i_end), heard[j:j_end], strict=True):
                timed[at] = Timed(*places[at], part.start_s, part.end_s, part.word)
        elif tag == "replace":
            whole = (places[i][0], places[i_end - 1][1])
            run = _Run(i, i_end, *whole, heard[j].start_s, heard[j_end - 1].end_s)
            timed[i:i_end] = _spread(places, run)
    return _in_order(_filled(text, places, timed, start_s, end_s), start_s, end_s)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _parts(word: Word, number: int) -> Iterator[_Heard]:
    """A word of the provider, taken apart as the script is; marks take no time."""
    parts = list(_PART.finditer(word.text))
    if not parts:
        return
    begin, end = parts[0].start(), parts[-1].end()
    pace_s = (word.end_s - word.start_s) / (end - begin)
    for part in parts:
        start_s, end_s = (word.start_s + (at - begin) * pace_s for at in part.span())
        yield _Heard(_plain(part.group()), start_s, end_s, number)


def _spread(places: Sequence[tuple[int, int]], run: _Run) -> list[Timed]:
    """Give the parts of a run their shares of its time, by their lengths."""
    pace_s = (run.end_s - run.start_s) / max(run.end - run.start, 1)
    return [
        Timed(
            start,
            end,
            run.start_s + (start - run.start) * pace_s,
            run.start_s + (end - run.start) * pace_s,
        )
        for start, end in places[run.first : run.last]
    ]


def _filled(
    text: str,
    places: Sequence[tuple[int, int]],
    timed: Sequence[Timed | None],
    start_s: float,
    end_s: float,
) -> list[Timed]:
    """Put what has no time between what has."""
    known = [(at, it) for at, it in enumerate(timed) if it is not None]
    known.append((len(places), Timed(len(text), len(text), end_s, end_s)))
    filled: list[Timed] = []
    before = Timed(0, 0, start_s, start_s)
    for at, it in known:
        run = _Run(len(filled), at, before.end, it.start, before.end_s, it.start_s)
        filled += [*_spread(places, run), it]
        before = it
    return filled[:-1]


def _in_order(timed: Sequence[Timed], start_s: float, end_s: float) -> list[Timed]:
    """Let no time be before another, or out of bounds, whatever the provider tells."""
    ordered: list[Timed] = []
    at_s = start_s
    for it in timed:
        begin_s = min(max(at_s, it.start_s), end_s)
        at_s = min(max(begin_s, it.end_s), end_s)
        ordered.append(it._replace(start_s=begin_s, end_s=at_s))
    return ordered
