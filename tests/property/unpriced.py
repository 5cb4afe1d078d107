"""Accepted events that no price charges and no entitlement counts, and the reason.

What belongs here: unpriced_usage. What does not: rows that are rejected (intake.py), events that a
meter cannot read (usage_issues.py).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from tests.property.intake import Book, Event, month_edges
from tests.property.periods import runs
from tests.property.selection import reads
from tests.property.usage_limits import entitlements

# From the farthest from a price to the nearest: of several reasons the nearest counts.
REASONS = ("no_subscription", "no_price", "no_matching_filter", "price_gap")
Unpriced = tuple[str, str, str]  # customer, event name, reason


@dataclass(frozen=True)
class UnpricedUsage:
    """`first_at` and `last_at` are the instants of the first and the last of the events."""

    quantity: Fraction
    event_count: int
    first_at: int
    last_at: int


def unpriced_usage(book: Book, month: str) -> dict[Unpriced, UnpricedUsage]:
    """Of the month's own events; what a later month invoices, or a trial covers, is priced."""
    start, end = month_edges(month, book.zone)
    limited = {
        (customer_id, book.meters[row["meter_id"]].event_name)
        for (customer_id, _), (_, row) in entitlements(book, month).items()
        if row["meter_id"]
    }
    found: dict[Unpriced, list[Event]] = defaultdict(list)
    for (customer_id, event_name), events in book.events.items():
        if (customer_id, event_name) in limited:
            continue
        for event in events:
            reason = reason_of(book, event) if start <= event.at < end else None
            if reason is not None:
                found[customer_id, event_name, reason].append(event)
    return {
        key: UnpricedUsage(
            sum((event.quantity for event in events), Fraction(0)),
            len(events),
            events[0].at,
            events[-1].at,
        )
        for key, events in found.items()
    }


def reason_of(book: Book, event: Event) -> str | None:
    """Why nothing charges the event; None if something does."""
    nearest = 0
    for subscription in book.subscriptions:
        is_theirs = subscription.customer_id == event.customer_id
        if not is_theirs or event.subscription_id not in ("", subscription.subscription_id):
            continue
        for run in runs(subscription):
            if not run.start <= event.at < run.end:
                continue
            nearest = max(nearest, 1)
            for price in book.prices[run.plan_id]:
                if price.meter is None or price.meter.event_name != event.event_name:
                    continue
                is_valid = price.valid_from <= event.at < price.valid_to
                fits = reads(book, price)(event.at, event.properties)
                if is_valid and fits:
                    return None
                nearest = max(nearest, 3 if fits else 2 if is_valid else 1)
    return REASONS[nearest]
