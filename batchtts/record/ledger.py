"""What has happened to each utterance so far: one JSON object per line.

The ledger is the only authority on what is finished; the audio files are not,
because a WAV cut short by a kill still opens and plays. A line is written only
after its file is durable, so every line is true, and a missing line costs at
most one utterance spoken twice. The last line about an id is the one that counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Self, TypeVar

import msgspec

from batchtts.errors import LedgerBroken
from batchtts.model import Result, Status
from batchtts.record import disk

VERSION = 1


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line, and again whenever the manifest is found at another place."""

    ledger: int
    manifest: str
    batchtts: str = ""
    created_at: float = 0.0


class Place(msgspec.Struct, frozen=True, gc=False):
    """As much of a result as is needed to look for its file."""

    path: str = ""
    bytes: int = 0


class Entry(msgspec.Struct, frozen=True, gc=False):
    """As much of a line as is needed to know what is done."""

    id: str | None = None
    status: Status = "pending"
    fingerprint: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{32})?$")] = ""
    path: str | None = None
    ledger: int | None = None
    manifest: str | None = None


Line = TypeVar("Line")

_USUAL_BYTES = 1024  # a line is seldom longer

_TAKE_OUT = "take the line out; its row is then spoken again"

_encode = msgspec.json.encode
_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_place = msgspec.json.Decoder(Place).decode
_decode_result = msgspec.json.Decoder(Result).decode


class Ledger:
    """An open ledger. One process has it, and only one thread of it appends."""

    def __init__(self, path: Path, descriptor: int, size_bytes: int) -> None:
        self._path = path
        self._descriptor = descriptor
        #: Length of the file, all of it whole lines.
        self.size_bytes = size_bytes

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Open a ledger, or begin one; a last line cut short by a kill is cut off.

        Raises:
            OutputBroken: it cannot be read or written.
        """
        is_new = not path.exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with disk.telling(path):
            descriptor = os.open(path, flags, disk.FILE_MODE)
            if is_new:
                disk.sync_directory(path.parent)
            size = os.fstat(descriptor).st_size
            whole = _whole_bytes(descriptor, size)
            if whole < size:
                os.ftruncate(descriptor, whole)
                disk.sync(descriptor)
        return cls(path, descriptor, whole)

    @classmethod
    def peek(cls, path: Path) -> Ledger:
        """Open a ledger to look at it, whoever writes it meanwhile; nothing is changed."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return cls(path, descriptor, _whole_bytes(descriptor, os.fstat(descriptor).st_size))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        os.close(self._descriptor)

    def append(self, lines: Iterable[Header | Result]) -> list[int]:
        """Write lines and make them durable; return the offset of each.

        Raises:
            OutputBroken: they could not be written; none of them is left behind.
        """
        data, offsets = bytearray(), []
        for line in lines:
            offsets.append(self.size_bytes + len(data))
            data += _encode(line) + b"\n"
        with disk.telling(self._path):
            try:
                disk.write_all(self._descriptor, bytes(data))
                disk.sync(self._descriptor)
            except OSError:
                with suppress(OSError):  # what is left of them is cut off at the next start
                    os.ftruncate(self._descriptor, self.size_bytes)
                raise
        self.size_bytes += len(data)
        return offsets

    def entries(self) -> Iterator[tuple[int, Entry]]:
        """Yield the offset and the content of every line, oldest first.

        Raises:
            LedgerBroken: a line that cannot be one of ours, or is of a later version.
        """
        with self._path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, start=1):
                if offset >= self.size_bytes:
                    return
                yield offset, self._decode(line, number)
                offset += len(line)

    def _decode(self, line: bytes, number: int) -> Entry:
        try:
            entry = _decode_entry(line)
        except msgspec.MsgspecError as error:
            raise LedgerBroken(
                f"{self._path}, line {number}: not a ledger line: {error}",
                hint=_TAKE_OUT,
            ) from None
        if entry.ledger is not None and entry.ledger > VERSION:
            raise LedgerBroken(
                f"{self._path}: written by a newer batchtts (ledger {entry.ledger};"
                f" this one knows {VERSION})",
                hint="upgrade batchtts",
            )
        return entry

    def results(self, offsets: Iterable[int]) -> Iterator[Result | None]:
        """Yield the result at each offset; None for an offset below zero.

        Raises:
            LedgerBroken: a line that tells of an utterance what cannot be.
        """
        for offset in offsets:
            yield None if offset < 0 else self._decode_at(offset, _decode_result)

    def places(self, offsets: Iterable[int]) -> Iterator[Place]:
        """Yield where the audio of each result is, and how large.

        Raises:
            LedgerBroken: as results().
        """
        for offset in offsets:
            yield self._decode_at(offset, _decode_place)

    def _decode_at(self, offset: int, decode: Callable[[bytes], Line]) -> Line:
        try:
            return decode(self._line_at(offset))
        except msgspec.MsgspecError as error:
            raise LedgerBroken(
                f"{self._path}, byte {offset}: not a ledger line: {error}", hint=_TAKE_OUT
            ) from None

    def _line_at(self, offset: int) -> bytes:
        """Read one line; not by mapping the file, whose pages would count as ours."""
        size = _USUAL_BYTES
        while True:
            data = os.pread(self._descriptor, size, offset)
            end = data.find(b"\n")
            if end >= 0 or len(data) < size:
                return data[:end] if end >= 0 else data
            size *= 4


def _whole_bytes(descriptor: int, size: int) -> int:
    """The length of the file up to its last line break."""
    step = 1 << 16
    end = size
    while end > 0:
        start = max(0, end - step)
        at = os.pread(descriptor, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
