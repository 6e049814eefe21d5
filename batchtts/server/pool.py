"""Children that speak, hear or judge: a few processes of each kind, started when they are needed.

A child serves one request at a time; requests wait in line. A child that was
interrupted, or that has died, is never used again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Literal

import trio

from batchtts.model import Voice
from batchtts.server import process
from batchtts.server.engine import CannotSpeak

_READ_SIZE = 256 * 1024  # bytes; more than a pipe holds

#: One thread each: the children are the parallelism, and nanotts must fork. And no word to
#: anybody: onnxruntime writes down in HOME what it does, and sends it to its vendor; the
#: hub that models come from likes to know who asks.
_MANNERS = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


Kind = Literal["engine", "ear", "critic"]


class EngineDied(Exception):
    """The process that was at work is gone; the request is lost, the next may do well."""


class _Child:
    """One process of `batchtts.server.process`, and what it has said but nobody has read."""

    def __init__(self, name: str, child: trio.Process) -> None:
        assert child.stdin is not None
        assert child.stdout is not None
        self._name = name
        self._process = child
        self._requests = child.stdin
        self._replies = child.stdout
        self._unread = bytearray()

    @classmethod
    async def start(cls, name: str, kind: Kind, model: str | None) -> _Child:
        command = [sys.executable, "-m", process.__name__, f"--{kind}", name]
        command += [] if model is None else ["--model", model]
        child = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_MANNERS},
            process_group=0,  # Ctrl-C on the terminal is not for children
        )
        return cls(name, child)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    async def ask(self, request: bytes, heard: Callable[[bytes], Awaitable[None]]) -> None:
        try:
            await self._requests.send_all(request)
            while True:
                kind, body = await self._reply()
                if kind == process.END:
                    return
                if kind == process.CANNOT:
                    raise CannotSpeak(body.decode())
                await heard(body)
        except trio.BrokenResourceError:
            raise EngineDied(f"the {self._name} process has died") from None

    async def _reply(self) -> tuple[bytes, bytes]:
        (length,) = process.LENGTH.unpack(await self._read(process.LENGTH.size))
        reply = await self._read(length)
        return reply[:1], reply[1:]

    async def _read(self, size: int) -> bytes:
        while len(self._unread) < size:
            data = await self._replies.receive_some(_READ_SIZE)
            if not data:
                raise trio.BrokenResourceError
            self._unread += data
        taken = bytes(self._unread[:size])
        del self._unread[:size]
        return taken

    async def end(self) -> None:
        """Kill it and wait until it is gone, which takes no time worth cancelling."""
        if self.is_alive:
            os.killpg(self._process.pid, signal.SIGKILL)  # with the fork that speaks for it
        with trio.CancelScope(shield=True):
            await self._process.wait()
            await self._requests.aclose()
            await self._replies.aclose()


class Pool:
    """At most *size* children, all of one engine, of one recognizer or of one critic."""

    def __init__(
        self, name: str, size: int, kind: Kind = "engine", *, model: str | None = None
    ) -> None:
        """Start nothing yet.

        Args:
            model: Of a recognizer that has none of its own.
        """
        self._model = model
        self._name = name
        self._kind = kind
        self._free = trio.CapacityLimiter(size)
        self._idle: list[_Child] = []

    async def speak(
        self,
        text: str,
        voice: Voice,
        speed: float,
        heard: Callable[[bytes], Awaitable[None]],
        seed: int = 0,
    ) -> None:
        """Speak *text*; *heard* is given each piece as it comes.

        The child waits for *heard*, and others may be waiting for the child.

        Raises:
            CannotSpeak: The engine would leave out some of the text.
            EngineDied: The request is lost, the pool is not.
        """
        request = process.Request(text, voice.name, voice.model, voice.language, speed, seed)
        await self._ask(process.encode(request), heard)

    async def listen(
        self,
        pcm: bytes,
        sample_rate_hz: int,
        guessed: Callable[[str], Awaitable[None]],
        language: str = "",
    ) -> str:
        """Return what is said in *pcm*; *guessed* is given what was heard so far, as it grows.

        Args:
            language: BCP 47 tag, for a recognizer of several.

        Raises:
            EngineDied: The request is lost, the pool is not.
        """
        text = ""

        async def heard(part: bytes) -> None:
            nonlocal text
            text += part.decode()
            await guessed(text)

        await self._ask(process.encode(process.Recording(pcm, sample_rate_hz, language)), heard)
        return text

    async def judge(self, pcm: bytes, sample_rate_hz: int) -> float:
        """Return the score of *pcm*.

        Raises:
            EngineDied: The request is lost, the pool is not.
        """
        scores: list[float] = []

        async def heard(score: bytes) -> None:
            scores.extend(process.SCORE.unpack(score))

        await self._ask(process.encode(process.Recording(pcm, sample_rate_hz)), heard)
        return scores[0]

    async def close(self) -> None:
        """End the children that have nothing to do; the others end with their requests."""
        while self._idle:
            await self._idle.pop().end()

    async def _ask(self, request: bytes, heard: Callable[[bytes], Awaitable[None]]) -> None:
        async with self._free:
            child = await self._take()
            usable = False
            try:
                await child.ask(request, heard)
                usable = True
            except CannotSpeak:
                usable = True
                raise
            finally:
                if usable:
                    self._idle.append(child)
                else:
                    await child.end()

    async def _take(self) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            await child.end()
        return await _Child.start(self._name, self._kind, self._model)
