"""The process that encodes and measures: orders and audio on stdin, answers on stdout.

It is the only one that loads FFmpeg. The end of standard input ends it, in the middle of
whatever it does, and what it has written and nobody has taken is removed: a program that
is killed leaves neither a child nor half a file behind.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO

import numpy as np
from av.error import FFmpegError

from batchtts.export import files
from batchtts.export.meter import Floats, from_s16
from batchtts.export.orders import (
    END,
    HEAD,
    ORDER,
    PIECE,
    Answer,
    Check,
    Done,
    Encode,
    Inspect,
    Measure,
    Order,
    Refused,
    read_order,
    spell_answer,
)
from batchtts.export.steps import stepped
from batchtts.record import disk


class Gone(Exception):
    """Whoever gave the order is no more."""


class _Work:
    """One order after another."""

    def __init__(self, orders: BinaryIO) -> None:
        self._orders = orders
        self._poll = select.poll()
        self._poll.register(orders, select.POLLIN)
        self.written: set[str] = set()

    def next_order(self) -> Order:
        """Wait for the next one; what is left of a refused one's audio is thrown away."""
        while True:
            kind, body = self._message()
            if kind == ORDER:
                return read_order(body)

    def _message(self) -> tuple[bytes, bytes]:
        head = self._orders.read(HEAD.size)
        if len(head) < HEAD.size:
            raise Gone
        kind, length = HEAD.unpack(head)
        body = self._orders.read(length)
        if len(body) < length:
            raise Gone
        return kind, body

    def _audio(self, order: Measure | Encode) -> Iterator[Floats]:
        """The audio that follows, from -1 to 1, in its steps."""
        return stepped(self._pieces(), order.steps, order.sample_rate_hz)

    def _pieces(self) -> Iterator[Floats]:
        while True:
            kind, body = self._message()
            if kind == END:
                return
            assert kind == PIECE, kind
            yield from_s16(np.frombuffer(body, "<i2"))

    def _check(self) -> None:
        """While an answer is awaited nothing comes, but the end."""
        if self._poll.poll(0):
            raise Gone

    def do(self, order: Order) -> Answer:
        """Do as told."""
        match order:
            case Check():
                if order.cover is not None:
                    files.check_cover(order.cover)
                return Done()
            case Measure():
                return files.measure(self._audio(order), order)
            case Encode():
                self.written.add(order.path)
                files.encode(order, self._audio(order))
                return Done()
            case Inspect():
                return files.inspect(order, self._check)

    def answer(self, order: Order) -> Answer:
        """Do as told, or say why not."""
        try:
            return self.do(order)
        except files.CoverRefused as error:
            return Refused(f"{error}", what="cover")
        except (FFmpegError, OSError) as error:
            return _refused(error)


def _refused(error: FFmpegError | OSError) -> Refused:
    number = error.errno or 0
    is_of_system = number > 0 and number in errno.errorcode
    return Refused((error.strerror or f"{error}").lower(), number if is_of_system else 0)


def main() -> None:
    """Work until standard input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):  # when to end is for the parent to decide
        signal.signal(number, signal.SIG_IGN)
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    with os.fdopen(os.dup(0), "rb") as orders:
        work = _Work(orders)
        try:
            while True:
                disk.write_all(answers, spell_answer(work.answer(work.next_order())))
        except (Gone, BrokenPipeError):
            pass
        finally:
            for path in work.written:
                with suppress(OSError):
                    disk.remove(path)


if __name__ == "__main__":
    main()
