"""Objects from Stripe that cannot be read: set aside with the reason, so they stop nobody else.

What belongs here: the list of what was set aside, and reading it. What does not: the rules that say
what can be read (`events.py`, `stripe_invoice.py`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing_pipeline.text import first_few

SCHEMA = """
create table if not exists set_aside (
    kind text not null, subject text not null, reason text not null, seen_at real not null,
    primary key (kind, subject)
) strict;
"""
STRIPE_CACHE = "stripe_mirror.db"
RETENTION_SECONDS = 40 * 86_400
"""Longer than the time for which Stripe may send an event again."""
MAX_NAMED = 3


class UnreadableError(ValueError):
    """An object of Stripe's is not as its API describes it; the message says what is wrong."""


@dataclass(frozen=True)
class SetAside:
    """One thing that was set aside: its `kind` (event, invoice, customer, payment, payout, …),
    Stripe's id, and the reason."""

    kind: str
    target: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.target}: {self.reason}"


class SetAsideList:
    """The list in the cache of Stripe."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def add(self, kind: str, target: str, reason: str, at: float = 0) -> None:
        """Set something aside. `at`: when an event was seen, epoch seconds; events that were seen
        long before are forgotten."""
        self._db.execute(
            "insert or replace into set_aside values (?, ?, ?, ?)", [kind, target, reason, at]
        )
        self._db.execute(
            "delete from set_aside where kind = 'event' and seen_at < ?",
            [at - RETENTION_SECONDS],
        )

    def targets(self, kind: str, most: int) -> list[str]:
        """Stripe's ids of what is set aside of a kind, oldest first, at most `most`."""
        query = "select subject from set_aside where kind = ? order by seen_at, subject limit ?"
        return [str(row[0]) for row in self._db.execute(query, [kind, most])]

    def remove(self, kind: str, targets: Iterable[str]) -> None:
        """Take these off the list: they can be read by now."""
        self._db.execute(
            "delete from set_aside where kind = ? and subject in (select value from json_each(?))",
            [kind, json.dumps(list(targets))],
        )


class DamagedCacheError(RuntimeError):
    """The cache of what Stripe holds cannot be read; the message says what to do."""

    def __init__(self, path: Path, error: sqlite3.DatabaseError) -> None:
        super().__init__(f"{path} is damaged ({error}): delete it, it is read from Stripe again")


def read_set_aside(records: Path) -> list[SetAside]:
    """What is set aside in these records, newest first. Writes nothing, creates no file. Raises
    `DamagedCacheError`."""
    query = "select kind, subject, reason from set_aside order by seen_at desc, kind, subject"
    return [SetAside(*row) for row in rows_of_cache(records, query)]


def rows_of_cache(records: Path, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the cache in these records; none where it has no such table. Writes
    nothing, creates no file. Raises `DamagedCacheError`."""
    path = records / STRIPE_CACHE
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
        try:
            return db.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []  # a file of an earlier release, or one that another process is creating
        except sqlite3.DatabaseError as error:
            raise DamagedCacheError(path, error) from error


def summary(things: Iterable[SetAside]) -> str:
    """One sentence for a person; empty where nothing is set aside."""
    found = list(things)
    if not found:
        return ""
    named = "; ".join(first_few([str(thing) for thing in found], MAX_NAMED))
    return f"{len(found)} of Stripe's answers could not be read and are set aside: {named}"


def identity(data: Any) -> str:
    """Stripe's id of an object, which may be unreadable; else the words "without an id"."""
    found = data.get("id") if isinstance(data, Mapping) else None
    return found if isinstance(found, str) and _can_be_stored(found) else "without an id"


def _can_be_stored(text: str) -> bool:
    # A lone surrogate is legal in JSON, but not in a database.
    return text.isprintable() and 0 < len(text) <= 255
