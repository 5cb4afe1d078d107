"""Dagster's history in SQLite, written without opening a database anew for each of its events.

What belongs here: how this process is connected to those databases. What does not: what is in
them (Dagster's), and where they are (`runs.py`).

A month makes some hundreds of events in a thousand transactions. Dagster opens and closes the
database around each: closing the last connection brings the write-ahead log to the disk, opening
compiles every statement anew, and both together cost more than rating a small month. So the
connections of the databases that were used last are kept. Before each event it also asks whether
this version's tables and columns are there, on a connection of its own; what was found stays.
So do its migrations, once loaded, and what the run has made, which it would read back.

Nor is the disk waited for: in WAL mode ``synchronous=NORMAL`` loses nothing when a process is
killed; a power cut may lose the last events of the history. No money hangs on it: what was sent
is in the request log (`collection.records.request_log`, synced) and in Stripe.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.definitions.asset_key import AssetKey
from dagster._core.definitions.data_version import extract_data_version_from_entry
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.context.data_version_cache import (
    DataVersionCache,
    InputAssetVersionInfo,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, create_engine, event

# The list of runs, the index of events, and the events of the run; a sensor may look at another.
# More would only hold files open in a process that sees many runs.
_MAX_KEPT = 4
_engines: OrderedDict[str, Engine] = OrderedDict()
_guard = threading.Lock()
# What the last runs of this process have made, by run.
_made: OrderedDict[str, dict[AssetKey, InputAssetVersionInfo]] = OrderedDict()


class _Batches(threading.local):
    """The transactions of the batch that this thread is storing, by shard; none else."""

    def __init__(self) -> None:
        self.open: dict[str, Connection] = {}


_batches = _Batches()


def keep_connections() -> None:
    """From now on, in this process."""
    SqliteEventLogStorage._connect = _connect_events  # type: ignore[method-assign, assignment]
    SqliteEventLogStorage.has_table = _has_table  # type: ignore[method-assign]
    SqliteEventLogStorage._has_asset_key_col_on_connection = _has_column  # type: ignore[method-assign]
    SqliteRunStorage.connect = _connect_runs  # type: ignore[method-assign, assignment]
    SqliteEventLogStorage.store_event_batch = _store_together  # type: ignore[method-assign, assignment]
    # What Dagster hands over in batches comes as one; by itself it would take each event alone.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")
    ScriptDirectory.from_config = staticmethod(_migrations)  # type: ignore[method-assign]
    SqliteEventLogStorage._store_asset_event = _store_and_remember  # type: ignore[method-assign, assignment]
    DataVersionCache._fetch_input_asset_version_info = _version_of_inputs  # type: ignore[method-assign, assignment]
    if not event.contains(Engine, "connect", _relax):
        # For every SQLite database that SQLAlchemy opens in this process: only Dagster's are.
        event.listen(Engine, "connect", _relax)


@contextmanager
def closing_connections() -> Iterator[None]:
    """Close what is kept when the block ends, also for who else uses it: the next use opens it
    again. Nothing is left in a write-ahead log then."""
    try:
        yield
    finally:
        with _guard:
            while _engines:
                _engines.popitem()[1].dispose()


def _engine(url: str) -> Engine:
    with _guard:
        engine = _engines.pop(url, None) or create_engine(
            url,
            # One is kept; who needs another at the same time gets one that is closed again.
            pool_size=1,
            max_overflow=-1,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
        _engines[url] = engine
        while len(_engines) > _MAX_KEPT:
            _engines.popitem(last=False)[1].dispose()
        return engine


@contextmanager
def _connect_events(storage: SqliteEventLogStorage, shard: str) -> Iterator[Connection]:
    """In place of Dagster's own; `shard` is a run's id or the index."""
    if shard in _batches.open:
        yield _batches.open[shard]
        return
    with storage._db_lock, _transaction(storage, shard) as connection:
        yield connection


@contextmanager
def _transaction(storage: SqliteEventLogStorage, shard: str) -> Iterator[Connection]:
    engine = _engine(storage.conn_string_for_shard(shard))
    if shard not in storage._initialized_dbs:
        storage._initdb(engine)
        storage._initialized_dbs.add(shard)
    with engine.begin() as connection:
        yield connection


@contextmanager
def _connect_runs(storage: SqliteRunStorage) -> Iterator[Connection]:
    with _engine(storage._conn_string).begin() as connection:
        yield connection


def _store_together(storage: SqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    """What a run plans, an event for each asset and check, in one transaction a database."""
    shards = (INDEX_SHARD_NAME, *dict.fromkeys(event.run_id for event in events))
    with storage._db_lock, ExitStack() as transactions:
        _batches.open = {
            shard: transactions.enter_context(_transaction(storage, shard)) for shard in shards
        }
        try:
            for each in events:
                storage.store_event(each)
        finally:
            _batches.open = {}


_store_asset_event = SqliteEventLogStorage._store_asset_event


def _store_and_remember(
    storage: SqliteEventLogStorage, connection: Connection, entry: EventLogEntry, event_id: int
) -> None:
    _store_asset_event(storage, connection, entry, event_id)
    made = entry.dagster_event
    if made is None or made.asset_key is None or not made.is_step_materialization:
        return
    with _guard:
        _made.setdefault(entry.run_id, {})[made.asset_key] = InputAssetVersionInfo(
            storage_id=event_id,
            event_type=made.event_type,
            data_version=extract_data_version_from_entry(entry),
            run_id=entry.run_id,
            timestamp=entry.timestamp,
        )
        while len(_made) > _MAX_KEPT:
            _made.popitem(last=False)


_fetch_versions = DataVersionCache._fetch_input_asset_version_info


def _version_of_inputs(cache: DataVersionCache, keys: Sequence[AssetKey]) -> None:
    """Which version of its inputs an asset was made from. dbt's models are one step, most of them
    made from others of it: those Dagster would read back from the history one by one."""
    # Before that it asks for what other steps have made, by partition.
    is_inside = cache.is_external_input_asset_version_info_loaded
    made = _made.get(cache._context.run_id, {}) if is_inside else {}
    cache.input_asset_version_info.update({key: made[key] for key in keys if key in made})
    others = [key for key in keys if key not in made]
    if others:
        _fetch_versions(cache, others)


_load_migrations = ScriptDirectory.from_config
_loaded: dict[str | None, ScriptDirectory] = {}


def _migrations(config: Config) -> ScriptDirectory:
    """Dagster's migrations. Each run has a database of its own; for each of them, and once more
    for the index, it would load all of its migrations to see that the last one is done."""
    place = config.get_main_option("script_location")
    if place not in _loaded:
        _loaded[place] = _load_migrations(config)
    return _loaded[place]


def _remembered(look: Callable[..., bool]) -> Callable[..., bool]:
    """What is there, its name the last argument, is looked for once for each storage."""
    found: WeakKeyDictionary[SqliteEventLogStorage, set[str]] = WeakKeyDictionary()

    def is_there(storage: SqliteEventLogStorage, *where: Any) -> bool:
        known = found.setdefault(storage, set())
        if where[-1] not in known and look(storage, *where):
            known.add(where[-1])
        return where[-1] in known

    return is_there


_has_table = _remembered(SqliteEventLogStorage.has_table)
_has_column = _remembered(SqliteEventLogStorage._has_asset_key_col_on_connection)


def _relax(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")
