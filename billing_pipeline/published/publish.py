"""Publishing: from the months' warehouses to the one database that everybody reads.

What belongs here: the order of a publication. What does not: the files' content (``export``),
what is current (``manifest``), the database (``views``), and reading it (``reading``).

The order makes a publication safe: first every new file is written to the disk, then the new
database of views beside the old one, then the manifest; then one rename puts the new database in
place. Until that rename readers see the old state, even after a crash. A database that is open
keeps its old views, and their files stay for a day after they are replaced.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from billing_pipeline.duckdb_sql import path_list
from billing_pipeline.durable import fsync
from billing_pipeline.home import open_to_readers
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_known import PLAN, save
from billing_pipeline.published.export import (
    Files,
    Rows,
    export_estimate,
    export_known,
    export_month_rows,
    export_rows,
    export_tables,
    export_warehouse,
)
from billing_pipeline.published.manifest import Manifest, PublishError
from billing_pipeline.published.reading import database_path, utc_session
from billing_pipeline.published.tables import Published, published_tables
from billing_pipeline.published.template import template_database
from billing_pipeline.published.views import SIMULATIONS, build_database
from billing_pipeline.runs.process_locks import HeldError, NamedLock
from billing_pipeline.settings import Settings

_LOG = logging.getLogger(__name__)

WALLETS = ("wallet_ledger", "wallet_lots")

# A publication takes about a second; after this long, the process that holds the lock must be
# hanging.
LOCK_TIMEOUT_SECONDS = 120.0


def publish(
    settings: Settings, month: BillingMonth, extra_tables: Mapping[str, Rows] | None = None
) -> None:
    """Publish the month as it stands in its warehouse, together with `extra_tables`.

    An extra table is one of dbt's source `collection`. Each row is a mapping of its columns; a
    missing column is NULL, and a missing ``billing_month`` is filled with the month. An extra table
    that is not given keeps what the month had. Raises `PublishError`, and then the previous
    publication still stands.
    """
    _publish_month(settings, month, extra_tables or {}, from_warehouse=True)


def is_published(settings: Settings, month: BillingMonth) -> bool:
    """Whether the month's charges and invoices are published, and their files are there."""
    try:
        manifest = Manifest.read(settings.published_dir)
    except PublishError:
        return False
    entry = manifest.months.get(str(month), {}).get("invoices")
    return entry is not None and (manifest.root / entry["file"]).exists()


def publish_rows(settings: Settings, month: BillingMonth, extra_tables: Mapping[str, Rows]) -> None:
    """Publish `extra_tables` alone: the month's charges and invoices stay as published.

    For a pull of payments, which must not publish a warehouse that has been rebuilt since. Raises
    the same errors as `publish`.
    """
    _publish_month(settings, month, extra_tables, from_warehouse=False)


def publish_simulation(settings: Settings, simulation_id: str, rows: Rows) -> None:
    """Add a simulation to the published table `simulation_changes`; no month is touched."""
    folder = settings.published_dir / "simulations"
    with _publication(settings, folder) as new:
        folder.mkdir(exist_ok=True)
        table = new.published.sources["simulations"][SIMULATIONS]
        export_rows(new.connection, table, rows, folder / f"{simulation_id}.parquet")
        _make_durable(folder, up_to=settings.published_dir)


def publish_estimate(
    settings: Settings, month: BillingMonth, warehouse: Path, estimated_at: datetime
) -> None:
    """Publish the running month as rated in `warehouse`, in place of the previous estimate; the
    tables of the months themselves are not touched. Raises the same errors as `publish`."""
    place = settings.published_dir / "estimates"
    with _publication(settings, place) as new:
        folder = _new_version_folder(place, new.now)
        tables = new.published.sources["estimates"]
        files = export_estimate(new.connection, tables, month, warehouse, estimated_at, folder)
        _make_durable(folder, up_to=settings.published_dir)
        new.manifest.enter(new.manifest.estimate, files, new.now)


def publish_wallets(settings: Settings, month: BillingMonth, warehouse: Path) -> None:
    """Publish the running month's wallets as computed in `warehouse`; closing the month replaces
    them. Nothing else of the month is touched. Raises the same errors as `publish`."""
    place = settings.published_dir / "months" / str(month)
    with _publication(settings, place) as new:
        folder = _new_version_folder(place, new.now)
        files = export_tables(new.connection, warehouse, WALLETS, folder)
        _make_durable(folder, up_to=settings.published_dir)
        new.manifest.enter(new.manifest.months.setdefault(str(month), {}), files, new.now)


def _publish_month(
    settings: Settings,
    month: BillingMonth,
    extra_tables: Mapping[str, Rows],
    *,
    from_warehouse: bool,
) -> None:
    place = settings.published_dir / "months" / str(month)
    with _publication(settings, place) as new:
        extra = new.published.sources["collection"]
        unknown = sorted(extra_tables.keys() - extra.keys())
        if unknown:
            raise PublishError(f"no such table to publish: {', '.join(unknown)}")
        if str(month) in new.missing and not from_warehouse:
            raise PublishError(
                f"files of {month} are gone from {settings.published_dir}: "
                f"`billing run {month}` rebuilds them"
            )
        folder = _new_version_folder(place, new.now)
        now = datetime.fromtimestamp(new.now, UTC)
        files: Files = {}
        if from_warehouse:
            files |= export_warehouse(new.connection, settings, new.published, month, folder, now)
        for name, rows in extra_tables.items():
            path = folder / f"{name}.parquet"
            files |= export_month_rows(new.connection, extra[name], rows, month, path)
            if name == PLAN:
                query = f"SELECT * FROM read_parquet({path_list([path])})"
                save(new.connection, settings, month, {PLAN: query}, now)
        if from_warehouse or PLAN in extra_tables:
            files |= export_known(new.connection, settings, new.published, month, folder)
        _make_durable(folder, up_to=settings.published_dir)
        new.manifest.enter(new.manifest.months.setdefault(str(month), {}), files, new.now)


@dataclass(frozen=True)
class _Publication:
    """A publication under way, at the time `now`; `missing` are the months whose files are gone."""

    connection: duckdb.DuckDBPyConnection
    published: Published
    manifest: Manifest
    missing: list[str]
    now: float


@contextmanager
def _publication(settings: Settings, place: Path) -> Iterator[_Publication]:
    """Within the block, new files are written and entered into the manifest. Readers see them after
    the block; if it raises, they see none of them. `place` is the folder of their older
    versions."""
    root, published, now = settings.published_dir, published_tables(settings), time.time()
    template = template_database(settings)
    with _publishing_lock(root), utc_session() as connection:
        manifest = Manifest.read(root)
        manifest.recover(now)
        yield _Publication(connection, published, manifest, manifest.forget_missing(), now)
        new_database = build_database(connection, published, manifest, template)
        open_to_readers(settings)
        manifest.database_inode = new_database.stat().st_ino
        manifest.write()
        _swap(new_database, database_path(settings))
        manifest.delete_replaced(place, now)


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


def _new_version_folder(parent: Path, now: float) -> Path:
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S")
    folder = parent / f"{stamp}-{secrets.token_hex(4)}"
    folder.mkdir(parents=True)
    return folder


def _make_durable(folder: Path, *, up_to: Path) -> None:
    """Flush the folder's files, and the directory entries that lead to them, to the disk."""
    for path in sorted(folder.iterdir()):
        fsync(path)
    for parent in (folder, *folder.parents):
        fsync(parent)
        if parent == up_to:
            break


def _swap(new: Path, path: Path) -> None:
    """Switch readers from the old state to the new, in one step."""
    new.replace(path)
    fsync(path.parent)
