"""Tax ids of customers: those that somebody else added in Stripe, and those we could not send.

What belongs here: storing both, and reading the second for a person. What does not: which type a
tax id has (`tax_id_types.py`), sending it (``push.tax_ids``), and the mark of a tax id that we have
made, which is on the customer (`cached_customers.py`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from billing_pipeline.collection.stripe_state.set_aside import (
    MAX_NAMED,
    RETENTION_SECONDS,
    rows_of_cache,
)
from billing_pipeline.text import first_few

SCHEMA = """
create table if not exists tax_ids_found (
    stripe_customer_id text primary key, digest text not null
) strict;
create table if not exists tax_id_problems (
    customer_id text primary key, reason text not null, seen_at real not null
) strict;
"""
ALL = ""
"""In place of a customer, where none of the tax ids can be sent."""


class CachedTaxIds:
    """What was found in Stripe, by Stripe's customer id; what could not be sent, by our customer
    id."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def found(self) -> dict[str, str]:
        """The digest of our input's tax id, for customers who had it before we made it."""
        rows = self._db.execute("select stripe_customer_id, digest from tax_ids_found").fetchall()
        return dict(rows)

    def record_found(self, stripe_customer_id: str, digest: str) -> None:
        self._db.execute(
            "insert or replace into tax_ids_found values (?, ?)", [stripe_customer_id, digest]
        )

    def forget_found(self, stripe_customer_id: str) -> None:
        query = "delete from tax_ids_found where stripe_customer_id = ?"
        self._db.execute(query, [stripe_customer_id])

    def problems(self) -> dict[str, str]:
        """By customer, why its tax id could not be sent."""
        return dict(self._db.execute("select customer_id, reason from tax_id_problems").fetchall())

    def record_problems(self, problems: Mapping[str, str], at: float) -> None:
        """Store which tax ids could not be sent, seen `at` (epoch seconds). Problems that no push
        has met for long are deleted: their customers are no longer billed."""
        rows = [(customer, reason, at) for customer, reason in problems.items()]
        self._db.executemany("insert or replace into tax_id_problems values (?, ?, ?)", rows)
        self._db.execute("delete from tax_id_problems where seen_at < ?", [at - RETENTION_SECONDS])

    def forget_problems(self, customer_ids: Iterable[str]) -> None:
        """Forget the problems of these customers."""
        self._db.execute(
            "delete from tax_id_problems where customer_id in (select value from json_each(?))",
            [json.dumps(list(customer_ids))],
        )


def read_tax_id_problems(records: Path) -> dict[str, str]:
    """By customer, why its tax id is not in Stripe. Writes nothing, makes no file. Raises
    `DamagedCacheError`."""
    query = "select customer_id, reason from tax_id_problems order by customer_id"
    return dict(rows_of_cache(records, query))


def tax_ids_summary(problems: Mapping[str, str]) -> str:
    """One sentence for a person; empty where every tax id is in Stripe."""
    if not problems:
        return ""
    if ALL in problems:
        return f"no tax id can be brought to Stripe: {problems[ALL]}"
    named = "; ".join(first_few([f"{name}: {why}" for name, why in problems.items()], MAX_NAMED))
    count = "1 tax id is" if len(problems) == 1 else f"{len(problems)} tax ids are"
    return f"{count} not in Stripe: {named}"
