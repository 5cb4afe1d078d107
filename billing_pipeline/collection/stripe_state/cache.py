"""A cache of what Stripe holds, and of how far it has been read. In ``records/``, rebuildable.

What belongs here: the file, its tables, and what later releases have added to them. What does not:
any decision. What is in the cache never decides what is billed: it only tells which parts of
Stripe's lists have to be read again.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from billing_pipeline.collection.stripe_state import (
    cached_cards,
    cached_payouts,
    cached_tax_ids,
    metadata_keys,
    set_aside,
)
from billing_pipeline.collection.stripe_state.cached_customers import CachedCustomers
from billing_pipeline.collection.stripe_state.cached_invoices import (
    CORRECTS,
    HAS_WALLET_PART,
    CachedInvoices,
    RecordedMarks,
)
from billing_pipeline.collection.stripe_state.cached_months import CachedMonths
from billing_pipeline.collection.stripe_state.cached_wallets import CachedTopUps, PostedMovements
from billing_pipeline.collection.stripe_state.reading_progress import ReadingProgress
from billing_pipeline.runs.sqlite_file import open_file, transaction

_SCHEMA = """
create table if not exists state (name text primary key, value integer not null) strict;
create table if not exists invoices (
    stripe_invoice_id text primary key, billing_month text not null, created integer not null,
    status_rank integer not null, body text not null, extra text not null default '{}',
    marks text not null default '{}'
) strict;
create index if not exists invoices_of_month on invoices (billing_month, created);
create index if not exists invoices_by_time on invoices (created);
create index if not exists invoices_open on invoices (billing_month) where status_rank = 1;
create table if not exists months (
    billing_month text primary key, changed integer not null default 0,
    published integer not null default 0, published_at real not null default 0,
    is_listing_due integer not null default 0
) strict;
-- In whatever way a change is learnt, its month counts as changed from that instant.
create trigger if not exists invoice_arrived after insert on invoices begin
    insert into months (billing_month, changed) values (new.billing_month, 1)
    on conflict (billing_month) do update set changed = changed + 1;
end;
create trigger if not exists invoice_changed after update of body on invoices
when old.body is not new.body or old.billing_month is not new.billing_month begin
    insert into months (billing_month, changed) values (old.billing_month, 1)
    on conflict (billing_month) do update set changed = changed + 1;
    insert into months (billing_month, changed) values (new.billing_month, 1)
    on conflict (billing_month) do update set changed = changed + 1;
end;
create trigger if not exists invoice_left after delete on invoices begin
    insert into months (billing_month, changed) values (old.billing_month, 1)
    on conflict (billing_month) do update set changed = changed + 1;
end;
create table if not exists customers (
    stripe_customer_id text primary key, customer_id text not null, created integer not null,
    payment_method text
) strict;
create table if not exists profiles (
    stripe_customer_id text primary key, profile text not null
) strict;
create index if not exists customers_by_ours on customers (customer_id, created);
create table if not exists wallet_movements (
    stripe_customer_id text not null, currency text not null, transaction_id text not null,
    amount integer not null, primary key (stripe_customer_id, currency, transaction_id)
) strict, without rowid;
-- Knew movements by their ids alone, which two customers may share.
drop table if exists wallet_posted;
create table if not exists top_ups (
    payment_intent text primary key, transaction_id text not null, customer_id text not null,
    currency text not null, amount integer not null, occurred_at integer not null
) strict;
-- Which invoice a payment was received for; the payments themselves are in invoices.extra.
create table if not exists received (
    payment_intent text not null, stripe_invoice_id text not null,
    primary key (payment_intent, stripe_invoice_id)
) strict, without rowid;
create table if not exists events (event_id text primary key, created integer not null) strict;
create table if not exists empty_plans (
    billing_month text primary key, mark text not null, at real not null
) strict;
drop table if exists settled_months;
"""
# Columns that came with later releases. They are added, because a new file would have to be filled
# by listing all of Stripe again.
_ADDED = (
    ("invoices", "moment", "integer not null default 0"),
    ("customers", "profile", "text"),
    ("customers", "held", "text"),
    ("customers", "tax_id", "text"),
)

_MARKS_FROM_BODIES = f"""
update invoices set marks = json_patch('{{}}', json_object({
    ", ".join(
        f"'{name}', json_extract(body, '$.metadata.{name}')" for name in metadata_keys.IDENTITY
    )
}))
"""

_PAID_BY_WALLETS = f"""
-- Of earlier releases: by the mark as it is now, and without what invoices put into wallets.
drop index if exists invoices_paid_by_wallets;
drop index if exists invoices_with_a_wallets_part;
create index if not exists invoices_that_moved_a_wallet
on invoices (json_extract(marks, '$.billing_customer_id')) where {HAS_WALLET_PART};
"""

_CORRECTIONS = f"""
create index if not exists invoices_that_correct on invoices (billing_month) where {CORRECTS};
"""

_TOP_UP_RETURNS = """
create table if not exists top_up_returns (
    return_id text primary key, payment_intent text not null, amount integer not null,
    occurred_at integer not null
) strict
"""


_TABLES = (
    f"{_SCHEMA} {cached_cards.SCHEMA} {cached_payouts.SCHEMA} {cached_tax_ids.SCHEMA} "
    f"{set_aside.SCHEMA}"
)
_INDEXES = _PAID_BY_WALLETS + _CORRECTIONS
_MADE_BY = f"{_TABLES} {_ADDED} {_MARKS_FROM_BODIES} {_INDEXES} {_TOP_UP_RETURNS}"


class StripeCache:
    """One SQLite file for all months of one Stripe account; safe for several processes."""

    def __init__(self, path: Path | str, recorded: RecordedMarks = lambda ids: {}) -> None:
        # Losing the last write costs a longer listing, nothing else: no need to wait for the disk.
        self._db = open_file(path, _MADE_BY, synchronous="normal", make=_make)
        self.progress = ReadingProgress(self._db)
        self.unreadable = set_aside.SetAsideList(self._db)
        self.months = CachedMonths(self._db, self.progress)
        self.invoices = CachedInvoices(self._db, self.progress, self.unreadable, recorded)
        self.cards = cached_cards.CachedCards(self._db)
        self.customers = CachedCustomers(self._db, self.unreadable, self.cards)
        self.tax_ids = cached_tax_ids.CachedTaxIds(self._db)
        self.posted = PostedMovements(self._db)
        self.top_ups = CachedTopUps(self._db)
        self.payouts = cached_payouts.CachedPayouts(self._db)

    def close(self) -> None:
        self._db.close()


def _make(db: sqlite3.Connection) -> None:
    db.executescript(_TABLES)
    for table, column, kind in _ADDED:
        if column not in _columns(db, table):
            db.execute(f"alter table {table} add column {column} {kind}")
    _remember_marks(db)
    db.executescript(_INDEXES)
    _begin_top_up_returns(db)


def _columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {str(row[1]) for row in db.execute(f"pragma table_info({table})")}


def _remember_marks(db: sqlite3.Connection) -> None:
    """Fill in the marks of invoices that an earlier release has stored without them."""
    if "marks" not in _columns(db, "invoices"):
        with transaction(db):
            db.execute("alter table invoices add column marks text not null default '{}'")
            db.execute(_MARKS_FROM_BODIES)


def _begin_top_up_returns(db: sqlite3.Connection) -> None:
    """Have top-ups read again that an earlier release has read without their refunds and
    disputes."""
    tables = "select 1 from sqlite_schema where name = 'top_up_returns'"
    if db.execute(tables).fetchone() is None:
        with transaction(db):
            db.execute(_TOP_UP_RETURNS)
            db.execute("delete from state where name = 'top_ups_read_until'")
