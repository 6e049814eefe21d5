"""The benchmark of the scheduling: that its provider keeps its word, and that it adds up."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

pytest.importorskip("websockets", reason="the peer of the benchmarks: the extra `bench`")

from benchmarks import scheduling
from benchmarks.paced import DONE, FAILED, REFUSED, Manners, Request


def requests(*spans: tuple[float, float], outcome: str = DONE) -> list[Request]:
    """Requests that came and went at these times, as they were meant to."""
    return [
        Request(came, 0.0, went - came, 0, went_at=went, outcome=outcome) for came, went in spans
    ]


def test_a_small_job_is_measured(tmp_path: Path) -> None:
    manners = Manners(limit=4, fails=0.2, refuses=0.1)
    case = scheduling.Case(name="4", manners=manners, lasts_s=3.0)
    found = scheduling.compare(tmp_path, [case])
    ours, theirs = found["cases"]["4"]["contenders"].values()
    for it in (ours, theirs):
        assert it["done"] >= case.rows > 4
        assert it["ratio"] >= 0.99
        assert it["requests"] > it["done"]
        assert 0.0 < it["refused"] < 0.5
        assert max(it["used"]) <= 1.0
    assert len(list(scheduling.lines(found))) == 4


def test_what_is_busy_all_the_time_takes_no_longer_than_it_must() -> None:
    found = scheduling._judge(requests((0, 2), (0, 3), (2, 4), (3, 4)), Manners(limit=2))
    assert (found["makespan_s"], found["bound_s"], found["ratio"]) == (4, 4, 1)
    assert found["used"] == [1, 1, 1, 1]


def test_nothing_takes_less_than_its_longest_request() -> None:
    assert scheduling._judge(requests((0, 9), (0, 1)), Manners(limit=4))["bound_s"] == 9


def test_what_was_refused_is_not_in_flight() -> None:
    some = [*requests((0, 4), (0, 4)), *requests((1, 1), (2, 2), outcome=REFUSED)]
    found = scheduling._judge(some, Manners(limit=2))
    assert (found["refused"], found["bound_s"], found["makespan_s"]) == (0.5, 4, 4)


def test_what_failed_was_in_flight() -> None:
    found = scheduling._judge(requests((0, 4), (0, 4), outcome=FAILED), Manners(limit=2))
    assert (found["done"], found["bound_s"]) == (0, 4)


def test_idle_time_is_told_by_where_it_is() -> None:
    found = scheduling._judge(requests((0, 4), (1, 4), (5, 7), (6, 9)), Manners(limit=2))
    idle = [found[f"idle_{name}_s"] for name in ("start", "middle", "end")]
    assert idle == [0.5, 1.5, 1.0]


def test_what_is_in_flight_when_the_limit_drops_goes_on() -> None:
    drops = Manners(limit=4, drops_at_s=2.0, drops_to=1)
    before = [(0, 2.5), (0, 3), (0, 3.5), (0, 4)]
    found = scheduling._judge(requests(*before, (4, 6), (6, 14), (14, 15)), drops)
    assert (found["bound_s"], found["makespan_s"], found["back_s"]) == (15, 15, 1.75)


def test_a_limit_that_is_not_used_again_is_told() -> None:
    drops = Manners(limit=4, drops_at_s=2.0, drops_to=2)
    found = scheduling._judge(requests((0, 2), (0, 2), (0, 2), (0, 2), (3, 20), (21, 22)), drops)
    assert math.isinf(found["back_s"])
