"""The pool, with workers and a disk that are let go by hand: nobody is faster by chance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from batchtts.errors import ManifestChanged, OutputBroken, ProviderDown, leaves
from batchtts.run.desk import GATHER_S, GATHER_SHARE
from batchtts.run.pool import GROUP, Hand, Stop, run_pool
from batchtts.run.tray import ROWS


@dataclass(frozen=True)
class Row:
    """One row, begun part by part."""

    numbers: Sequence[int]
    size: int = 0

    def parts(self) -> Iterator[int]:
        return iter(self.numbers)


def rows_of(batches: Iterator[Sequence[int]]) -> Iterator[Sequence[Row]]:
    """Rows of one part each."""
    for batch in batches:
        yield [Row([number]) for number in batch]


async def nothing_more(_: int) -> None: ...


def hand(
    take: Callable[[int], Awaitable[int | None]], rest: Callable[[], None] = lambda: None
) -> Hand[int, int]:
    """A worker that has no more to say once something is durable."""
    return Hand(take, nothing_more, rest)


class Shop:
    """Workers that finish a row when they are told to, and a disk that is as slow as wished.

    Attributes:
        disk: Set when it is fast again.
        failures: What happens at a row instead of its being done.
        disk_failure: What happens when the disk is asked for anything.
        after: What a worker still has to say when a row is durable.
        groups: What the disk was given together.
        rested: The workers that have no row left, by number.
    """

    def __init__(self, workers: int, grace_s: float = 30.0) -> None:
        self.stop = Stop(grace_s)
        self.disk = trio.Event()
        self.failures: dict[int, Exception] = {}
        self.disk_failure: Exception | None = None
        self.after: dict[int, int] = {}
        self.groups: list[list[int]] = []
        self.durable: list[int] = []
        self.is_over = False
        self._workers = workers
        self.rested: list[int] = []
        self._gates: dict[int, trio.Event] = {}
        self._taken_up, self._begun = trio.open_memory_channel[int](1000)
        self._asked, self._saving = trio.open_memory_channel[int](1000)

    async def begun(self, count: int) -> list[int]:
        """Wait until so many more rows have been taken up."""
        return sorted([await self._begun.receive() for _ in range(count)])

    def begun_meanwhile(self) -> int:
        """How many rows have been taken up since begun() was last called."""
        return self._begun.statistics().current_buffer_used

    async def saving(self) -> None:
        """Wait until the disk is asked once more."""
        await self._saving.receive()

    def finish(self, *rows: int) -> None:
        """Let the workers finish these rows, whenever they take them up."""
        for row in rows:
            self._gate(row).set()

    async def run(self, batches: Iterator[Sequence[int]]) -> None:
        await self.run_rows(rows_of(batches))

    async def run_rows(self, rows: Iterator[Sequence[Row]]) -> None:
        rests = [partial(self.rested.append, number) for number in range(self._workers)]
        hands = [Hand(self._work, self._follow, rest) for rest in rests]
        await run_pool(rows, hands, self._record, self.stop)
        self.is_over = True

    def _gate(self, row: int) -> trio.Event:
        return self._gates.setdefault(row, trio.Event())

    async def _work(self, row: int) -> int:
        self._taken_up.send_nowait(row)
        await self._gate(row).wait()
        if row in self.failures:
            raise self.failures[row]
        return row

    async def _follow(self, row: int) -> int | None:
        assert row in self.durable
        return self.after.get(row)

    async def _record(self, rows: Sequence[int]) -> None:
        self.groups.append(list(rows))
        self._asked.send_nowait(len(rows))
        if self.disk_failure is not None:
            raise self.disk_failure
        await self.disk.wait()
        self.durable.extend(rows)


@asynccontextmanager
async def at_work(shop: Shop, *batches: Sequence[int]) -> AsyncIterator[None]:
    """A running pool, which must end by itself once the block is left."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.run, iter(batches))
        yield


@asynccontextmanager
async def breaking(error: type[Exception]) -> AsyncIterator[None]:
    """Expect an error, in however many groups."""
    with pytest.raises(ExceptionGroup) as raised:
        yield
    assert raised.value.subgroup(error) is not None
    assert raised.value.split(error)[1] is None


# What is done


@pytest.mark.parametrize("workers", [1, 3, 200])
async def test_every_row_is_done_once(workers: int) -> None:
    shop = Shop(workers)
    shop.disk.set()
    shop.finish(*range(100))
    async with at_work(shop, range(40), range(40, 41), range(41, 100)):
        pass
    assert sorted(shop.durable) == list(range(100))


async def test_no_rows_are_soon_done() -> None:
    shop = Shop(4)
    async with at_work(shop):
        pass
    assert shop.is_over
    assert shop.groups == []


async def test_a_worker_rests_as_soon_as_there_is_no_row_for_it() -> None:
    shop = Shop(workers=3)
    shop.disk.set()
    async with at_work(shop, [0]):
        assert await shop.begun(1) == [0]
        with trio.fail_after(10):
            while len(shop.rested) < 2:
                await trio.lowlevel.checkpoint()  # a thread says that there are no more rows
        shop.finish(0)
    assert sorted(shop.rested) == [0, 1, 2]


async def test_a_worker_takes_no_row_before_its_last_one_is_durable() -> None:
    shop = Shop(workers=1)
    shop.finish(0, 1)
    async with at_work(shop, [0, 1]):
        await shop.saving()
        await wait_all_tasks_blocked()
        assert await shop.begun(1) == [0]
        assert shop.begun_meanwhile() == 0
        shop.disk.set()
        assert await shop.begun(1) == [1]
    assert shop.durable == [0, 1]


async def test_what_is_finished_while_the_disk_is_busy_becomes_durable_together() -> None:
    shop = Shop(workers=1 + GROUP + 10)
    async with at_work(shop, range(1 + GROUP + 10)):
        await shop.begun(1 + GROUP + 10)
        shop.finish(0)
        await shop.saving()
        shop.finish(*range(1, 1 + GROUP + 10))
        await wait_all_tasks_blocked()
        shop.disk.set()
    assert [len(group) for group in shop.groups] == [1, GROUP, 10]


async def test_rows_are_read_as_they_are_needed() -> None:
    read: list[int] = []
    group = range(ROWS // 2)

    def batches() -> Iterator[Sequence[int]]:
        for number in range(6):
            read.append(number)
            yield [number * len(group) + row for row in group]

    async def reading(count: int) -> None:
        with trio.fail_after(10):
            while len(read) < count:
                await trio.lowlevel.checkpoint()  # a thread reads

    shop = Shop(workers=2)
    shop.disk.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.run, batches())
        await shop.begun(2)
        await reading(3)
        await wait_all_tasks_blocked()
        assert len(read) == 3
        shop.finish(*group)
        await shop.begun(len(group))
        await reading(4)
        shop.stop.drain()
        shop.finish(*range(6 * len(group)))
    assert len(read) == 4


async def test_of_the_rows_that_were_read_the_longest_is_begun_first() -> None:
    begun: list[int] = []

    async def speak(row: int) -> int:
        begun.append(row)
        await trio.lowlevel.checkpoint()
        return row

    async def record(rows: Sequence[int]) -> None: ...

    batches = iter([[Row([row], size=row // 5) for row in (3, 10, 7, 12, 1)]])
    await run_pool(batches, [hand(speak)], record, Stop(30.0))
    assert begun == [10, 12, 7, 3, 1]


async def test_what_is_finished_within_a_moment_becomes_durable_together(
    mock_clock: MockClock,
) -> None:
    shop = Shop(workers=3)
    shop.disk.set()
    async with at_work(shop, range(3)):
        await shop.begun(3)
        mock_clock.jump(1.0)
        shop.finish(0)
        await wait_all_tasks_blocked()
        shop.finish(1)
        await wait_all_tasks_blocked()
        assert shop.groups == []
        mock_clock.jump(GATHER_SHARE * 1.0)
        await wait_all_tasks_blocked()
        assert shop.groups == [[0, 1]]
        shop.finish(2)
        await wait_all_tasks_blocked()
        mock_clock.jump(GATHER_S)
    assert shop.groups == [[0, 1], [2]]


# Parts of rows


async def test_the_parts_of_a_row_are_begun_in_order_by_any_worker_and_before_another_row() -> None:
    shop = Shop(workers=3)
    shop.disk.set()
    rows = [Row([0, 1, 2, 3], size=1), Row([4, 5], size=2)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.run_rows, iter([rows]))
        assert await shop.begun(3) == [0, 4, 5]
        shop.finish(4, 5)
        assert await shop.begun(2) == [1, 2]
        shop.finish(0)
        assert await shop.begun(1) == [3]
        shop.finish(1, 2, 3)
    assert sorted(shop.durable) == list(range(6))


async def test_a_row_without_parts_is_passed_over() -> None:
    shop = Shop(workers=2)
    shop.disk.set()
    shop.finish(0, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.run_rows, iter([[Row([]), Row([0])], [Row([])], [Row([1])]]))
    assert sorted(shop.durable) == [0, 1]


async def test_a_row_that_gives_out_no_more_parts_is_left() -> None:
    is_over = False

    class Ended(Row):
        def parts(self) -> Iterator[int]:
            for number in self.numbers:
                if is_over:
                    return
                yield number

    shop = Shop(workers=1)
    shop.disk.set()
    shop.finish(0, 1, 2, 3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.run_rows, iter([[Ended([0, 1, 2], size=1), Row([3])]]))
        assert await shop.begun(1) == [0]
        is_over = True
    assert shop.durable == [0, 3]


async def test_who_is_drained_in_the_middle_of_a_row_begins_no_other_part_of_it() -> None:
    shop = Shop(workers=2)
    shop.disk.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.run_rows, iter([[Row(range(5))]]))
        assert await shop.begun(2) == [0, 1]
        shop.stop.drain()
        shop.finish(*range(5))
    assert sorted(shop.durable) == [0, 1]


async def test_an_outcome_that_brings_nothing_is_not_recorded() -> None:
    begun: list[int] = []

    async def speak(row: int) -> int | None:
        begun.append(row)
        await trio.lowlevel.checkpoint()
        return row if row == 1 else None

    recorded: list[int] = []

    async def record(rows: Sequence[int]) -> None:
        recorded.extend(rows)

    await run_pool(rows_of(iter([[0, 1, 2]])), [hand(speak)], record, Stop(30.0))
    assert (begun, recorded) == ([0, 1, 2], [1])


async def test_what_follows_on_something_durable_is_recorded_before_another_part_is_begun() -> None:
    shop = Shop(workers=1)
    shop.after = {0: 100, 100: 200}
    shop.finish(0, 1)
    async with at_work(shop, [0, 1]):
        assert await shop.begun(1) == [0]
        await shop.saving()
        await wait_all_tasks_blocked()
        assert shop.groups == [[0]]
        shop.disk.set()
    assert shop.durable == [0, 100, 200, 1]


async def test_what_follows_is_recorded_though_the_run_is_drained() -> None:
    shop = Shop(workers=1)
    shop.after = {0: 100}
    async with at_work(shop, [0, 1]):
        assert await shop.begun(1) == [0]
        shop.finish(0)
        await shop.saving()
        shop.stop.drain()
        shop.disk.set()
    assert shop.durable == [0, 100]


# Drained


async def test_a_run_that_is_drained_finishes_what_is_in_flight() -> None:
    shop = Shop(workers=4)
    shop.disk.set()
    async with at_work(shop, range(100)):
        assert await shop.begun(4) == [0, 1, 2, 3]
        shop.stop.drain()
        await wait_all_tasks_blocked()
        assert not shop.is_over
        shop.finish(*range(100))
    assert sorted(shop.durable) == [0, 1, 2, 3]


async def test_who_is_drained_before_beginning_begins_nothing() -> None:
    shop = Shop(workers=4)
    shop.stop.drain()
    async with at_work(shop, range(100)):
        pass
    assert shop.groups == []


async def test_draining_has_an_end(mock_clock: MockClock) -> None:
    shop = Shop(workers=4, grace_s=30.0)
    async with at_work(shop, range(100)):
        await shop.begun(4)
        shop.stop.drain()
        mock_clock.jump(29.9)
        await wait_all_tasks_blocked()
        assert not shop.is_over
        mock_clock.jump(0.2)
    assert shop.durable == []


async def test_draining_twice_gives_no_more_time(mock_clock: MockClock) -> None:
    stop = Stop(30.0)
    stop.drain()
    mock_clock.jump(10.0)
    stop.drain()
    assert stop.working.deadline == 30.0


async def test_draining_twice_drops_nothing(mock_clock: MockClock) -> None:
    shop = Shop(workers=4)
    shop.disk.set()
    async with at_work(shop, range(100)):
        await shop.begun(4)
        shop.stop.drain()
        shop.stop.drain()
        await wait_all_tasks_blocked()
        assert not shop.is_over
        shop.finish(0, 1, 2, 3)
    assert sorted(shop.durable) == [0, 1, 2, 3]


# Dropped


async def test_who_is_dropped_without_a_word_before_takes_no_new_row() -> None:
    stop = Stop(30.0)
    stop.drop()
    assert stop.feeding.cancel_called
    assert stop.working.cancel_called


async def test_a_run_that_is_dropped_finishes_nothing(mock_clock: MockClock) -> None:
    shop = Shop(workers=4)
    async with at_work(shop, range(100)):
        await shop.begun(4)
        shop.stop.drain()
        shop.stop.drop()
    assert shop.groups == []
    assert trio.current_time() == 0.0


async def test_finished_work_survives_the_drop() -> None:
    shop = Shop(workers=4)
    async with at_work(shop, range(100)):
        await shop.begun(4)
        shop.finish(0, 1, 2)
        await shop.saving()
        await wait_all_tasks_blocked()
        shop.stop.drain()
        shop.stop.drop()
        await wait_all_tasks_blocked()
        assert not shop.is_over
        shop.disk.set()
    assert sorted(shop.durable) == [0, 1, 2]


async def test_finished_work_survives_an_end_that_comes_from_outside(mock_clock: MockClock) -> None:
    shop, outside = Shop(workers=4), trio.CancelScope()
    shop.disk.set()

    async def run() -> None:
        with outside:
            await shop.run(iter([range(100)]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await shop.begun(4)
        mock_clock.jump(1.0)
        shop.finish(0)
        await wait_all_tasks_blocked()
        outside.cancel()
        await wait_all_tasks_blocked()
    assert (shop.durable, trio.current_time()) == ([0], 1.0)


async def test_what_waits_for_a_slow_disk_when_the_run_is_dropped_is_not_lost(
    mock_clock: MockClock,
) -> None:
    shop = Shop(workers=4)
    async with at_work(shop, range(100)):
        await shop.begun(4)
        shop.finish(0)
        await shop.saving()
        shop.finish(1, 2, 3)
        await wait_all_tasks_blocked()
        shop.stop.drain()
        shop.stop.drop()
        mock_clock.jump(3600.0)
        await wait_all_tasks_blocked()
        shop.disk.set()
    assert [len(group) for group in shop.groups] == [1, 3]
    assert sorted(shop.durable) == [0, 1, 2, 3]


async def test_a_slow_disk_lets_no_worker_begin_another_row(mock_clock: MockClock) -> None:
    shop = Shop(workers=2)
    async with at_work(shop, range(4)):
        await shop.begun(2)
        shop.finish(0, 1)
        await wait_all_tasks_blocked()
        mock_clock.jump(3600.0)
        await wait_all_tasks_blocked()
        assert shop.begun_meanwhile() == 0
        shop.disk.set()
        shop.finish(2, 3)
    assert sorted(shop.durable) == [0, 1, 2, 3]


# What goes wrong


@pytest.mark.parametrize("failure", [OutputBroken("full"), AssertionError("a bug")])
async def test_a_disk_that_fails_ends_it_at_once(mock_clock: MockClock, failure: Exception) -> None:
    shop = Shop(workers=4)
    shop.disk_failure = failure
    async with breaking(type(failure)), at_work(shop, range(100)):
        await shop.begun(4)
        shop.finish(0)
        await wait_all_tasks_blocked()
    assert (shop.groups, shop.durable) == ([[0]], [])
    assert trio.current_time() == 0.0


async def test_who_waits_for_a_disk_that_fails_is_not_kept_waiting(mock_clock: MockClock) -> None:
    count = 1 + GROUP + 10
    shop = Shop(workers=count)
    async with breaking(OutputBroken), at_work(shop, range(count)):
        await shop.begun(count)
        shop.finish(0)
        await shop.saving()
        shop.disk_failure = OutputBroken("full")
        shop.finish(*range(1, count))
        await wait_all_tasks_blocked()
        shop.disk.set()
    assert (shop.durable, len(shop.groups)) == ([0], 2)
    assert trio.current_time() == 0.0


async def test_a_worker_that_breaks_the_run_loses_nothing_of_the_others() -> None:
    shop = Shop(workers=4)
    shop.failures[0] = ProviderDown("nobody answers")
    async with breaking(ProviderDown), at_work(shop, range(100)):
        await shop.begun(4)
        shop.finish(1, 2)
        await shop.saving()
        await wait_all_tasks_blocked()
        shop.finish(0)
        await wait_all_tasks_blocked()
        shop.disk.set()
    assert sorted(shop.durable) == [1, 2]


async def test_a_full_disk_is_told_though_something_else_has_broken_the_run(
    autojump_clock: MockClock,
) -> None:
    is_asked = trio.Event()

    async def speak(row: int) -> int:
        if row == 0:
            await is_asked.wait()
            raise ProviderDown("nobody answers")
        return row

    async def record(rows: Sequence[int]) -> None:
        is_asked.set()
        with trio.CancelScope(shield=True):  # as a thread that writes
            await trio.sleep(6.0)
        raise OutputBroken("full")

    with pytest.raises(ExceptionGroup) as broken:
        await run_pool(rows_of(iter([[0, 1]])), [hand(speak)] * 2, record, Stop(30.0))
    assert {type(error) for error in leaves(broken.value)} == {OutputBroken, ProviderDown}


async def test_rows_that_cannot_be_read_break_the_run() -> None:
    def batches() -> Iterator[Sequence[int]]:
        yield [0]
        raise ManifestChanged("books.csv has changed")

    shop = Shop(workers=2)
    shop.disk.set()
    shop.finish(0)
    async with breaking(ManifestChanged):
        await shop.run(batches())
