from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtts.run.pace import (
    PAUSE_MOST_S,
    PAUSE_S,
    PROBE,
    PROOF,
    Breaker,
    InFlight,
    Turn,
)

# Requests in flight


def full(pace: InFlight) -> Turn:
    """Send the last request that may be sent."""
    return pace.send(pace.limit)


def refuse(pace: InFlight, times: int = 1) -> list[float]:
    """Each is refused at once, with all others still in flight."""
    return [pace.refused(full(pace), pace.limit - 1) for _ in range(times)]


def answer(pace: InFlight, times: int, *, is_full: bool = True) -> None:
    for _ in range(times):
        pace.succeeded(full(pace), is_full=is_full)


def test_all_that_is_allowed_is_allowed_at_first() -> None:
    assert InFlight(8).limit == 8
    assert InFlight(8, limit=3).limit == 3
    assert InFlight(8, limit=30).limit == 8


def test_one_refusal_of_what_went_well_before_is_chance() -> None:
    pace = InFlight(16)
    answer(pace, PROOF)
    refuse(pace)
    assert pace.limit == 16


@pytest.mark.parametrize(("limit", "refusals"), [(16, 2), (64, 3)])
def test_a_few_in_a_row_are_not_and_halve_the_limit(limit: int, refusals: int) -> None:
    pace = InFlight(limit)
    answer(pace, PROOF)
    refuse(pace, refusals - 1)
    assert pace.limit == limit
    refuse(pace)
    assert pace.limit == limit // 2


def test_refusals_far_apart_are_not_in_a_row() -> None:
    pace = InFlight(16)
    for _ in range(5):
        refuse(pace)
        answer(pace, 100)
    assert pace.limit == 16


def test_what_is_sent_after_a_cut_and_refused_cuts_at_once() -> None:
    pace = InFlight(64)
    refuse(pace, 3)
    limits = [pace.limit]
    for _ in range(3):
        refuse(pace)
        limits.append(pace.limit)
    assert limits == [32, 16, 8, 4]


def test_what_was_sent_before_a_cut_and_is_refused_cuts_no_more() -> None:
    pace = InFlight(64)
    sent = [pace.send(number + 1) for number in range(64)]
    for still_in_flight, turn in zip(range(63, 31, -1), sent[32:], strict=True):
        pace.refused(turn, still_in_flight)
    assert pace.limit == 32


def test_nor_is_there_more_allowed_than_was_taken() -> None:
    pace = InFlight(64)
    sent = [pace.send(number + 1) for number in range(64)]
    for still_in_flight, turn in zip(range(63, 9, -1), sent[10:], strict=True):
        pace.refused(turn, still_in_flight)
    assert pace.limit == 10


def test_after_a_cut_each_success_lets_in_one_more_up_to_what_was_refused() -> None:
    pace = InFlight(16)
    refuse(pace, 2)
    grown = []
    for _ in range(9):
        answer(pace, 1)
        grown.append(pace.limit)
    assert grown == [9, 10, 11, 12, 13, 14, 15, 15, 15]


def test_what_was_sent_before_a_cut_and_goes_well_lets_in_nobody() -> None:
    pace = InFlight(16)
    earlier = full(pace)
    refuse(pace, 2)
    pace.succeeded(earlier, is_full=True)
    assert pace.limit == 8


def test_nobody_more_is_let_in_where_the_limit_is_not_reached() -> None:
    pace = InFlight(16, limit=8)
    answer(pace, 100, is_full=False)
    assert pace.limit == 8


def test_a_step_too_far_is_taken_back_and_no_more_than_that() -> None:
    pace = InFlight(64, limit=20)
    answer(pace, 10, is_full=False)
    answer(pace, 10, is_full=False)
    answer(pace, 5)
    refuse(pace)
    assert pace.limit == 24  # it was 25


def test_one_more_is_tried_again_after_a_row_of_successes_longer_each_time() -> None:
    pace = InFlight(64, limit=16)
    answer(pace, 16, is_full=False)
    answer(pace, 1)
    refuse(pace)
    assert pace.limit == 16
    tried = []
    for number in range(1, 5 * PROBE):
        answer(pace, 1)
        if pace.limit == 17:
            tried.append(number)
            refuse(pace)
            assert pace.limit == 16
    assert tried == [PROBE, 3 * PROBE]


def test_a_limit_that_rises_is_found_by_that() -> None:
    pace = InFlight(64, limit=16)
    answer(pace, 16, is_full=False)
    answer(pace, 1)
    refuse(pace)
    answer(pace, PROBE)
    assert pace.limit == 17
    answer(pace, 17 + 47)
    assert pace.limit == 64


def test_more_refusals_than_chance_has_take_one_away() -> None:
    pace = InFlight(16)
    answer(pace, PROOF)
    for _ in range(6):
        refuse(pace)
        answer(pace, 10)
    assert pace.limit == 14


def test_who_is_refused_alone_waits_longer_each_time() -> None:
    pace = InFlight(1)
    assert refuse(pace, 8) == [
        0.0,
        *(PAUSE_S * n for n in (1, 2, 4)),
        *([PAUSE_MOST_S] * 4),
    ]
    assert pace.limit == 1
    answer(pace, 1)
    assert refuse(pace, 2) == [0.0, PAUSE_S]


def test_what_is_learned_is_known_once_it_is_proven() -> None:
    pace = InFlight(64, limit=16)
    learned = [pace.learned]
    answer(pace, 16, is_full=False)
    answer(pace, 1)
    for _ in range(2):
        refuse(pace)
        learned.append(pace.learned)
    assert (pace.limit, learned) == (8, [None, 16, None])


def test_who_was_never_refused_has_learned_nothing() -> None:
    pace = InFlight(8)
    answer(pace, 100)
    assert pace.learned is None


happenings = st.lists(
    st.tuples(st.sampled_from(["send", "good", "refused"]), st.integers(0, 40)), max_size=200
)


@given(st.integers(1, 20), happenings)
def test_the_limit_stays_between_one_and_the_ceiling_and_no_error_raises_it(
    ceiling: int, happenings: list[tuple[str, int]]
) -> None:
    pace = InFlight(ceiling)
    sent: list[Turn] = []
    for what, which in happenings:
        before = pace.limit
        if what == "send" or not sent:
            sent.append(pace.send(min(len(sent) + 1, pace.limit)))
            assert pace.limit == before
            continue
        turn = sent.pop(which % len(sent))
        if what == "good":
            pace.succeeded(turn, is_full=len(sent) >= pace.limit)
            assert before <= pace.limit <= min(ceiling, before + 1)
        else:
            assert 0.0 <= pace.refused(turn, len(sent)) <= PAUSE_MOST_S
            assert 1 <= pace.limit <= before


@given(st.integers(1, 20), happenings)
def test_who_refuses_everything_is_asked_less_and_less_whatever_came_before(
    ceiling: int, happenings: list[tuple[str, int]]
) -> None:
    pace = InFlight(ceiling)
    sent: list[Turn] = []
    for what, which in happenings:
        if what == "send" or not sent:
            sent.append(pace.send(min(len(sent) + 1, pace.limit)))
        elif what == "good":
            pace.succeeded(sent.pop(which % len(sent)), is_full=len(sent) >= pace.limit)
        else:
            pace.refused(sent.pop(which % len(sent)), len(sent))
    for turn in sent:
        pace.refused(turn, 0)
    pauses = [pace.refused(pace.send(1), 0) for _ in range(16)]
    assert pauses[-1] == PAUSE_MOST_S


# A provider, and runs that always have work for it, in virtual time


@dataclass
class Run:
    """One run's share of a provider."""

    pace: InFlight
    held: int = 0
    sent: int = 0
    refused: int = 0
    shut_until: float = 0.0


@dataclass
class World:
    """A provider with a limit, and how well it was used."""

    runs: Sequence[Run]
    limit: Callable[[float], int]
    fails: float = 0.0
    refuses: float = 0.0
    trip_s: float = 0.005  # one way
    lingers_s: float = 0.5  # from the end of a request until it counts as good
    random: Random = field(default_factory=lambda: Random(0))
    now: float = 0.0
    in_flight: int = 0
    used: Counter[int] = field(default_factory=Counter)  # milliseconds of requests, by second
    allowed: Counter[int] = field(default_factory=Counter)
    due: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    count: int = 0

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self.count += 1
        heappush(self.due, (self.now + seconds, self.count, act))

    def go_on(self, until: float) -> World:
        for run in self.runs:
            self.fill(run)
        while self.due and self.now < until:
            then, _, act = heappop(self.due)
            span_ms = 1e3 * (then - self.now)
            most = self.limit(self.now)
            self.used[int(self.now)] += span_ms * min(self.in_flight, most)  # type: ignore[assignment]
            self.allowed[int(self.now)] += span_ms * most  # type: ignore[assignment]
            self.now = then
            act()
        return self

    def fill(self, run: Run) -> None:
        while run.held < run.pace.limit and self.now >= run.shut_until:
            run.held += 1
            run.sent += 1
            turn = run.pace.send(run.held)
            self.after(self.trip_s, lambda turn=turn: self.arrive(run, turn))  # type: ignore[misc]

    def arrive(self, run: Run, turn: Turn) -> None:
        is_refused = self.in_flight >= self.limit(self.now)
        if is_refused or self.random.random() < self.refuses:
            self.after(self.trip_s, lambda: self.refuse(run, turn))
            return
        self.in_flight += 1
        first_s = 0.3 * math.exp(self.random.gauss(0.0, 0.5))
        takes_s = first_s + math.exp(self.random.gauss(1.5, 0.5)) / 5.0
        is_good = self.random.random() >= self.fails
        self.after(takes_s, lambda: self.leave(run, turn, is_good))

    def leave(self, run: Run, turn: Turn, is_good: bool) -> None:
        self.in_flight -= 1
        self.after(self.trip_s, lambda: self.free(run, turn, is_good))

    def free(self, run: Run, turn: Turn, is_good: bool) -> None:
        run.held -= 1
        if is_good:
            self.after(self.lingers_s, lambda: self.count_in(run, turn))
        self.fill(run)

    def count_in(self, run: Run, turn: Turn) -> None:
        run.pace.succeeded(turn, is_full=run.held >= run.pace.limit)
        self.fill(run)

    def refuse(self, run: Run, turn: Turn) -> None:
        run.held -= 1
        run.refused += 1
        if pause_s := run.pace.refused(turn, run.held):
            run.shut_until = self.now + pause_s
            self.after(pause_s, lambda: self.fill(run))
        self.fill(run)

    def use(self, since: int, until: int) -> float:
        """How much of what is allowed is used."""
        seconds = range(since, until)
        return sum(self.used[at] for at in seconds) / sum(self.allowed[at] for at in seconds)

    @property
    def refused(self) -> float:
        """The share of all requests that is refused."""
        return sum(run.refused for run in self.runs) / sum(run.sent for run in self.runs)


def run(allowed: int) -> Run:
    return Run(InFlight(allowed))


every_limit = pytest.mark.parametrize("limit", [4, 16, 64, 256])


@every_limit
@pytest.mark.parametrize("fails", [0.0, 0.02])
def test_a_limit_that_is_known_is_used(limit: int, fails: float) -> None:
    it = World([run(limit)], lambda _: limit, fails=fails).go_on(60)
    assert it.refused == 0.0
    assert it.use(1, 59) > 0.985  # the trips are missing


@every_limit
def test_refusals_by_chance_cost_next_to_nothing(limit: int) -> None:
    it = World([run(limit)], lambda _: limit, fails=0.02, refuses=0.01).go_on(120)
    assert it.use(1, 119) > 0.95
    assert it.refused < 0.02


@every_limit
def test_a_limit_that_is_not_known_is_found(limit: int) -> None:
    it = World([run(2 * limit)], lambda _: limit, fails=0.02).go_on(300)
    assert it.use(10, 299) > 0.95
    assert it.refused < 0.02


@pytest.mark.parametrize("limit", [16, 64, 256])
@pytest.mark.parametrize("seed", range(3))
def test_a_limit_that_drops_to_a_quarter_is_found_in_seconds(limit: int, seed: int) -> None:
    drops = World([run(limit)], lambda now: limit if now < 20 else limit // 4, fails=0.02)
    drops.random.seed(seed)
    drops.go_on(120)
    assert drops.use(30, 119) > 0.95
    assert drops.runs[0].refused <= 20 + limit / 64
    assert drops.refused < (0.02 if limit == 16 else 0.01)


@pytest.mark.parametrize("limit", [16, 64, 256])
def test_a_limit_that_rises_again_is_found_again(limit: int) -> None:
    rises = World([run(limit)], lambda now: limit // 4 if 20 <= now < 60 else limit, fails=0.02)
    rises.go_on(250)
    assert rises.use(150, 249) > 0.95
    assert rises.refused < 0.01


def test_a_far_away_provider_is_not_asked_for_too_much_for_ever() -> None:
    it = World([run(64)], lambda now: 64 if now < 20 else 16, trip_s=0.05).go_on(120)
    assert it.use(30, 119) > 0.85  # of 1.4 s a request is on its way for 0.1
    assert it.refused < 0.03


@pytest.mark.parametrize("runs", [2, 4])
def test_runs_that_share_a_limit_use_it_and_none_of_them_starves(runs: int) -> None:
    it = World([run(64) for _ in range(runs)], lambda _: 64, fails=0.02).go_on(240)
    assert it.use(5, 239) > 0.9
    assert it.refused < 0.05
    # Who came first keeps the most: fair shares are for `--in-flight` to set.
    assert min(each.sent - each.refused for each in it.runs) > 100


def test_a_provider_that_takes_nothing_for_a_while_is_asked_little_and_found_again() -> None:
    it = World([run(64)], lambda now: 0 if 20 <= now < 60 else 64).go_on(120)
    assert it.runs[0].refused < 40
    assert it.use(75, 119) > 0.95


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


def test_a_few_refusals_for_long_enough_mean_down_however_many_workers_there_are() -> None:
    it = Breaker(failures=1000, patience_s=60.0)
    refused = [it.failed(now - 1.0, now, busy=True) for now in range(1, 70)]
    assert refused.index(True) == 59
    assert not Breaker(failures=1000, patience_s=60.0).failed(0.0, 60.0, busy=True)


@pytest.mark.parametrize("patience_s", [0.0, 5.0])
def test_the_first_patience_is_never_the_longer_one(patience_s: float) -> None:
    it = Breaker(failures=1, patience_s=patience_s)
    assert it.failed(0.0, patience_s)
