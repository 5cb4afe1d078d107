"""Single faults at every request that changes something, and a few dozen random schedules.

`make faults` tries every request and thousands of schedules: see `__main__.py`.
"""

from __future__ import annotations

import pytest

from tests.faults.kinds import FAULTS
from tests.faults.trials import (
    changes_of,
    play_publishing,
    play_random,
    play_single,
    writes_of,
)

TELLING = ("kill-after", "kill-in-flight", "other-month")
"""The faults that wallets are most likely to be wronged by; the others: `make faults`."""


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_at_any_change_changes_nothing_in_the_end(fault: str) -> None:
    for change in range(1, changes_of("small") + 1):
        trial = play_single("small", fault, change)
        assert trial.faults == [fault]
        assert not trial.problems, trial.report()


@pytest.mark.parametrize("fault", TELLING)
def test_and_neither_to_wallets_bad_cards_and_sent_invoices(fault: str) -> None:
    for change in range(1, changes_of("wallets") + 1):
        trial = play_single("wallets", fault, change)
        assert not trial.problems, trial.report()


@pytest.mark.parametrize("seed", range(30))
def test_several_faults_by_chance(seed: int) -> None:
    trial = play_random(seed)
    assert not trial.problems, trial.report()


def test_a_publication_that_dies_at_a_write_shows_no_half() -> None:
    """Every seventh write: so that each kind of them is met. All of them: `make faults`."""
    for write in range(1, writes_of("small") + 1, 7):
        trial = play_publishing("small", write)
        assert trial.faults == ["crash-publishing"]
        assert not trial.problems, trial.report()
