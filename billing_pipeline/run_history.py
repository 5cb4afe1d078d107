"""Dagster's history in SQLite: written without waiting for the disk at each of its events.

What belongs here: that one setting. A month makes some hundreds of events in a thousand
transactions, and a wait of 3 ms each is as long as rating the month. In WAL mode
``synchronous=NORMAL`` loses nothing when a process is killed; a power cut may lose the last
events of the history. No money hangs on it: what was sent is in the journal (`invoicing.journal`,
synced) and in Stripe.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Engine, event


def write_without_waiting() -> None:
    """For every SQLite database that SQLAlchemy opens in this process: only Dagster's are."""
    if not event.contains(Engine, "connect", _relax):
        event.listen(Engine, "connect", _relax)


def _relax(connection: Any, _record: Any) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = NORMAL")
