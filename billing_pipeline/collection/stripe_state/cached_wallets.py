"""Wallets in Stripe as they were last read: movements on balances, and payments that top them up.

What belongs here: storing and finding them. What does not: what invoices took from a wallet
(``cached_invoices``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass

from billing_pipeline.runs.sqlite_file import transaction


@dataclass(frozen=True)
class PaidTopUp:
    """A payment that succeeded and topped a wallet up; minor units, epoch seconds."""

    payment_intent: str
    transaction_id: str
    customer_id: str
    currency: str
    amount: int
    occurred_at: int


@dataclass(frozen=True)
class TopUpReturn:
    """What a wallet loses because a top-up's charge was refunded or disputed (below 0), or gets
    back because a dispute was won (above 0); minor units of the top-up's currency, epoch
    seconds."""

    return_id: str
    payment_intent: str
    amount: int
    occurred_at: int


class PostedMovements:
    """Movements that stand on a customer's balance in Stripe; amounts in minor units."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def has(self, stripe_customer_id: str, currency: str, transaction_id: str, amount: int) -> bool:
        """True where the movement is known to be posted with exactly this amount."""
        query = (
            "select 1 from wallet_movements where (stripe_customer_id, currency, transaction_id, "
            "amount) = (?, ?, ?, ?)"
        )
        values = [stripe_customer_id, currency, transaction_id, amount]
        return self._db.execute(query, values).fetchone() is not None

    def customers(self) -> set[str]:
        """Stripe's ids of the customers on whose balances anything of a wallet was posted."""
        rows = self._db.execute("select distinct stripe_customer_id from wallet_movements")
        return {str(row[0]) for row in rows}

    def add(self, stripe_customer_id: str, currency: str, amounts: Mapping[str, int]) -> None:
        """Note movements that are posted on a customer's balance, with their amounts."""
        with transaction(self._db):
            self._db.executemany(
                "insert or replace into wallet_movements values (?, ?, ?, ?)",
                [(stripe_customer_id, currency, *item) for item in amounts.items()],
            )


class CachedTopUps:
    """Payments that topped wallets up, and what was refunded or disputed of them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def store(self, payments: Iterable[PaidTopUp]) -> None:
        with transaction(self._db):
            self._db.executemany(
                "insert or replace into top_ups values (?, ?, ?, ?, ?, ?)",
                [astuple(paid) for paid in payments],
            )

    def all(self) -> list[PaidTopUp]:
        rows = self._db.execute("select * from top_ups order by payment_intent")
        return [PaidTopUp(*row) for row in rows]

    def store_returns(self, payment_intent: str, returns: Iterable[TopUpReturn]) -> None:
        """Store all refunds and disputes of a payment, in place of those known before."""
        with transaction(self._db):
            self._db.execute(
                "delete from top_up_returns where payment_intent = ?", [payment_intent]
            )
            self._db.executemany(
                "insert or replace into top_up_returns values (?, ?, ?, ?)",
                [astuple(item) for item in returns],
            )

    def returns(self) -> list[TopUpReturn]:
        rows = self._db.execute("select * from top_up_returns order by return_id")
        return [TopUpReturn(*row) for row in rows]

    def known(self, payment_intents: Iterable[str]) -> set[str]:
        """The payment intents among these that are known top-ups."""
        query = "select payment_intent from top_ups where payment_intent in (select value from "
        rows = self._db.execute(f"{query}json_each(?))", [json.dumps(sorted(payment_intents))])
        return {str(row[0]) for row in rows}
