"""The database with which every publication begins: the views of reports and questions, with
comments.

What belongs here: building it once for each state of dbt's project, over empty tables that are then
dropped. What does not: the views over the months' files, which a publication adds (``views``).

DuckDB binds a view when it is created: binding all reports took a third of a publication's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from billing_pipeline.duckdb_sql import sql_name, sql_text
from billing_pipeline.durable import fsync, replacing
from billing_pipeline.published.export import no_rows
from billing_pipeline.published.questions import SCHEMA, read_questions
from billing_pipeline.published.reading import utc_session
from billing_pipeline.published.tables import Table, published_tables
from billing_pipeline.rating.dbt_runner import ensure_manifest
from billing_pipeline.settings import Settings

# Readers may have older releases of DuckDB, in a BI tool for example: DuckDB 1.1 and later can read
# this version.
STORAGE_VERSION = "v1.0.0"


def template_database(settings: Settings) -> Path:
    """The template, beside dbt's manifest, from which it is built."""
    path = ensure_manifest(settings).with_name("template.duckdb")
    if not path.exists():
        with replacing(path) as new:
            _build(settings, new)
    return path


def _build(settings: Settings, path: Path) -> None:
    published = published_tables(settings)
    with utc_session() as connection:
        connection.execute(
            f"ATTACH {sql_text(str(path))} AS billing (STORAGE_VERSION '{STORAGE_VERSION}')"
        )
        connection.execute("USE billing")
        connection.begin()
        for name, table in published.tables.items():
            connection.execute(f"CREATE TABLE {sql_name(name)} AS {no_rows(table.columns)}")
        for name, report in published.reports.items():
            connection.execute(f"CREATE VIEW {sql_name(name)} AS {report.query}")
        connection.execute(comments(published.reports))
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        for one in read_questions():
            view = f"{SCHEMA}.{sql_name(one.name)}"
            connection.execute(f"CREATE VIEW {view} AS {one.sql}")
            connection.execute(f"COMMENT ON VIEW {view} IS {sql_text(one.comment)}")
        for name in published.tables:
            connection.execute(f"DROP TABLE {sql_name(name)}")
        connection.commit()
        connection.execute("CHECKPOINT")
        connection.execute("USE memory")
        connection.execute("DETACH billing")
    fsync(path)


def comments(tables: Mapping[str, Table]) -> str:
    """Statements that comment on the tables' views and their columns."""
    statements = []
    for name, table in tables.items():
        statements.append(f"COMMENT ON VIEW {sql_name(name)} IS {sql_text(table.comment)}")
        for column in table.columns:
            place = f"{sql_name(name)}.{sql_name(column.name)}"
            statements.append(f"COMMENT ON COLUMN {place} IS {sql_text(column.comment)}")
    return "; ".join(statements)
