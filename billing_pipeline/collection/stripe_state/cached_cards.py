"""Customers' default payment methods, with the time of the last change by Stripe's events; and the
methods in the accounts that Stripe refused to attach.

What belongs here: storing and finding them. What does not: trying a changed method at once
(``push.dunning``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from billing_pipeline.collection.stripe_state.texts import short_hash

SCHEMA = """
create table if not exists cards (
    stripe_customer_id text primary key, card text not null, changed_at integer not null
) strict;
create table if not exists cards_refused (
    stripe_customer_id text not null, method text not null,
    primary key (stripe_customer_id, method)
) strict, without rowid;
"""


@dataclass(frozen=True)
class Card:
    """A customer's default payment method: Stripe's id, empty where there is none. `changed_at`:
    epoch seconds of the last change, 0 where none is known."""

    card: str
    changed_at: int

    @property
    def digest(self) -> str:
        """Differs after each change, even after a change back to an earlier method."""
        return short_hash([self.card, self.changed_at])[:8]


class CachedCards:
    """Found by Stripe's id of the customer."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def get(self, stripe_customer_id: str) -> Card | None:
        query = "select card, changed_at from cards where stripe_customer_id = ?"
        row = self._db.execute(query, [stripe_customer_id]).fetchone()
        return None if row is None else Card(*row)

    def record_seen(self, cards: Iterable[tuple[str, str]]) -> None:
        """Store the methods of customers that are not known yet; the time of their last change is
        unknown."""
        self._db.executemany("insert or ignore into cards values (?, ?, 0)", cards)

    def is_refused(self, stripe_customer_id: str, method: str) -> bool:
        query = "select 1 from cards_refused where (stripe_customer_id, method) = (?, ?)"
        return self._db.execute(query, [stripe_customer_id, method]).fetchone() is not None

    def record_refused(self, stripe_customer_id: str, method: str) -> None:
        self._db.execute(
            "insert or ignore into cards_refused values (?, ?)", [stripe_customer_id, method]
        )

    def record_change(self, stripe_customer_id: str, card: str, at: int) -> None:
        """Store a change that an event reports, unless a later one is known: events may come out of
        order. `at`: epoch seconds."""
        self._db.execute(
            "insert into cards values (?, ?, ?) on conflict do update "
            "set card = excluded.card, changed_at = excluded.changed_at "
            "where excluded.changed_at >= changed_at",
            [stripe_customer_id, card, at],
        )
