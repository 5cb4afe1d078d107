"""Whether a month would be rated from what it was rated from last: then its tables stand.

What belongs here: the digest of everything that the models read, and the mark beside a month's
warehouse that says what was checked. What does not: reading the inputs, and building the models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.duckdb_sql import sql_name
from billing_pipeline.intake.usage_files import UsageFiles
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.dbt_runner import NodeResult, project_digest
from billing_pipeline.settings import Settings

_MARK = "checked"


def inputs_digest(
    connection: duckdb.DuckDBPyConnection, settings: Settings, usage: UsageFiles
) -> str:
    """Changes with any row of the schema ``raw``, with any usage file, and with the engine. The
    time of reading is not in it. Usage counts by its files' SHA-256, so that ten million events
    are not read for it."""
    found = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw'"
        " AND table_name <> 'intake' ORDER BY ALL"
    ).fetchall()
    tables = [(str(name), _content(connection, str(name))) for (name,) in found]
    how_usage_is_read = connection.execute(
        "SELECT view_name, sql FROM duckdb_views() WHERE schema_name = 'raw' UNION ALL"
        " SELECT function_name, macro_definition FROM duckdb_functions() WHERE NOT internal"
        " ORDER BY ALL"
    ).fetchall()
    read = [duckdb.__version__, settings.metering, usage.fingerprint, tables, how_usage_is_read]
    return hashlib.sha256(json.dumps(read).encode()).hexdigest()


def _content(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """The columns, the number of rows and a sum of their hashes; a repeated row counts twice."""
    columns = connection.execute(f"DESCRIBE raw.{sql_name(table)}").fetchall()
    (row,) = connection.execute(
        f"SELECT count(*), sum(hash(rows)::HUGEINT) FROM raw.{sql_name(table)} AS rows"
    ).fetchall()
    return [str([column[:2] for column in columns]), *map(str, row)]


def set_checked(
    settings: Settings, month: BillingMonth, passed: bool, nodes: Sequence[NodeResult] = ()
) -> None:
    """Write down that all models were built and all checks passed, or that they will change.
    `nodes`: what became of each; without them the month is computed anew whatever its inputs."""
    mark = _mark(settings, month)
    if not passed:
        mark.unlink(missing_ok=True)
        return
    said: dict[str, Any] = {}
    if nodes:
        said["inputs"] = digest_in(settings.warehouse_path(month))
        said["models"] = project_digest()
        said["nodes"] = [asdict(node) for node in nodes]
    new = mark.with_suffix(".new")
    new.write_text(json.dumps(said), encoding="utf-8")
    new.replace(mark)


def is_checked(settings: Settings, month: BillingMonth) -> bool:
    """True if the month's warehouse is as its passed checks left it: what may be sent.

    Not where somebody has written to it since, such as an analyst with dbt from a shell.
    """
    mark, warehouse = _mark(settings, month), settings.warehouse_path(month)
    return (
        mark.exists()
        and warehouse.exists()
        and warehouse.stat().st_mtime_ns <= mark.stat().st_mtime_ns
    )


def nodes_rated_from(
    settings: Settings, month: BillingMonth, digest: str | None = None
) -> list[NodeResult]:
    """Every model and test of the month as it was last rated, if it was by the models of today from
    inputs of this `digest` (default: of those in its warehouse) and if nobody has written to it;
    else none."""
    if not is_checked(settings, month):
        return []
    try:
        said = json.loads(_mark(settings, month).read_text(encoding="utf-8"))
        nodes = [NodeResult(**node) for node in said["nodes"]]
        rated_from = (said["inputs"], said["models"])
    except (ValueError, TypeError, KeyError):
        return []  # of an earlier version, or damaged
    now = digest or digest_in(settings.warehouse_path(month))
    return nodes if rated_from == (now, project_digest()) else []


def rated_digest(settings: Settings, month: BillingMonth) -> str | None:
    """Of the inputs that the month was rated from last; None where its checks did not pass since.
    The warehouse is not opened: a run may have it."""
    try:
        said = json.loads(_mark(settings, month).read_text(encoding="utf-8"))
        return str(said["inputs"])
    except (OSError, ValueError, KeyError):
        return None


def digest_in(warehouse: Path) -> str | None:
    """Of the inputs in a warehouse; None where an earlier release has read them."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        try:
            [(digest,)] = connection.execute("SELECT digest FROM raw.intake").fetchall()
        except (duckdb.BinderException, duckdb.CatalogException):
            return None
    return str(digest)


def _mark(settings: Settings, month: BillingMonth) -> Path:
    return settings.month_dir(month) / _MARK
