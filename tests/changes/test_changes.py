"""A dozen sequences of what people change; `make changes` plays thousands."""

from __future__ import annotations

import pytest

from tests.changes.acts import ACTS
from tests.changes.edits import EDITS
from tests.changes.trials import play


@pytest.mark.parametrize("seed", range(12))
def test_whatever_people_change_nobody_is_billed_twice_or_stuck(seed: int) -> None:
    trial = play(seed, months=2)
    assert not trial.problems, trial.report()


def test_a_sequence_is_the_same_each_time() -> None:
    assert play(3, months=1).diary == play(3, months=1).diary


def test_a_few_dozen_sequences_have_every_kind_of_change() -> None:
    """So that none of them is there in name only."""
    assert len(EDITS) + len(ACTS) >= 50
