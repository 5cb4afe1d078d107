"""Events that count and that one of their meters could not read, or that are charged twice.

What belongs here: usage_issues of the month's own folder. What does not: rows that do not count
(intake.py), and what the meters made of the others (metering.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.property.intake import Book, Meter, month_edges
from tests.property.metering import value_of
from tests.property.periods import Window, runs, window
from tests.property.selection import Reads, everything, reads
from tests.property.usage_limits import entitlements

Issue = tuple[str, str, str]  # customer, meter, file and row
Shared = tuple[str, str]  # customer, meter


def unread_events(book: Book, month: str) -> set[Issue]:
    """Each once, in the month of its folder, whenever its period is invoiced.

    An event's meters are those that a plan which the customer has at that moment prices, filter
    included, those of the month's limits, and those with a cost.
    """
    return {
        (customer_id, meter.meter_id, f"{event.source_file} row {event.source_row}")
        for customer_id, subscription_id, meter, read, time in _readings(book, month)
        for event in book.events.get((customer_id, meter.event_name), [])
        if time.start <= event.at < time.end
        and (not subscription_id or event.subscription_id in ("", subscription_id))
        and read(event.at, event.properties)
        and value_of(meter, event) is None
    }


def charged_by_several(book: Book, month: str) -> set[Shared]:
    """Whose events of which meter more than one subscription charges; a trial charges nothing."""
    start, end = month_edges(month, book.zone)
    charging: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for subscription in book.subscriptions:
        customer_id, name = subscription.customer_id, subscription.subscription_id
        for run in runs(subscription):
            for price in book.prices[run.plan_id]:
                valid = (price.valid_from, price.valid_to)
                time = window((start, end), (run.start, run.end), run.paid, valid)
                if price.meter is None or time is None:
                    continue
                events = book.events.get((customer_id, price.meter.event_name), [])
                for number, event in enumerate(events):
                    if (
                        time.start <= event.at < time.end
                        and event.subscription_id in ("", name)
                        and reads(book, price)(event.at, event.properties)
                    ):
                        charging[customer_id, price.meter.meter_id, number].add(name)
    return {key[:2] for key, names in charging.items() if len(names) > 1}


def _readings(book: Book, month: str) -> Iterator[tuple[str, str, Meter, Reads, Window]]:
    """Whose events, of which subscription (empty: any), by which meter, which of them, when."""
    edges = month_edges(month, book.zone)
    for subscription in book.subscriptions:
        ids = (subscription.customer_id, subscription.subscription_id)
        for run in runs(subscription):
            for price in book.prices[run.plan_id]:
                valid = (price.valid_from, price.valid_to)
                time = window(edges, (run.start, run.end), valid)
                if price.meter is not None and time is not None:
                    yield *ids, price.meter, reads(book, price), time
    for (customer_id, _), (_, row) in entitlements(book, month).items():
        if row["meter_id"]:
            yield customer_id, "", book.meters[row["meter_id"]], everything, Window(*edges)
    # A cost is of all usage, whoever has it.
    for meter in {cost.meter for cost in book.costs if cost.meter is not None}:
        for customer_id in book.customers:
            yield customer_id, "", meter, everything, Window(*edges)
