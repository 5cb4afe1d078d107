"""Events that count and that one of their meters could not read.

What belongs here: usage_issues of the month's own folder. What does not: rows that do not count
(intake.py), and what the meters made of the others (metering.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.property.intake import Book, Meter, month_edges
from tests.property.metering import matches, value_of
from tests.property.periods import Window, window
from tests.property.usage_limits import entitlements

Issue = tuple[str, str, str]  # customer, meter, file and row


def unread_events(book: Book, month: str) -> set[Issue]:
    """Each once, in the month of its folder, whenever its period is invoiced.

    An event's meters are those that a plan which the customer has at that moment prices, filter
    included, and those of the month's limits.
    """
    return {
        (customer_id, meter.meter_id, f"{event.source_file} row {event.source_row}")
        for customer_id, meter, wanted, time in _readings(book, month)
        for event in book.events.get((customer_id, meter.event_name), [])
        if time.start <= event.at < time.end
        and matches(wanted, event.properties)
        and value_of(meter, event) is None
    }


def _readings(book: Book, month: str) -> Iterator[tuple[str, Meter, dict[str, str], Window]]:
    """Whose events, by which meter, with which filter, when."""
    edges = month_edges(month, book.zone)
    for subscription in book.subscriptions:
        for price in book.prices:
            if price.meter is not None and price.plan_id == subscription.plan_id:
                stay = (subscription.starts_at, subscription.ends_at)
                time = window(edges, stay, (price.valid_from, price.valid_to))
                if time is not None:
                    yield subscription.customer_id, price.meter, price.filter, time
    for (customer_id, _), (_, row) in entitlements(book, month).items():
        if row["meter_id"]:
            yield customer_id, book.meters[row["meter_id"]], {}, Window(*edges)
