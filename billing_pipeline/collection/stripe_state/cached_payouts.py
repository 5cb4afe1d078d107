"""Stripe's payouts as they were last read.

What belongs here: storing and finding them. What does not: which payments are in them
(`payouts.py`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from billing_pipeline.runs.sqlite_file import transaction

SCHEMA = """
create table if not exists payouts (
    payout_id text primary key, created integer not null, arrives_at integer not null,
    currency text not null, amount integer not null, status text not null
) strict;
"""


@dataclass(frozen=True)
class Payout:
    """A payout; minor units of `currency`, epoch seconds. `status` is Stripe's word."""

    payout_id: str
    created: int
    arrives_at: int
    currency: str
    amount: int
    status: str


class CachedPayouts:
    """Found by Stripe's id."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def store(self, payouts: Iterable[Payout]) -> None:
        with transaction(self._db):
            self._db.executemany(
                "insert or replace into payouts values (?, ?, ?, ?, ?, ?)",
                [astuple(payout) for payout in payouts],
            )

    def named(self, payout_ids: Iterable[str]) -> dict[str, Payout]:
        """The known ones of these payouts, by id."""
        rows = self._db.execute(
            "select * from payouts where payout_id in (select value from json_each(?))",
            [json.dumps(sorted(payout_ids))],
        )
        payouts = [Payout(*row) for row in rows]
        return {payout.payout_id: payout for payout in payouts}
