"""The segments of a row, put together into its audio: one at a time, however many there are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path

import msgspec

from batchtts.audio.file import AudioFile
from batchtts.audio.join import Joiner
from batchtts.audio.write import resample
from batchtts.model import AudioFormat, Cue, Pauses, Word
from batchtts.record import disk
from batchtts.record.pieces import Pieces
from batchtts.run.reading import Reading


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """The audio of a row, written and durable under a name that is not its final one.

    Attributes:
        frames, bytes, sha256, sample_rate_hz: Of the file.
    """

    file: str = ""
    frames: int
    bytes: int
    sha256: str
    sample_rate_hz: int
    peak_dbfs: float
    words: tuple[Word, ...]
    cues: tuple[Cue, ...]


@dataclass(frozen=True, slots=True)
class Joinery:
    """How the segments of a row are put together.

    Attributes:
        scratch: Where files are made.
        check: Called again and again; raises if nobody wants a row any more.
    """

    pieces: Pieces
    format: AudioFormat
    pauses: Pauses
    scratch: Path
    check: Callable[[], None] = lambda: None

    def join(self, reading: Reading) -> Whole:
        """Put the segments of a row together.

        Raises:
            OutputBroken: a piece is not what was written, or nothing can be written.
            ScriptRejected: it is too long for a file.
        """
        path = self.scratch / f"{reading.folder}.part"
        with disk.telling(path), ExitStack() as unfinished:
            unfinished.callback(disk.remove, path)
            with path.open("w+b") as file:
                told = self._join(reading, file)
                disk.sync(file.fileno())
            unfinished.pop_all()
        return msgspec.structs.replace(told, file=f"{path}")

    def _join(self, reading: Reading, file: BufferedRandom) -> Whole:
        first, _ = self.pieces.read(reading.folder, reading.names[0])
        rate_hz = first.sample_rate_hz
        joiner = Joiner(rate_hz)
        words: list[Word] = []
        cues: list[Cue] = []
        timed = set[bool]()
        last = len(reading.names) - 1
        with AudioFile(file, self.format, rate_hz) as audio:
            for number, (name, piece) in enumerate(zip(reading.names, reading.pieces, strict=True)):
                self.check()
                facts, pcm = self.pieces.read(reading.folder, name)
                pcm = resample(pcm, facts.sample_rate_hz, rate_hz)
                pause_s = getattr(self.pauses, piece.boundary)
                joined = joiner.add(pcm, pause_s, last=number == last)
                audio.write(joined.pcm)
                timed.add(facts.is_timed)
                words += (_later(word, joined.shift_s) for word in facts.words)
                at = (round(joined.start_s, 3), round(joined.end_s, 3))
                cues.append(Cue(piece.start, piece.end, *at, reading.other_voice(number)))
        told = audio.facts
        return Whole(
            frames=told.frames,
            bytes=told.bytes,
            sha256=told.sha256,
            sample_rate_hz=self.format.sample_rate_hz,
            peak_dbfs=told.peak_dbfs,
            words=tuple(words) if len(timed) == 1 else (),  # of all that is said, or of nothing
            cues=tuple(cues),
        )


def _later(word: Word, seconds: float) -> Word:
    return Word(word.text, max(0.0, word.start_s + seconds), max(0.0, word.end_s + seconds))
