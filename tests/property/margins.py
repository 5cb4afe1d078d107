"""What usage costs and what it leaves, of each customer, plan and meter.

What belongs here: which usage a cost counts, for which plan, and the sums. What does not: how a
quantity becomes an amount (pricing.py), and what is invoiced (invoicing.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from tests.property import periods
from tests.property.intake import FOREVER, Book, Meter, Price, month_edges
from tests.property.lines import Line
from tests.property.metering import Metered, measure
from tests.property.periods import Period, Run, Window
from tests.property.pricing import ONE, ZERO, price_usage
from tests.property.selection import reads
from tests.property.values import EXPONENTS, round_half_away

MarginKey = tuple[str, str, str, str]  # customer, plan, meter (empty: none), currency


@dataclass
class Margin:
    revenue: Fraction = ZERO
    cost: Fraction = ZERO
    exact_cost: Fraction = ZERO


def margins(
    book: Book, month: str, charges: Mapping[str, MarginKey], lines: list[tuple[str, Line]]
) -> dict[MarginKey, Margin]:
    """`charges` by the names of their lines, `lines` of all invoices with their currencies."""
    found: dict[MarginKey, Margin] = defaultdict(Margin)
    for key in charges.values():
        found[key]  # also one that nobody is billed for
    for currency, line in lines:
        if line.kind == "charge":
            found[charges[line.name]].revenue += line.net
        elif line.amount and (line.kind != "commitment" or line.is_taxed):
            plan = _plan_of(book, line) if line.kind == "minimum" else ""
            found[line.customer_id, plan, "", currency].revenue += line.net
    for key, exact in _costs(book, month):
        found[key].cost += round_half_away(exact, EXPONENTS[key[3]])
        found[key].exact_cost += round_half_away(exact, 12)
    return dict(found)


def _plan_of(book: Book, line: Line) -> str:
    """The plan of a minimum is that of the last instant for which it is due."""
    [plan] = [
        run.plan_id
        for run in _runs(book, line.customer_id)
        if run.subscription.subscription_id == line.source and run.start < line.ends_at <= run.end
    ]
    return plan


def _runs(book: Book, customer_id: str) -> list[Run]:
    return [
        run
        for subscription in book.subscriptions
        if subscription.customer_id == customer_id
        for run in periods.runs(subscription)
    ]


# --- costs -----------------------------------------------------------------------------------


def _costs(book: Book, month: str) -> Iterator[tuple[MarginKey, Fraction]]:
    for customer_id in book.customers:
        runs = _runs(book, customer_id)
        for cost in book.costs:
            assert cost.meter is not None
            if not _can_use(book, customer_id, runs, cost.meter):
                continue
            currency = cost.currency or book.customers[customer_id]["currency"].upper()
            for run in runs:
                for exact in _of_plan(book, month, runs, run, cost):
                    yield (customer_id, run.plan_id, cost.meter.meter_id, currency), exact
            for exact in _of_no_plan(book, month, customer_id, runs, cost):
                yield (customer_id, "", cost.meter.meter_id, currency), exact


def _can_use(book: Book, customer_id: str, runs: list[Run], meter: Meter) -> bool:
    """Whether the customer has usage or buys it. In worlds put together most have and do not."""
    usage = (customer_id, meter.event_name)
    return (
        bool(book.events.get(usage) or book.corrections.get(usage))
        or any(price.meter == meter for run in runs for price in book.prices[run.plan_id])
    )  # fmt: skip


def _of_plan(book: Book, month: str, runs: list[Run], run: Run, cost: Price) -> Iterator[Fraction]:
    """For each time in which the run has, or has not, what names no subscription.

    The run has it where its plan is the nearest to the meter, and it began first.
    """
    assert cost.meter is not None
    interval = "" if book.cycles[run.plan_id] == "30_days" else cost.interval
    subscription = run.subscription
    for start, end, is_owner in _times(book, runs, run, cost.meter):
        for period in periods.billed_periods(book, run, interval, month_edges(month, book.zone)):
            part = periods.window(
                (period.start, period.end), (start, end), (cost.valid_from, cost.valid_to)
            )
            if part is None:
                continue
            found = measure(
                book,
                cost.meter,
                subscription.customer_id,
                subscription.subscription_id,
                reads(book, cost),
                part.start,
                part.end,
                period.start,
                unnamed=is_owner,
            )
            is_sold = is_owner and _nearness(book, run, cost.meter) == 1
            parts = periods.split(part, run.quantity_changes())
            seats = sum((run.quantity_at(p.start) * p.length for p in parts), ZERO) / part.length
            if is_sold or _is_used(found):
                yield _amount(cost, found, part, period, seats)


def _times(book: Book, runs: list[Run], run: Run, meter: Meter) -> Iterator[tuple[int, int, bool]]:
    """The run's time, cut where another one takes over what names no subscription."""
    edges = sorted({run.start, run.end, *(at for r in runs for at in (r.start, r.end))})
    current: tuple[int, int, bool] | None = None
    for start, end in pairwise(edges):
        if not (run.start <= start and end <= run.end):
            continue
        active = [other for other in runs if other.start <= start < other.end]
        first = min(
            active,
            key=lambda r: (
                _nearness(book, r, meter),
                r.subscription.starts_at,
                r.subscription.subscription_id,
            ),
        )
        is_owner = first is run
        if current is not None and current[2] == is_owner:
            current = (current[0], end, is_owner)
        else:
            if current is not None:
                yield current
            current = (start, end, is_owner)
    if current is not None:
        yield current


def _nearness(book: Book, run: Run, meter: Meter) -> int:
    if any(price.meter == meter for price in book.prices[run.plan_id]):
        return 1
    limited = {row["meter_id"] for row in book.entitlements[run.plan_id]}
    return 2 if meter.meter_id in limited else 3


def _of_no_plan(
    book: Book, month: str, customer_id: str, runs: list[Run], cost: Price
) -> Iterator[Fraction]:
    """Usage while no subscription is active; of a customer with several also what names one that
    is not."""
    assert cost.meter is not None
    edges = month_edges(month, book.zone)
    names = {run.subscription.subscription_id for run in runs}
    asked: list[tuple[str | None, list[Run]]] = [(None if len(names) < 2 else "", runs)]
    if len(names) > 1:
        asked += [
            (name, [run for run in runs if run.subscription.subscription_id == name])
            for name in sorted(names)
        ]
    for name, active in asked:
        for start, end in _gaps(edges, active):
            part = periods.window((start, end), (cost.valid_from, cost.valid_to))
            if part is None:
                continue
            found = measure(
                book,
                cost.meter,
                customer_id,
                name,
                reads(book, cost),
                part.start,
                part.end,
                edges[0],
                unnamed=not name,
            )
            if _is_used(found):
                yield _amount(cost, found, part, Period(*edges), ZERO)


def _gaps(edges: tuple[int, int], runs: list[Run]) -> Iterator[tuple[int, int]]:
    at = edges[0]
    for run in sorted(runs, key=lambda run: run.start):
        if at < min(run.start, edges[1]):
            yield at, min(run.start, edges[1])
        at = max(at, min(run.end, FOREVER))
    if at < edges[1]:
        yield at, edges[1]


def _is_used(found: Metered) -> bool:
    return found.quantity != 0 or found.event_count > 0


def _amount(cost: Price, found: Metered, part: Window, period: Period, seats: Fraction) -> Fraction:
    share = part.share_of(period) if cost.prorate else ONE
    return price_usage(cost, found, share, seats).exact
