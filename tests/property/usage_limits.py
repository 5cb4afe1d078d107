"""The entitlements of a customer's plan, and their usage.

What belongs here: entitlement_usage. What does not: charging for what goes beyond.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tests.property.intake import Book, Subscription, month_edges, number
from tests.property.metering import measure
from tests.property.periods import runs
from tests.property.selection import everything
from tests.property.tables import Cells
from tests.property.values import round_half_away


@dataclass(frozen=True)
class Entitlement:
    """`used` is None for a feature flag, `limit` is None if it is unlimited."""

    plan_id: str
    used: Fraction | None
    limit: Fraction | None
    state: str

    @property
    def remaining(self) -> Fraction | None:
        """None if `limit` is None: an unlimited feature has no remaining quantity."""
        if self.limit is None:
            return None
        return max(self.limit - (self.used or Fraction(0)), Fraction(0))


def entitlement_usage(book: Book, month: str) -> dict[tuple[str, str], Entitlement]:
    """By customer and feature.

    Usage is counted over the whole calendar month ("reset each month"), whatever plan the
    customer was on when it happened.
    """
    edges = month_edges(month, book.zone)
    return {
        key: _used(book, subscription, row, *edges)
        for key, (subscription, row) in entitlements(book, month).items()
    }


def entitlements(book: Book, month: str) -> dict[tuple[str, str], tuple[Subscription, Cells]]:
    """By customer and feature: the plan that the customer had last in the month decides."""
    start, end = month_edges(month, book.zone)
    found: dict[tuple[str, str], tuple[Subscription, Cells]] = {}
    active = [
        run
        for subscription in book.subscriptions
        for run in runs(subscription)
        if max(run.start, start) < min(run.end, end)
    ]
    active.sort(key=lambda run: (run.start, run.subscription.subscription_id))
    for run in active:
        for row in book.entitlements.get(run.plan_id, []):
            found[run.subscription.customer_id, row["feature"]] = (run.subscription, row)
    return found


def _used(book: Book, subscription: Subscription, row: Cells, start: int, end: int) -> Entitlement:
    limit = number(row["limit_quantity"])
    if not row["meter_id"]:
        return Entitlement(row["plan_id"], None, None, "ok")
    meter = book.meters[row["meter_id"]]
    measured = measure(book, meter, subscription.customer_id, None, everything, start, end, start)
    # At the places that the table shows: a state that its own numbers contradict helps nobody.
    used = round_half_away(max(measured.quantity, Fraction(0)), 18)
    state = "ok"
    if limit is not None and used > limit:
        state = "exceeded"
    elif limit is not None and used > 0 and used >= limit * Fraction(4, 5):
        state = "warning"
    return Entitlement(row["plan_id"], used, limit, state)
