"""The nursery pool: one feeder, N workers, one recorder.

        rows ──▶ tray ──▶ workers ──▶ desk ──▶ recorder

A worker takes its next part of a row only when its last one is durable, so a kill costs
at most one more attempt for each worker. The recorder lives in the outer
nursery so that it outlives the workers: when the run is stopped, whatever a
worker has finished is still written down. Two scopes end a run early and
nothing else does: ``feeding`` (take no new rows) and ``working`` (drop the rows
in flight).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import trio

from batchtts.run.desk import Desk
from batchtts.run.tray import Row, Tray

Part = TypeVar("Part")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Hand(Generic[Part, Outcome]):
    """What one worker does.

    Attributes:
        take: Works on a part of a row; returns what is to be recorded, or nothing.
        follow: The same, when what was returned is durable.
        rest: Called when there is nothing left to do.
    """

    take: Callable[[Part], Awaitable[Outcome | None]]
    follow: Callable[[Outcome], Awaitable[Outcome | None]]
    rest: Callable[[], None]


#: Outcomes that become durable together, at most.
GROUP = 64


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


async def run_pool(
    rows: Iterator[Sequence[Row[Part]]],
    workers: Sequence[Hand[Part, Outcome]],
    record: Callable[[Sequence[Outcome]], Awaitable[None]],
    stop: Stop,
) -> None:
    """Give every part of every row to some worker and every outcome to *record*, in groups.

    Args:
        rows: Batches, read in a thread as they are needed.
        workers: Each is one task; it has one part at a time.
        record: Returns when the outcomes are durable.
    """
    tray = Tray[Part](stop.feeding)
    desk = Desk[Outcome](min(GROUP, len(workers)))
    async with trio.open_nursery() as services:
        services.start_soon(desk.keep_record, record)
        try:
            with stop.working:
                async with trio.open_nursery() as pool:
                    pool.start_soon(tray.fill, rows)
                    for worker in workers:
                        pool.start_soon(_work, worker, tray, desk)
        finally:
            desk.close()


async def _work(worker: Hand[Part, Outcome], tray: Tray[Part], desk: Desk[Outcome]) -> None:
    while (part := await tray.take()) is not None:
        began_at = trio.current_time()
        outcome = await worker.take(part)
        while outcome is not None:
            handed = desk.hand_over(outcome, trio.current_time() - began_at)
            await handed.settled.wait()
            outcome = await worker.follow(outcome) if handed.is_durable else None
    worker.rest()
