"""What has happened to each utterance so far: one JSON object per line.

The ledger is the only authority on what is finished; the audio files are not,
because a WAV cut short by a kill still opens and plays. A line is written only
after its file is durable, so every line is true, and a missing line costs at
most one utterance spoken twice. The last line about an id is the one that counts.

A ledger that has grown long is folded: the last line of each id goes into a snapshot
beside it, and the ledger begins anew with a line that names it. An *address* is where
a line is found again: a row of the snapshot, or beyond those an offset in the file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from typing import Self, TypeVar

import msgspec
import numpy as np
import pyarrow as pa

from batchtts.errors import LedgerBroken
from batchtts.job.plan import Ints
from batchtts.lots import lots
from batchtts.model import Result
from batchtts.record import disk, file, lines, snapshot, tail
from batchtts.record.block import Block
from batchtts.record.lines import VERSION, Entry, Header, Place
from batchtts.record.snapshot import Kept, Snapshot

Line = TypeVar("Line")

_HEAD_BYTES = 64 * 1024  # more than two headers have
_SHORT_BYTES = 256  # a line is seldom shorter
_AT_ONCE = 1024  # lines that are decoded together
_HEADS = 8  # the first two lines, though damage may have made more of them

_decode_entry = msgspec.json.Decoder(Entry).decode
_decode_header = msgspec.json.Decoder(Header).decode
_decode_places = msgspec.json.Decoder(Place).decode_lines
_decode_results = msgspec.json.Decoder(Result).decode_lines


class Ledger:
    """An open ledger. One process has it, and only one thread of it appends."""

    def __init__(
        self, path: Path, descriptor: int, size_bytes: int, *, salvage: bool = False
    ) -> None:
        self.path = path
        self._descriptor = descriptor
        self._salvage = salvage
        #: Length of the file, all of it whole lines.
        self.size_bytes = size_bytes
        self._snapshot: Snapshot | None = None
        self._head_bytes = 0
        #: The line that names the snapshot, or else the first one, if that is a header.
        self.head: Header | None = None
        #: Why the snapshot cannot be opened.
        self.flaw: LedgerBroken | None = None

    @classmethod
    def open(cls, path: Path, *, salvage: bool = False) -> Ledger:
        """Open a ledger, or begin one; a last line cut short by a kill is cut off.

        Args:
            salvage: Also if its snapshot is damaged; see `flaw`.

        Raises:
            OutputBroken: it cannot be read or written.
            LedgerBroken: it is of a later version, or its snapshot is damaged.
        """
        is_new = not path.exists()
        with disk.telling(path), ExitStack() as opened:
            disk.remove(_scratch(path))
            descriptor = disk.open_to_append(path)
            opened.callback(os.close, descriptor)
            if is_new:
                disk.sync_directory(path.parent)
            whole = tail.cut(path, descriptor)
            opened.pop_all()  # it stays open
        ledger = cls(path, descriptor, whole, salvage=salvage)._begun()
        if ledger.head is not None and not whole:
            ledger.append([ledger.head] * 2)
            ledger._begin()
        ledger._remove_old_snapshots()
        return ledger

    @classmethod
    def peek(cls, path: Path, *, salvage: bool = False) -> Ledger:
        """Open a ledger to look at it, whoever writes it meanwhile; nothing is changed."""
        while True:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            inode = os.fstat(descriptor).st_ino
            whole = tail.whole_bytes(descriptor)
            try:
                return cls(path, descriptor, whole, salvage=salvage)._begun()
            except LedgerBroken:
                if path.stat().st_ino == inode:  # else it was folded in this very moment
                    raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the files go."""
        os.close(self._descriptor)
        if self._snapshot is not None:
            self._snapshot.close()

    @property
    def mark(self) -> int:
        """A number that grows with every line and with nothing else."""
        folded = self.head.folded if self.head is not None else 0
        return folded + self.unfolded_bytes

    @property
    def tail(self) -> str:
        """The checksum of the last line, in a snapshot or not."""
        return self.tail_at(self.mark)

    def tail_at(self, mark: int) -> str:
        """The checksum of the line that came last when the mark was this one."""
        back = self.mark - mark
        if self.unfolded_bytes == back:
            return self.head.tail if self.head is not None else ""
        if not 0 <= back < self.unfolded_bytes:
            return ""  # it is in a snapshot, or was never here
        seal = lines.seal_at(self.size_bytes - back)
        return os.pread(self._descriptor, *seal).decode(errors="replace")

    @property
    def unfolded_bytes(self) -> int:
        """Length of the lines that are in no snapshot."""
        return self.size_bytes - self._head_bytes

    @property
    def folded_rows(self) -> int:
        """Rows of the snapshot; addresses from here on are in the file."""
        return self._snapshot.rows if self._snapshot is not None else 0

    @property
    def most_lines(self) -> int:
        """There are hardly more lines, nor rows of the snapshot, than this together."""
        return self.folded_rows + self.unfolded_bytes // _SHORT_BYTES

    def append(self, told: Iterable[Header | Result]) -> list[int]:
        """Write lines and make them durable; return the address of each.

        Raises:
            OutputBroken: they could not be written; none of them is left behind.
        """
        data, addresses = bytearray(), []
        for line in told:
            addresses.append(self.folded_rows + self.size_bytes + len(data))
            data += lines.encode(line)
        with disk.telling(self.path):
            try:
                disk.write_all(self._descriptor, bytes(data))
                disk.sync(self._descriptor)
            except OSError:
                with suppress(OSError):  # what is left of them is cut off at the next start
                    disk.truncate(self._descriptor, self.size_bytes)
                raise
        self.size_bytes += len(data)
        return addresses

    def folded(self) -> Iterator[pa.RecordBatch]:
        """Yield what the snapshot has beside its lines, in order; see `snapshot.SCHEMA`.

        Raises:
            LedgerBroken: the snapshot is damaged.
        """
        return self._snapshot.columns() if self._snapshot is not None else iter(())

    def groups(self) -> Iterator[tuple[int, pa.Table | None]]:
        """Yield the row groups of the snapshot; see `Snapshot.groups`."""
        return self._snapshot.groups() if self._snapshot is not None else iter(())

    def blocks(self) -> Iterator[Block]:
        """Yield what the lines in the file tell, oldest first.

        Raises:
            LedgerBroken: a line that only a later version can have written.
        """
        address, number = self.folded_rows, 1
        for data in file.blocks(self._descriptor, self.size_bytes):
            block = Block.read(data, self.path, address, number)
            yield block
            address, number = address + len(data), number + block.count

    @property
    def _at_once(self) -> int:
        """Addresses to be looked up together: for all of them a row group is read once."""
        return _AT_ONCE if self._snapshot is None else snapshot.GROUP_ROWS

    def results(self, addresses: Iterable[int]) -> Iterator[Result | None]:
        """Yield the result at each address; None for an address below zero.

        Raises:
            LedgerBroken: what is there is damaged.
        """
        for some in lots(addresses, self._at_once):
            wanted = np.array(some, np.int64)
            is_told = wanted >= 0
            told = self._decoded(wanted[is_told], _decode_results)
            if is_told.all():
                yield from told
            else:
                yield from (next(told) if it else None for it in is_told.tolist())

    def places(self, addresses: Iterable[int]) -> Iterator[Place]:
        """Yield where the audio of each result is, and how large.

        Args:
            addresses: Ascending, from 0.

        Raises:
            LedgerBroken: as results().
        """
        for some in lots(addresses, self._at_once):
            wanted = np.array(some, np.int64)
            is_old = wanted < self.folded_rows
            if self._snapshot is not None:
                yield from self._snapshot.places_at(wanted[is_old])
            yield from self._decoded(wanted[~is_old], _decode_places)

    def _decoded(self, addresses: Ints, decode: Callable[[bytes], list[Line]]) -> Iterator[Line]:
        at = 0
        for some in lots(self._lines_at(addresses), _AT_ONCE):
            data = b"\n".join(some)
            ends = np.cumsum([len(line) + 1 for line in some]) - 1
            is_whole = lines.are_whole(data, np.append([0], ends[:-1] + 1), ends)
            if not is_whole.all():
                address = addresses[at + is_whole.argmin()]
                raise LedgerBroken(f"{self.path}, address {address}: damaged", hint=snapshot.HINT)
            yield from decode(data)
            at += len(some)

    def _lines_at(self, addresses: Ints) -> list[bytes]:
        """Return lines, less their ends."""
        found = [b""] * len(addresses)
        is_old = addresses < self.folded_rows
        old, new = np.flatnonzero(is_old), np.flatnonzero(~is_old)
        new = new[np.argsort(addresses[new])]
        told = file.lines_at(self._descriptor, addresses[new] - self.folded_rows)
        if self._snapshot is not None:
            told = chain(told, self._snapshot.lines_at(addresses[old]))
        for place, line in zip([*new.tolist(), *old.tolist()], told, strict=True):
            found[place] = line
        return found

    def heal(self, keep_in: Path, instead: Iterable[Result] = ()) -> None:
        """Take the damaged lines out; they are added to the file *keep_in*.

        Args:
            instead: Lines that come after all others, in the same step.

        Raises:
            OutputBroken: it could not be done; the ledger is as it was.
        """
        scratch = _scratch(self.path)
        with disk.telling(self.path):
            bad = disk.open_to_append(keep_in)
            try:
                disk.write_all(bad, b"".join(it for it in self._each() if not lines.is_whole(it)))
                disk.sync(bad)
            finally:
                os.close(bad)
            told = map(lines.encode, instead)
            self._replace(chain(_naming(self.head), self._undamaged(), told), scratch)
        self._begin()

    def _undamaged(self) -> Iterator[bytes]:
        naming = _naming(self.head)
        return (line for line in self._each() if lines.is_whole(line) and line not in naming)

    def _each(self) -> Iterator[bytes]:
        return file.lines(self._descriptor, self.size_bytes)

    def fold(self, head: Header, kept: Iterable[tuple[int, int, float]]) -> None:
        """Put everything into a snapshot, and begin the file anew.

        Args:
            head: What the new file begins with, less what it says of the snapshot.
            kept: For each id the address of its last line, and the characters and
                dollars that all lines about it tell of; addresses ascending.

        Raises:
            OutputBroken: it could not be done; the ledger is as it was.
        """
        path = snapshot.following(self.path.parent)
        scratch = _scratch(self.path)
        with disk.telling(self.path):
            covered = snapshot.write(self._kept(kept), path, scratch=scratch)
            head = msgspec.structs.replace(head, folded=self.mark, tail=self.tail, snapshot=covered)
            self._replace(_naming(head), scratch)
            self._begin()
            self._remove_old_snapshots()

    def _kept(self, kept: Iterable[tuple[int, int, float]]) -> Iterator[Kept]:
        for some in lots(kept, snapshot.GROUP_ROWS):
            addresses, characters, costs = zip(*some, strict=True)
            yield Kept(self._lines_at(np.array(addresses, np.int64)), characters, costs)

    def _replace(self, told: Iterable[bytes], scratch: Path) -> None:
        """Write the file anew, beside it, and let it take its place."""
        with disk.replacing(self.path, scratch=scratch) as sink:
            size = sum(map(sink.write, told))
        renewed = disk.open_to_append(self.path)
        os.close(self._descriptor)
        self._descriptor, self.size_bytes = renewed, size

    def _begun(self) -> Self:
        try:
            self._begin()
        except LedgerBroken:
            self.close()
            raise
        return self

    def _begin(self) -> None:
        """Read the first lines, which name the snapshot, and open it."""
        if self._snapshot is not None:
            self._snapshot.close()
        self._snapshot, self._head_bytes, self.flaw = None, 0, None
        first = os.pread(self._descriptor, _HEAD_BYTES, 0).split(b"\n")[:_HEADS]
        heads = [head for head in map(self._head_of, first) if head is not None]
        self.head = heads[0] if heads else None
        try:
            naming = next((head for head in heads if head.snapshot is not None), None)
            self.head = naming or self._adopt(first[0]) or self.head
            if self.head is not None and self.head.snapshot is not None:
                own = [head for head in heads if head == self.head]
                self._head_bytes = sum(len(lines.encode(head)) for head in own)
                self._snapshot = Snapshot.open(self.path.parent, self.head.snapshot)
        except LedgerBroken as error:
            if not self._salvage:
                raise
            self.flaw = error

    def _head_of(self, line: bytes) -> Header | None:
        if not (line.startswith(b'{"ledger":') and lines.is_whole(line)):
            return None
        version = _decode_entry(line).ledger
        if version != VERSION:
            told = "a newer batchtts" if (version or 0) > VERSION else "an unreleased batchtts"
            raise LedgerBroken(
                f"{self.path}: written by {told} (ledger {version}; this one knows {VERSION})",
                hint="upgrade batchtts" if (version or 0) > VERSION else "name another --out",
            )
        return _decode_header(line)

    def _adopt(self, first: bytes) -> Header | None:
        """A ledger that has lost its first lines, or all, may still have its snapshot."""
        found = [] if lines.is_whole(first) else snapshot.among(self.path.parent)
        if not found:
            return None
        return Header(ledger=VERSION, manifest="", snapshot=snapshot.describe(found[-1]))

    def _remove_old_snapshots(self) -> None:
        """Remove those that no line names: a kill left them, or a newer one has replaced them."""
        named = self.head.snapshot if self.head is not None else None
        for path in snapshot.among(self.path.parent):
            if named is None or path.name != named.name:
                disk.remove(path)


def _scratch(path: Path) -> Path:
    """What a kill in the middle of heal() or fold() leaves."""
    return path.with_name(f"{path.name}.part")


def _naming(head: Header | None) -> list[bytes]:
    """The lines that name the snapshot: two, so that one may be damaged."""
    return [lines.encode(head)] * 2 if head is not None and head.snapshot is not None else []
