"""Single faults at a share of the requests that change something, and a dozen random schedules.

`make faults` tries every fault at every request and thousands of schedules: see `__main__.py`.
"""

from __future__ import annotations

import pytest

from tests.faults.kinds import FAULTS
from tests.faults.trials import (
    COMPANIES,
    changes_of,
    play_publishing,
    play_random,
    play_single,
    writes_of,
)

FAULT_KINDS = ("kill-after", "kill-in-flight", "other-month")
"""The faults that wallets are most likely to be wronged by; the others: `make faults`."""
SHARE = 10
"""Each kind strikes at every tenth change, the next kind at the changes after those: every change
is struck by a tenth of the kinds, and where there are wallets by one of the telling ones. All of
them at all changes: `make faults`."""


def share_of(company: str, fault: str) -> range:
    """The changes at which this fault is tried here."""
    kinds, step = (
        (list(FAULTS), SHARE) if company == "small" else (list(FAULT_KINDS), len(FAULT_KINDS))
    )
    return range(1 + kinds.index(fault) % step, changes_of(company) + 1, step)


@pytest.mark.parametrize("company", COMPANIES)
def test_every_change_is_struck(company: str) -> None:
    kinds = FAULTS if company == "small" else FAULT_KINDS
    struck = {change for fault in kinds for change in share_of(company, fault)}
    assert struck == set(range(1, changes_of(company) + 1))


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_at_any_change_changes_nothing_in_the_end(fault: str) -> None:
    for change in share_of("small", fault):
        trial = play_single("small", fault, change)
        assert trial.faults == [fault]
        assert not trial.problems, trial.report()


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULT_KINDS)
def test_and_neither_to_wallets_bad_cards_and_sent_invoices(fault: str) -> None:
    for change in share_of("wallets", fault):
        trial = play_single("wallets", fault, change)
        assert not trial.problems, trial.report()


@pytest.mark.parametrize("change", [3, 5], ids=["create", "add lines"])
def test_lists_that_are_late_bring_no_second_invoice(change: int) -> None:
    """A process dies right after a change, and the next one does not find it in any list yet."""
    trial = play_single("small", "kill-after", change, list_lag=5.0)
    assert trial.faults == ["kill-after"]
    assert not trial.problems, trial.report()


@pytest.mark.parametrize("seed", range(12))
def test_several_faults_by_chance(seed: int) -> None:
    trial = play_random(seed, with_books=seed % 3 == 1)
    assert not trial.problems, trial.report()


@pytest.mark.slow
def test_a_publication_that_dies_at_a_write_shows_no_half() -> None:
    """Every 23rd write: so that different kinds of them are met, as a publication has thirteen.
    All of them: `make faults`."""
    for write in range(1, writes_of("small") + 1, 23):
        trial = play_publishing("small", write)
        assert trial.faults == ["crash-publishing"]
        assert not trial.problems, trial.report()
