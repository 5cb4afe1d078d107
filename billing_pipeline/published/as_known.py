"""What was known about a month, and when: every recomputation that differs from the one before.

What belongs here: saving in ``records/`` the rows of a month's usage files, charges, lines,
invoices and plan that differ from what was known before, and reading them back with the time during
which each was valid. What does not: what was billed (``as_billed``), and the views over these rows
(``dbt_project/models/reports``).

A row is saved as text, with the time at which it became known; a row that has disappeared is saved
as gone. If nothing differs, nothing is written. Text keeps every digit, and stays text when a later
release adds a column.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import duckdb

from billing_pipeline.duckdb_sql import path_list, sql_name, sql_text
from billing_pipeline.durable import fsync
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import TERMS, TERMS_COLUMNS, TERMS_JOINS
from billing_pipeline.settings import Settings

TABLE = "known_rows"
FROM_WAREHOUSE = ("usage_files", "charges", "invoice_lines", "invoices")
PLAN = "invoice_plan"

# With digests of what each charge was computed from, so that the cause of a change can be found.
_CHARGES = f"""
WITH {TERMS},
terms AS (
    SELECT charges.*, {TERMS_COLUMNS}
    FROM warehouse.main.charges AS charges
    INNER JOIN warehouse.main.billable_quantities AS quantities
        ON charges.charge_id = quantities.charge_id
    {TERMS_JOINS}
)
SELECT * REPLACE (md5(price_terms) AS price_terms, md5(subscription_terms) AS subscription_terms)
FROM terms
"""
_HAS_TERMS = """
SELECT count(*) FROM duckdb_tables()
WHERE database_name = 'warehouse' AND schema_name || '.' || table_name
    IN ('raw.plan_prices', 'main.billable_quantities')
"""
_STANDING = """
CREATE OR REPLACE TEMP TABLE standing AS
SELECT table_name, row_id
FROM read_parquet({files})
GROUP BY table_name, row_id
HAVING NOT arg_max(is_gone, version)
"""
_NO_STANDING = """
CREATE OR REPLACE TEMP TABLE standing (table_name VARCHAR, row_id VARCHAR)
"""
_CHANGED_ROWS = """
CREATE OR REPLACE TEMP TABLE different AS
SELECT
    $month::DATE AS billing_month, $version::INTEGER AS version, $known_at::TIMESTAMPTZ AS known_at,
    table_name, row_id, content IS NULL AS is_gone, content
FROM (
    FROM present ANTI JOIN standing USING (table_name, row_id)
    UNION ALL BY NAME
    SELECT table_name, row_id, NULL::VARCHAR AS content
    FROM standing ANTI JOIN present USING (table_name, row_id)
    WHERE list_contains($tables, table_name)
)
"""
_INTERVALS = """
SELECT billing_month, table_name, row_id, known_at AS known_from, known_to, content
FROM (
    SELECT *, lead(known_at) OVER (PARTITION BY table_name, row_id ORDER BY version) AS known_to
    FROM read_parquet({files})
) AS kept
WHERE NOT is_gone
"""


def month_queries(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The query of each table that is saved from a month's warehouse, which is attached as
    `warehouse`."""
    queries = {name: f"SELECT * FROM warehouse.main.{name}" for name in FROM_WAREHOUSE}
    if connection.execute(_HAS_TERMS).fetchall() == [(2,)]:
        queries["charges"] = _CHARGES
    return queries


def save(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    month: BillingMonth,
    queries: Mapping[str, str],
    now: datetime,
) -> bool:
    """Save the rows of these tables that differ from what was known; returns False if none does.
    They are on the disk when this returns. The caller holds the lock of publications, so no other
    process writes here."""
    known = _files(settings, month)
    version = int(known[-1].stem) + 1 if known else 1
    connection.execute(_STANDING.format(files=path_list(known)) if known else _NO_STANDING)
    present = " UNION ALL ".join(
        _as_text(connection, name, query) for name, query in sorted(queries.items())
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE present AS {present}")
    values = {"month": month.key, "version": version, "known_at": now, "tables": sorted(queries)}
    connection.execute(_CHANGED_ROWS, values)
    [(count,)] = connection.execute("SELECT count(*) FROM different").fetchall()
    if count:
        _write(connection, _folder(settings, month) / f"{version:06}.parquet")
    for table in ("standing", "present", "different"):
        connection.execute(f"DROP TABLE {table}")
    return bool(count)


def known_query(settings: Settings, month: BillingMonth) -> str | None:
    """A query of all rows ever known for the month, each with the time during which it was valid;
    None if nothing was saved."""
    files = _files(settings, month)
    return _INTERVALS.format(files=path_list(files)) if files else None


def _as_text(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> str:
    columns = [str(row[0]) for row in connection.execute(f"DESCRIBE {query}").fetchall()]
    listed = ", ".join(f"{sql_text(one)}, {sql_name(one)}::VARCHAR" for one in columns)
    return (
        f"SELECT DISTINCT {sql_text(name)} AS table_name, md5(content) AS row_id, content"
        f" FROM (SELECT json_object({listed})::VARCHAR AS content FROM ({query}))"
    )


def _write(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write the file, which gets its name once it is complete and on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    target = sql_text(str(unfinished))
    # Unsorted and at compression level 1: half a million charges take half the time and less space.
    options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
    connection.execute(f"COPY different TO {target} ({options})")
    fsync(unfinished)
    unfinished.replace(path)
    fsync(path.parent)


def _folder(settings: Settings, month: BillingMonth) -> Path:
    return settings.records_dir / "known" / str(month)


def _files(settings: Settings, month: BillingMonth) -> list[Path]:
    return sorted(_folder(settings, month).glob("[0-9]*.parquet"))
