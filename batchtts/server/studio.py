"""Who is at work behind all connections: engines and recognizers, in processes of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from batchtts.model import Voice
from batchtts.server.pool import Kind, Pool


class Studio:
    """Starts what is asked for when it is asked for."""

    def __init__(self, workers: int) -> None:
        """Work.

        Args:
            workers: Processes of each engine and of each recognizer.
        """
        self._workers = workers
        self._pools: dict[tuple[Kind, str], Pool] = {}

    async def speak(
        self,
        text: str,
        voice: Voice,
        speed: float,
        heard: Callable[[bytes], Awaitable[None]],
        seed: int = 0,
    ) -> None:
        """Speak with the engine that is the voice's model; see `Pool`."""
        await self._pool("engine", voice.model).speak(text, voice, speed, heard, seed)

    async def listen(
        self,
        pcm: bytes,
        sample_rate_hz: int,
        ear: str,
        guessed: Callable[[str], Awaitable[None]],
    ) -> str:
        """Hear with a recognizer; see `Pool`."""
        return await self._pool("ear", ear).listen(pcm, sample_rate_hz, guessed)

    async def close(self) -> None:
        """End what has nothing to do."""
        for pool in self._pools.values():
            await pool.close()

    def _pool(self, kind: Kind, name: str) -> Pool:
        if (kind, name) not in self._pools:
            self._pools[kind, name] = Pool(name, self._workers, kind)
        return self._pools[kind, name]
