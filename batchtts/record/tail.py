"""The end of a ledger, which a kill may have cut in the middle of a line."""

from __future__ import annotations

import os
from pathlib import Path

from batchtts.record import disk, lines

_START_BYTES = 64 * 1024


def cut(path: Path, descriptor: int) -> int:
    """Cut off what is no whole line; return the length of what is left.

    Raises:
        LedgerBroken: this is no ledger, and stays as it is.
    """
    whole = whole_bytes(descriptor)
    if whole < os.fstat(descriptor).st_size:
        _check_ours(path, descriptor)
        disk.truncate(descriptor, whole)
        disk.sync(descriptor)
    return whole


def _check_ours(path: Path, descriptor: int) -> None:
    """Refuse to cut the end off a file that is no ledger."""
    start = os.pread(descriptor, _START_BYTES, 0)
    is_ours = any(start.startswith(it) or it.startswith(start) for it in lines.OURS)
    if start.strip(b"\0") and not is_ours and not any(map(lines.is_whole, start.split(b"\n"))):
        raise lines.not_a_ledger(path)


def whole_bytes(descriptor: int) -> int:
    """The length of the file up to its last line break."""
    step = 1 << 16
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - step)
        at = os.pread(descriptor, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
