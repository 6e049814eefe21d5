"""How natural speech sounds, judged in a few processes.

    async with critics() as critic:
        score = await critic.judge(pcm, 24_000)

As many recordings are judged at a time as there are processes; others wait in line.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.util import find_spec

from batchtts import errors
from batchtts.review import distillmos
from batchtts.review.children import processors, ready, twice
from batchtts.server.pool import Pool

INSTALL = "pip install 'batchtts[mos]'"


class Critics:
    """Judges recordings, as many at a time as there are processes; make one with `critics`."""

    def __init__(self, workers: int, pool: Pool) -> None:
        self.name = distillmos.NAME
        self.workers = workers
        self._pool = pool

    async def judge(self, pcm: bytes, sample_rate_hz: int) -> float:
        """Return the mean opinion score that listeners would give, from 1 to 5.

        Args:
            pcm: mono s16le, whole samples, one at least.

        Raises:
            BadAudio: there is no audio.
            ProcessDied: two processes have died of this recording.
        """
        if not pcm:
            raise errors.BadAudio("there is no audio to judge")
        return await twice(lambda: self._pool.judge(pcm, sample_rate_hz))


def check() -> None:
    """Find out whether scores can be had, without starting anything.

    Raises:
        SettingsError: what runs the model is not installed.
    """
    if find_spec("onnxruntime") is None:
        raise errors.SettingsError(f"{distillmos.NAME} needs onnxruntime", hint=INSTALL)


@contextlib.asynccontextmanager
async def critics(*, workers: int | None = None) -> AsyncIterator[Critics]:
    """Start the processes that judge, and end them at the end of the block.

    Args:
        workers: Processes; None is one for each processor.

    Raises:
        SettingsError: they cannot be started.
    """
    check()
    size = workers or processors()
    pool = Pool(distillmos.NAME, size, "critic")
    async with ready(pool, size, lambda: pool.judge(bytes(2), 16_000), distillmos.NAME):
        yield Critics(size, pool)
