"""What stands in a ledger line: JSON that ends with a checksum of itself. Pure.

A line that was changed by anything but batchtts is told from a whole one, and of
most such lines the id can still be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from zlib import crc32

import msgspec

from batchtts.errors import LedgerBroken
from batchtts.job.plan import Told, short, sum_usd
from batchtts.model import Result, Status

VERSION = 2


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot: what was in the ledger before the lines that are in it now."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The first line, and again whenever the manifest is found at another place.

    Attributes:
        folded: Bytes of lines that have gone into snapshots since the beginning.
        tail: Checksum of the last of them.
        snapshot: Only in the first line, and in the second, which repeats it.
    """

    ledger: int
    manifest: str
    batchtts: str = ""
    created_at: float = 0.0
    folded: int = 0
    tail: str = ""
    snapshot: Covered | None = None


class Place(msgspec.Struct, frozen=True, gc=False):
    """As much of a result as is needed to look for its file."""

    path: str = ""
    bytes: int = 0
    mtime_ns: int | None = None
    sha256: str = ""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """As much of a line as is needed to know what is done, and what it cost."""

    id: str | None = None
    status: Status = "pending"
    fingerprint: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{32})?$")] = ""
    path: str | None = None
    characters_sent: int = 0
    cost_usd: float | None = None
    ledger: int | None = None
    manifest: str | None = None

    def told(self, row_id: str, address: int) -> Told:
        """What the line at *address*, which is about *row_id*, tells a plan."""
        return Told(
            hash(row_id),
            address,
            self.status,
            short(self.fingerprint),
            self.characters_sent,
            sum_usd(self.characters_sent, self.cost_usd),
        )


@dataclass(frozen=True, slots=True)
class Damaged:
    """A line that is not as it was written.

    Attributes:
        number: Of the line, from 1.
        address: Where it is in the ledger, as other lines have one.
        id: What seems to be the id in it, if anything does.
        is_ours: Whether it looks like a ledger line at all.
    """

    number: int
    raw: bytes
    id: str | None
    is_ours: bool
    address: int = -1


_SEAL = re.compile(rb',"crc":"([0-9a-f]{8})"}\n?\Z')
_SEAL_BYTES = len(b',"crc":"01234567"}')
_ID = re.compile(rb'\{"id":("(?:[^"\\]|\\.)*+")')
#: What a line begins with.
OURS = (b'{"id":', b'{"ledger":')

_encode = msgspec.json.encode


def encode(line: Header | Result) -> bytes:
    """Return a line with its checksum and its end."""
    body = _encode(line)[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def is_whole(line: bytes) -> bool:
    """Whether a line, with or without its end, is as it was written."""
    end = len(line) - line.endswith(b"\n")
    body = line[: max(0, end - _SEAL_BYTES)]
    return line[len(body) : end] == b',"crc":"%08x"}' % crc32(body)


def seal_at(end: int) -> tuple[int, int]:
    """Length and place of the checksum in a line that ends at *end*, for os.pread()."""
    return 8, end - len(b'01234567"}\n')


def examine(line: bytes, number: int) -> Damaged:
    """Say what can be said of a line that is not whole."""
    is_ours = line.startswith(OURS) or _SEAL.search(line) is not None
    return Damaged(number, line, _read_id(line), is_ours)


def not_a_ledger(path: Path) -> LedgerBroken:
    """Say that a file is somebody else's."""
    return LedgerBroken(
        f"{path}: no line of it was written by this batchtts",
        hint="name another output directory, or move the file away",
    )


def _read_id(line: bytes) -> str | None:
    found = _ID.match(line)
    try:
        return msgspec.json.decode(found[1], type=str) if found else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
