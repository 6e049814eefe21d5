"""What stands in a ledger line: JSON that ends with a checksum of itself. Pure.

A line that was changed by anything but batchtts is told from a whole one, and of
most such lines the id can still be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import msgspec
import numpy as np

from batchtts.errors import LedgerBroken
from batchtts.job.plan import KINDS, Bools, Ints, Told
from batchtts.model import Status

VERSION = 4


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

    path: str | None = None
    bytes: int | None = None
    mtime_ns: int | None = None


class Entry(msgspec.Struct, frozen=True, gc=False):
    """As much of a line as is needed to know what is done, and what it cost."""

    id: str | None = None
    status: Status = "pending"
    fingerprint: str = ""
    path: str | None = None
    characters_sent: int = 0
    cost_usd: float | None = None
    ledger: int | None = None
    manifest: str | None = None


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


def encode(line: msgspec.Struct) -> bytes:
    """Return a line with its checksum and its end."""
    body = _encode(line)[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def is_whole(line: bytes) -> bool:
    """Whether a line, with or without its end, is as it was written."""
    end = len(line) - line.endswith(b"\n")
    body = line[: max(0, end - _SEAL_BYTES)]
    return body != b"" and line[len(body) : end] == b',"crc":"%08x"}' % crc32(body)


def are_whole(data: bytes, begins: Ints, ends: Ints) -> Bools:
    """Whether each line in *data* is as it was written; *ends* are those of the text of a line."""
    bodies = ends - _SEAL_BYTES
    fit = bodies > begins
    view = memoryview(data)
    spans = zip(begins[fit].tolist(), bodies[fit].tolist(), strict=True)
    sums = np.array([crc32(view[begin:end]) for begin, end in spans], ">u4")
    seals = np.empty((len(sums), _SEAL_BYTES), np.uint8)
    seals[:] = np.frombuffer(b',"crc":"01234567"}', np.uint8)
    digits = np.frombuffer(sums.tobytes().hex().encode(), np.uint8)
    seals[:, _SEAL_BYTES - 10 : _SEAL_BYTES - 2] = digits.reshape(-1, 8)
    found = np.frombuffer(data, np.uint8)[bodies[fit][:, None] + np.arange(_SEAL_BYTES)]
    fit[fit] = (found == seals).all(axis=1)
    return fit


def tell(entries: Sequence[Entry], addresses: Ints) -> Told:
    """What lines at these addresses tell a plan, those that are about an id.

    Raises:
        ValueError: a fingerprint is none.
    """
    is_row = np.array([each.id is not None for each in entries], np.bool_)
    rows = [each for each in entries if each.id is not None]
    sent = np.array([each.characters_sent for each in rows], np.int64)
    costs = np.array([each.cost_usd for each in rows], np.float64)  # not a number for None
    costs[np.isnan(costs) & (sent == 0)] = 0.0
    return Told(
        np.array([hash(each.id) for each in rows], np.int64),
        addresses[is_row],
        np.array([KINDS[each.status] for each in rows], np.uint8),
        shorts([each.fingerprint for each in rows]),
        sent,
        costs,
    )


def shorts(fingerprints: Sequence[str]) -> Ints:
    """The first 64 bits of each as a signed number, 0 for none.

    Raises:
        ValueError: one of them is none.
    """
    digits = "".join([each[:16] or "0" * 16 for each in fingerprints])
    prints = np.frombuffer(bytes.fromhex(digits), ">i8").astype(np.int64)
    if len(prints) != len(fingerprints):
        raise ValueError("a fingerprint is too short")
    return prints


def seal_at(end: int) -> tuple[int, int]:
    """Length and place of the checksum in a line that ends at *end*, for os.pread()."""
    return 8, end - len(b'01234567"}\n')


def examine(line: bytes, number: int, address: int = -1) -> Damaged:
    """Say what can be said of a line that is not whole."""
    is_ours = line.startswith(OURS) or _SEAL.search(line) is not None
    return Damaged(number, line, _read_id(line), is_ours, address)


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
