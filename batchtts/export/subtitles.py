"""The scripts of a book, shown while they are heard.

The times are those of the track that the same book and the same gaps make; see Assembly.
What is shown is the script as it was written, not what was made of it to be spoken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

from batchtts.export.alignment import align
from batchtts.export.assembly import Assembly
from batchtts.export.book import Book, Chapter, Spoken
from batchtts.export.captions import by_reading, by_word
from batchtts.export.cuefiles import Shown, settled
from batchtts.model import Cue, Word

By = Literal["segment", "word"]


def of_track(assembly: Assembly, chapters: Sequence[Chapter], by: By) -> list[Shown]:
    """What is shown while a track is heard."""
    shown: list[Shown] = []
    usual = assembly.book.voice
    for placed in assembly.place(*chapters):
        heard_s = (placed.from_s, placed.from_s + placed.end_s - placed.start_s)
        shown += of_row(placed.row, heard_s, placed.shift_s, usual, by)
    return settled(shown, int(assembly.duration_s(*chapters) * 1000))


def of_file(row: Spoken, usual: str, by: By) -> list[Shown]:
    """What is shown while the file of one row is heard."""
    shown = of_row(row, (0.0, row.audio_s), 0.0, usual, by)
    return settled(shown, int(row.audio_s * 1000))


def of_row(
    row: Spoken, heard_s: tuple[float, float], shift_s: float, usual: str, by: By
) -> Iterator[Shown]:
    """Yield what is shown of a row.

    Args:
        heard_s: Of its file, from when to when it is heard.
        shift_s: Between times in its file and those that are wanted.
        usual: The voice that is not told.
    """
    divide = by_word if by == "word" and row.words else by_reading
    cues = segments(row, heard_s)
    for cue, words in zip(cues, _dealt(row.words or (), cues), strict=True):
        start_s = _bounded(cue.start_s, heard_s)
        end_s = max(start_s, _bounded(cue.end_s, heard_s))
        text = row.text[cue.start : cue.end]
        voice = cue.voice or row.voice
        for caption in divide(text, align(text, words, start_s, end_s), start_s, end_s):
            yield Shown(
                round((caption.start_s + shift_s) * 1000),
                round((caption.end_s + shift_s) * 1000),
                caption.lines,
                voice if voice != usual else "",
            )


def _bounded(at_s: float, bounds_s: tuple[float, float]) -> float:
    return min(max(at_s, bounds_s[0]), bounds_s[1])


def segments(row: Spoken, heard_s: tuple[float, float]) -> Sequence[Cue]:
    """The segments of a row; it is a single one if it has none that join to its text."""
    places = [0, *(cue.end for cue in row.cues)]
    is_all = places[-1] == len(row.text) and [cue.start for cue in row.cues] == places[:-1]
    if row.cues and is_all and all(start <= end for start, end in pairwise(places)):
        return row.cues
    return [Cue(0, len(row.text), *heard_s)]


def _dealt(words: Sequence[Word], cues: Sequence[Cue]) -> list[list[Word]]:
    """The words of each segment, by when they are spoken."""
    dealt: list[list[Word]] = [[] for _ in cues]
    borders_s = [(one.end_s + other.start_s) / 2 for one, other in pairwise(cues)]
    at = 0
    for word in words:
        while at < len(borders_s) and (word.start_s + word.end_s) / 2 > borders_s[at]:
            at += 1
        dealt[at].append(word)
    return dealt


def count_untimed(book: Book) -> int:
    """How many rows have no times of words."""
    return sum(not row.words for row in book.rows)
