from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from batchtts.run.budget import Budget

CENT = 0.01

#: What a row would cost at first, and what each attempt adds if it fails; in cents.
rows = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), max_size=20)


def test_without_a_limit_everything_fits() -> None:
    budget = Budget()
    assert budget.reserve(1e9)


def test_what_fits_exactly_fits() -> None:
    budget = Budget(0.3)
    assert [budget.reserve(0.1) for _ in range(4)] == [True, True, True, False]


def test_a_budget_of_nothing_takes_what_costs_nothing() -> None:
    budget = Budget(0.0)
    assert budget.reserve(0.0)
    assert not budget.reserve(1e-6)


def test_what_is_refused_is_not_set_aside() -> None:
    budget = Budget(1.0)
    assert not budget.reserve(1.5)
    assert budget.reserve(1.0)


def test_what_was_set_aside_and_not_spent_is_free_again() -> None:
    budget = Budget(1.0)
    assert budget.reserve(1.0)
    budget.settle(1.0, 0.25)
    assert (budget.spent_usd, budget.reserved_usd) == (0.25, 0.0)
    assert budget.reserve(0.75)
    assert not budget.reserve(0.01)


@given(rows, st.integers(0, 200), st.randoms(use_true_random=False), st.integers(1, 6))
def test_never_is_more_spent_than_there_is(
    costs: list[list[int]], most: int, chance: Random, workers: int
) -> None:
    """However the attempts of the workers take turns."""

    budget = Budget(most * CENT)
    waiting = [list(each) for each in costs]
    at_work: list[tuple[list[int], int]] = []  # attempts still to come, cents set aside
    spent = 0
    while waiting or at_work:
        if waiting and len(at_work) < workers and chance.random() < 0.6:
            at_work.append((waiting.pop(), 0))
        if not at_work:
            continue
        attempts, held = at_work.pop(chance.randrange(len(at_work)))
        if attempts and budget.reserve(attempts[0] * CENT):
            at_work.append((attempts[1:], held + attempts[0]))
        else:
            used = chance.randint(0, held)
            budget.settle(held * CENT, used * CENT)
            spent += used
        assert budget.spent_usd + budget.reserved_usd <= most * CENT + 1e-9
        held_now = sum(each for _, each in at_work)
        assert abs(budget.reserved_usd - held_now * CENT) < 1e-9
    assert spent <= most
    assert abs(budget.spent_usd - spent * CENT) < 1e-9
