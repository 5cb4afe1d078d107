"""Opening the published database.

What belongs here: a read-only connection to it, and the message if there is none. What does not:
the queries (reports, ``documents``, ``dashboard``, ``notices``).
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from billing_pipeline.duckdb_sql import sql_name, sql_text
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.manifest import Manifest, PublishError
from billing_pipeline.settings import Settings


class NotPublishedError(LookupError):
    """There is nothing to read yet."""


def database_path(settings: Settings) -> Path:
    """The published database; anyone may open it read-only at any time."""
    return settings.published_dir / "billing.duckdb"


def open_published(settings: Settings) -> duckdb.DuckDBPyConnection:
    """A read-only connection to what is published now; the caller closes it.

    Raises `NotPublishedError`, or `PublishError` if the file is damaged. The file is attached to a
    database in memory rather than opened: within one process DuckDB returns the instance that is
    already open for a path, which may be the state before the last publication.
    """
    path = database_path(settings)
    if not path.exists():
        raise NotPublishedError(f"nothing is published in {path} yet: close a month first")
    connection = utc_session()
    try:
        attach(connection, path, "billing")
        connection.execute("USE billing")
    except duckdb.Error as error:
        connection.close()
        reason = str(error).rstrip(".!")
        raise PublishError(
            f"{path} cannot be opened: {reason}. It is rebuilt by the next run, or by "
            "`billing pull MONTH`"
        ) from error
    return connection


def plan_publication(settings: Settings, month: BillingMonth) -> str | None:
    """A name for the publication of the month's invoice plan, which changes with each run that
    publishes a plan. None if there is no plan."""
    try:
        tables = Manifest.read(settings.published_dir).months.get(str(month), {})
    except PublishError:
        return None  # a damaged manifest counts as none
    return tables["invoice_plan"]["file"] if "invoice_plan" in tables else None


def utc_session() -> duckdb.DuckDBPyConnection:
    """A database in memory whose session time zone is UTC: results never depend on the host."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Make a database file readable under a name, which is faster than opening it by itself."""
    connection.execute(f"ATTACH {sql_text(str(path))} AS {sql_name(name)} (READ_ONLY)")
