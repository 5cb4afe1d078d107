"""What gauges read before the months that are billed now: `raw.gauge_values`.

What belongs here: the last usable value of each gauge from earlier usage folders, and its cache.
What does not: what a meter makes of it (dbt), usage of the months that are billed (usage.py).

Each earlier month has closing values of its own, computed from its files alone and kept under a
name that says which files those were. So nothing depends on which months were run before, or in
which order, and a late file in an old month changes exactly that month's closing values.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import duckdb

from billing_pipeline.duckdb_sql import glob_literal, sql_text
from billing_pipeline.intake.files.expressions import decimal_from_text
from billing_pipeline.intake.files.text_files import FORMAT_VERSION
from billing_pipeline.intake.usage import events_sql
from billing_pipeline.intake.usage_files import UsageFiles, replacing, usage_files, usage_months
from billing_pipeline.intake.wall_clock import clock_name
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

_EVENT_COLUMNS = (
    "event_id, customer_id, event_name, occurred_at, quantity, properties, source_file, source_row"
)


@dataclass(frozen=True, order=True)
class Gauge:
    """One value that carry-forward meters read: a property of an event, or its quantity ('').

    `filter_keys` are the properties by which prices tell such events apart: two events that agree
    in them are two readings of the same gauge, whatever else their properties say.
    """

    event_name: str
    property_name: str
    filter_keys: tuple[str, ...]


def load_gauge_values(
    connection: duckdb.DuckDBPyConnection, settings: Settings, before: BillingMonth
) -> int:
    """Create `raw.gauge_values` from every usage folder earlier than `before`; gives its rows.

    Needs the tables of `load_reference`. Each row is the newest accepted event of a customer, an
    event name, a filter's values and a meter's property that has a number there; its properties
    and quantity are as they were read, and its file and row say which of several readings of one
    instant is the last. Only event names that a carry-forward meter reads. Raises `InvalidInput`
    naming every file of those folders that cannot be read.
    """
    gauges = _gauges(connection)
    connection.execute(
        "create or replace table raw.gauge_values (customer_id VARCHAR, event_name VARCHAR, "
        "properties VARCHAR, occurred_at TIMESTAMPTZ, quantity DECIMAL(38,18), "
        "source_file VARCHAR, source_row BIGINT)"
    )
    if not gauges:
        return 0  # nobody asks for old values: old files are not even looked at
    earlier = [month for month in usage_months(settings) if month < before]
    files = usage_files(settings, earlier)
    paths = [
        _closing_values(connection, settings, month, _files_of(files, month), gauges)
        for month in earlier
    ]
    if paths:
        connection.execute(f"insert into raw.gauge_values {_newest_of_all(paths, gauges)}")
    counted = connection.execute("select count(*) from raw.gauge_values").fetchall()
    return int(counted[0][0])


def _gauges(connection: duckdb.DuckDBPyConnection) -> list[Gauge]:
    rows = connection.execute(
        "select meters.event_name, coalesce(meters.property, ''), prices.filter "
        "from raw.meters left join raw.prices using (meter_id) "
        "where meters.carry_forward and meters.event_name is not null"
    ).fetchall()
    keys: dict[str, set[str]] = defaultdict(set)
    for event_name, _, wanted in rows:
        keys[event_name] |= set(json.loads(wanted or "{}"))
    return sorted({Gauge(name, read, tuple(sorted(keys[name]))) for name, read, _ in rows})


def _files_of(files: UsageFiles, month: BillingMonth) -> UsageFiles:
    return UsageFiles(tuple(file for file in files.files if file.month == month))


def _closing_values(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    month: BillingMonth,
    files: UsageFiles,
    gauges: list[Gauge],
) -> Path:
    """The Parquet of one month's closing values, computed unless it is there already."""
    names = sorted(
        row[0]
        for row in connection.execute(
            "select distinct event_name from raw.meters where event_name is not null"
        ).fetchall()
    )
    listed = [[gauge.event_name, gauge.property_name, gauge.filter_keys] for gauge in gauges]
    clock = clock_name(settings.timezone)
    seed = json.dumps([FORMAT_VERSION, clock, files.fingerprint, names, listed])
    digest = hashlib.sha256(seed.encode()).hexdigest()[:32]
    target = settings.usage_cache_dir / "closing" / f"{month}-{digest}.parquet"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        query = _closing_sql(_accepted_sql(settings, month, files, names), gauges)
        with replacing(target) as unfinished:
            connection.execute(f"copy ({query}) to {sql_text(str(unfinished))} (format parquet)")
    return target


def _accepted_sql(
    settings: Settings, month: BillingMonth, files: UsageFiles, names: list[str]
) -> str:
    """Events that no rule rejects, but for what depends on other rows and on customers."""
    start, end = month.start(settings.timezone), month.end(settings.timezone)
    known = ", ".join(map(sql_text, names))
    return (
        f"select {_EVENT_COLUMNS} from ({events_sql(files, settings)}) "
        "where parse_error is null and event_id is not null and customer_id is not null "
        f"and event_name in ({known}) and quantity >= 0 "
        f"and occurred_at >= {sql_text(start.isoformat())}::timestamptz "
        f"and occurred_at < {sql_text(end.isoformat())}::timestamptz"
    )


def _closing_sql(accepted: str, gauges: list[Gauge]) -> str:
    """One month's newest readings, and apart from them the rows of contested event ids.

    An event id counts for its first row. Which row that is depends on who is a known customer (a
    rejected row does not count), and customers come every month: closing values must not be
    computed anew for that. So an id that several customers have is kept with all of them, and
    decided when the values are loaded. There are few.
    """
    names = ", ".join(sorted({sql_text(gauge.event_name) for gauge in gauges}))
    return f"""
        with accepted as ({accepted}),
        rivals as (
            select * from accepted
            where event_id in (select event_id from accepted where event_name in ({names}))
        ),
        firsts as (
            select unnest(min_by(rivals, (source_file, source_row)))
            from rivals group by event_id, customer_id
        ),
        contested_ids as (select event_id from firsts group by event_id having count(*) > 1),
        settled as (select * from firsts where event_id not in (from contested_ids)),
        contested as (select * from firsts where event_id in (from contested_ids))
        {_newest(_readings("settled", gauges))}
        union all by name
        select *, true as is_contested from contested
        """


def _newest_of_all(paths: list[Path], gauges: list[Gauge]) -> str:
    listed = ", ".join(sql_text(glob_literal(str(path))) for path in paths)
    return f"""
        with closing as (
            select * from read_parquet([{listed}], filename = true, hive_partitioning = false)
            where customer_id in (select customer_id from raw.customers)
        ),
        decided as (
            select unnest(min_by(closing, (source_file, source_row)))
            from closing where is_contested group by filename, event_id
        ),
        readings as (
            select {_EVENT_COLUMNS}, property_name, filter_values
            from closing where not is_contested
            union all by name {_readings("decided", gauges)}
        ),
        newest as ({_newest("select * from readings")})
        select distinct customer_id, event_name, properties, occurred_at, quantity,
            source_file, source_row
        from newest order by all
        """


def _readings(source: str, gauges: list[Gauge]) -> str:
    """Events once for each gauge that has a usable number in them."""
    return " union all ".join(_readings_of(source, gauge) for gauge in gauges)


def _readings_of(source: str, gauge: Gauge) -> str:
    usable = "true"
    if gauge.property_name:
        usable = f"{decimal_from_text(_property(gauge.property_name))} >= 0"
    values = ", ".join(map(_property, gauge.filter_keys))
    return (
        f"select {_EVENT_COLUMNS}, {sql_text(gauge.property_name)} as property_name, "
        f"[{values}]::varchar[] as filter_values from {source} "
        f"where event_name = {sql_text(gauge.event_name)} and {usable}"
    )


def _newest(readings: str) -> str:
    return f"""
        select unnest(max_by(reading, (occurred_at, source_file, source_row))),
            false as is_contested
        from ({readings}) as reading
        group by customer_id, event_name, property_name, filter_values
        """


def _property(name: str) -> str:
    """The text of a property; by JSON pointer, in which every key can be written."""
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    return f"json_extract_string(properties, {sql_text(pointer)})"
