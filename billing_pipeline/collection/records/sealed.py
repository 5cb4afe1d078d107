"""Sealed months: what was billed, as it was billed, for good.

What belongs here: appending the billed invoice or credit note at the moment it became final,
and proving that nothing of it was changed since. What does not: deciding what to bill: that is
Stripe's listing against the charges; a seal is evidence.

Each month is a chain: every seal's hash covers its content and the hash before it, so an edited,
removed or reordered entry breaks all that follow. SQLite, because an append is whole or not at
all, also when the power fails; the triggers keep our own code from rewriting.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice, ActualLine

_BILLED = """
select subject, body ->> 'invoice_id', body ->> 'revision', body ->> 'customer_id',
       body ->> 'currency', body ->> 'total', body ->> 'wallet_applied', month
from seals where body ->> 'what' = 'invoice'
"""
_SCHEMA = """
create table if not exists seals (
    month text not null, position integer not null, subject text not null unique,
    body text not null, previous text not null, hash text not null,
    primary key (month, position)
) strict;
create trigger if not exists seals_stay before update on seals
begin select raise(abort, 'what was billed is sealed'); end;
create trigger if not exists seals_kept before delete on seals
begin select raise(abort, 'what was billed is sealed'); end;
"""
GENESIS = "0" * 64


class BilledInvoice(NamedTuple):
    """A Stripe invoice as our records have it; the total in minor units."""

    stripe_invoice_id: str
    invoice_id: str | None
    revision: int | None
    customer_id: str | None
    currency: str
    total: int
    wallet_applied: str | None = None
    """What the wallet was to pay of it, as its mark says it."""


@dataclass(frozen=True)
class SealProblem:
    """What does not hold: `subject` is a Stripe invoice or credit note id."""

    month_key: str
    target: str
    problem: str


class Seals:
    """``records/billed.db``: append-only, one chain for each month."""

    def __init__(self, path: Path | str, *, synchronous: str = "full") -> None:
        if synchronous not in ("full", "normal", "off"):
            raise ValueError(f"synchronous is full, normal or off, not {synchronous!r}")
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute(f"pragma synchronous = {synchronous}")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def append(self, month_key: str, target: str, body: Mapping[str, Any]) -> bool:
        """Seal something; false where that subject is sealed already, and nothing is changed."""
        text = json.dumps(dict(body), sort_keys=True, separators=(",", ":"))
        # One transaction: two processes must not continue the chain from the same link.
        self._db.execute("begin immediate")
        try:
            if self._db.execute("select 1 from seals where subject = ?", [target]).fetchone():
                self._db.execute("commit")
                return False
            last = self._db.execute(
                "select position, hash from seals where month = ? order by position desc limit 1",
                [month_key],
            ).fetchone()
            position, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
            link = _link(month_key, position, target, text, previous)
            self._db.execute(
                "insert into seals values (?, ?, ?, ?, ?, ?)",
                [month_key, position, target, text, previous, link],
            )
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")
        return True

    def targets(self, month_key: str) -> set[str]:
        rows = self._db.execute("select subject from seals where month = ?", [month_key])
        return {str(row[0]) for row in rows}

    def count(self) -> int:
        """How many there are, of all months."""
        [count] = self._db.execute("select count(*) from seals").fetchone()
        return int(count)

    def entries(self, month_key: str | None = None) -> list[dict[str, Any]]:
        """What was sealed, in order: `month`, `position`, `subject`, `hash` and the content."""
        rows = self._db.execute(
            "select month, position, subject, hash, body from seals "
            "where ?1 is null or month = ?1 order by month, position",
            [month_key],
        )
        return [
            {"month": month, "position": position, "subject": target, "hash": link}
            | json.loads(body)
            for month, position, target, link, body in rows
        ]

    def verify(self, month_key: str | None = None) -> list[SealProblem]:
        """Every break of the chain, of one month or of all. No problem: an empty list."""
        problems: list[SealProblem] = []
        rows = self._db.execute(
            "select month, position, subject, body, previous, hash from seals "
            "where ?1 is null or month = ?1 order by month, position",
            [month_key],
        )
        at, expected_previous, expected_position = "", GENESIS, 1
        for month, position, target, body, previous, link in rows:
            if month != at:
                at, expected_previous, expected_position = month, GENESIS, 1
            if position != expected_position:
                problems.append(SealProblem(month, target, "an entry before it is missing"))
            elif previous != expected_previous:
                problems.append(SealProblem(month, target, "does not continue the one before"))
            if link != _link(month, position, target, body, previous):
                problems.append(SealProblem(month, target, "its content was changed"))
            expected_previous, expected_position = link, position + 1
        return problems

    def billed(self, month_key: str) -> list[BilledInvoice]:
        """The month's invoices as they were billed, without their lines."""
        rows = self._db.execute(f"{_BILLED} and month = ? order by position", [month_key])
        return [BilledInvoice(*columns) for *columns, _ in rows]

    def find(self, stripe_invoice_ids: Iterable[str]) -> list[tuple[str, BilledInvoice]]:
        """Those of these invoices that were billed in any month, each with its month."""
        query = f"{_BILLED} and subject in (select value from json_each(?))"
        rows = self._db.execute(query, [json.dumps(list(stripe_invoice_ids))])
        return [(month_key, BilledInvoice(*columns)) for *columns, month_key in rows]


def billed_invoice(send: DesiredInvoice, invoice: ActualInvoice, now: float) -> dict[str, Any]:
    """The body of a seal: the invoice as it was sent and as Stripe numbered it."""
    lines = [
        {
            "line_id": line.line_id,
            "kind": line.kind,
            "description": line.description,
            "quantity": line.quantity,
            "amount": line.amount,
            "period_start": line.period_start,
            "period_end": line.period_end,
        }
        for line in send.lines
    ]
    return _body(invoice, lines, now) | {"content_hash": send.content_hash}


def found_invoice(
    invoice: ActualInvoice, lines: Iterable[ActualLine], now: float
) -> dict[str, Any]:
    """The body of a seal for an invoice whose seal was lost, or never made because the process
    ended in between: what Stripe has of it."""
    kept = [
        {
            "line_id": line.line_id,
            "description": line.description,
            "quantity": line.quantity,
            "amount": line.amount,
        }
        for line in lines
    ]
    return _body(invoice, kept, now) | {"content_hash": invoice.content_hash, "restored": True}


def credit_note(
    invoice: ActualInvoice, note: Mapping[str, Any], now: float, *, restored: bool = False
) -> dict[str, Any]:
    """The body of a seal for a credit note."""
    return {
        "what": "credit_note",
        "invoice_id": invoice.invoice_id,
        "revision": invoice.revision,
        "stripe_invoice_id": invoice.stripe_invoice_id,
        "number": note.get("number"),
        "currency": invoice.currency,
        "total": int(note["total"]),
        "sealed_at": now,
    } | ({"restored": True} if restored else {})


def _body(invoice: ActualInvoice, lines: list[dict[str, Any]], now: float) -> dict[str, Any]:
    return {
        "what": "invoice",
        "invoice_id": invoice.invoice_id,
        "revision": invoice.revision,
        "customer_id": invoice.customer_id,
        "stripe_customer_id": invoice.stripe_customer_id,
        "number": invoice.number,
        "currency": invoice.currency,
        "total": invoice.total,
        "wallet_applied": invoice.metadata.get(metadata_keys.WALLET_APPLIED),
        "lines": lines,
        "sealed_at": now,
    }


def _link(month_key: str, position: int, target: str, body: str, previous: str) -> str:
    text = json.dumps([month_key, position, target, body, previous])
    return hashlib.sha256(text.encode()).hexdigest()
