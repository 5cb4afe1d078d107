"""Billing periods that need a calendar: weeks, months, quarters, half-years and years.

What belongs here: their edges, and the tables `raw.calendar_periods` and `raw.anniversary_periods`.
What does not: periods of 30 days, which need no calendar, and when a period is invoiced (dbt).
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from billing_pipeline.intake.wall_clock import instant_of
from billing_pipeline.months import BillingMonth

INTERVALS = {"month": 1, "quarter": 3, "half_year": 6, "year": 12}
WEEK = "week"

# From a period's number to the instant at which it begins.
Edges = Callable[[int], datetime]

_INSTANT = pa.timestamp("us", "UTC")


def calendar_edges(interval: str, zone: ZoneInfo) -> Edges:
    """Edges by the calendar: weeks begin on Monday; quarters, half-years and years are counted from
    January."""

    def edge(number: int) -> datetime:
        if interval == WEEK:
            day = date.fromordinal(7 * number + 1)
        else:
            year, month = divmod(number * INTERVALS[interval], 12)
            day = date(year, month + 1, 1)
        return instant_of(datetime.combine(day, time.min), zone)

    return edge


def anniversary_edges(interval: str, start: datetime, zone: ZoneInfo) -> Edges:
    """Edges by anniversary: so many intervals after `start`, on its day and at its local time; in a
    shorter month, on the last day."""
    local = start.astimezone(zone).replace(tzinfo=None, fold=0)

    def edge(number: int) -> datetime:
        if number == 0:
            return start.astimezone(UTC)
        if interval == WEEK:
            return instant_of(local + timedelta(days=7 * number), zone)
        year, month = divmod(local.year * 12 + local.month - 1 + number * INTERVALS[interval], 12)
        last = calendar.monthrange(year, month + 1)[1]
        day = date(year, month + 1, min(local.day, last))
        return instant_of(datetime.combine(day, local.time()), zone)

    return edge


def periods(
    edge: Edges, interval: str, since: datetime, until: datetime, *, first: datetime | None
) -> Iterator[tuple[datetime, datetime]]:
    """Start and end of the periods that end after `since` and begin before `until`. `first` is the
    start of the first period, from which they are numbered; None means calendar periods."""
    days = (since - first).days if first is not None else since.toordinal()
    length = 7 if interval == WEEK else 31 * INTERVALS[interval]
    number = days // length
    while number > 0 and edge(number) > since:
        number -= 1
    number = max(number, 0)
    start = edge(number)
    while start < until:
        end = edge(number + 1)
        if end > since:
            yield start, end
        number, start = number + 1, end


def write_price_periods(
    connection: duckdb.DuckDBPyConnection, month: BillingMonth, zone: ZoneInfo
) -> None:
    """Create the tables: the periods of each interval in use that this month or the next touches.

    If any version of a subscription names a coupon, its periods are written from its start on, and
    calendar weeks from the start of the first such subscription, because the coupon's months are
    counted from the first that is paid. The other calendar periods follow from `raw.months`.
    """
    since, until = month.start(zone), month.shift(1).end(zone)
    named = connection.execute(
        'SELECT "interval" FROM raw.prices WHERE "interval" IS NOT NULL'
        ' UNION SELECT "interval" FROM raw.cost_prices WHERE "interval" IS NOT NULL'
    ).fetchall()
    intervals = sorted({"month", *(str(name) for (name,) in named)})
    rows = [
        (None, interval, *edges)
        for interval in intervals
        for edges in periods(calendar_edges(interval, zone), interval, since, until, first=None)
    ]
    _create(connection, "calendar_periods", rows)
    _create(connection, "calendar_weeks", _weeks(connection, intervals, until, zone))
    _create(
        connection, "anniversary_periods", _anniversaries(connection, intervals, since, until, zone)
    )


def _weeks(
    connection: duckdb.DuckDBPyConnection,
    intervals: list[str],
    until: datetime,
    zone: ZoneInfo,
) -> list[tuple[None, str, datetime, datetime]]:
    [[found]] = connection.execute(
        "SELECT epoch_us(min(starts_at)) FROM raw.subscriptions WHERE coupon_id IS NOT NULL"
    ).fetchall()
    if found is None or WEEK not in intervals:
        return []
    weeks = periods(calendar_edges(WEEK, zone), WEEK, _instant(found), until, first=None)
    return [(None, WEEK, *edges) for edges in weeks]


def _anniversaries(
    connection: duckdb.DuckDBPyConnection,
    intervals: list[str],
    since: datetime,
    until: datetime,
    zone: ZoneInfo,
) -> Iterator[tuple[datetime, str, datetime, datetime]]:
    found = connection.execute(
        "SELECT epoch_us(starts_at), bool_or(has_coupon) FROM (SELECT *, bool_or(coupon_id IS NOT"
        " NULL) OVER (PARTITION BY subscription_id) AS has_coupon FROM raw.subscriptions)"
        " WHERE subscription_id IN (SELECT subscription_id FROM raw.subscriptions"
        " JOIN raw.plans USING (plan_id) WHERE billing_cycle = 'anniversary')"
        " AND starts_at < $1 GROUP BY 1 ORDER BY 1",
        [until],
    ).fetchall()
    for microseconds, has_coupon in found:
        start = _instant(microseconds)
        for interval in intervals:
            edge = anniversary_edges(interval, start, zone)
            earliest = start if has_coupon else max(start, since)
            for edges in periods(edge, interval, earliest, until, first=start):
                yield (start, interval, *edges)


def _create(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    rows: Iterable[tuple[datetime | None, str, datetime, datetime]],
) -> None:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    made = pa.table(  # noqa: F841  (read by name in the statement)
        {
            "subscription_starts_at": pa.array(columns[0], _INSTANT),
            "price_interval": pa.array(columns[1], pa.string()),
            "period_start": pa.array(columns[2], _INSTANT),
            "period_end": pa.array(columns[3], _INSTANT),
        }
    )
    connection.execute(f"create or replace table raw.{name} as select * from made")


def earliest_usage(
    connection: duckdb.DuckDBPyConnection, month: BillingMonth, zone: ZoneInfo
) -> datetime:
    """The first instant whose usage the month may invoice: the start of the month, or of a longer
    period of a usage price or a cost that ends or is cut off in the month. Periods of 30 days are
    ignored."""
    start, end = month.start(zone), month.end(zone)
    [[found]] = connection.execute(
        "WITH asked AS (SELECT subscriptions.*, coalesce(prices.\"interval\", 'month')"
        " AS price_interval, billing_cycle FROM raw.subscriptions"
        ' JOIN raw.plans USING (plan_id) JOIN (SELECT plan_id, meter_id, "interval"'
        ' FROM raw.plan_prices UNION SELECT plan_id, meter_id, "interval"'
        " FROM raw.plans CROSS JOIN raw.cost_prices) AS prices USING (plan_id)"
        " WHERE prices.meter_id IS NOT NULL),"
        " lengths AS (SELECT asked.*, period_start, period_end FROM asked"
        " JOIN raw.calendar_periods USING (price_interval)"
        " WHERE billing_cycle = 'calendar_month' UNION ALL"
        " SELECT asked.*, period_start, period_end FROM asked"
        " JOIN raw.subscriptions AS firsts USING (subscription_id)"
        " JOIN raw.anniversary_periods AS periods ON periods.price_interval = asked.price_interval"
        " AND periods.subscription_starts_at = firsts.starts_at"
        " WHERE billing_cycle = 'anniversary' AND firsts.starts_at <= asked.starts_at)"
        " SELECT epoch_us(min(period_start)) FROM lengths WHERE period_start < $2"
        " AND period_end > $1 AND starts_at < period_end"
        " AND coalesce(ends_at > period_start, true)"
        " AND (period_end <= $2 OR (ends_at > $1 AND ends_at <= $2))",
        [start, end],
    ).fetchall()
    if found is None:
        return start
    return min(start, _instant(found))


def _instant(microseconds: int) -> datetime:
    """The instant so many microseconds after the epoch."""
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=microseconds)
