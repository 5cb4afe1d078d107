"""When a failed payment is due to be tried again, and when it is given up. Pure.

What belongs here: the policy, and what it makes the next step for one invoice. What does not:
trying (`dunning.py`), and who is overdue (`tables.py`).

Due times count from what was done, not from a calendar: a try that was made late delays the later
ones by as much, so that missed tries are not all made up for at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
    PaymentState,
)
from billing_pipeline.settings import Settings

HOUR = 3600

LATE = 2 * HOUR
"""Seconds after its due time up to which a try is on time: the schedule runs once an hour."""


class AfterLastTry(StrEnum):
    """What happens to an invoice whose last try failed."""

    UNCOLLECTIBLE = "uncollectible"
    LEAVE_OPEN = "leave_open"


@dataclass(frozen=True)
class DunningPolicy:
    """When to try again, in hours after the first failure (ascending), and what happens after the
    last try. A late try delays the later ones (`start_after`)."""

    try_after_hours: tuple[int, ...] = (0, 72, 144)
    after_last_try: AfterLastTry = AfterLastTry.UNCOLLECTIBLE

    def __post_init__(self) -> None:
        hours = self.try_after_hours
        if any(hour < 0 for hour in hours) or any(
            later <= earlier for earlier, later in pairwise(hours)
        ):
            raise ValueError(f"the hours of the tries must grow from 0 or more, not {hours}")

    @classmethod
    def of(cls, settings: Settings) -> DunningPolicy:
        return cls(settings.dunning_hours, AfterLastTry(settings.dunning_end))


class DueKind(StrEnum):
    TRY = "try"
    CARD = "card"
    """A try with another payment method than the one that failed: it uses up no due time."""
    GIVE_UP = "give_up"


@dataclass(frozen=True)
class Due:
    """What comes next for an unpaid invoice, and from when (epoch seconds)."""

    kind: DueKind
    number: int
    at: int


def next_due(policy: DunningPolicy, start: int, tries: int) -> Due | None:
    """The step after `tries` failed tries; None where there is none. The hours count from `start`
    (epoch seconds, `ActualInvoice.dunning_from`). Pure."""
    if tries < len(policy.try_after_hours):
        return Due(DueKind.TRY, tries + 1, start + policy.try_after_hours[tries] * HOUR)
    if policy.after_last_try is AfterLastTry.LEAVE_OPEN:
        return None
    last = policy.try_after_hours[-1] * HOUR if policy.try_after_hours else 0
    return Due(DueKind.GIVE_UP, tries, start + last)


def start_after(start: int, due: Due, made_at: int) -> int:
    """The time from which the later tries count, once this one was made at `made_at` (all epoch
    seconds): a late try delays them. Pure."""
    late = made_at - due.at
    return start + late if late > LATE else start


def is_in_dunning(invoice: ActualInvoice) -> bool:
    """True for an unpaid invoice that is charged automatically and whose first charge was tried, or
    could not be. False while a bank processes a debit: such a payment is neither tried again nor
    given up."""
    return (
        invoice.status is InvoiceStatus.OPEN
        and invoice.payment is not PaymentState.PROCESSING
        and invoice.collection_method == "charge_automatically"
        and invoice.amount_remaining > 0
        and (invoice.attempt_count > 0 or invoice.attempted or invoice.last_error is not None)
    )


def due_of(invoice: ActualInvoice, policy: DunningPolicy) -> Due | None:
    """What comes next for this invoice, if it is in dunning at all."""
    if not is_in_dunning(invoice):
        return None
    return next_due(policy, invoice.dunning_from, invoice.dunning_tries)
