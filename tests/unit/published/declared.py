"""The published tables as dbt declares them, empty, with the reports over them."""

from __future__ import annotations

import duckdb

from billing_pipeline.duckdb_sql import sql_name
from billing_pipeline.published.tables import published_tables
from billing_pipeline.settings import Settings


def declare(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    published = published_tables(settings)
    for name, table in published.tables.items():
        columns = ", ".join(f"{sql_name(column.name)} {column.type}" for column in table.columns)
        connection.execute(f"CREATE TABLE {name} ({columns})")
    for name, report in published.reports.items():
        connection.execute(f"CREATE VIEW {name} AS {report.query}")
