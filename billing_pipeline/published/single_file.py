"""Everything published, in one plain DuckDB file for use on another host.

What belongs here: copying the published tables into such a file. What does not: what is published
(``publish``). Reports stay views, so that they still depend on the day of reading.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from billing_pipeline.duckdb_sql import sql_name, sql_text
from billing_pipeline.durable import fsync
from billing_pipeline.published.manifest import PublishError
from billing_pipeline.published.reading import attach, database_path, open_published, utc_session
from billing_pipeline.published.tables import Table, published_tables
from billing_pipeline.published.template import template_database
from billing_pipeline.settings import Settings


def write_single_file(settings: Settings, target: Path) -> int:
    """Write the file anew, and return how many tables and views it has. It appears complete or not
    at all; readers who have the previous file open keep reading that one. Raises
    `NotPublishedError`, and `PublishError` if the file cannot be written."""
    open_published(settings).close()
    published = published_tables(settings)
    new = target.absolute().with_name(f".{target.name}.new")
    try:
        new.unlink(missing_ok=True)
        with utc_session() as connection:
            attach(connection, database_path(settings), "published")
            present = {
                str(name)
                for (name,) in connection.execute(
                    "SELECT view_name FROM duckdb_views()"
                    " WHERE database_name = 'published' AND schema_name = 'main'"
                ).fetchall()
            }
            shutil.copyfile(template_database(settings), new)
            connection.execute(f"ATTACH {sql_text(str(new))} AS single")
            connection.execute("USE single")
            connection.begin()
            for name, table in published.tables.items():
                if name in present:
                    query = f"SELECT * FROM published.main.{sql_name(name)}"
                    connection.execute(f"CREATE TABLE {sql_name(name)} AS {query}")
                    _describe(connection, name, table)
            connection.commit()
            connection.execute("USE memory")
            connection.execute("DETACH single")
        fsync(new)
        new.replace(target)
        fsync(target.absolute().parent)
    except (OSError, duckdb.Error) as error:
        new.unlink(missing_ok=True)
        raise PublishError(f"cannot write {target}: {error}") from error
    return len(present)


def _describe(connection: duckdb.DuckDBPyConnection, name: str, table: Table) -> None:
    connection.execute(f"COMMENT ON TABLE {sql_name(name)} IS {sql_text(table.comment)}")
    there = {str(row[0]) for row in connection.execute(f"DESCRIBE {sql_name(name)}").fetchall()}
    for column in table.columns:
        if column.name in there:
            place = f"{sql_name(name)}.{sql_name(column.name)}"
            connection.execute(f"COMMENT ON COLUMN {place} IS {sql_text(column.comment)}")
