"""Dagster's history on a disk that is full from a chosen event on.

What belongs here: the storage class, named in a home's ``dagster.yaml``. What does not:
expectations. From the event ``FULL_FROM_EVENT`` (in the environment) on, every write fails.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Self

from dagster import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from sqlalchemy.exc import OperationalError

VARIABLE = "FULL_FROM_EVENT"


class FullDisk(SqliteEventLogStorage):
    """SQLite's, until the disk is full."""

    _events = 0

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:
        return cls(inst_data=inst_data, **config_value)

    def store_event(self, event: EventLogEntry) -> None:
        FullDisk._events += 1
        if FullDisk._events >= int(os.environ.get(VARIABLE, "1000000")):
            full = sqlite3.OperationalError("database or disk is full")
            raise OperationalError("INSERT", {}, full)
        super().store_event(event)


def use_in(home: Path) -> None:
    """Write the settings that name this storage; `billing` adds nothing to them."""
    folder = home / "dagster"
    folder.mkdir(parents=True)
    (folder / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        "concurrency: {pools: {default_limit: 1}}\n"
        "event_log_storage:\n"
        f"  module: {__name__}\n"
        "  class: FullDisk\n"
        f"  config: {{base_dir: {folder / 'history' / 'runs'}}}\n",
        encoding="utf-8",
    )
