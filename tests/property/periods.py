"""Billing periods, and the parts of them that one plan, quantity and price version covers.

What belongs here: time, and in which month's invoice it is charged. What does not: usage and
amounts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

from tests.property.intake import FOREVER, Book, Price, Subscription, Version
from tests.property.values import DAY, instant_of, local_instant

THIRTY_DAYS = 30 * DAY
MONTHS = {"": 1, "month": 1, "quarter": 3, "half_year": 6, "year": 12}


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


# --- subscriptions ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Versions of a subscription that follow one another on one plan."""

    subscription: Subscription
    plan_id: str
    versions: tuple[Version, ...]

    @property
    def start(self) -> int:
        return self.versions[0].starts_at

    @property
    def end(self) -> int:
        return self.versions[-1].ends_at

    @property
    def paid(self) -> tuple[int, int]:
        return self.subscription.trial_ends_at, self.end

    @property
    def trial(self) -> tuple[int, int]:
        return self.start, min(self.end, self.subscription.trial_ends_at)

    def quantity_at(self, at: int) -> Fraction:
        (found,) = [v.quantity for v in self.versions if v.starts_at <= at < v.ends_at]
        return found

    def quantity_changes(self) -> list[int]:
        """The instants inside the run from which the quantity is another one."""
        return [
            version.starts_at
            for before, version in pairwise(self.versions)
            if before.quantity != version.quantity
        ]


def runs(subscription: Subscription) -> list[Run]:
    found: list[list[Version]] = []
    for version in subscription.versions:
        if version.starts_at == version.ends_at:
            continue
        if found and found[-1][-1].plan_id == version.plan_id:
            found[-1].append(version)
        else:
            found.append([version])
    return [Run(subscription, row[0].plan_id, tuple(row)) for row in found]


# --- periods ---------------------------------------------------------------------------------


def period_at(book: Book, run: Run, interval: str, at: int) -> Period:
    """The billing period of an interval that the instant is in. Empty: a month of the cycle."""
    cycle = book.cycles[run.plan_id]
    anchor = run.subscription.starts_at
    if cycle == "30_days":
        number = (at - anchor) // THIRTY_DAYS
        return Period(anchor + number * THIRTY_DAYS, anchor + (number + 1) * THIRTY_DAYS)
    if cycle == "anniversary":
        number = 0
        while _anniversary(anchor, interval, number + 1, book.zone) <= at:
            number += 1
        edges = [_anniversary(anchor, interval, number + step, book.zone) for step in (0, 1)]
        return Period(*edges)
    today = instant_of(at).astimezone(book.zone).date()
    if interval == "week":
        first = today - timedelta(days=today.weekday())
        following = first + timedelta(days=7)
    else:
        months = MONTHS[interval]
        first = date(today.year, (today.month - 1) // months * months + 1, 1)
        following = _later(first, months)
    midnights = [
        local_instant(datetime.combine(day, time()), book.zone) for day in (first, following)
    ]
    return Period(*midnights)


def _anniversary(anchor: int, interval: str, number: int, zone: ZoneInfo) -> int:
    """The instant so many intervals after the anchor, at its local day and time."""
    if number == 0:
        return anchor
    local = instant_of(anchor).astimezone(zone).replace(tzinfo=None, fold=0)
    if interval == "week":
        return local_instant(local + timedelta(days=7 * number), zone)
    day = _later(local.date(), MONTHS[interval] * number)
    return local_instant(datetime.combine(day, local.time()), zone)


def _later(day: date, months: int) -> date:
    """The same day so many months later, or the last one of a month that is too short."""
    index = day.year * 12 + day.month - 1 + months
    first = date(index // 12, index % 12 + 1, 1)
    following = date((index + 1) // 12, (index + 1) % 12 + 1, 1)
    return min(first + timedelta(days=day.day - 1), following - timedelta(days=1))


def periods(book: Book, run: Run, interval: str, before: int) -> Iterator[Period]:
    """Every billing period that the run is active in and that begins before the instant."""
    at = run.start
    while at < min(run.end, before):
        period = period_at(book, run, interval, at)
        yield period
        at = period.end


def invoiced_at(book: Book, run: Run, period: Period) -> int:
    """The end that decides on whose month's invoice a period in arrears stands."""
    if book.cycles[run.plan_id] == "30_days":
        return period.end  # one that is cut keeps its date
    return min(period.end, run.end)


def billed_periods(book: Book, run: Run, interval: str, month: tuple[int, int]) -> Iterator[Period]:
    """The periods in arrears that are invoiced in the month [start, end)."""
    for period in periods(book, run, interval, month[1]):
        if month[0] < invoiced_at(book, run, period) <= month[1]:
            yield period


# --- parts -----------------------------------------------------------------------------------


def trial_part(run: Run, price: Price, period: Period) -> Window | None:
    return window((period.start, period.end), run.trial, (price.valid_from, price.valid_to))


def paid_part(run: Run, price: Price, period: Period) -> Window | None:
    edges = (run.start, run.end)
    valid = (price.valid_from, price.valid_to)
    return window((period.start, period.end), edges, run.paid, valid)


def promised_part(run: Run, price: Price, period: Period) -> Window | None:
    """The paid part as it is charged in advance: as if the plan went on.

    A price with an interval of its own keeps the version of the period's first instant.
    """
    begins = max(period.start, run.start)
    valid = (price.valid_from, price.valid_to)
    if price.interval:
        valid = (-FOREVER, FOREVER) if valid[0] <= begins < valid[1] else (0, 0)
    return window((begins, period.end), (run.subscription.trial_ends_at, period.end), valid)


def split(part: Window, cuts: list[int]) -> list[Window]:
    edges = [part.start, *(cut for cut in sorted(cuts) if part.start < cut < part.end), part.end]
    return [Window(*pair) for pair in pairwise(edges)]
