"""The nursery pool: one feeder, N workers, one recorder.

        feed ──▶ work channel (0) ──▶ workers ──▶ result channel (0) ──▶ recorder

A worker takes its next row only when its last one is durable, so a kill costs
at most one more attempt for each worker. The recorder lives in the outer
nursery so that it outlives the workers: when the run is stopped, whatever a
worker has finished is still written down. Two scopes end a run early and
nothing else does: ``feeding`` (take no new rows) and ``working`` (drop the rows
in flight).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Generic, TypeVar

import trio

Row = TypeVar("Row")
Outcome = TypeVar("Outcome")

#: Seconds a finished outcome may wait for the recorder while the run is dropped.
HANDOVER_S = 5.0

#: Outcomes that become durable together, at most, and seconds to wait for more of them.
GROUP = 64
GATHER_S = 0.01


class Stop:
    """How a run is asked to end."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self.feeding = trio.CancelScope()
        self.working = trio.CancelScope()

    def drain(self) -> None:
        """Take no new rows; what is in flight has its time."""
        self.feeding.cancel(reason="stopped")
        until = trio.current_time() + self._grace_s
        self.working.deadline = min(self.working.deadline, until)

    def drop(self) -> None:
        """End at once; what is in flight is dropped."""
        self.drain()
        self.working.cancel(reason="stopped twice")


@dataclass(slots=True)
class _Handed(Generic[Outcome]):
    """An outcome on its way to the disk; settled once it is there, or never will be."""

    outcome: Outcome
    settled: trio.Event = field(default_factory=trio.Event)


async def run_pool(
    rows: Iterator[Sequence[Row]],
    workers: Sequence[Callable[[Row], Awaitable[Outcome]]],
    record: Callable[[Sequence[Outcome]], Awaitable[None]],
    stop: Stop,
    rests: Sequence[Callable[[], None]] = (),
) -> None:
    """Give every row to some worker and every outcome to *record*, in groups.

    Args:
        rows: Batches, read in a thread as they are needed.
        workers: Each is one task; it has one row at a time.
        record: Returns when the outcomes are durable.
        rests: For each worker, called when there is no row left for it.
    """
    todo_in, todo_out = trio.open_memory_channel[Row](0)
    done_in, done_out = trio.open_memory_channel[_Handed[Outcome]](0)
    async with trio.open_nursery() as services:
        services.start_soon(_keep_record, done_out, record, min(GROUP, len(workers)))
        with done_in, stop.working:
            async with trio.open_nursery() as pool:
                pool.start_soon(_feed, rows, todo_in, stop.feeding)
                for worker, rest in zip_longest(workers, rests):
                    pool.start_soon(_work, worker, todo_out, done_in, rest)


async def _feed(
    rows: Iterator[Sequence[Row]], todo: trio.MemorySendChannel[Row], feeding: trio.CancelScope
) -> None:
    with todo, feeding:
        while batch := await trio.to_thread.run_sync(next, rows, ()):
            for row in batch:
                await todo.send(row)


async def _work(
    worker: Callable[[Row], Awaitable[Outcome]],
    todo: trio.MemoryReceiveChannel[Row],
    done: trio.MemorySendChannel[_Handed[Outcome]],
    rest: Callable[[], None] | None,
) -> None:
    async for row in todo:
        handed = _Handed(await worker(row))
        with trio.move_on_after(HANDOVER_S, shield=True):  # the audio is paid for
            try:
                await done.send(handed)
            except trio.BrokenResourceError:
                return  # the recorder has failed, and says so itself
            await handed.settled.wait()
    if rest is not None:
        rest()


async def _keep_record(
    done: trio.MemoryReceiveChannel[_Handed[Outcome]],
    record: Callable[[Sequence[Outcome]], Awaitable[None]],
    most: int,
) -> None:
    """Record what is handed over until nobody is there any more who could."""
    with trio.CancelScope(shield=True), done:  # who works has been told to end, and hands over
        async for first in done:
            group = await _gather(first, done, most)
            try:
                await record([handed.outcome for handed in group])
            finally:
                for handed in group:
                    handed.settled.set()


async def _gather(
    first: _Handed[Outcome], done: trio.MemoryReceiveChannel[_Handed[Outcome]], most: int
) -> list[_Handed[Outcome]]:
    """Wait a moment for more: durability costs the same for one as for many."""
    group = [first]
    with trio.move_on_after(GATHER_S):
        while len(group) < most:
            try:
                group.append(await done.receive())
            except trio.EndOfChannel:
                break
    return group
