"""The nursery pool: one feeder, N workers, one recorder.

        rows ──▶ tray ──▶ workers ──▶ desk ──▶ recorder

A worker takes its next row only when its last one is durable, so a kill costs
at most one more attempt for each worker. The recorder lives in the outer
nursery so that it outlives the workers: when the run is stopped, whatever a
worker has finished is still written down. Two scopes end a run early and
nothing else does: ``feeding`` (take no new rows) and ``working`` (drop the rows
in flight).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import zip_longest
from typing import TypeVar

import trio

from batchtts.run.desk import Desk
from batchtts.run.tray import Tray

Row = TypeVar("Row")
Outcome = TypeVar("Outcome")

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
    rows: Iterator[Sequence[Row]],
    workers: Sequence[Callable[[Row], Awaitable[Outcome]]],
    record: Callable[[Sequence[Outcome]], Awaitable[None]],
    stop: Stop,
    rests: Sequence[Callable[[], None]] = (),
    size: Callable[[Row], int] = lambda row: 0,
) -> None:
    """Give every row to some worker and every outcome to *record*, in groups.

    Args:
        rows: Batches, read in a thread as they are needed.
        workers: Each is one task; it has one row at a time.
        record: Returns when the outcomes are durable.
        rests: For each worker, called when there is no row left for it.
        size: How long a row is: of those that were read, the longest are begun first.
    """
    tray = Tray(size, stop.feeding)
    desk = Desk[Outcome](min(GROUP, len(workers)))
    async with trio.open_nursery() as services:
        services.start_soon(desk.keep_record, record)
        try:
            with stop.working:
                async with trio.open_nursery() as pool:
                    pool.start_soon(tray.fill, rows)
                    for worker, rest in zip_longest(workers, rests):
                        pool.start_soon(_work, worker, tray, desk, rest)
        finally:
            desk.close()


async def _work(
    worker: Callable[[Row], Awaitable[Outcome]],
    tray: Tray[Row],
    desk: Desk[Outcome],
    rest: Callable[[], None] | None,
) -> None:
    while (row := await tray.take()) is not None:
        began_at = trio.current_time()
        outcome = await worker(row)
        handed = desk.hand_over(outcome, trio.current_time() - began_at)
        await handed.settled.wait()
    if rest is not None:
        rest()
