"""Events that Stripe sent by webhook, each once, until the next pull has handled them.

What belongs here: storing them durably and handing them out. What does not: receiving them
(``receiver``) and what they mean (``stripe_state.events``). Only what a pull needs is stored, since
an event carries names and addresses of customers.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from billing_pipeline.runs.sqlite_file import open_file

FILE_NAME = "webhooks.db"
RETENTION_SECONDS = 40 * 86_400
"""Stripe sends an event again for days, and a person can have it sent again for 30: for longer than
that, it is remembered."""
_SCHEMA = """
create table if not exists events (
    event_id text primary key, body text not null, received_at real not null, handled_at real
) strict;
create index if not exists events_to_handle on events (received_at) where handled_at is null;
"""
_STORED_FIELDS = {"id": str, "object": str, "created": int, "invoice": str, "metadata": dict}


class InvalidEventError(ValueError):
    """The body is not an event of Stripe's; the message says why."""


def read_event(body: bytes) -> dict[str, Any]:
    """The parts of an event that are stored. Raises `InvalidEventError`."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidEventError("the body is not JSON") from None
    if not isinstance(event, dict) or event.get("object") != "event":
        raise InvalidEventError("the body is not an event")
    data = event.get("data")
    thing = data.get("object") if isinstance(data, dict) else None
    known = isinstance(event.get("id"), str) and isinstance(event.get("type"), str)
    if not known or type(event.get("created")) is not int or not isinstance(thing, dict):
        raise InvalidEventError("the event lacks its id, type, time or object")
    try:
        event["id"].encode()
    except UnicodeEncodeError:
        raise InvalidEventError("the event's id is not text") from None
    request = event.get("request")
    kept = {name: thing[name] for name, kind in _STORED_FIELDS.items() if _is(thing, name, kind)}
    return {
        "id": event["id"],
        "type": event["type"],
        "created": event["created"],
        "request": request if isinstance(request, dict) else None,
        "data": {"object": kept},
    }


def _is(thing: dict[str, Any], name: str, kind: type) -> bool:
    # An unexpected shape must not keep every later event from being read.
    return type(thing.get(name)) is kind


def _parsed(event_id: str, body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return {"id": event_id}


class Inbox:
    """One SQLite file; safe for several processes, and for the threads of one."""

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        # An event must be on the disk before Stripe gets the answer that we have it.
        self._db = open_file(
            folder / FILE_NAME, _SCHEMA, synchronous="full", is_shared_by_threads=True
        )

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def put(self, event: Mapping[str, Any], now: float) -> bool:
        """Store an event; false where it was there already."""
        with self._lock:
            added = self._db.execute(
                "insert or ignore into events (event_id, body, received_at) values (?, ?, ?)",
                [event["id"], json.dumps(event), now],
            )
            return added.rowcount == 1

    def pending(self, limit: int = 100) -> dict[str, Any]:
        """The events that no pull has handled, by id, oldest first. Their content is not checked
        here: the reader sets aside what is no event."""
        with self._lock:
            rows = self._db.execute(
                "select event_id, body from events where handled_at is null "
                "order by received_at limit ?",
                [limit],
            ).fetchall()
        return {str(event_id): _parsed(event_id, body) for event_id, body in rows}

    def mark_handled(self, event_ids: Iterable[str], now: float) -> None:
        """Mark these events as handled, and delete those handled that are older than
        `RETENTION_SECONDS`."""
        with self._lock:
            self._db.executemany(
                "update events set handled_at = ? where event_id = ?",
                [[now, event_id] for event_id in event_ids],
            )
            self._db.execute(
                "delete from events where handled_at is not null and received_at < ?",
                [now - RETENTION_SECONDS],
            )
