"""The file of a ledger, from which many lines are read together.

Not by mapping it, whose pages would count as ours; nor by its name, for whoever
writes it may put another in its place meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from batchtts.job.plan import Ints

_USUAL_BYTES = 1024  # a line is seldom longer
_BLOCK_BYTES = 1 << 18
_NEAR_BYTES = 1 << 14  # what is between two lines is read, too, if it is less


def blocks(descriptor: int, size_bytes: int) -> Iterator[bytes]:
    """Yield lines from the first to the last, many together, each with its end."""
    offset, size = 0, _BLOCK_BYTES
    while offset < size_bytes:
        wanted = min(size, size_bytes - offset)
        data = os.pread(descriptor, wanted, offset)
        whole = data.rfind(b"\n") + 1
        if whole:
            yield data[:whole]
        elif len(data) < wanted:  # somebody has cut it short
            return
        offset, size = offset + whole, _BLOCK_BYTES if whole else size * 4


def lines(descriptor: int, size_bytes: int) -> Iterator[bytes]:
    """Yield each line with its end."""
    for data in blocks(descriptor, size_bytes):
        yield from (line + b"\n" for line in data[:-1].split(b"\n"))


def lines_at(descriptor: int, offsets: Ints) -> Iterator[bytes]:
    """Yield some lines, less their ends; *offsets* ascend."""
    begin, data = 0, b""
    for offset, size in zip(offsets.tolist(), _sizes(offsets).tolist(), strict=True):
        end = data.find(b"\n", offset - begin)
        if end < 0:
            begin, data = offset, _line_and_more(descriptor, offset, size)
            end = data.find(b"\n")
        yield data[offset - begin : end if end >= 0 else len(data)]


def _sizes(offsets: Ints) -> Ints:
    """How much to read at each offset, so that the lines near after it are read with it."""
    far = np.flatnonzero(np.diff(offsets) > _NEAR_BYTES)
    last = offsets[np.append(far, len(offsets) - 1)[: len(offsets)]]
    here = np.searchsorted(far, np.arange(len(offsets)))
    sizes: Ints = np.minimum(last[here] - offsets + _USUAL_BYTES, _BLOCK_BYTES)
    return sizes


def _line_and_more(descriptor: int, offset: int, size: int) -> bytes:
    while True:
        data = os.pread(descriptor, size, offset)
        if b"\n" in data or len(data) < size:
            return data
        size *= 4
