"""Standard streams as cron, a container or a full disk leave them.

Nobody who listens is no reason to leave work undone: what stderr does not take is
lost, and the run goes on. What stdout does not take was asked for, and ends the command.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from batchtts.errors import OutputBroken

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def mend() -> None:
    """Put streams that bear everything in the place of this process's own.

    A number that is closed is opened first: else the next file, maybe the ledger,
    would be what a library complains into.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            lowest = os.open(os.devnull, os.O_RDWR)  # of the numbers that are free: this one
            os.set_inheritable(lowest, True)  # children are in the same danger
    sys.stdout = _around(_Stdout, 1, sys.stdout)
    sys.stderr = _around(_Stderr, 2, sys.stderr)


def _around(kind: Callable[..., io.FileIO], number: int, old: TextIO | None) -> TextIO:
    """A text stream as *old* was; None if the number was closed when Python began."""
    raw = kind(number, "w", closefd=False)
    encoding, errors = (old.encoding, old.errors) if old else ("utf-8", "backslashreplace")
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=True)


class _Stderr(io.FileIO):
    """Loses what cannot be written."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


class _Stdout(io.FileIO):
    """Says what is wrong with it; a reader who went away is no fault."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is buffered goes nowhere
            told = os.strerror(error.errno or 0).lower()
            raise OutputBroken(f"standard output: {told}") from None
