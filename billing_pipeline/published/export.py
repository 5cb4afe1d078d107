"""Published tables as Parquet files, written from a warehouse or from Python's rows.

What belongs here: the query of each table, and writing its file. What does not: which file is
current (``manifest``) and when readers see it (``publish``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from billing_pipeline.duckdb_sql import sql_name, sql_text
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import versions_query
from billing_pipeline.published.as_known import TABLE as KNOWN
from billing_pipeline.published.as_known import known_query, month_queries, save
from billing_pipeline.published.estimate_tables import estimate_query
from billing_pipeline.published.manifest import PublishError, Written
from billing_pipeline.published.reading import attach
from billing_pipeline.published.tables import Column, Published, Table
from billing_pipeline.settings import Settings

Rows = Sequence[Mapping[str, object]]
Files = dict[Path, Written]


def export_warehouse(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    published: Published,
    month: BillingMonth,
    folder: Path,
    now: datetime,
) -> Files:
    """Export dbt's published tables from the month's warehouse, and the month as billed. Whatever
    differs from what was known about the month is saved (``as_known``)."""
    path = settings.warehouse_path(month)
    if not path.exists():
        raise PublishError(f"{month} has no warehouse at {path}: rate the month first")
    try:
        attach(connection, path, "warehouse")
        present = connection.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_catalog = 'warehouse' AND table_schema = 'main'"
        ).fetchall()
        lacking = sorted(published.models.keys() - {row[0] for row in present})
        if lacking:
            raise PublishError(
                f"the warehouse of {month} lacks {', '.join(lacking)}: rate the month first"
            )
        queries = {name: f"SELECT * FROM warehouse.main.{name}" for name in published.models}
        for name, table in published.sources["as_billed"].items():
            queries[name] = versions_query(settings, month, name) or no_rows(table.columns)
        files = _copy_all(connection, queries, folder)
        save(connection, settings, month, month_queries(connection), now)
        connection.execute("DETACH warehouse")
        return files
    except duckdb.Error as error:
        raise PublishError(_export_failure(settings, month, error)) from error


def _export_failure(settings: Settings, month: BillingMonth, error: duckdb.Error) -> str:
    reason = str(error).splitlines()[0].rstrip(".")
    text = f"cannot export the warehouse of {month}: {reason}"
    if str(settings.records_dir) in reason:
        text += ". That is evidence of what was billed: put it back from the backup of records/"
    return text


def export_known(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    published: Published,
    month: BillingMonth,
    folder: Path,
) -> Files:
    """Export all that was ever known about the month, with the time during which it was valid."""
    columns = published.sources["as_known"][KNOWN].columns
    query = known_query(settings, month) or no_rows(columns)
    return _copy_all(connection, {KNOWN: query}, folder)


def export_estimate(
    connection: duckdb.DuckDBPyConnection,
    tables: Mapping[str, Table],
    month: BillingMonth,
    warehouse: Path,
    estimated_at: datetime,
    folder: Path,
) -> Files:
    """Export the estimate's tables from the warehouse in which it was rated."""
    attach(connection, warehouse, "warehouse")
    connection.execute(
        "CREATE TEMP TABLE estimate AS SELECT $1::DATE AS billing_month,"
        " $2::TIMESTAMPTZ AS estimated_at, (SELECT max(occurred_at) FROM"
        " warehouse.main.accepted_events WHERE usage_month = $1::DATE) AS usage_until",
        [month.key, estimated_at],
    )
    queries = {name: estimate_query(name, table) for name, table in tables.items()}
    files = _copy_all(connection, queries, folder)
    connection.execute("DETACH warehouse")
    return files


def export_tables(
    connection: duckdb.DuckDBPyConnection, warehouse: Path, names: Iterable[str], folder: Path
) -> Files:
    """Export some of dbt's tables from a warehouse."""
    attach(connection, warehouse, "warehouse")
    queries = {name: f"SELECT * FROM warehouse.main.{sql_name(name)}" for name in names}
    files = _copy_all(connection, queries, folder)
    connection.execute("DETACH warehouse")
    return files


def export_month_rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    rows: Rows,
    month: BillingMonth,
    path: Path,
) -> Files:
    """Export Python's rows of a month; a missing ``billing_month`` is filled with the month."""
    names = {column.name for column in table.columns}
    first_day = month.first_day
    complete: list[dict[str, object]] = []
    for row in rows:
        unknown = sorted(set(row) - names)
        if unknown:
            raise PublishError(f"{path.stem} has no column {', '.join(unknown)}")
        of_month = row.get("billing_month") or first_day
        if of_month != first_day:
            raise PublishError(f"a row of {path.stem} is of {of_month}, not of {month}")
        complete.append({**row, "billing_month": of_month})
    return export_rows(connection, table, complete, path)


def export_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: Rows, path: Path
) -> Files:
    """Export Python's rows, every column with the type that the table declares."""
    schema = connection.sql(no_rows(table.columns)).to_arrow_table().schema
    try:
        rows_table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    except (pa.ArrowException, TypeError) as error:
        raise PublishError(f"a value does not fit {path.stem}: {error}") from error
    connection.register("new_rows", rows_table)
    written = _copy(connection, "SELECT * FROM new_rows", path)
    connection.unregister("new_rows")
    return {path: written}


def no_rows(columns: Iterable[Column]) -> str:
    """A query with these columns and no rows."""
    nulls = (f"NULL::{column.type} AS {sql_name(column.name)}" for column in columns)
    return f"SELECT {', '.join(nulls)} WHERE false"


def _copy_all(
    connection: duckdb.DuckDBPyConnection, queries: Mapping[str, str], folder: Path
) -> Files:
    paths = {folder / f"{name}.parquet": query for name, query in queries.items()}
    return {path: _copy(connection, query, path) for path, query in paths.items()}


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> Written:
    """Write a query's rows to `path`; returns what the manifest has of the file, so that views can
    be built without opening any."""
    columns = connection.execute(f"DESCRIBE {query}").fetchall()
    # Level 1 is faster than DuckDB's default, 3, and makes smaller files of such tables.
    options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
    copied = connection.execute(f"COPY ({query}) TO {sql_text(str(path))} ({options})")
    [[count]] = copied.fetchall()
    return Written([[str(column[0]), str(column[1])] for column in columns], int(count))
