from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.run.pace import CUT_EVERY_S, Breaker, InFlight

# Requests in flight


def test_all_that_is_allowed_is_allowed_at_first() -> None:
    assert InFlight(8).limit == 8
    assert InFlight(8, limit=3).limit == 3


def test_a_refusal_cuts_to_seven_tenths() -> None:
    pace = InFlight(100)
    limits = []
    for now in range(0, 12, 2):
        pace.refused(float(now))
        limits.append(pace.limit)
    assert limits == [70, 49, 34, 23, 16, 11]


def test_refusals_close_together_are_one_refusal() -> None:
    pace = InFlight(100)
    for now in (10.0, 10.1, 11.99):
        pace.refused(now)
    assert pace.limit == 70
    pace.refused(10.0 + CUT_EVERY_S)
    assert pace.limit == 49


def test_one_request_is_always_allowed() -> None:
    pace = InFlight(2)
    for now in range(0, 20, 2):
        pace.refused(float(now))
    assert pace.limit == 1


def test_a_window_of_successes_lets_in_one_more() -> None:
    pace = InFlight(10, limit=3)
    grown = []
    for _ in range(12):
        pace.succeeded()
        grown.append(pace.limit)
    assert grown == [3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 6]


def test_a_refusal_begins_the_window_anew() -> None:
    pace = InFlight(10, limit=3)
    pace.succeeded()
    pace.succeeded()
    pace.refused(0.0)
    assert pace.limit == 2
    pace.succeeded()
    assert pace.limit == 2
    pace.succeeded()
    assert pace.limit == 3


events = st.lists(st.one_of(st.none(), st.floats(0, 10)), max_size=200)


@given(st.integers(1, 20), events)
def test_the_limit_stays_between_one_and_the_ceiling(
    ceiling: int, refusals: list[float | None]
) -> None:
    pace, now = InFlight(ceiling), 0.0
    for after_s in refusals:
        before = pace.limit
        if after_s is None:
            pace.succeeded()
            assert before <= pace.limit <= min(ceiling, before + 1)
        else:
            now += after_s
            pace.refused(now)
            assert 1 <= pace.limit <= before


# A provider that is down


def breaker(*, has_spoken: bool = True) -> Breaker:
    made = Breaker(failures=3, patience_s=60.0, first_patience_s=10.0)
    if has_spoken:
        made.succeeded()
    return made


def fail(it: Breaker, *times: float) -> list[bool]:
    """Attempts of one second each that fail at these times."""
    return [it.failed(now - 1.0, now) for now in times]


def test_failures_in_a_row_for_long_enough_mean_down() -> None:
    assert fail(breaker(), 1, 30, 59.9, 60, 61) == [False, False, False, True, True]


def test_a_few_failures_mean_nothing_however_long_they_take() -> None:
    assert fail(breaker(), 1, 1000, 1001) == [False, False, True]


def test_many_failures_mean_nothing_if_they_are_quick() -> None:
    assert not any(fail(breaker(), *(1 + n / 100 for n in range(1000))))


def test_one_success_and_the_count_begins_anew() -> None:
    it = breaker()
    assert fail(it, 1, 30, 59) == [False] * 3
    it.succeeded()
    assert it.is_closed
    assert fail(it, 61, 90, 119) == [False] * 3
    assert fail(it, 120) == [True]


def test_the_clock_starts_when_the_first_failed_attempt_began() -> None:
    it = breaker()
    assert it.lasting_s(100.0) == 0.0
    it.failed(5.0, 20.0)
    assert it.lasting_s(20.0) == 15.0
    assert not it.is_closed


def test_before_the_first_success_patience_is_shorter() -> None:
    assert fail(breaker(has_spoken=False), 1, 9.9, 10, 11) == [False, False, True, True]


def test_where_nobody_answers_at_all_one_attempt_is_enough() -> None:
    assert breaker(has_spoken=False).failed(0.0, 10.0, unreachable=True)
    assert not breaker(has_spoken=False).failed(0.0, 9.9, unreachable=True)
    assert not breaker().failed(0.0, 59.9, unreachable=True)


def test_who_answers_that_it_is_busy_is_not_down() -> None:
    it = breaker(has_spoken=False)
    assert not any(it.failed(now - 1.0, now, busy=True) for now in (1.0, 20.0, 40.0, 59.9))
    assert it.failed(59.0, 60.0, busy=True)


@pytest.mark.parametrize("patience_s", [0.0, 5.0])
def test_the_first_patience_is_never_the_longer_one(patience_s: float) -> None:
    it = Breaker(failures=1, patience_s=patience_s)
    assert it.failed(0.0, patience_s)
