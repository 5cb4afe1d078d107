"""A few sequences of what people change; `make changes` plays thousands."""

from __future__ import annotations

import pytest

from tests.changes.trials import play

SEEDS = (*range(12), 19, 24, 31, 52)
"""A dozen, and those that tell of mistakes which the dozen does not meet."""
CLOSED_BOOKS = (2, 8)
"""With books that are closed behind the first month: corrections come as supplements and as credit
notes, and an approval meets a closed month."""


@pytest.mark.parametrize(
    "seed", [*SEEDS[:8], *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[8:])]
)
def test_no_change_by_people_bills_twice_or_blocks_a_customer(seed: int) -> None:
    trial = play(seed, months=2, with_books=seed % 3 == 1)
    assert not trial.problems, trial.report()


@pytest.mark.slow
@pytest.mark.parametrize("seed", CLOSED_BOOKS)
def test_closed_books_bill_what_the_months_come_to_and_nothing_twice(seed: int) -> None:
    trial = play(seed, months=2, locks=True, with_books=seed == 8)
    assert trial.changes["lock_books"] and not trial.problems, trial.report()


def test_a_sequence_is_the_same_each_time() -> None:
    assert play(3, months=1).diary == play(3, months=1).diary
