"""Where each row of a book lies in its audio, and that audio, block by block.

A track is one file to be: some chapters in a row, all of the book or only one. It begins
and ends with silence, and has silence between its rows that is as long as it is told,
from where one ceases to be heard to where the next one is. So each row is cut around its
speech. A margin of its own silence stays, which counts as part of the silence, and in
which it is faded; a pause that is asked for is never shorter than the margins of the two.

Where a row lies and what is heard there come from the same whole numbers of samples, and
agree to the sample. Nothing is held in memory but a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from batchtts.audio.edges import Edges, Speech, find_edges
from batchtts.errors import UsageError
from batchtts.export.book import DAMAGED_HINT, Book, Chapter, Spoken

FADE_S = 0.005

_BLOCK_FRAMES = 1 << 16
_WHOLE_S = 20.0  # so much is looked at in one piece
_LOOK_S = 5.0  # of a longer file, how far is looked for speech at a time
_NOTHING = 6  # no sample of a piece is above: it is silent, -75 dBFS

Samples = np.ndarray[tuple[int], np.dtype[np.int16]]
Floats = np.ndarray[tuple[int], np.dtype[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """Seconds of silence in a track.

    Attributes:
        paragraph_s, heading_s: After a row, by its kind.
        chapter_s: Between two chapters in one track.
        head_s, tail_s: Before the first speech of a track, and after the last.
    """

    paragraph_s: float = 0.7
    heading_s: float = 1.2
    chapter_s: float = 2.0
    head_s: float = 0.75
    tail_s: float = 2.0

    def after(self, row: Spoken) -> float:
        """What stands between a row and the next one of its chapter."""
        return self.heading_s if row.kind == "heading" else self.paragraph_s


class _Cut(NamedTuple):
    """What is used of a file: frames at its own rate.

    Attributes:
        lead, trail: Of them, what is no speech.
    """

    start: int
    end: int
    lead: int
    trail: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A row in a track.

    Attributes:
        start, end: Frames of the track.
        from_s: The second of its file that is heard first.
    """

    row: Spoken
    start: int
    end: int
    from_s: float
    sample_rate_hz: int

    @property
    def start_s(self) -> float:
        """When it begins."""
        return self.start / self.sample_rate_hz

    @property
    def end_s(self) -> float:
        """When it has ended."""
        return self.end / self.sample_rate_hz

    @property
    def shift_s(self) -> float:
        """To be added to a time in its file."""
        return self.start_s - self.from_s


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a chapter lies in a track; its end is where the next one begins.

    Attributes:
        start, end: Frames of the track.
    """

    chapter: Chapter
    start: int
    end: int
    sample_rate_hz: int

    @property
    def start_s(self) -> float:
        """When it begins."""
        return self.start / self.sample_rate_hz

    @property
    def end_s(self) -> float:
        """When the next one does, or the track has ended."""
        return self.end / self.sample_rate_hz


class Assembly:
    """The audio of a book at one sample rate.

    Chapters that have no rows take no time; they are in no mark.
    """

    def __init__(self, book: Book, gaps: Gaps, sample_rate_hz: int | None = None) -> None:
        self.book = book
        self.gaps = gaps
        self.sample_rate_hz = sample_rate_hz or book.sample_rate_hz
        self._cuts: dict[Path, _Cut] = {}

    def at(self, sample_rate_hz: int) -> Assembly:
        """The same at another rate; where rows are cut is looked for only once."""
        other = Assembly(self.book, self.gaps, sample_rate_hz)
        other._cuts = self._cuts
        return other

    def place(self, *chapters: Chapter) -> list[Placed]:
        """Where the rows of a track lie, in order; none overlaps with another.

        Raises:
            UsageError: a file is not as recorded; so do the other methods.
        """
        placed: list[Placed] = []
        silent = self._frames(self.gaps.head_s)  # asked for between speech and speech
        at = 0
        for gap_s, row in _with_gaps(chapters, self.gaps):
            cut = self._cut(row)
            lead = self._of_row(row, cut.lead)
            at += max(0, silent - lead)
            end = at + self._of_row(row, cut.end - cut.start)
            from_s = cut.start / row.sample_rate_hz
            placed.append(
                Placed(
                    row=row, start=at, end=end, from_s=from_s, sample_rate_hz=self.sample_rate_hz
                )
            )
            silent = max(0, self._frames(gap_s) - self._of_row(row, cut.trail))
            at = end
        return placed

    def frames(self, *chapters: Chapter) -> int:
        """How long a track is, in samples."""
        placed = self.place(*chapters)
        if not placed:
            return 0
        last = placed[-1].row
        trail = self._of_row(last, self._cut(last).trail)
        return placed[-1].end + max(0, self._frames(self.gaps.tail_s) - trail)

    def duration_s(self, *chapters: Chapter) -> float:
        """How long a track is."""
        return self.frames(*chapters) / self.sample_rate_hz

    def marks(self, *chapters: Chapter) -> list[Mark]:
        """Where the chapters of a track begin; the first one does with the track."""
        placed = self.place(*chapters)
        heard = [chapter for chapter in chapters if chapter.rows]
        firsts = [0, *accumulate(len(chapter.rows) for chapter in heard)][: len(heard)]
        begins = [0 if first == 0 else placed[first].start for first in firsts]
        ends = [*begins[1:], self.frames(*chapters)]
        return [Mark(*each, self.sample_rate_hz) for each in zip(heard, begins, ends, strict=False)]

    def pcm(self, *chapters: Chapter) -> Iterator[bytes]:
        """Yield a track, as blocks of mono s16le samples."""
        at = 0
        for placed in self.place(*chapters):
            yield from _silence(placed.start - at)
            yield from self._heard(placed)
            at = placed.end
        yield from _silence(self.frames(*chapters) - at)

    def part(self, row: Spoken, start: int, end: int) -> Iterator[bytes]:
        """Yield a part of a row, from one frame of its file to another."""
        for samples in self._resampled(row, start, end, self._of_row(row, end - start)):
            yield samples.astype("<i2").tobytes()

    def _heard(self, placed: Placed) -> Iterator[bytes]:
        """A row, faded at both ends."""
        length = placed.end - placed.start
        fade = min(round(FADE_S * self.sample_rate_hz), length // 2)
        at, cut = 0, self._cut(placed.row)
        for samples in self._resampled(placed.row, cut.start, cut.end, length):
            yield _faded(samples, at, length, fade).astype("<i2").tobytes()
            at += len(samples)

    def _resampled(self, row: Spoken, start: int, end: int, length: int) -> Iterator[Samples]:
        """Exactly *length* samples."""
        if row.sample_rate_hz == self.sample_rate_hz:
            yield from _read(row, start, end)
            return
        stream = soxr.ResampleStream(
            row.sample_rate_hz, self.sample_rate_hz, 1, dtype="float32", quality="VHQ"
        )
        left = length
        for samples in _read(row, start, end):
            made = stream.resample_chunk(samples.astype(np.float32))[:left]
            left -= len(made)
            yield _rounded(made)
        made = stream.resample_chunk(np.zeros(0, np.float32), last=True)[:left]
        yield _rounded(made)
        if left > len(made):
            yield np.zeros(left - len(made), np.int16)

    def _cut(self, row: Spoken) -> _Cut:
        if row.path not in self._cuts:
            with _opened(row) as file:
                self._cuts[row.path] = _find_cut(row, file)
        return self._cuts[row.path]

    def _frames(self, seconds: float) -> int:
        return round(seconds * self.sample_rate_hz)

    def _of_row(self, row: Spoken, frames: int) -> int:
        """How many of the track's frames some of a row's become."""
        return -(-frames * self.sample_rate_hz // row.sample_rate_hz)


def _with_gaps(chapters: tuple[Chapter, ...], gaps: Gaps) -> Iterator[tuple[float, Spoken]]:
    """Yield each row, with the silence behind it."""
    for chapter in chapters:
        for row in chapter.rows[:-1]:
            yield gaps.after(row), row
        for row in chapter.rows[-1:]:
            yield gaps.chapter_s, row


def _silence(frames: int) -> Iterator[bytes]:
    """Yield digital silence."""
    while frames > 0:
        some = min(frames, _BLOCK_FRAMES)
        yield bytes(2 * some)
        frames -= some


def _rounded(samples: Floats) -> Samples:
    np.rint(samples, out=samples)
    np.clip(samples, -32768, 32767, out=samples)
    return samples.astype(np.int16)


def _faded(samples: Samples, at: int, length: int, fade: int) -> Samples:
    """Fade a part of a row, which begins at its frame *at*, where it is near the ends."""
    if not fade or (at >= fade and at + len(samples) <= length - fade):
        return samples
    places = np.arange(at, at + len(samples))
    near = np.minimum(places + 1, length - places)
    gain = np.sin(np.minimum(near / (fade + 1), 1.0) * (np.pi / 2)) ** 2
    faded: Samples = np.rint(samples * gain).astype(np.int16)
    return faded


@contextmanager
def _opened(row: Spoken) -> Iterator[soundfile.SoundFile]:
    """The file of a row, which is what was recorded of it."""
    try:
        with soundfile.SoundFile(row.path) as file:
            found = (file.samplerate, file.channels, file.frames)
            if found != (row.sample_rate_hz, 1, row.frames):
                told = "{} Hz, {} channels and {:,} samples".format(*found)
                recorded = f"{row.sample_rate_hz} Hz, 1 and {row.frames:,} were recorded"
                raise _damaged(row, f"has {told}, and {recorded}")
            yield file
    except (OSError, soundfile.LibsndfileError) as error:
        raise _damaged(row, "cannot be read") from error


def _damaged(row: Spoken, what: str) -> UsageError:
    return UsageError(f"{row.path}: the audio of row {row.id} {what}", hint=DAMAGED_HINT)


def _read(row: Spoken, start: int, end: int) -> Iterator[Samples]:
    with _opened(row) as file:
        file.seek(start)
        left = end - start
        while left > 0:
            samples: Samples = file.read(min(left, _BLOCK_FRAMES), dtype="int16")
            if not len(samples):
                raise _damaged(row, "is cut off")
            left -= len(samples)
            yield samples


def _find_cut(row: Spoken, file: soundfile.SoundFile) -> _Cut:
    heard, kept = _whole(file) if row.audio_s <= _WHOLE_S else _from_both_ends(file)
    return _Cut(kept.start, kept.end, heard.start - kept.start, kept.end - heard.end)


def _whole(file: soundfile.SoundFile) -> Edges:
    file.seek(0)
    return find_edges(file.read(dtype="int16").tobytes(), file.samplerate)


def _from_both_ends(file: soundfile.SoundFile) -> Edges:
    """Read on from either end until there is something to hear."""
    look = round(_LOOK_S * file.samplerate)
    starts = range(0, file.frames, look)
    first = next(filter(None, (_look(file, start, look) for start in starts)), None)
    if first is None:
        return Edges(Speech(0, file.frames), Speech(0, file.frames))
    stops = range(file.frames, 0, -look)
    looks = (_look(file, max(0, stop - look), min(look, stop)) for stop in stops)
    last = next(filter(None, looks), first)
    return Edges(
        Speech(first.audible.start, last.audible.end), Speech(first.kept.start, last.kept.end)
    )


def _look(file: soundfile.SoundFile, start: int, frames: int) -> Edges | None:
    """The edges of a part of a file, if there is anything to hear."""
    file.seek(start)
    samples = file.read(frames, dtype="int16")
    if not samples.size or max(int(samples.max()), -int(samples.min())) <= _NOTHING:
        return None
    heard, kept = find_edges(samples.tobytes(), file.samplerate)
    return Edges(
        Speech(start + heard.start, start + heard.end), Speech(start + kept.start, start + kept.end)
    )
