"""Stripe's customers of ours as they were last read.

What belongs here: storing and finding them. What does not: which of their fields are ours to write
(``profiles``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from billing_pipeline.collection.stripe_state import metadata_keys, set_aside
from billing_pipeline.collection.stripe_state.cached_cards import CachedCards
from billing_pipeline.collection.stripe_state.profiles import digests, held_by
from billing_pipeline.collection.stripe_state.set_aside import SetAsideList
from billing_pipeline.collection.stripe_state.stripe_invoice import is_time
from billing_pipeline.runs.sqlite_file import transaction


@dataclass(frozen=True)
class CachedCustomer:
    """A Stripe customer of ours. `payment_method`: the one that we have set; `profile` and `held`:
    digests of the fields that we last wrote and of those that Stripe has (`profiles.py`); `tax_id`:
    the mark of the tax id that we have made."""

    stripe_customer_id: str
    customer_id: str
    created: int
    payment_method: str | None
    profile: str | None = None
    held: str | None = None
    tax_id: str | None = None


_COLUMNS = "stripe_customer_id, customer_id, created, payment_method, profile, held, tax_id"
_MARKS = (
    metadata_keys.CUSTOMER_ID,
    metadata_keys.PAYMENT_METHOD,
    metadata_keys.PROFILE,
    metadata_keys.TAX_ID,
)
"""The metadata that we write on a customer."""


def card_of(customer: Mapping[str, Any]) -> str:
    """The default payment method of a customer object of Stripe's; empty where it has none."""
    settings = customer.get("invoice_settings")
    card = settings.get("default_payment_method") if isinstance(settings, Mapping) else None
    return card if isinstance(card, str) and card.isprintable() else ""


class CachedCustomers:
    """Found by our id or by Stripe's."""

    def __init__(
        self, db: sqlite3.Connection, unreadable: SetAsideList, cards: CachedCards
    ) -> None:
        self._db = db
        self._unreadable = unreadable
        self._cards = cards

    def oldest_of(self, customer_id: str) -> CachedCustomer | None:
        """The oldest Stripe customer with that id of ours: there should be no other."""
        row = self._db.execute(
            f"select {_COLUMNS} from customers where customer_id = ? "
            "order by created, stripe_customer_id limit 1",
            [customer_id],
        ).fetchone()
        return None if row is None else CachedCustomer(*row)

    def get(self, stripe_customer_id: str) -> CachedCustomer | None:
        row = self._db.execute(
            f"select {_COLUMNS} from customers where stripe_customer_id = ?",
            [stripe_customer_id],
        ).fetchone()
        return None if row is None else CachedCustomer(*row)

    def stripe_ids(self) -> set[str]:
        """All Stripe customers that are known as ours."""
        return {str(row[0]) for row in self._db.execute("select stripe_customer_id from customers")}

    def is_unchanged(self, stripe_customer_id: str, metadata: Mapping[str, str]) -> bool:
        """True where these marks tell nothing new: the customer is not known and has none of ours,
        or is known with the same ones."""
        known = self.get(stripe_customer_id)
        marks = [metadata.get(name) for name in _MARKS]
        if known is None:
            return marks[0] is None
        return marks == [known.customer_id, known.payment_method, known.profile, known.tax_id]

    def store(self, customers: Iterable[Mapping[str, Any]]) -> None:
        """Store the customers that are marked as ours, and forget those that no longer are."""
        rows, others, cards = [], [], []
        for data in customers:
            name = set_aside.identity(data)
            metadata = data.get("metadata") or {} if isinstance(data, Mapping) else None
            if not isinstance(metadata, Mapping) or name != data["id"]:
                self._unreadable.add("customer", name, "its id or metadata cannot be read")
                continue
            created = data.get("created")
            marks = [metadata.get(mark) for mark in _MARKS]
            if not marks[0] or data.get("deleted"):
                others.append(name)
            elif not is_time(created) or not all(isinstance(m, str | None) for m in marks):
                self._unreadable.add("customer", name, "its metadata or its time cannot be read")
            else:
                ours, method, profile, tax_id = marks
                rows.append((name, ours, created, method, profile, digests(held_by(data)), tax_id))
                cards.append((name, card_of(data)))
        with transaction(self._db):
            self._db.executemany(
                f"insert or replace into customers ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?)", rows
            )
            self._cards.record_seen(cards)
            for name in others:
                self.forget(name)

    def stripe_ids_of(self, customer_ids: Collection[str]) -> dict[str, frozenset[str]]:
        """The Stripe customers that are known to carry these ids of ours."""
        rows = self._db.execute(
            "select customer_id, json_group_array(stripe_customer_id) from customers "
            "where customer_id in (select value from json_each(?)) group by customer_id",
            [json.dumps(sorted(customer_ids))],
        )
        return {str(customer): frozenset(json.loads(ids)) for customer, ids in rows}

    def forget(self, stripe_customer_id: str) -> None:
        self._db.execute("delete from customers where stripe_customer_id = ?", [stripe_customer_id])

    def baseline(self, stripe_customer_id: str) -> str | None:
        """The digests of our input that were last noted for a customer; see `record_baseline`."""
        query = "select profile from profiles where stripe_customer_id = ?"
        row = self._db.execute(query, [stripe_customer_id]).fetchone()
        return None if row is None else str(row[0])

    def record_baseline(self, stripe_customer_id: str, profile: str) -> None:
        """Note our input, as digests: for a customer to whom we have never written, it is what the
        next input is compared with."""
        self._db.execute(
            "insert or replace into profiles values (?, ?)", [stripe_customer_id, profile]
        )
