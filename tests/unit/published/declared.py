"""The published tables as dbt declares them, empty, with the reports over them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from billing_pipeline.duckdb_sql import sql_name, sql_text
from billing_pipeline.published.tables import published_tables
from billing_pipeline.settings import Settings

_FOLDER = TemporaryDirectory()


def declare(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """All of them in the empty database of this connection."""
    connection.execute("SET TimeZone = 'UTC'")
    [(database,)] = connection.execute("SELECT current_database()").fetchall()
    connection.execute(f"ATTACH {sql_text(str(_declared(settings)))} AS declared (READ_ONLY)")
    connection.execute(f"COPY FROM DATABASE declared TO {sql_name(database)}")
    connection.execute("DETACH declared")


def _declared(settings: Settings) -> Path:
    """A database to copy, made once by each process: to create the views takes half a second."""
    path = Path(_FOLDER.name, "declared.duckdb")
    if not path.exists():
        published = published_tables(settings)
        with duckdb.connect(str(path)) as connection:
            for name, table in published.tables.items():
                columns = ", ".join(f"{sql_name(c.name)} {c.type}" for c in table.columns)
                connection.execute(f"CREATE TABLE {name} ({columns})")
            for name, report in published.reports.items():
                connection.execute(f"CREATE VIEW {name} AS {report.query}")
    return path
