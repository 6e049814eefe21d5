"""Segments that were spoken, of rows that are not whole yet.

OUT/.batchtts/pieces/ROW/HASH-NUMBER.piece, a line of facts and then the samples. A piece
tells of its own samples by hash, and its line by checksum: whatever has happened to it, it
is either what was heard or no piece at all.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgspec

from batchtts.audio.pcm import duration_s
from batchtts.errors import OutputBroken
from batchtts.model import Measures, Verdict, Word
from batchtts.record import disk, lines

_SUFFIX = ".piece"
_NAME_DIGITS = 32


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the sound of one segment; see `Result` for most of it."""

    sha256: str = ""  # of the samples
    name: str = ""  # below the directory of all pieces: what it is the sound of
    sample_rate_hz: int
    peak_dbfs: float
    attempts: int
    queue_s: float
    connect_s: float
    ttfa_s: float | None
    synth_s: float
    context: str
    words: tuple[Word, ...] = ()  # times from the beginning of the segment
    is_timed: bool = False  # those times were asked for
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    measures: Measures | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment on its way to the disk.

    Attributes:
        folder, name: Of its file.
        pcm: mono s16le.
    """

    folder: str
    name: str
    facts: Facts
    pcm: bytes

    @property
    def audio_s(self) -> float:
        """Seconds of it."""
        return duration_s(self.pcm, self.facts.sample_rate_hz)


_decode_facts = msgspec.json.Decoder(Facts).decode


def folder_of(row_id: str) -> str:
    """Name the folder for the pieces of a row."""
    return sha256(row_id.encode()).hexdigest()[:_NAME_DIGITS]


def names_of(said: Sequence[str]) -> list[str]:
    """Name the files of the segments of a row by what is said in each, and how.

    Their places are not in it: where a script is changed in one place, the rest is
    there. What is said for the second time has a file of its own.
    """
    counts: Counter[str] = Counter()
    names = []
    for each in said:
        digits = sha256(each.encode()).hexdigest()[:_NAME_DIGITS]
        names.append(f"{digits}-{counts[digits]:04}{_SUFFIX}")
        counts[digits] += 1
    return names


@dataclass(slots=True)
class Pieces:
    """The pieces below one directory."""

    directory: Path
    _known: set[str] = field(default_factory=set)

    def publish(self, pieces: Sequence[Piece]) -> None:
        """Make pieces durable under their names.

        Raises:
            OutputBroken: the disk is full, read-only or failing; none of them is half.
        """
        with disk.telling(self.directory), ExitStack() as opened:
            drafts = [(piece, self._draft(piece, opened)) for piece in pieces]
            for _, (descriptor, _) in drafts:
                disk.sync(descriptor)
            for piece, (_, scratch) in drafts:
                disk.rename(scratch, self.directory / piece.folder / piece.name)
            for folder in {piece.folder for piece in pieces}:
                disk.sync_directory(self.directory / folder)

    def _draft(self, piece: Piece, opened: ExitStack) -> tuple[int, Path]:
        folder = self.directory / piece.folder
        if piece.folder not in self._known:
            disk.make_directory(folder)
            self._known.add(piece.folder)
        scratch = folder / f"{piece.name}.part"
        descriptor = disk.create(scratch)
        opened.callback(os.close, descriptor)
        facts = msgspec.structs.replace(
            piece.facts,
            sha256=sha256(piece.pcm).hexdigest(),
            name=f"{piece.folder}/{piece.name}",
        )
        disk.write_all(descriptor, lines.encode(facts), piece.pcm)
        return descriptor, scratch

    def find(self, folder: str, names: Sequence[str]) -> list[Facts | None]:
        """Return what is known of some pieces of a row; None where there is none that is whole."""
        if not (self.directory / folder).is_dir():
            return [None] * len(names)
        found = (self._read(folder, name) for name in names)
        return [read[0] if read is not None else None for read in found]

    def read(self, folder: str, name: str) -> tuple[Facts, bytes]:
        """Return a piece that is there.

        Raises:
            OutputBroken: it is not there any more, or not what it was.
        """
        read = self._read(folder, name)
        if read is None:
            raise OutputBroken(
                f"{self.directory / folder / name}: not what was written there",
                hint="run the same command again: what is missing is spoken again",
            )
        return read

    def _read(self, folder: str, name: str) -> tuple[Facts, bytes] | None:
        try:
            data = (self.directory / folder / name).read_bytes()
        except OSError:
            return None
        end = data.find(b"\n") + 1
        if not lines.is_whole(data[:end]):
            return None
        try:
            facts, pcm = _decode_facts(data[:end]), data[end:]
        except msgspec.MsgspecError:
            return None  # of another version
        is_it = facts.name == f"{folder}/{name}" and facts.sha256 == sha256(pcm).hexdigest()
        return (facts, pcm) if is_it else None

    def remove(self, folder: str, name: str) -> None:
        """Take a piece away: it is not what it was taken for."""
        with disk.telling(self.directory):
            disk.remove(self.directory / folder / name)

    def drop(self, folder: str) -> None:
        """Remove the pieces of a row that is whole, as far as that can be done."""
        self._known.discard(folder)
        shutil.rmtree(self.directory / folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove all of them: no row is left that could need any."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self.directory, ignore_errors=True)
        self._known.clear()
