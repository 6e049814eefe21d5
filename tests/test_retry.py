from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

import pytest
import trio
from trio.testing import MockClock

from batchtts.errors import (
    AttemptError,
    NotConnected,
    RateLimited,
    ScriptRejected,
    SessionLost,
    Stalled,
    Unauthorized,
)
from batchtts.run.retry import RetryPolicy


class Tries:
    """Something that fails in these ways, one after another, and then succeeds."""

    def __init__(self, failures: Iterator[BaseException | None]) -> None:
        self._failures = failures
        self.at: list[float] = []
        self.told: list[tuple[str, float]] = []

    def tell(self, error: AttemptError, wait_s: float) -> None:
        self.told.append((error.code, wait_s))

    async def run(self, policy: RetryPolicy) -> str:
        async for attempt in policy.controller(self.tell):
            with attempt:
                self.at.append(trio.current_time())
                await trio.lowlevel.checkpoint()
                failure = next(self._failures)
                if failure is not None:
                    raise failure
                return "spoken"
        raise AssertionError("neither spoken nor failed")


def tries(*failures: BaseException) -> Tries:
    return Tries(chain(failures, repeat(None)))


def for_ever(failure: BaseException) -> Tries:
    return Tries(repeat(failure))


async def test_what_succeeds_is_tried_once(autojump_clock: MockClock) -> None:
    it = tries()
    assert await it.run(RetryPolicy()) == "spoken"
    assert (len(it.at), it.told) == (1, [])


async def test_a_lost_attempt_is_followed_by_another(autojump_clock: MockClock) -> None:
    it = tries(Stalled("no first audio"), SessionLost("closed"))
    assert await it.run(RetryPolicy()) == "spoken"
    assert [code for code, _ in it.told] == ["stalled", "session_lost"]


async def test_the_last_failure_is_the_one_that_is_raised(autojump_clock: MockClock) -> None:
    it = tries(Stalled("1"), Stalled("2"), SessionLost("3"), Stalled("4"))
    with pytest.raises(SessionLost, match=r"^3$"):
        await it.run(RetryPolicy(attempts=3))
    assert len(it.at) == 3
    assert len(it.told) == 2


async def test_one_attempt_means_no_retry(autojump_clock: MockClock) -> None:
    with pytest.raises(Stalled):
        await for_ever(Stalled("")).run(RetryPolicy(attempts=1))
    assert trio.current_time() == 0.0


@pytest.mark.parametrize(
    "error",
    [ScriptRejected("no"), Unauthorized("401"), ValueError(), ExceptionGroup("", [OSError()])],
)
async def test_what_another_attempt_cannot_mend_is_not_tried_again(
    autojump_clock: MockClock, error: Exception
) -> None:
    it = tries(error)
    with pytest.raises(type(error)) as raised:
        await it.run(RetryPolicy())
    assert raised.value is error
    assert len(it.at) == 1


async def test_what_costs_nothing_uses_up_nothing(autojump_clock: MockClock) -> None:
    free = [NotConnected("refused"), RateLimited("429")] * 25
    it = tries(*free, Stalled("1"), *free, Stalled("2"), *free)
    assert await it.run(RetryPolicy(attempts=3)) == "spoken"
    assert len(it.at) == 153


async def test_failures_that_cost_add_up_whatever_comes_between(autojump_clock: MockClock) -> None:
    it = tries(Stalled("1"), RateLimited("429"), Stalled("2"), RateLimited("429"))
    with pytest.raises(Stalled, match=r"^2$"):
        await it.run(RetryPolicy(attempts=2))


async def test_every_wait_is_drawn_from_a_window_that_doubles_up_to_the_ceiling(
    autojump_clock: MockClock,
) -> None:
    policy = RetryPolicy(attempts=12, base_s=0.5, ceiling_s=8.0)
    windows = [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    drawn = []
    for _ in range(50):
        it = for_ever(Stalled(""))
        with pytest.raises(Stalled):
            await it.run(policy)
        waits = [wait_s for _, wait_s in it.told]
        assert all(0.0 <= wait_s <= window for wait_s, window in zip(waits, windows, strict=True))
        drawn.append(waits)
    longest = [max(waits) for waits in zip(*drawn, strict=True)]
    assert all(most > window / 2 for most, window in zip(longest, windows, strict=True))


async def test_it_waits_as_long_as_it_says(autojump_clock: MockClock) -> None:
    it = for_ever(Stalled(""))
    with pytest.raises(Stalled):
        await it.run(RetryPolicy())
    waited = [later - earlier for earlier, later in zip(it.at, it.at[1:], strict=False)]
    assert waited == pytest.approx([wait_s for _, wait_s in it.told])


async def test_who_cannot_be_reached_is_tried_again_soon(autojump_clock: MockClock) -> None:
    it = tries(*[NotConnected("refused")] * 1200)
    await it.run(RetryPolicy())
    assert max(wait_s for _, wait_s in it.told) <= RetryPolicy().knock_ceiling_s


async def test_who_waits_for_a_slot_anyway_waits_no_longer_than_that(
    autojump_clock: MockClock,
) -> None:
    refused, refused_with_a_wish = RateLimited("429"), RateLimited("429", retry_after_s=20.0)
    refused.queues_again = refused_with_a_wish.queues_again = True
    it = tries(*[refused] * 50, refused_with_a_wish)
    await it.run(RetryPolicy())
    waits = [wait_s for _, wait_s in it.told]
    assert max(waits[:50]) <= RetryPolicy().base_s
    assert waits[50] == 20.0


async def test_the_wish_of_the_provider_comes_first(autojump_clock: MockClock) -> None:
    it = tries(
        RateLimited("429", retry_after_s=5.0),
        NotConnected("503", retry_after_s=90.0),
        Stalled("", retry_after_s=0.0),
    )
    await it.run(RetryPolicy())
    assert it.at == [0.0, 5.0, 95.0, 95.5]


async def test_the_wish_of_the_provider_has_its_limits(autojump_clock: MockClock) -> None:
    it = tries(RateLimited("429", retry_after_s=86_400.0))
    await it.run(RetryPolicy())
    assert it.at == [0.0, 300.0]


async def test_two_tasks_do_not_meet_each_others_failures(autojump_clock: MockClock) -> None:
    async def fail(name: str, pause_s: float) -> None:
        async for attempt in policy.controller(lambda _, __: None):
            with attempt:
                await trio.sleep(pause_s)
                raise Stalled(name)

    async def expect(name: str, pause_s: float) -> None:
        with pytest.raises(Stalled, match=f"^{name}$"):
            await fail(name, pause_s)

    policy = RetryPolicy(attempts=5)
    async with trio.open_nursery() as nursery:
        for n in range(10):
            nursery.start_soon(expect, f"worker-{n}", 0.1 + n / 100)


async def test_a_dropped_attempt_is_dropped_at_once(autojump_clock: MockClock) -> None:
    attempts = 0
    with trio.move_on_after(7) as scope:
        async for attempt in RetryPolicy().controller(lambda _, __: None):
            with attempt:
                attempts += 1
                await trio.sleep_forever()
    assert scope.cancelled_caught
    assert (attempts, trio.current_time()) == (1, 7.0)


async def test_a_wait_is_dropped_at_once(autojump_clock: MockClock) -> None:
    with trio.move_on_after(7) as scope:
        await tries(RateLimited("429", retry_after_s=1000.0)).run(RetryPolicy())
    assert scope.cancelled_caught
    assert trio.current_time() == 7.0
