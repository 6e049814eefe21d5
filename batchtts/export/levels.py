"""Voices that are equally loud: how loud each is in a book, and where the gain changes.

Providers make one voice ten decibels louder than another, and nobody meant that. Each is
brought to the loudness of the one that speaks most, before a chapter gets its own gain.
Within a voice nothing is levelled. The gain changes in the middle of the silence between
two voices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from batchtts.export.assembly import Assembly, Placed
from batchtts.export.book import Book, Spoken
from batchtts.export.orders import Step

#: So much of a voice is measured, from all over the book, in pieces that are not longer.
_ENOUGH_S = 300.0
_PIECE_S = 15.0
_LEAST_S = 3.0  # what is shorter is measured several times over
_MOST_GAIN_DB = 40.0


class Turn(NamedTuple):
    """What a voice speaks in a row without another between: seconds of the row's file."""

    voice: str
    start_s: float
    end_s: float


class _Piece(NamedTuple):
    """A part of a row; frames of its file."""

    row: Spoken
    start: int
    end: int

    @property
    def audio_s(self) -> float:
        return (self.end - self.start) / self.row.sample_rate_hz


@dataclass(frozen=True, slots=True)
class Heard:
    """What is heard of a voice in a book."""

    voice: str
    pieces: list[_Piece]

    @property
    def audio_s(self) -> float:
        """How long it speaks."""
        return sum(piece.audio_s for piece in self.pieces)

    def sample(self, assembly: Assembly) -> Iterator[bytes]:
        """Yield enough of it to know how loud it is; blocks of mono s16le."""
        whole_s = self.audio_s
        chosen = self.pieces[:: max(1, ceil(whole_s / _ENOUGH_S))]
        for _ in range(ceil(_LEAST_S / whole_s) if 0 < whole_s < _LEAST_S else 1):
            for piece in chosen:
                yield from assembly.part(*piece)


def turns(row: Spoken) -> list[Turn]:
    """Who speaks in a row, in order; never the same voice twice in succession."""
    found: list[Turn] = []
    for cue in row.cues:
        voice = cue.voice or row.voice
        if found and found[-1].voice == voice:
            found[-1] = found[-1]._replace(end_s=cue.end_s)
        else:
            found.append(Turn(voice, cue.start_s, cue.end_s))
    return found or [Turn(row.voice, 0.0, row.audio_s)]


def voices(book: Book) -> list[Heard]:
    """All voices of a book; the first one speaks most."""
    pieces: defaultdict[str, list[_Piece]] = defaultdict(list)
    for row in book.rows:
        for turn in turns(row):
            pieces[turn.voice] += _pieces(row, turn)
    heard = [Heard(voice, parts) for voice, parts in pieces.items()]
    return sorted(heard, key=lambda it: -it.audio_s)


def _pieces(row: Spoken, turn: Turn) -> Iterator[_Piece]:
    start, end = (
        min(max(round(at_s * row.sample_rate_hz), 0), row.frames)
        for at_s in (turn.start_s, turn.end_s)
    )
    length = round(_PIECE_S * row.sample_rate_hz)
    for at in range(start, end, length):
        yield _Piece(row, at, min(at + length, end))


def gains_db(levels: Sequence[float | None]) -> list[float]:
    """What makes each as loud as the first that can be heard."""
    wanted = next((level for level in levels if level is not None), None)
    return [
        0.0
        if level is None or wanted is None
        else round(max(-_MOST_GAIN_DB, min(wanted - level, _MOST_GAIN_DB)), 2)
        for level in levels
    ]


def steps(placed: Iterable[Placed], gains: Mapping[str, float]) -> list[Step]:
    """Where in a track the gain changes, which a voice decides on."""
    found: list[Step] = []
    ended = 0
    for place in placed:
        for turn in turns(place.row):
            start, end = (_frame(place, at_s) for at_s in (turn.start_s, turn.end_s))
            gain = gains.get(turn.voice, 0.0)
            if not found:
                found.append(Step(0, gain))
            elif found[-1].gain_db != gain:
                found.append(Step((ended + start) // 2, gain))
            ended = end
    return found if any(step.gain_db for step in found) else []


def _frame(place: Placed, at_s: float) -> int:
    """A time in a row's file, as a frame of the track."""
    at = round((at_s + place.shift_s) * place.sample_rate_hz)
    return min(max(at, place.start), place.end)
