"""A ledger line by line, as tests want it."""

from __future__ import annotations

from collections.abc import Iterator

from batchtts.record.ledger import Ledger
from batchtts.record.lines import Damaged, Entry


def told_by(ledger: Ledger) -> Iterator[tuple[int, Entry | Damaged]]:
    """The address and the content of every line in the file, oldest first."""
    for block in ledger.blocks():
        told: dict[int, Entry | Damaged] = {it.address: it for it in block.damaged}
        told |= dict(zip(block.addresses.tolist(), block.entries, strict=True))
        yield from sorted(told.items(), key=lambda it: it[0])
