"""Lines of a ledger that stand one after another, read together. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from batchtts.errors import LedgerBroken
from batchtts.job.plan import Ints, Told
from batchtts.record import lines
from batchtts.record.lines import Damaged, Entry

_decode = msgspec.json.Decoder(Entry).decode
_decode_lines = msgspec.json.Decoder(Entry).decode_lines


@dataclass(frozen=True, slots=True)
class Block:
    """What some lines tell.

    Attributes:
        entries: The content of those that are whole.
        addresses: Shape (entries,): where each of them is.
        told: What they tell a plan.
        damaged: The other lines.
    """

    entries: list[Entry]
    addresses: Ints
    told: Told
    damaged: list[Damaged]

    @classmethod
    def read(cls, data: bytes, path: Path, address: int, number: int) -> Block:
        """Read lines, each with its end.

        Args:
            path: Of the ledger.
            address, number: Of the first line.

        Raises:
            LedgerBroken: a line that only a later version can have written.
        """
        ends = line_ends(data)
        begins = np.append([0], ends[:-1] + 1)
        is_whole = lines.are_whole(data, begins, ends)
        damaged = []
        if not is_whole.all():
            for at in np.flatnonzero(~is_whole).tolist():
                raw = data[begins[at] : ends[at] + 1]
                damaged.append(lines.examine(raw, number + at, address + int(begins[at])))
            kept = zip(begins[is_whole].tolist(), ends[is_whole].tolist(), strict=True)
            data = b"".join([data[begin : end + 1] for begin, end in kept])
        addresses = address + begins[is_whole]
        try:
            entries = _decode_lines(data)
            if len(entries) != len(addresses):
                raise ValueError("more than one thing in a line")
            told = lines.tell(entries, addresses)
        except ValueError as error:
            numbers = (number + np.flatnonzero(is_whole)).tolist()
            raise _unknown(path, zip(numbers, data.split(b"\n"), strict=False), error) from None
        return cls(entries, addresses, told, damaged)

    @property
    def count(self) -> int:
        """How many lines there are."""
        return len(self.entries) + len(self.damaged)


def line_ends(data: bytes) -> Ints:
    """Return the places of the line breaks."""
    return np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))


def _unknown(path: Path, told: Iterable[tuple[int, bytes]], error: ValueError) -> LedgerBroken:
    """Say which of some lines cannot be understood."""
    for number, line in told:
        try:
            lines.tell([_decode(line)], np.zeros(1, np.int64))
        except ValueError as cause:
            where, error = f"{path}, line {number}", cause
            break
    else:
        where = f"{path}"
    return LedgerBroken(
        f"{where}: nothing that this batchtts knows: {error}", hint="upgrade batchtts"
    )
