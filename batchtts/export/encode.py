"""Children that encode and measure, seen from the process that gives the orders.

FFmpeg is loaded by them alone: parts of it are under the GPL. This module knows how to
start one, how to give it audio while it works, and what it means when one is gone.
"""

from __future__ import annotations

import errno
import os
import queue
import select
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from batchtts.errors import BatchttsError, OutputBroken, RunError, UsageError
from batchtts.export.orders import (
    END,
    HEAD,
    LENGTH,
    PIECE,
    Answer,
    Check,
    Encode,
    Inspect,
    Measure,
    Measured,
    Order,
    Picture,
    Refused,
    read_answer,
    spell_order,
)
from batchtts.record import disk

INSTALL = "pip install 'batchtts[audiobook]'"

_CHILD = "batchtts.export.child"
_PATIENCE_S = 10.0


def require_encoder() -> None:
    """See whether FFmpeg and LAME are installed, without loading them.

    Raises:
        UsageError: they are not.
    """
    if find_spec("av") is None or find_spec("lameenc") is None:
        raise UsageError("audiobooks need an encoder, which is not installed", hint=INSTALL)


class Child:
    """One process; not thread-safe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", _CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            process_group=0,  # Ctrl-C on the terminal is not for children
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        self._poll = select.poll()
        self._poll.register(self._from, select.POLLIN)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def check(self, format: str, cover: Picture | None) -> None:
        """See whether a file could be made so.

        Raises:
            UsageError: the cover is none that it can have.
        """
        self._do(Check(format, cover), "cover")

    def measure(self, order: Measure, pcm: Iterable[bytes]) -> Measured:
        """Measure mono s16le audio."""
        answer = self._do(order, "loudness", pcm)
        assert isinstance(answer, Measured)
        return answer

    def encode(self, order: Encode, pcm: Iterable[bytes]) -> None:
        """Write mono s16le audio to a file, which is durable when it is done.

        Raises:
            OutputBroken: the disk does not take it.
        """
        path = Path(order.path)
        self._do(order, order.path, pcm)
        with disk.telling(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                disk.sync(descriptor)
            finally:
                os.close(descriptor)

    def inspect(self, order: Inspect) -> Measured:
        """Read a file back, and measure it."""
        answer = self._do(order, order.path)
        assert isinstance(answer, Measured)
        return answer

    def _do(
        self,
        order: Order,
        where: str,
        pcm: Iterable[bytes] | None = None,
    ) -> Answer:
        try:
            self._send(spell_order(order))
            if pcm is not None and self._sent(pcm):
                self._send(HEAD.pack(END, 0))
            answer = self._answer()
        except OSError as error:
            raise self._lost(where) from error
        if isinstance(answer, Refused):
            raise _told(answer, where)
        return answer

    def _sent(self, pcm: Iterable[bytes]) -> bool:
        """Send the audio; False if there is an answer before it is all sent."""
        for block in pcm:
            if self._poll.poll(0):
                return False
            self._send(HEAD.pack(PIECE, len(block)), block)
        return True

    def _send(self, *parts: bytes) -> None:
        disk.write_all(self._to.fileno(), *parts)

    def _answer(self) -> Answer:
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        return read_answer(self._read(length))

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = os.read(self._from.fileno(), count - len(data))
            if not more:
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            data += more
        return data

    def _lost(self, where: str) -> RunError:
        """What to say of a child that is no more."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_S)
        status = self._process.returncode
        how = f"killed by signal {-status}" if status and status < 0 else f"status {status}"
        return RunError(f"{where}: the encoder ended in the middle of it ({how})")

    def kill(self) -> None:
        """End it in the middle of whatever it does; whoever waits for it is told."""
        self._process.kill()

    def end(self) -> None:
        """Let it go; nothing of what it has begun is left. Nobody may be using it."""
        for pipe in (self._to, self._from):
            with suppress(OSError):
                pipe.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _told(answer: Refused, where: str) -> BatchttsError:
    """An answer as an error of ours."""
    if answer.what == "cover":
        hint = "--cover FILE attaches another, --no-cover none"
        return UsageError(answer.message, hint=hint)
    if answer.errno:
        is_full = answer.errno in (errno.ENOSPC, errno.EDQUOT)
        hint_full = "make room, then run the same command again" if is_full else None
        return OutputBroken(f"{where}: {os.strerror(answer.errno).lower()}", hint=hint_full)
    return RunError(f"{where}: the encoder says: {answer.message}")


class Children:
    """So many processes, each started when it is first needed and lent to one thread."""

    def __init__(self, count: int) -> None:
        self._free: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(count):
            self._free.put(None)
        self._started: list[Child] = []
        self._is_over = False

    @contextmanager
    def lent(self) -> Iterator[Child]:
        """Have one for a while; after an error it is not used again."""
        child = self._free.get()
        if child is None:
            child = self._start()
        keeps: Child | None = None
        try:
            yield child
            keeps = child
        finally:
            self._free.put(keeps)

    def _start(self) -> Child:
        if self._is_over:
            raise RunError("the export was stopped")
        child = Child()
        self._started.append(child)
        return child

    def kill(self) -> None:
        """End them in the middle of their work; no more are started."""
        self._is_over = True
        for child in self._started:
            child.kill()

    def end(self) -> None:
        """Let all of them go, when nobody uses one any more."""
        for child in self._started:
            child.end()
