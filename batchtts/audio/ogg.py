"""Ogg taken apart: several streams in a row, and whether each is whole. Pure.

Decoders leave out a page that is damaged or missing and say nothing. Here that
is an error. Pages: RFC 3533, section 6.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

from batchtts.errors import BadAudio, Truncated

_FIRST, _LAST = 2, 4  # bits of the header type
_HEADER = struct.Struct("<4sBBqIIIB")


class _Page(NamedTuple):
    kind: int
    serial: int
    number: int
    end: int  # in the data


@dataclass(slots=True)
class _Chain:
    """Where streams begin, and which of them are not at their end."""

    starts: list[int] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)  # next page, by serial number

    def add(self, at: int, page: _Page) -> None:
        if page.kind & _FIRST:
            self.end()  # one after another: audio alone has nothing to go beside it
            self.starts.append(at)
            self.numbers[page.serial] = page.number
        if self.numbers.get(page.serial) != page.number:
            raise BadAudio(f"Ogg without page {self.numbers.get(page.serial, 0)} of a stream")
        self.numbers[page.serial] += 1
        if page.kind & _LAST:
            del self.numbers[page.serial]

    def end(self) -> None:
        """Be sure that every stream has come to its end.

        Raises:
            Truncated: one has not.
        """
        if self.numbers:
            raise Truncated("Ogg without the last page of a stream")


def split(data: bytes) -> list[bytes]:
    """Return the streams that stand in a row.

    Raises:
        BadAudio: a page is damaged, missing, or none at all.
        Truncated: the last page is cut short, or is not said to be the last.
    """
    chain, at = _Chain(), 0
    while at < len(data):
        page = _page(data, at)
        chain.add(at, page)
        at = page.end
    chain.end()
    ends = [*chain.starts[1:], len(data)]
    return [data[start:end] for start, end in zip(chain.starts, ends, strict=True)]


def _page(data: bytes, at: int) -> _Page:
    if not data.startswith(b"OggS"[: len(data) - at], at):
        raise BadAudio(f"Ogg that goes on with something else at byte {at}")
    if at + _HEADER.size > len(data):
        raise Truncated("Ogg that ends in the header of a page")
    _, _, kind, _, serial, number, checksum, segments = _HEADER.unpack_from(data, at)
    body = at + _HEADER.size + segments
    end = body + sum(data[at + _HEADER.size : body])
    if body > len(data) or end > len(data):
        raise Truncated(f"the last page of Ogg has {len(data) - at} of {end - at} bytes")
    if _checksum(data[at : at + 22] + b"\0\0\0\0" + data[at + 26 : end]) != checksum:
        raise BadAudio(f"a damaged page of Ogg at byte {at}")
    return _Page(kind, serial, number, end)


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _checksum(page: bytes) -> int:
    """CRC-32 as Ogg has it: from the other end of each byte than zlib, without inversions."""
    turned = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(turned.to_bytes(4, "little").translate(_REVERSED))
