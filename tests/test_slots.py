"""Who may send next, in virtual time and against a model that sorts a list."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from batchtts.run.pace import InFlight
from batchtts.run.slots import Slot, Slots


class Crowd:
    """Slots, and people who want them."""

    def __init__(self, nursery: trio.Nursery, limit: int) -> None:
        self.pace = InFlight(64, limit)
        self.slots = Slots(self.pace)
        self.served: list[str] = []
        self._nursery = nursery
        self.scopes: dict[str, trio.CancelScope] = {}

    async def comes(self, name: str, urgency: int = 0) -> None:
        """Somebody wants a slot, and keeps it."""
        self._nursery.start_soon(self._come, name, urgency)
        await wait_all_tasks_blocked()

    async def _come(self, name: str, urgency: int) -> None:
        with trio.CancelScope() as self.scopes[name]:
            await self.slots.acquire(urgency)
            self.served.append(name)

    async def gives_up(self, name: str) -> None:
        """Somebody does not want one any more."""
        self.scopes[name].cancel()
        await wait_all_tasks_blocked()

    async def returns(self) -> None:
        """A slot comes back."""
        self.slots.release()
        await wait_all_tasks_blocked()

    async def allow(self, limit: int) -> None:
        """There are to be so many."""
        self.pace.limit = limit
        self.slots.serve()
        await wait_all_tasks_blocked()

    async def serve_all(self) -> None:
        """Slots come back until nobody waits."""
        while self.slots.waiting:
            await self.returns()


@asynccontextmanager
async def crowd(limit: int) -> AsyncIterator[Crowd]:
    async with trio.open_nursery() as nursery:
        yield Crowd(nursery, limit)
        nursery.cancel_scope.cancel()  # who still waits


async def test_as_many_are_served_as_there_are_slots(autojump_clock: MockClock) -> None:
    async with crowd(2) as it:
        for name in "abc":
            await it.comes(name)
        assert (it.served, it.slots.held, it.slots.waiting) == (["a", "b"], 2, 1)
        await it.returns()
        assert (it.served, it.slots.held, it.slots.waiting) == (["a", "b", "c"], 2, 0)


async def test_the_most_urgent_is_served_first_and_then_who_came_first(
    autojump_clock: MockClock,
) -> None:
    async with crowd(1) as it:
        await it.comes("first")
        for name, urgency in [("a", 0), ("b", 5), ("c", 0), ("d", 9), ("e", 5)]:
            await it.comes(name, urgency)
        await it.serve_all()
    assert it.served == ["first", "d", "b", "e", "a", "c"]


async def test_more_slots_are_handed_out_at_once(autojump_clock: MockClock) -> None:
    async with crowd(1) as it:
        for name in "abcd":
            await it.comes(name)
        await it.allow(3)
        assert (it.served[0], {*it.served[1:]}) == ("a", {"b", "c"})


async def test_of_fewer_slots_none_is_handed_out_until_enough_came_back(
    autojump_clock: MockClock,
) -> None:
    async with crowd(4) as it:
        for name in "abcde":
            await it.comes(name)
        await it.allow(2)
        for _ in range(2):
            await it.returns()
        assert (it.served, it.slots.held) == ([*"abcd"], 2)
        await it.returns()
        assert (it.served, it.slots.held) == ([*"abcde"], 2)


async def test_who_gives_up_is_not_served(autojump_clock: MockClock) -> None:
    async with crowd(1) as it:
        for name in "abc":
            await it.comes(name)
        await it.gives_up("b")
        assert it.slots.waiting == 1
        await it.returns()
        assert (it.served, it.slots.held, it.slots.waiting) == (["a", "c"], 1, 0)


async def test_who_gives_up_in_the_moment_of_being_served_loses_no_slot(
    autojump_clock: MockClock,
) -> None:
    async with crowd(1) as it:
        for name in "abc":
            await it.comes(name)
        it.slots.release()  # to b, who does not know it yet
        await it.gives_up("b")
        await it.serve_all()
        assert it.slots.held == 1
        assert it.served[-1] == "c"


async def test_who_is_served_in_the_moment_of_giving_up_gives_the_slot_back(
    autojump_clock: MockClock,
) -> None:
    async with crowd(1) as it:
        for name in "abc":
            await it.comes(name)
        it.scopes["b"].cancel()
        it.slots.release()  # to b, who has not left yet
        await wait_all_tasks_blocked()
        assert (it.served, it.slots.held, it.slots.waiting) == (["a", "c"], 1, 0)


async def test_who_was_dropped_before_asking_has_no_slot(autojump_clock: MockClock) -> None:
    slots = Slots(InFlight(1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await slots.acquire()
    assert (scope.cancelled_caught, slots.held) == (True, 0)


async def test_while_they_are_shut_nobody_is_served(autojump_clock: MockClock) -> None:
    async with crowd(1) as it, trio.open_nursery() as nursery:
        it.slots.shut()
        nursery.start_soon(it.slots.open_after, 3.0)
        await it.comes("a")
        assert it.served == []
        await trio.sleep(2.9)
        assert it.served == []
        await trio.sleep(0.2)
        assert it.served == ["a"]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("comes"), st.integers(0, 3)),
        st.tuples(st.just("allow"), st.integers(1, 4)),
        st.tuples(st.just("gives_up"), st.integers(0, 30)),
        st.tuples(st.just("returns"), st.just(0)),
    ),
    max_size=30,
)


class Model:
    """The same, by sorting a list."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self.served: list[str] = []
        self.queue: list[tuple[int, int, str]] = []

    def serve(self) -> None:
        while self.queue and self.held < self.limit:
            self.served.append(min(self.queue)[2])
            self.queue.remove(min(self.queue))
            self.held += 1


@given(st.integers(1, 4), steps)
def test_slots_do_what_sorting_a_list_does(limit: int, steps: list[tuple[str, int]]) -> None:
    async def main() -> None:
        async with crowd(limit) as it:
            model = Model(limit)
            for number, (step, value) in enumerate(steps):
                name = f"{number}"
                if step == "comes":
                    model.queue.append((-value, number, name))
                    await it.comes(name, value)
                elif step == "allow":
                    model.limit = value
                    await it.allow(value)
                elif step == "returns" and model.held:
                    model.held -= 1
                    await it.returns()
                elif step == "gives_up" and model.queue:
                    _, _, name = model.queue.pop(value % len(model.queue))
                    await it.gives_up(name)
                model.serve()
                assert {*it.served} == {*model.served}
                assert (it.slots.held, it.slots.waiting) == (model.held, len(model.queue))

    trio.run(main)


async def test_a_slot_is_given_back_once(autojump_clock: MockClock) -> None:
    slots = Slots(InFlight(1))
    slot = Slot(slots)
    slot.release()
    assert await slot.acquire() == 0.0
    slot.release()
    slot.release()
    assert slots.held == 0


async def test_a_slot_tells_how_long_it_was_waited_for(autojump_clock: MockClock) -> None:
    slots = Slots(InFlight(1))
    first, second = Slot(slots), Slot(slots)
    await first.acquire()
    waited = []

    async def wait() -> None:
        waited.append(await second.acquire())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(2.5)
        first.release()
    assert waited == pytest.approx([2.5])


async def test_a_refused_request_gives_nobody_its_slot_if_there_are_fewer_now(
    autojump_clock: MockClock,
) -> None:
    async with crowd(2) as it:
        mine = [Slot(it.slots), Slot(it.slots)]
        for slot in mine:
            await slot.acquire()
        await it.comes("next")
        await it.comes("after that")
        assert mine[0].refused() == 0.0
        await wait_all_tasks_blocked()
        assert it.served == ["next"]
        assert mine[1].refused() == 0.0
        await wait_all_tasks_blocked()
        assert (it.pace.limit, it.served) == (1, ["next"])
