"""Billing periods of a subscription and the parts of them that one price version covers.

What belongs here: time. What does not: usage and amounts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from tests.property.intake import Book, Price, Subscription, month_edges
from tests.property.values import DAY, instant_of

THIRTY_DAYS = 30 * DAY


@dataclass(frozen=True)
class Period:
    """A whole billing period, not yet cut to the subscription."""

    start: int
    end: int


@dataclass(frozen=True)
class Window:
    """A non-empty half-open stretch of time."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start

    def share_of(self, period: Period) -> Fraction:
        return Fraction(self.length, period.end - period.start)


def window(*edges: tuple[int, int]) -> Window | None:
    """The intersection of half-open intervals; None if it is empty."""
    start, end = max(edge[0] for edge in edges), min(edge[1] for edge in edges)
    return Window(start, end) if start < end else None


def billed_periods(book: Book, subscription: Subscription, month: str) -> Iterator[Period]:
    """The billing periods that are invoiced in the month, for this subscription."""
    month_start, month_end = month_edges(month, book.zone)
    if book.cycles[subscription.plan_id] != "30_days":
        yield Period(month_start, month_end)
        return
    start = subscription.starts_at
    while start < subscription.ends_at:
        end = start + THIRTY_DAYS
        if end > month_end:
            return
        if end > month_start:
            yield Period(start, end)
        start = end


def next_period(book: Book, subscription: Subscription, period: Period) -> Period:
    if book.cycles[subscription.plan_id] == "30_days":
        return Period(period.end, period.end + THIRTY_DAYS)
    local = instant_of(period.end).astimezone(book.zone)
    return Period(*month_edges(f"{local:%Y-%m}", book.zone))


def trial_part(subscription: Subscription, price: Price, period: Period) -> Window | None:
    return window(
        (period.start, period.end),
        (subscription.starts_at, min(subscription.ends_at, subscription.trial_ends_at)),
        (price.valid_from, price.valid_to),
    )


def paid_part(subscription: Subscription, price: Price, period: Period) -> Window | None:
    return window(
        (period.start, period.end),
        (subscription.trial_ends_at, subscription.ends_at),
        (price.valid_from, price.valid_to),
    )


def promised_part(subscription: Subscription, price: Price, period: Period) -> Window | None:
    """The paid part as it is charged in advance: as if the subscription went on."""
    return window(
        (period.start, period.end),
        (subscription.trial_ends_at, period.end),
        (price.valid_from, price.valid_to),
    )


def was_charged_in_advance(subscription: Subscription, period: Period) -> bool:
    """Whether the period before it carried this one's fee: begun before, and still active."""
    return subscription.starts_at < period.start < subscription.ends_at


def will_be_charged_in_advance(subscription: Subscription, period: Period) -> bool:
    """Whether this period's invoice carries the fee of the next one."""
    return subscription.starts_at < period.end < subscription.ends_at
