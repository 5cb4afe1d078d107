"""Whether a month's inputs and models are unchanged since its last rating: then its tables are
kept.

What belongs here: the digest of everything that the models read, and the file beside a month's
warehouse that says what was checked. What does not: reading the inputs, and building the models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
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
    """A digest that changes with any row of the schema ``raw``, any usage file, and the engine, but
    not with the time of reading. Usage enters by its files' SHA-256, so ten million events need not
    be read for it."""
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
    """Note that all models were built and all checks passed, or that the tables will change.
    `nodes` are the results; without them the month is computed anew, whatever its inputs."""
    mark, warehouse = _mark(settings, month), settings.warehouse_path(month)
    if not passed:
        mark.unlink(missing_ok=True)
        return
    noted: dict[str, Any] = {"content": _file_digest(warehouse)}
    if nodes:
        noted["inputs"] = digest_in(warehouse)
        noted["models"] = project_digest()
        noted["nodes"] = [asdict(node) for node in nodes]
    new = mark.with_suffix(".new")
    new.write_text(json.dumps(noted), encoding="utf-8")
    new.replace(mark)


def is_checked(settings: Settings, month: BillingMonth) -> bool:
    """True if the month may be sent: its warehouse is unchanged since its checks passed, and was
    computed by the present models.

    Its content is compared, not its time, which a tool can set back. Somebody may have written to
    it since, such as an analyst with dbt from a shell.
    """
    return _is_unchanged(settings.warehouse_path(month), _read_mark(settings, month))


def _is_unchanged(warehouse: Path, noted: dict[str, Any]) -> bool:
    # The content of a write-ahead log becomes part of the tables when the file is next opened.
    if not warehouse.exists() or warehouse.with_name(warehouse.name + ".wal").exists():
        return False
    is_current_code = "models" not in noted or noted["models"] == project_digest()
    return is_current_code and noted.get("content") == _file_digest(warehouse)


def reusable_nodes(
    settings: Settings, month: BillingMonth, digest: str | None = None
) -> list[NodeResult]:
    """Every model and test of the month's last rating, if that used the present models and inputs
    with this `digest` (default: that of the inputs in its warehouse) and nobody has written to the
    warehouse since; otherwise none."""
    noted, warehouse = _read_mark(settings, month), settings.warehouse_path(month)
    try:
        nodes = [NodeResult(**node) for node in noted["nodes"]]
        inputs = noted["inputs"]
    except (TypeError, KeyError):
        return []  # written by an earlier release, or without nodes
    # First, because to read a whole warehouse takes seconds.
    if digest is not None and inputs != digest:
        return []
    if not _is_unchanged(warehouse, noted) or inputs != (digest or digest_in(warehouse)):
        return []
    return nodes


def rated_digest(settings: Settings, month: BillingMonth) -> str | None:
    """The digest of the inputs from which the month was last rated; None if its checks have not
    passed. The warehouse is not opened, because a run may have it open."""
    inputs = _read_mark(settings, month).get("inputs")
    return None if inputs is None else str(inputs)


def digest_in(warehouse: Path) -> str | None:
    """The digest of the inputs in a warehouse; None if an earlier release read them."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        try:
            [(digest,)] = connection.execute("SELECT digest FROM raw.intake").fetchall()
        except (duckdb.BinderException, duckdb.CatalogException):
            return None
    return str(digest)


def _read_mark(settings: Settings, month: BillingMonth) -> dict[str, Any]:
    """What was noted about the passed checks; empty if they did not pass or the note cannot be
    read."""
    try:
        noted = json.loads(_mark(settings, month).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


def _file_digest(path: Path) -> str:
    found = path.stat()
    # Setting a file's time back changes `st_ctime_ns`.
    identity = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return _digest_of(path, identity)


@lru_cache(maxsize=8)
def _digest_of(path: Path, identity: tuple[int, ...]) -> str:
    """The digest of the file, cached because a run needs it several times and reading a large
    warehouse takes seconds."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _mark(settings: Settings, month: BillingMonth) -> Path:
    return settings.month_dir(month) / _MARK
