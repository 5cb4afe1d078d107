"""How far Stripe has been read: cursors of its lists and events, and the events seen recently.

What belongs here: times and ids that say what need not be read again. What does not: what was read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from billing_pipeline.collection.stripe_state.events import StripeEvent
from billing_pipeline.runs.sqlite_file import transaction


class ReadingProgress:
    """Named whole numbers, most of them instants in epoch seconds, and ids of events."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def get(self, name: str) -> int | None:
        row = self._db.execute("select value from state where name = ?", [name]).fetchone()
        return None if row is None else int(row[0])

    def put(self, name: str, value: int) -> None:
        self._db.execute("insert or replace into state values (?, ?)", [name, value])

    def advance(self, name: str, value: int) -> None:
        """Move a cursor forward; it never goes back."""
        self._db.execute(
            "insert into state values (?, ?) on conflict (name) "
            "do update set value = max(value, excluded.value)",
            [name, value],
        )

    def drop(self, *names: str) -> None:
        self._db.executemany("delete from state where name = ?", [[name] for name in names])

    def moment(self) -> int:
        """A number that grows with every call, in all processes. Taken before a read from Stripe:
        what is read then is newer than what was stored under a lower number."""
        row = self._db.execute(
            "insert into state values ('moment', 1) on conflict (name) "
            "do update set value = value + 1 returning value"
        ).fetchone()
        return int(row[0])

    def new_events(self, events: Iterable[StripeEvent]) -> list[StripeEvent]:
        """The events not seen before. Does not remember them (`remember_events` does)."""
        asked = list(events)
        query = "select event_id from events where event_id in (select value from json_each(?))"
        rows = self._db.execute(query, [json.dumps([event.event_id for event in asked])])
        known = {row[0] for row in rows}
        return [event for event in asked if event.event_id not in known]

    def remember_events(self, events: Iterable[StripeEvent]) -> None:
        with transaction(self._db):
            self._db.executemany(
                "insert or ignore into events values (?, ?)",
                [(event.event_id, event.created) for event in events],
            )

    def forget_events(self, before: int) -> None:
        self._db.execute("delete from events where created < ?", [before])
