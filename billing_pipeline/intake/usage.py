"""The view `raw.usage_events`: every usage row of a month, good or bad, in one form.

What belongs here: that view, the choice of its rows from earlier months, `raw.run` and
`raw.months`. What does not: rejecting rows because of their customer, their month or as duplicates,
and metering (dbt).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from billing_pipeline.duckdb_sql import sql_text
from billing_pipeline.intake.files import expressions
from billing_pipeline.intake.files.parquet_files import UsageColumn, scan
from billing_pipeline.intake.reference.schemas import USAGE_COLUMNS
from billing_pipeline.intake.usage_files import (
    DIGEST_LENGTH,
    UsageFile,
    UsageFiles,
    usage_files,
    usage_months,
)
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

# A row is identified by its file's number and its own number in one BIGINT: in a hash join of ten
# million rows that costs a tenth of a file name and a number. No file has more rows than these bits
# can count.
_ROW_BITS = 40

# Fifty years: wallets and coupons need months from long before, and a rerun needs later ones.
_MAX_MONTHS = 600

_GIVEN_COLUMNS = ", ".join(f"given_{name}" for name in ("text", *USAGE_COLUMNS))

_EVENT_COLUMNS = (
    "usage_month, event_id, customer_id, event_name, occurred_at, quantity, properties, "
    "subscription_id, row_id, source_file, source_row, parse_error"
)

_NO_ROWS = (
    "SELECT NULL::DATE AS usage_month, NULL::VARCHAR AS event_id, NULL::VARCHAR AS customer_id, "
    "NULL::VARCHAR AS event_name, NULL::TIMESTAMPTZ AS occurred_at, "
    "NULL::DECIMAL(38,18) AS quantity, NULL::VARCHAR AS properties, "
    "NULL::VARCHAR AS subscription_id, NULL::BIGINT AS row_id, NULL::VARCHAR AS source_file, "
    "NULL::BIGINT AS source_row, NULL::VARCHAR AS parse_error, {given} WHERE false"
)


def load_usage(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    month: BillingMonth,
    months_back: int = 0,
    carried: Collection[str] = (),
) -> UsageFiles:
    """Create `raw.run`, `raw.months`, and the view `raw.usage_events` of the month, of
    `months_back` months before it, and of the rows from still earlier months that the events named
    in `carried` need.

    A missing or empty folder is a month without usage. Returns the files of the month and of
    `months_back`, and as `earlier` those that were read for `carried`.
    Raises `InvalidInput` naming every file that cannot be read, and every folder of usage/ that is
    not a month.
    """
    folders = usage_months(settings)  # reports now what no month would ever read
    earliest = month.shift(-months_back)
    files = usage_files(settings, [month.shift(-back) for back in range(months_back, -1, -1)])
    connection.execute("create schema if not exists raw")
    for statement in expressions.property_macros():
        connection.execute(statement)
    events = events_sql(files, settings)
    if carried:  # otherwise old values are not needed, and old files are not even listed
        earlier = usage_files(settings, [folder for folder in folders if folder < earliest])
        _write_earlier_usage(connection, events_sql(earlier, settings, len(files.files)), carried)
        given = _given(_given_types(files))
        events += f" UNION ALL SELECT {_EVENT_COLUMNS}, {given} FROM raw.earlier_usage"
        files = replace(files, earlier=earlier.files)
    connection.execute(f"create or replace view raw.usage_events as {events}")
    zone = settings.timezone
    connection.execute(
        "create or replace table raw.run as select $1::DATE as billing_month, "
        "$2::TIMESTAMPTZ as month_start, $3::TIMESTAMPTZ as month_end, $4::VARCHAR as timezone",
        [month.key, month.start(zone), month.end(zone), zone.key],
    )
    _write_months(connection, month, zone)
    return files


def _write_earlier_usage(
    connection: duckdb.DuckDBPyConnection, events: str, carried: Collection[str]
) -> None:
    """Create `raw.earlier_usage`: the rows that share an event_id with an event named in `carried`.

    dbt decides, as for all rows, which of them count and for what; an event of another name may
    have used the id first.
    """
    names = ", ".join(map(sql_text, sorted(carried)))
    connection.execute(
        f"create or replace table raw.earlier_usage as select {_EVENT_COLUMNS} from ({events}) "
        f"where event_id in (select event_id from ({events}) where event_name in ({names}))"
    )


def _write_months(
    connection: duckdb.DuckDBPyConnection, month: BillingMonth, zone: ZoneInfo
) -> None:
    """Create `raw.months`, in order. Models take every edge from here, because SQL engines have
    time zone databases of their own, and know only one of two midnights when a clock change repeats
    it."""
    known = [month.shift(step) for step in range(-_MAX_MONTHS, _MAX_MONTHS + 1)]
    edges = [one.start(zone) for one in [*known, known[-1].shift(1)]]
    kind = pa.timestamp("us", "UTC")
    rows = pa.table(  # noqa: F841  (read by name in the statement)
        {
            "billing_month": pa.array([one.first_day for one in known]),
            "month_start": pa.array(edges[:-1], kind),
            "month_end": pa.array(edges[1:], kind),
        }
    )
    connection.execute("create or replace table raw.months as select * from rows")


def events_sql(files: UsageFiles, settings: Settings, first_file: int = 0) -> str:
    """A query with the columns of `raw.usage_events` over these files, numbered from `first_file`.

    Files of the same month with the same columns and about the same size are one scan: a scan for
    each of a thousand files would cost more than reading their rows. DuckDB plans as if every file
    of a scan had as many rows as the first, and builds hash tables of what seems small. Therefore
    the largest file comes first, and the row counts of a scan's files have the same number of
    digits: whatever the files are called, the number of events is never underestimated, nor
    overestimated by more than a factor of ten.
    """
    groups: dict[tuple[object, ...], list[UsageFile]] = defaultdict(list)
    for file in sorted(files.files, key=lambda file: -file.rows):
        size = len(str(file.rows))
        groups[(file.month, file.columns, _folder(file), size)].append(file)
    queries = []
    given_types = _given_types(files)
    for group in groups.values():
        queries.append(_group_sql(group, first_file, given_types, settings))
        first_file += len(group)
    return " UNION ALL ".join(queries) or _NO_ROWS.format(given=_given(given_types))


def _folder(file: UsageFile) -> str:
    """The part of `filename` before the file's own name."""
    levels = 2 if file.is_copy else 1
    return file.scan_path.rsplit("/", levels)[0] + "/"


def _given_types(files: UsageFiles) -> dict[str, str]:
    """The type of each column, if all Parquet files agree on it; otherwise text."""
    found: dict[str, set[str]] = {name: set() for name in USAGE_COLUMNS}
    for file in files.files:
        for column in file.columns:
            found[column.name].add(column.sql_type)
    return {
        name: types.pop() if len(types) == 1 and types != {'"NULL"'} else "VARCHAR"
        for name, types in found.items()
    }


def _given(types: Mapping[str, str], *, text: str = "NULL", columns: bool = False) -> str:
    """The row as it was given: its `text` if it came as text, otherwise the `columns` of the scan.

    Only the few rejected rows are written out (`given_text` in
    dbt_project/macros/usage_values.sql): writing out ten million rows takes longer than billing
    them.
    """
    parts = (
        f"CAST({name if columns else 'NULL'} AS {types[name]}) AS given_{name}" for name in types
    )
    return f"CAST({text} AS VARCHAR) AS given_text, {', '.join(parts)}"


def _group_sql(
    files: list[UsageFile], first_file: int, given_types: dict[str, str], settings: Settings
) -> str:
    first = files[0]
    row_id = f"((file_index + {first_file})::BIGINT << {_ROW_BITS}) + file_row_number"
    source_file = f"substr(filename, {len(_folder(first)) + 1})"
    if first.is_copy:
        ending = len("/") + DIGEST_LENGTH + len(".parquet")
        source_file = f"left({source_file}, length({source_file}) - {ending})"
    folder = first.source_file.rsplit("/", 1)[0] + "/"
    place = f"{row_id} AS row_id, {sql_text(folder)} || {source_file} AS source_file"
    source = scan([file.scan_path for file in files])
    month = f"DATE {sql_text(first.month.key)} AS usage_month"
    if not first.columns:
        return (
            f"SELECT {month}, event_id, customer_id, event_name, occurred_at, quantity, "
            f"properties, subscription_id, {place}, source_row, parse_error, "
            f"{_given(given_types, text='raw')} FROM {source}"
        )
    given = _given(given_types, columns=True)
    present = {column.name for column in first.columns}
    absent = [name for name in USAGE_COLUMNS if name not in present]
    if absent:
        empty = ", ".join(f"NULL::VARCHAR AS {name}" for name in absent)
        source = f"(SELECT *, file_index, {empty} FROM {source})"
    columns = (*first.columns, *(UsageColumn(name, "VARCHAR", False) for name in absent))
    return _as_given_sql(columns, month, place, given, source, settings)


def _as_given_sql(
    columns: tuple[UsageColumn, ...],
    month: str,
    place: str,
    given: str,
    source: str,
    settings: Settings,
) -> str:
    """Parquet as given: nothing is computed unless the reader needs it, and nothing for a column
    that is known to be clean."""
    types = {column.name: column.sql_type for column in columns}
    clean = {column.name for column in columns if column.is_clean}
    values = expressions.event_values(types, settings.timezone)
    used = ", ".join(
        f"{name if name in clean else value} AS used_{name}" for name, value in values.items()
    )
    named = ", ".join(f"used_{name} AS {name}" for name in values)
    return (
        f"SELECT {month}, {named}, {place}, file_row_number + 1 AS source_row, "
        f"{expressions.event_fault(types, clean)} AS parse_error, {_GIVEN_COLUMNS} FROM ("
        f"SELECT {used}, occurred_at, quantity, properties, filename, file_index, file_row_number, "
        f"{given} FROM {source})"
    )
