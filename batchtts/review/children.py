"""Children that take a second look at finished speech: ready at once, and asked twice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import trio

from batchtts import errors
from batchtts.server.pool import EngineDied, Pool

Answer = TypeVar("Answer")


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.asynccontextmanager
async def ready(
    pool: Pool, size: int, ask: Callable[[], Awaitable[object]], what: str
) -> AsyncIterator[Pool]:
    """Start all children of a pool at the same time; end them at the end of the block.

    Args:
        ask: Something that takes a child no time once it has loaded what it needs.
        what: Name of what they load, for messages.

    Raises:
        SettingsError: they cannot do it here. What they said themselves is on stderr.
    """

    died = False

    async def start() -> None:
        nonlocal died
        try:
            await ask()
        except EngineDied:
            died = True

    try:
        async with trio.open_nursery() as nursery:
            for _ in range(size):
                nursery.start_soon(start)
        if died:
            raise errors.SettingsError(
                f"{what} cannot be loaded", hint="what its process said is above this line"
            )
        yield pool
    finally:
        await pool.close()


async def twice(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Return an answer; if the child dies of the question, ask another child, and no third.

    Raises:
        ProcessDied: both have died.
    """
    with contextlib.suppress(EngineDied):
        return await ask()
    try:
        return await ask()
    except EngineDied as error:
        raise errors.ProcessDied(f"{error}, and another one of the same audio") from error
