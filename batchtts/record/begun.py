"""What was sent to a provider and is not in the ledger yet.

A line is written before a script leaves, so that a run that is killed has left word
of what it may have spent, and which file it may have put down. The file survives the
death of the process, not that of the machine: it is never flushed to the disk, and
after a power failure the spend of the scripts in flight may be missing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from batchtts.model import Result
from batchtts.record import disk

LONGEST_BYTES = 1 << 20  # then the lines that are settled are dropped


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One take of one row, as far as it has come.

    Attributes:
        take: Its own among all takes of all runs; contexts begin with it.
        path: Where its audio would go, below the output directory.
        characters_sent, cost_usd: Of all its attempts so far.
        told_characters, told_usd: As much of that as the ledger tells of, segment by segment.
    """

    take: str
    id: str
    path: str
    characters_sent: int = 0
    cost_usd: float | None = None
    provider: str = ""
    model: str = ""
    told_characters: int = 0
    told_usd: float | None = 0.0

    @property
    def row(self) -> int:
        """Place among the rows that the run which sent it considers, from 0."""
        return int(self.take.rpartition("-")[2])

    def unsettled_by(self, last: Result | None) -> Sent | None:
        """What of this take the last line about the id does not tell of; None if it tells all."""
        context = (last.context if last is not None else None) or ""
        if last is None or not (context == self.take or context.startswith(f"{self.take}-")):
            return self
        if last.segment is None:
            return None
        rest = self.telling(last.take_characters, last.take_usd).rest()
        return rest if rest.characters_sent else None

    def telling(self, characters: int, cost_usd: float | None) -> Sent:
        """The same, of which the ledger tells so much."""
        return msgspec.structs.replace(self, told_characters=characters, told_usd=cost_usd)

    def rest(self) -> Sent:
        """What the ledger does not tell of."""
        cost_usd = None
        if self.cost_usd is not None and self.told_usd is not None:
            cost_usd = max(0.0, self.cost_usd - self.told_usd)
        characters = max(0, self.characters_sent - self.told_characters)
        return msgspec.structs.replace(self, characters_sent=characters, cost_usd=cost_usd)


def take_of(run: str, row: int) -> str:
    """Name what the run called *run* does about a row; its contexts begin with it."""
    return f"{run}-{row}"


class Begun:
    """The open file, and the takes in it that are not settled."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk.telling(path):
            self._descriptor = disk.open_to_append(path)
        self._size_bytes = os.fstat(self._descriptor).st_size
        self._live: dict[str, Sent] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def note(self, told: Iterable[Sent]) -> None:
        """Something is about to be sent, or put down; the last word about a take counts.

        Raises:
            OutputBroken: that could not be written, and so must not be done.
        """
        told = list(told)
        data = b"".join(msgspec.json.encode(sent) + b"\n" for sent in told)
        with disk.telling(self._path):
            try:
                disk.write_all(self._descriptor, data)
            except OSError:
                with suppress(OSError):  # another worker's line may yet follow
                    disk.truncate(self._descriptor, self._size_bytes)
                raise
        self._live.update((sent.take, sent) for sent in told)
        self._size_bytes += len(data)

    def tell(self, take: str, characters: int, cost_usd: float | None) -> None:
        """The ledger tells of so much of a take that is not settled."""
        self._live[take] = self._live[take].telling(characters, cost_usd)

    def sent(self, take: str) -> Sent:
        """What was said of a take that is not settled."""
        return self._live[take]

    def settle(self, takes: Iterable[str]) -> None:
        """These are in the ledger, or were not sent after all."""
        for take in takes:
            self._live.pop(take, None)
        if self._size_bytes > LONGEST_BYTES:
            self._shorten()

    def unsettled(self) -> list[Sent]:
        """What would be left if the process died now."""
        return list(self._live.values())

    def clear(self) -> None:
        """All is settled."""
        self._live.clear()
        with disk.telling(self._path):
            disk.truncate(self._descriptor, 0)
        self._size_bytes = 0

    def _shorten(self) -> None:
        scratch = self._path.with_name(f"{self._path.name}.part")
        data = b"".join(msgspec.json.encode(sent) + b"\n" for sent in self._live.values())
        with disk.telling(self._path):
            descriptor = disk.create(scratch)
            try:
                disk.write_all(descriptor, data)
            finally:
                os.close(descriptor)
            disk.rename(scratch, self._path)
            renewed = disk.open_to_append(self._path)
        os.close(self._descriptor)
        self._descriptor = renewed
        self._size_bytes = len(data)


def left(path: Path) -> list[Sent]:
    """Read what an earlier run has left; a line that was cut short was not acted on."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    decode = msgspec.json.Decoder(Sent).decode
    found: dict[str, Sent] = {}
    for line in data.splitlines():
        try:
            sent = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        found[sent.take] = sent
    return list(found.values())
