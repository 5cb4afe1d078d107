"""Publishing: from the months' warehouses to the one database that everybody reads.

What belongs here: exporting a month's tables as Parquet, the manifest of what is current, the
swap of ``billing.duckdb``, collecting old versions, and opening what was published. What does
not: computing anything (dbt), and what is published (``tables``).

The order of a publication is what makes it safe: first every new file is written and on the
disk, then the new database of views beside the old one, then the manifest, then one rename.
Until that rename readers see the old state; a crash anywhere before it leaves them there. A
database that is open keeps its old views, and their files stay for a day after they are replaced.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from billing_pipeline.duckdb_sql import glob_literal, sql_name, sql_text
from billing_pipeline.home import open_to_readers
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import versions_query
from billing_pipeline.published.durable import fsync
from billing_pipeline.published.tables import Column, Published, Table, published_tables
from billing_pipeline.runs.process_locks import HeldError, NamedLock
from billing_pipeline.settings import Settings

Rows = Sequence[Mapping[str, object]]
# The columns of a file, in their order: name and type of each.
Columns = list[list[str]]

# What is to be told of a publication that succeeds; on the terminal where nobody listens.
_LOG = logging.getLogger(__name__)

# How long the files of a replaced version stay for readers that have the old database open.
# Longer is safe and only costs disk; shorter breaks a reader's long session.
KEEP_REPLACED_SECONDS = 24 * 3600
# A publication takes about a second; who waits longer than this waits for a process that hangs.
LOCK_TIMEOUT_SECONDS = 120.0

# Between the paths of a list, which have no empty names.
_NEXT_FILE = "//\n"

# The tables of the running month's estimate, and the table of the warehouse that each is made from.
_ESTIMATED = {
    "estimated_charges": "charges",
    "estimated_totals": "invoices",
    "estimated_entitlement_usage": "entitlement_usage",
    "estimated_daily_usage": "daily_usage",
    "trials": "stg_accounts__subscriptions",
}
_SIMULATIONS = "simulation_changes"


class PublishError(RuntimeError):
    """A month could not be published; what was published before is untouched."""


class NotPublishedError(LookupError):
    """There is nothing to read yet."""


def database_path(settings: Settings) -> Path:
    """The published database; anyone may open it read-only at any time."""
    return settings.published_dir / "billing.duckdb"


def publish(
    settings: Settings, month: BillingMonth, extra_tables: Mapping[str, Rows] | None = None
) -> Path:
    """Publish the month as it stands in its warehouse, together with `extra_tables`.

    An extra table is one of dbt's source `collection`; each row is a mapping of its columns, and
    what is left out is NULL, a missing ``billing_month`` is the month's. An extra table that is
    not given keeps what the month had. Returns the folder of the new version. Raises
    `PublishError`; the former publication then still stands.
    """
    return _publish(settings, month, extra_tables or {}, from_warehouse=True)


def publish_rows(settings: Settings, month: BillingMonth, extra_tables: Mapping[str, Rows]) -> Path:
    """Publish `extra_tables` alone: the month's charges and invoices stay as published.

    For a pull of payments, which must not publish a warehouse that something else has rebuilt
    since. Returns and raises as `publish`.
    """
    return _publish(settings, month, extra_tables, from_warehouse=False)


def publish_simulation(settings: Settings, simulation_id: str, rows: Rows) -> None:
    """Add a simulation to the published table `simulation_changes`; no month is touched."""
    root, published = settings.published_dir, published_tables(settings)
    with _publishing_lock(root), _session() as connection:
        manifest = _read_manifest(root)
        _forget_missing(root, manifest)
        folder = root / "simulations"
        folder.mkdir(exist_ok=True)
        table = published.sources["simulations"][_SIMULATIONS]
        _write_rows(connection, table, rows, folder / f"{simulation_id}.parquet")
        _make_durable(folder, up_to=root)
        _put_in_place(connection, settings, published, manifest)


def publish_estimate(
    settings: Settings, month: BillingMonth, warehouse: Path, estimated_at: datetime
) -> None:
    """Publish the running month as rated in `warehouse`, in place of the estimate before it; the
    tables of the months themselves are not touched. Raises as `publish`."""
    root, published = settings.published_dir, published_tables(settings)
    with _publishing_lock(root), _session() as connection:
        manifest = _read_manifest(root)
        now = time.time()
        _recover(root, manifest, now)
        _forget_missing(root, manifest)
        folder = _new_version_folder(root / "estimates", now)
        tables = published.sources["estimates"]
        files = _export_estimate(connection, tables, month, warehouse, estimated_at, folder)
        _make_durable(folder, up_to=root)
        _enter(manifest, manifest.setdefault("estimate", {}), root, folder, files, now)
        _put_in_place(connection, settings, published, manifest)
        _collect(root, root / "estimates", manifest, now)


def open_published(settings: Settings) -> duckdb.DuckDBPyConnection:
    """A read-only connection to what is published at this moment; the caller closes it.

    Raises `NotPublishedError`, or `PublishError` where the file is damaged. Attached to a database
    in memory rather than opened: within one process DuckDB hands out the instance that is already
    open for a path, that is the state before the last publication.
    """
    path = database_path(settings)
    if not path.exists():
        raise NotPublishedError(f"nothing is published in {path} yet: close a month first")
    connection = _session()
    try:
        attach(connection, path, "billing")
        connection.execute("USE billing")
    except duckdb.Error as error:
        connection.close()
        reason = str(error).rstrip(".!")
        raise PublishError(
            f"{path} cannot be opened: {reason}. It is made anew by the next run, or by "
            "`billing pull MONTH`"
        ) from error
    return connection


def plan_publication(settings: Settings, month: BillingMonth) -> str | None:
    """Names the publication that the month's invoice plan is of; another one after each run that
    published a plan. None while there is none."""
    try:
        tables = _read_manifest(settings.published_dir)["months"].get(str(month), {})
    except PublishError:
        return None  # what is damaged is made anew by the next publication
    file: str | None = tables.get("invoice_plan", {}).get("file")
    return file


# --- a publication, step by step ----------------------------------------------------------------


def _publish(
    settings: Settings,
    month: BillingMonth,
    extra_tables: Mapping[str, Rows],
    *,
    from_warehouse: bool,
) -> Path:
    root, published = settings.published_dir, published_tables(settings)
    extra = published.sources["collection"]
    unknown = sorted(extra_tables.keys() - extra.keys())
    if unknown:
        raise PublishError(f"no such table to publish: {', '.join(unknown)}")
    with _publishing_lock(root), _session() as connection:
        manifest = _read_manifest(root)
        now = time.time()
        _recover(root, manifest, now)
        if str(month) in _forget_missing(root, manifest) and not from_warehouse:
            raise PublishError(
                f"files of {month} are gone from {root}: `billing run {month}` makes them anew"
            )
        folder = _new_version_folder(root / "months" / str(month), now)
        files: dict[str, Columns] = {}
        if from_warehouse:
            files |= _export_warehouse(connection, settings, published, month, folder)
        for name, rows in extra_tables.items():
            path = folder / f"{name}.parquet"
            files[name] = _export_rows(connection, extra[name], rows, month, path)
        _make_durable(folder, up_to=root)
        current = manifest["months"].setdefault(str(month), {})
        _enter(manifest, current, root, folder, files, now)
        _put_in_place(connection, settings, published, manifest)
        _collect(root, root / "months" / str(month), manifest, now)
    return folder


@contextmanager
def _publishing_lock(root: Path) -> Iterator[None]:
    """One publication at a time; the kernel frees the lock of a process that was killed."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        what = f"{root} is being published into"
        with NamedLock(
            root / ".publish.lock", what, "another run", LOCK_TIMEOUT_SECONDS, _LOG.warning
        ):
            yield
    except HeldError as error:
        raise PublishError(str(error)) from None
    except (OSError, duckdb.Error) as error:
        raise PublishError(f"cannot publish into {root}: {error}") from error


def _put_in_place(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    published: Published,
    manifest: dict[str, Any],
) -> None:
    """From the new manifest to what readers see."""
    root = settings.published_dir
    new_database = _build_database(connection, root, published, manifest)
    open_to_readers(settings)
    manifest["database_inode"] = new_database.stat().st_ino
    _write_manifest(root, manifest)
    _swap(new_database, database_path(settings))


def _new_version_folder(parent: Path, now: float) -> Path:
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S")
    folder = parent / f"{stamp}-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    return folder


def _export_warehouse(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    published: Published,
    month: BillingMonth,
    folder: Path,
) -> dict[str, Columns]:
    """dbt's published tables of the month's warehouse as Parquet, and the month as billed."""
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
            queries[name] = versions_query(settings, month, name) or _empty(table.columns)
        files = {
            name: _copy(connection, query, folder / f"{name}.parquet")
            for name, query in queries.items()
        }
        connection.execute("DETACH warehouse")
        return files
    except duckdb.Error as error:
        raise PublishError(f"cannot export the warehouse of {month}: {error}") from error


def _export_estimate(
    connection: duckdb.DuckDBPyConnection,
    tables: Mapping[str, Table],
    month: BillingMonth,
    warehouse: Path,
    estimated_at: datetime,
    folder: Path,
) -> dict[str, Columns]:
    """The estimate's tables out of the warehouse that it was rated in, as Parquet."""
    files: dict[str, Columns] = {}
    attach(connection, warehouse, "warehouse")
    connection.execute(
        "CREATE TEMP TABLE estimate AS SELECT $1::DATE AS billing_month,"
        " $2::TIMESTAMPTZ AS estimated_at, (SELECT max(occurred_at) FROM"
        " warehouse.main.accepted_events WHERE usage_month = $1::DATE) AS usage_until",
        [month.key, estimated_at],
    )
    own = ("billing_month", "estimated_at", "usage_until")
    for name, table in tables.items():
        columns = ", ".join(
            f"{'estimate' if item.name in own else 'source'}.{item.name}::{item.type}"
            f" AS {item.name}"
            for item in table.columns
        )
        source = f"warehouse.main.{_ESTIMATED[name]}"
        query = f"SELECT {columns} FROM {source} AS source CROSS JOIN estimate"
        if name == "trials":
            query += (
                " WHERE source.starts_at <= estimated_at AND source.trial_ends_at >"
                " estimated_at AND coalesce(source.ends_at > source.trial_ends_at, true)"
            )
        files[name] = _copy(connection, query, folder / f"{name}.parquet")
    connection.execute("DETACH warehouse")
    return files


def _export_rows(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    rows: Rows,
    month: BillingMonth,
    path: Path,
) -> Columns:
    """Python's rows as Parquet, every column with the type that the table declares."""
    names = {column.name for column in table.columns}
    first_day = date(month.year, month.month, 1)
    complete: list[dict[str, object]] = []
    for row in rows:
        unknown = sorted(set(row) - names)
        if unknown:
            raise PublishError(f"{path.stem} has no column {', '.join(unknown)}")
        of_month = row.get("billing_month") or first_day
        if of_month != first_day:
            raise PublishError(f"a row of {path.stem} is of {of_month}, not of {month}")
        complete.append({**row, "billing_month": of_month})
    return _write_rows(connection, table, complete, path)


def _write_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: Rows, path: Path
) -> Columns:
    schema = connection.sql(_empty(table.columns)).to_arrow_table().schema
    try:
        rows_table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    except (pa.ArrowException, TypeError) as error:
        raise PublishError(f"a value does not fit {path.stem}: {error}") from error
    connection.register("new_rows", rows_table)
    columns = _copy(connection, "SELECT * FROM new_rows", path)
    connection.unregister("new_rows")
    return columns


def _copy(connection: duckdb.DuckDBPyConnection, query: str, path: Path) -> Columns:
    """Write a query's rows to `path`; returns the file's columns.

    They go into the manifest so that views can be built without opening any file.
    """
    columns = connection.execute(f"DESCRIBE {query}").fetchall()
    # The first level is quicker than the third, which is DuckDB's own, and of such tables smaller.
    options = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"
    connection.execute(f"COPY ({query}) TO {sql_text(str(path))} ({options})")
    return [[str(column[0]), str(column[1])] for column in columns]


def _enter(
    manifest: dict[str, Any],
    current: dict[str, Any],
    root: Path,
    folder: Path,
    files: Mapping[str, Columns],
    now: float,
) -> None:
    """Enter the new files among the current ones, of a month or of the estimate, both in the
    manifest; those that they replace are retired as of now."""
    for name, columns in files.items():
        if name in current:
            manifest["retired"][current[name]["file"]] = now
        relative = (folder / f"{name}.parquet").relative_to(root)
        layout = _layout(manifest, columns)
        current[name] = {"file": relative.as_posix(), "layout": layout}
    manifest["published_at"] = datetime.fromtimestamp(now, UTC).isoformat()


def _layout(manifest: dict[str, Any], columns: Columns) -> int:
    """Where the manifest lists these columns: once, as all months have the same."""
    layouts: list[Columns] = manifest["layouts"]
    if columns not in layouts:
        layouts.append(columns)
    return layouts.index(columns)


# --- the database of views ----------------------------------------------------------------------


def _build_database(
    connection: duckdb.DuckDBPyConnection,
    root: Path,
    published: Published,
    manifest: Mapping[str, Any],
) -> Path:
    """A new database of views over the current files of all months, closed and on the disk."""
    path = root / "billing.duckdb.new"
    for leftover in (path, path.with_name(path.name + ".wal")):
        leftover.unlink(missing_ok=True)
    queries = {
        **{
            name: _view_query(root, manifest, name, published.tables[name])
            for name in published.tables
        },
        **{name: report.query for name, report in published.reports.items()},
    }
    try:
        connection.execute(f"ATTACH {sql_text(str(path))} AS billing")
        connection.execute("USE billing")
        for statements in (_views(queries), _comments({**published.tables, **published.reports})):
            with _at_once(connection):
                connection.execute(statements)
        connection.execute("CHECKPOINT")
        connection.execute("USE memory")
        connection.execute("DETACH billing")
    except duckdb.Error as error:
        raise PublishError(
            f"cannot build the views over {root}: {error}. Delete the file that is damaged, and "
            "run its month again"
        ) from error
    fsync(path)
    return path


@contextmanager
def _at_once(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """One transaction, all or nothing. With one for each of the hundreds of comments, the waits
    for the disk would take longer than all the rest of a publication."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _views(queries: Mapping[str, str]) -> str:
    return "; ".join(f"CREATE VIEW {sql_name(name)} AS {query}" for name, query in queries.items())


def _comments(tables: Mapping[str, Table]) -> str:
    """Describe every view and its columns."""
    statements = []
    for name, table in tables.items():
        statements.append(f"COMMENT ON VIEW {sql_name(name)} IS {sql_text(table.comment)}")
        for column in table.columns:
            place = f"{sql_name(name)}.{sql_name(column.name)}"
            statements.append(f"COMMENT ON COLUMN {place} IS {sql_text(column.comment)}")
    return "; ".join(statements)


def _view_query(root: Path, manifest: Mapping[str, Any], name: str, table: Table) -> str:
    """The query of one table's view; empty where nothing was published of it.

    One scan for each distinct list of columns: normally one. DuckDB then opens a single file to
    bind the view, however many months there are; where a release added a column, older months
    show NULL there. Newest months first, so that their columns come in today's order.
    """
    if name == _SIMULATIONS:
        files = [str(path) for path in sorted((root / "simulations").glob("*.parquet"))]
        return f"SELECT * FROM read_parquet({_files(files)})" if files else _empty(table.columns)
    scans: dict[int, list[str]] = {}
    months = manifest["months"]
    for tables in (*(months[month] for month in sorted(months, reverse=True)), _estimate(manifest)):
        entry = tables.get(name)
        if entry is not None:
            scans.setdefault(entry["layout"], []).append(f"{root}/{entry['file']}")
    parts = [f"SELECT * FROM read_parquet({_files(files)})" for files in scans.values()]
    there = {column for layout in scans for column, _ in manifest["layouts"][layout]}
    # Of a release since the last publication: whoever asks for it finds it, as yet empty.
    new = [column for column in table.columns if column.name not in there]
    return " UNION ALL BY NAME ".join([*parts, _empty(new)] if new else parts)


def _empty(columns: Iterable[Column]) -> str:
    nulls = (f"NULL::{column.type} AS {sql_name(column.name)}" for column in columns)
    return f"SELECT {', '.join(nulls)} WHERE false"


def _estimate(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """The current files of the running month's estimate; none before the first one."""
    found: Mapping[str, Any] = manifest.get("estimate", {})
    return found


def _read_manifest(root: Path) -> dict[str, Any]:
    path = root / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"format": 2, "months": {}, "layouts": [], "retired": {}}
    except ValueError as error:
        raise PublishError(
            f"{path} is damaged ({error}): delete {root} and run the months again"
        ) from error
    if manifest["format"] == 1:
        manifest |= {"format": 2, "layouts": []}
        for tables in (*manifest["months"].values(), _estimate(manifest)):
            for entry in tables.values():
                entry["layout"] = _layout(manifest, entry.pop("columns"))
    return manifest


def _recover(root: Path, manifest: dict[str, Any], now: float) -> None:
    """After a crash between manifest and swap, readers use the retired files to this day."""
    database = root / "billing.duckdb"
    in_place = database.stat().st_ino if database.exists() else None
    if in_place != manifest.get("database_inode"):
        manifest["retired"] = dict.fromkeys(manifest["retired"], now)


def _forget_missing(root: Path, manifest: dict[str, Any]) -> list[str]:
    """Take the months of which files are gone out of the manifest, as a whole: nobody is to see
    half a month. Their names; whoever runs them publishes them anew."""
    gone = [month for month, tables in manifest["months"].items() if _is_missing(root, tables)]
    for month in gone:
        del manifest["months"][month]
    if _is_missing(root, _estimate(manifest)):
        del manifest["estimate"]
    if gone:
        _LOG.warning("files of %s are gone from %s: run these months again", ", ".join(gone), root)
    return gone


def _is_missing(root: Path, tables: Mapping[str, Any]) -> bool:
    return not all((root / entry["file"]).exists() for entry in tables.values())


def _write_manifest(root: Path, manifest: Mapping[str, Any]) -> None:
    scratch = root / "manifest.json.new"
    # Without an indent, which json writes six times as slowly: the manifest grows with history.
    scratch.write_text(json.dumps(manifest, sort_keys=True), encoding="utf-8")
    fsync(scratch)
    scratch.replace(root / "manifest.json")
    fsync(root)


def _swap(new: Path, path: Path) -> None:
    """The one moment in which readers go over from the old state to the new."""
    new.replace(path)
    fsync(path.parent)


def _collect(root: Path, place: Path, manifest: dict[str, Any], now: float) -> None:
    """Delete what was replaced long enough ago, and leftovers of publications that crashed.

    Only `place`, the folder of the month or of the estimates, is searched for leftovers, so the
    cost does not grow with history.
    The manifest forgets deleted files at its next writing: a name without a file is harmless.
    """
    in_use = (*manifest["months"].values(), _estimate(manifest))
    current = {entry["file"] for tables in in_use for entry in tables.values()}
    retired = manifest["retired"]
    gone = {file for file, since in retired.items() if now - since > KEEP_REPLACED_SECONDS}
    for path in place.glob("*/*"):
        name = path.relative_to(root).as_posix()
        abandoned = name not in current and name not in retired
        if abandoned and now - path.stat().st_mtime > KEEP_REPLACED_SECONDS:
            gone.add(name)
    for file in sorted(gone - current):
        (root / file).unlink(missing_ok=True)
        folder = (root / file).parent
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    if gone:
        manifest["retired"] = {file: since for file, since in retired.items() if file not in gone}
        _write_manifest(root, manifest)


def _make_durable(folder: Path, *, up_to: Path) -> None:
    """Bring the folder's files and the names that lead to them to the disk."""
    for path in sorted(folder.iterdir()):
        fsync(path)
    for parent in (folder, *folder.parents):
        fsync(parent)
        if parent == up_to:
            break


# --- DuckDB -------------------------------------------------------------------------------------


def _session() -> duckdb.DuckDBPyConnection:
    """A database in memory whose session time zone is UTC: results never depend on the host."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def attach(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Make a database file readable under a name; to open it by itself takes longer."""
    connection.execute(f"ATTACH {sql_text(str(path))} AS {sql_name(name)} (READ_ONLY)")


def _files(paths: Sequence[str]) -> str:
    """A SQL list of paths, in which no character is a wildcard.

    It is written as one text: DuckDB copies a view for each comment on a column of it, and a list
    of all months element by element.
    """
    listed = _NEXT_FILE.join(glob_literal(path) for path in paths)
    return f"string_split({sql_text(listed)}, {sql_text(_NEXT_FILE)})"
