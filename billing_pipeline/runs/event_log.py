"""Dagster's event log in SQLite, with one engine for a database and one transaction for an event.

What belongs here: the storage class, and everything of Dagster's own that it needs to import.
What does not: what is stored, and where; the files are Dagster's, and its own class reads them.

A close stores some seven hundred events. Dagster creates a new engine for each access, so
SQLAlchemy compiles each statement again, which takes a fifth of a small month's time. To store one
materialization it accesses two databases up to six times, each time with a new connection and a
wait for the disk; here that is one transaction in each. Connections are still closed after each
access, because the UI follows a run by watching its file.

Two hundred of the events say in advance what a close will materialize. Dagster hands them over as a
batch if an environment variable of its own says so; the batch is stored in one transaction, too.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.base import AssetRecord
from dagster._core.storage.sql import create_engine
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

_MAX_ENGINES = 16
_BATCH_VARIABLE, _BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE", "1000"
_STORAGES = {"storage", "run_storage", "event_log_storage", "schedule_storage"}


class _ThreadState(threading.local):
    """The transactions that a thread has open, and their connections by database."""

    transactions: ExitStack
    connections: dict[str, Connection] | None = None


class EventLog(SqliteEventLogStorage):
    """As `SqliteEventLogStorage`, in the same files."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._open = _ThreadState()
        super().__init__(*args, **more)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> EventLog:
        return cls(inst_data=inst_data, **config_value)

    def store_event(self, event: EventLogEntry) -> None:
        """Store the event in one transaction of each database."""
        with self._transactions():
            super().store_event(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events in one transaction of each database; if one cannot be stored, none
        is."""
        with self._transactions():
            super().store_event_batch(events)

    def get_asset_records(
        self, asset_keys: Sequence[dg.AssetKey] | None = None
    ) -> Sequence[AssetRecord]:
        """Read in one transaction: Dagster first asks five times which columns and tables exist."""
        with self._transactions():
            return super().get_asset_records(asset_keys)

    @contextmanager
    def _transactions(self) -> Iterator[None]:
        """Within the block, each database that this thread accesses gets one transaction; within
        an outer block, it shares the outer one's."""
        if self._open.connections is not None:
            yield
            return
        with self._db_lock, ExitStack() as transactions:
            self._open.transactions, self._open.connections = transactions, {}
            try:
                yield
            finally:
                self._open.connections = None

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        connections = self._open.connections
        if connections is None:
            with self._db_lock, self._transaction(shard) as connection:
                yield connection
            return
        if shard not in connections:
            transaction = self._transaction(shard)
            connections[shard] = self._open.transactions.enter_context(transaction)
        yield connections[shard]

    @contextmanager
    def _transaction(self, shard: str) -> Iterator[Connection]:
        engine = self._engine(shard)
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        with engine.begin() as connection:
            yield connection

    def _engine(self, shard: str) -> Engine:
        """The engine of a database: the index, or a run's own. The last `_MAX_ENGINES` are kept."""
        engine = self._engines.pop(shard, None) or create_engine(
            self.conn_string_for_shard(shard),
            poolclass=NullPool,
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
        )
        self._engines[shard] = engine
        if len(self._engines) > _MAX_ENGINES:
            _, oldest = self._engines.popitem(last=False)
            oldest.dispose()
        return engine


def instance_ref(folder: Path) -> InstanceRef:
    """The instance that the ``dagster.yaml`` of the folder describes, with this event log where it
    names no storage of its own."""
    default = InstanceRef.from_dir(str(folder))
    named = yaml.safe_load((folder / "dagster.yaml").read_text(encoding="utf-8"))
    if default.event_storage_data is None or _STORAGES & named.keys():
        return default
    os.environ.setdefault(_BATCH_VARIABLE, _BATCH_SIZE)
    own = {
        "module": EventLog.__module__,
        "class": EventLog.__name__,
        "config": yaml.safe_load(default.event_storage_data.config_yaml),
    }
    return InstanceRef.from_dir(str(folder), overrides={"event_log_storage": own})
