"""What was billed, as it was billed: one record for each finalized invoice and credit note.

What belongs here: adding a record at the moment a document becomes final, and finding records that
were changed or removed since. What does not: deciding what to bill (records are only evidence, see
`recorded.py`), and what an invoice was computed from (``published.as_billed``).

A record of an invoice that we sent has its `content`: the very text whose hash Stripe holds in the
invoice's metadata. Each row's hash shows whether the row was changed; if somebody changes row and
hash together, the content hash no longer matches the one in Stripe. SQLite, because it adds a
record whole or not at all, even if the power fails; the triggers keep our own code from rewriting.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.collection.stripe_state.texts import hash_of
from billing_pipeline.runs.sqlite_file import open_file, transaction

# `subject` is Stripe's id. `previous` is empty, except in rows of earlier releases: there it is the
# hash of the row before.
_SCHEMA = """
create table if not exists billed (
    month text not null, position integer not null, subject text not null unique,
    body text not null, previous text not null, hash text not null,
    primary key (month, position)
) strict;
create trigger if not exists billed_stays before update on billed
begin select raise(abort, 'a record of what was billed is never changed'); end;
create trigger if not exists billed_is_kept before delete on billed
begin select raise(abort, 'a record of what was billed is never deleted'); end;
"""
_NAMED_BEFORE = "select 1 from sqlite_schema where name = 'seals'"
_ADD = """
insert into billed
select ?1, next, ?2, ?3, '', hash_of_row(?1, next, ?2, ?3, '')
from (select 1 + coalesce(
    (select position from billed where month = ?1 order by position desc limit 1), 0
) as next)
where true
on conflict (subject) do nothing
"""
# A row whose body is no longer JSON is skipped, as if it were lost.
_INVOICES = """
select month, subject, body ->> 'invoice_id', body ->> 'revision', body ->> 'customer_id',
    body ->> 'currency', body ->> 'total', body ->> 'content_hash', body ->> 'wallet_applied',
    hash <> hash_of_row(month, position, subject, body, previous)
from billed where iif(json_valid(body), body ->> 'what' = 'invoice', false)
"""
_CREDITED = """
select body ->> 'stripe_invoice_id', sum(body ->> 'total') from billed
where month = ? and iif(json_valid(body), body ->> 'what' = 'credit_note', false) group by 1
"""
_PROBLEMS = """
with compared as materialized (
    select month, position, subject,
        hash <> hash_of_row(month, position, subject, body, previous) as is_changed,
        position <> 1 + lag(position, 1, 0) over (partition by month order by position) as is_gap,
        iif(json_valid(body), content_hash(body ->> 'content') <> body ->> 'content_hash', false)
            as is_other_content
    from billed where ?1 is null or month = ?1
)
select month, subject, case
    when is_changed then 'its record was changed'
    when is_gap then 'a record before it is missing'
    else 'its content does not match its hash'
end
from compared where is_changed or is_gap or is_other_content order by month, position
"""


class BilledInvoice(NamedTuple):
    """A Stripe invoice as our records have it, without its lines; the total in minor units."""

    month_key: str
    stripe_invoice_id: str
    invoice_id: str | None
    revision: int | None
    customer_id: str | None
    currency: str
    total: int
    content_hash: str | None
    wallet_applied: str | None
    """What the wallet was to pay of it, as in its mark; None in records of early releases."""
    is_altered: bool
    """True where the record was changed after it was written."""

    @property
    def marks(self) -> dict[str, str]:
        """The marks that say which invoice it is, as Stripe's metadata has them."""
        marks = {
            metadata_keys.INVOICE_ID: self.invoice_id or "",
            metadata_keys.MONTH: self.month_key,
            metadata_keys.REVISION: str(self.revision or 1),
            metadata_keys.CUSTOMER_ID: self.customer_id or "",
        }
        if self.wallet_applied is not None:
            marks[metadata_keys.WALLET_APPLIED] = self.wallet_applied
        return marks


class RecordProblem(NamedTuple):
    """What is wrong with the record of a Stripe invoice or credit note."""

    month_key: str
    stripe_id: str
    problem: str


class BilledRecords:
    """``records/billed.db``: append-only, numbered within each month."""

    def __init__(self, path: Path, *, synchronous: str) -> None:
        self._db = open_file(path, _SCHEMA, synchronous=synchronous, make=_make)
        self._db.create_function("hash_of_row", 5, _hash_of_row, deterministic=True)
        self._db.create_function("content_hash", 1, _content_hash, deterministic=True)

    def close(self) -> None:
        self._db.close()

    def add(self, month_key: str, stripe_id: str, body: Mapping[str, Any]) -> None:
        """Record what was billed. What is recorded already stays as it is."""
        text = json.dumps(dict(body), sort_keys=True, separators=(",", ":"))
        # One statement: two processes must not take the same position.
        self._db.execute(_ADD, [month_key, stripe_id, text])

    def invoices(self, month_key: str) -> list[BilledInvoice]:
        """The recorded invoices of a month (``YYYY-MM-01``)."""
        rows = self._db.execute(f"{_INVOICES} and month = ? order by position", [month_key])
        return [_invoice(row) for row in rows]

    def find(self, stripe_invoice_ids: Iterable[str]) -> list[BilledInvoice]:
        """The recorded ones of these invoices, of any month."""
        query = f"{_INVOICES} and subject in (select value from json_each(?))"
        rows = self._db.execute(query, [json.dumps(list(stripe_invoice_ids))])
        return [_invoice(row) for row in rows]

    def credited(self, month_key: str) -> dict[str, int]:
        """The sum of the month's recorded credit notes by Stripe invoice, in minor units."""
        return dict(self._db.execute(_CREDITED, [month_key]).fetchall())

    def months(self) -> list[str]:
        rows = self._db.execute("select distinct month from billed order by month")
        return [str(row[0]) for row in rows]

    def problems(self, month_key: str | None = None) -> list[RecordProblem]:
        """The records of one month, or of all, that were changed or removed since."""
        return [RecordProblem(*row) for row in self._db.execute(_PROBLEMS, [month_key])]


def sent_invoice(send: DesiredInvoice, invoice: ActualInvoice, now: float) -> dict[str, Any]:
    """The record of an invoice as it was sent and as Stripe numbered it."""
    return finalized_invoice(invoice, now) | {"content": send.content}


def finalized_invoice(invoice: ActualInvoice, now: float) -> dict[str, Any]:
    """The record of an invoice whose lines only Stripe knows."""
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
        "content_hash": invoice.content_hash,
        "recorded_at": now,
    }


def credit_note(invoice: ActualInvoice, note: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The record of a credit note of ours; `note` is Stripe's object."""
    return {
        "what": "credit_note",
        "invoice_id": invoice.invoice_id,
        "revision": invoice.revision,
        "stripe_invoice_id": invoice.stripe_invoice_id,
        "number": note.get("number"),
        "currency": invoice.currency,
        "total": int(note["total"]),
        "recorded_at": now,
    }


def _invoice(row: Sequence[Any]) -> BilledInvoice:
    return BilledInvoice._make([*row[:-1], bool(row[-1])])


def _make(db: sqlite3.Connection) -> None:
    if db.execute(_NAMED_BEFORE).fetchone():
        with transaction(db):
            if db.execute(_NAMED_BEFORE).fetchone():  # no other process was first
                db.execute("alter table seals rename to billed")
    db.executescript(_SCHEMA)


def _hash_of_row(*columns: str | int) -> str:
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()


def _content_hash(content: str | None) -> str | None:
    return None if content is None else hash_of(content)
