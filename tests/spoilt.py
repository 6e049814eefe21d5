"""Products that break a promise on purpose, for what must notice it.

    python -m tests.spoilt NAME

is `python -m batchtts.selftest.victim`, spoilt. What is spoilt is the file layer,
so that the order of things is wrong and everything else as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from batchtts.record import disk

AnyPath = Path | str


def named_before_written() -> None:
    """A file has its final name first and its content afterwards."""
    create, write_all, rename = disk.create, disk.write_all, disk.rename
    paths: dict[int, str] = {}
    held: dict[str, bytes] = {}

    def create_and_note(path: AnyPath) -> int:
        descriptor = create(path)
        paths[descriptor] = str(path)
        return descriptor

    def write_later(descriptor: int, *parts: disk.Buffer) -> None:
        path = paths.get(descriptor, "")
        if "/.batchtts/" in path:
            held[path] = b"".join(parts)
        else:
            write_all(descriptor, *parts)

    def rename_and_write(source: AnyPath, target: AnyPath) -> None:
        rename(source, target)
        if (data := held.pop(str(source), None)) is not None:
            descriptor = disk.create(target)
            disk.write_all(descriptor, data)
            os.close(descriptor)

    disk.create, disk.write_all, disk.rename = create_and_note, write_later, rename_and_write


def told_before_there() -> None:
    """The ledger has a line about a file before the file has its name."""
    sync, rename = disk.sync, disk.rename
    waiting: list[tuple[AnyPath, AnyPath]] = []

    def rename_later(source: AnyPath, target: AnyPath) -> None:
        if str(target).endswith(".wav"):
            waiting.append((source, target))
        else:
            rename(source, target)

    def sync_and_rename(descriptor: int) -> None:
        sync(descriptor)  # that of the ledger, if anything waits
        while waiting:
            rename(*waiting.pop())

    disk.sync, disk.rename = sync_and_rename, rename_later


def forgetful() -> None:
    """A run begins with an empty ledger, whatever was in it."""
    from batchtts.record.ledger import Ledger

    open_it: Callable[..., Any] = Ledger.open

    def begin(path: Path, *others: object) -> Ledger:
        path.unlink(missing_ok=True)
        ledger: Ledger = open_it(path, *others)
        return ledger

    Ledger.open = begin  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    from batchtts.selftest import victim

    globals()[sys.argv[1]]()
    victim.main()
