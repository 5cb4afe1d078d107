"""Stripe's limits: which invoice cannot be sent.

What belongs here: the limits that an invoice of ours can exceed, as far as they are known before
anything is sent. What does not: the operator's own limits (`limits.py`), and the number of lines,
which are rolled up (`desired.py`).
"""

from __future__ import annotations

from billing_pipeline.collection.plan.closed_books import written_mark
from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.stripe_state.metadata_keys import (
    MAX_NUMBERED,
    MAX_VALUE_LENGTH,
    billed_for_marks,
    corrections_marks,
)
from billing_pipeline.money import format_minor

MAX_AMOUNT = 999_999_999_999
"""The largest amount of a line and of an invoice, in minor units."""
MAX_CHARGE = 99_999_999
"""The largest charge in most currencies, in minor units: eight digits. Some allow more."""


def beyond_stripe(send: DesiredInvoice) -> str | None:
    """Why Stripe could not take the invoice; None where it can."""
    largest = max([send.total, *(line.amount for line in send.lines)], key=abs)
    if abs(largest) > MAX_AMOUNT:
        amount = format_minor(largest, send.currency)
        return f"{amount} is more than Stripe can have on an invoice (12 digits)"
    corrections = corrections_marks(written_mark(send.corrections))
    marks = [*billed_for_marks(send.billed_for).values(), *corrections.values()]
    if sum(map(bool, marks)) > MAX_NUMBERED:
        return (
            f"the invoice has lines of {len(send.billed_for)} other customers and corrects "
            f"{len(send.corrections)} closed months, and Stripe's metadata cannot hold so many: "
            "let some of the customers be billed to another one (`bill_to` in customers.csv)"
        )
    if len(" ".join(send.together)) > MAX_VALUE_LENGTH:
        return (
            f"the customer has {len(send.together) + 1} invoices for the month, in as many "
            "currencies, and Stripe's metadata cannot hold so many: let some of what they pay for "
            "be billed to another customer (`bill_to` in customers.csv)"
        )
    return None
