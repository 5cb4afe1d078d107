"""A cache of what Stripe holds, and of how far it has been read. In ``records/``, rebuildable.

What belongs here: remembered invoices and customers, the instants up to which Stripe's lists and
events were read. What does not: any decision. Nothing is billed or not billed because of what
stands here: it only tells which parts of Stripe's lists have to be read again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from billing_pipeline.collection.stripe_state import metadata_keys, set_aside
from billing_pipeline.collection.stripe_state.events import Told
from billing_pipeline.collection.stripe_state.profiles import digests, held_by
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
    is_month_key,
    is_time,
    read_invoice,
)

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
create table if not exists events (event_id text primary key, created integer not null) strict;
create table if not exists settled_months (
    billing_month text primary key, mark text not null, at real not null
) strict;
"""
# Columns that came with later releases. The table is a cache, but making it anew would list all
# of Stripe again.
_ADDED = (
    ("invoices", "moment", "integer not null default 0"),
    ("customers", "profile", "text"),
    ("customers", "held", "text"),
)

_MARKS_FROM_BODIES = f"""
update invoices set marks = json_patch('{{}}', json_object({
    ", ".join(
        f"'{name}', json_extract(body, '$.metadata.{name}')" for name in metadata_keys.IDENTITY
    )
}))
"""

# The mark as it was first seen: without it, what the wallet paid could be taken a second time.
_WALLET_PAID = (
    f"cast(coalesce(json_extract(marks, '$.{metadata_keys.WALLET_APPLIED}'), "
    f"json_extract(body, '$.metadata.{metadata_keys.WALLET_APPLIED}')) as integer) > 0"
)
_PAID_BY_WALLETS = f"""
drop index if exists invoices_paid_by_wallets;  -- of earlier releases, by the mark as it is now
create index if not exists invoices_with_a_wallets_part
on invoices (json_extract(marks, '$.{metadata_keys.CUSTOMER_ID}')) where {_WALLET_PAID};
"""

_TOP_UP_RETURNS = """
create table if not exists top_up_returns (
    return_id text primary key, payment_intent text not null, amount integer not null,
    occurred_at integer not null
) strict
"""

# What `actual.read_invoice` reads: the rest of Stripe's answer is not worth keeping.
_KEPT = (
    "id",
    "customer",
    "status",
    "currency",
    "total",
    "created",
    "metadata",
    "collection_method",
    "auto_advance",
    "amount_due",
    "amount_paid",
    "amount_remaining",
    "pre_payment_credit_notes_amount",
    "post_payment_credit_notes_amount",
    "attempt_count",
    "attempted",
    "due_date",
    "days_until_due",
    "number",
    "status_transitions",
    "next_payment_attempt",
    "hosted_invoice_url",
    "invoice_pdf",
    "latest_revision",
    "starting_balance",
    "ending_balance",
    "customer_name",
    "customer_email",
)

MONTH_UNKNOWN = ""
"""In place of the month of an invoice that carries marks of ours but no longer says which month."""


@dataclass(frozen=True)
class Window:
    """A stretch of creation times, both ends included; `last` None: without end."""

    first: int
    last: int | None = None

    def as_filter(self) -> dict[str, int]:
        """Stripe's `created` parameter."""
        return {"gte": self.first} | ({} if self.last is None else {"lte": self.last})


class CachedInvoice(NamedTuple):
    """An invoice as it was last read: Stripe's object (in part), what we found out about it, and
    the marks that say which invoice it is, as they were first seen."""

    body: dict[str, Any]
    extra: dict[str, Any]
    marks: dict[str, str]


def _row(data: Mapping[str, Any], invoice: ActualInvoice, recorded: Mapping[str, str]) -> list[Any]:
    metadata = data.get("metadata")
    found = metadata if isinstance(metadata, Mapping) else {}
    # What the wallet pays is settled once the invoice is final.
    names = metadata_keys.IDENTITY if invoice.is_draft else metadata_keys.SETTLED
    marks = {name: found[name] for name in names if isinstance(found.get(name), str)}
    marks |= recorded
    if not is_month_key(marks.get(metadata_keys.MONTH)):
        marks.pop(metadata_keys.MONTH, None)
    # Where the invoice no longer says whose it is, its lines still may.
    is_lost = not all(name in marks for name in metadata_keys.IDENTITY)
    return [
        invoice.stripe_invoice_id,
        marks.get(metadata_keys.MONTH, MONTH_UNKNOWN),
        invoice.created,
        invoice.status.rank,
        json.dumps({name: data[name] for name in _KEPT if name in data}),
        json.dumps({"line_ids": metadata_keys.line_ids(data)} if is_lost else {}),
        json.dumps(marks),
    ]


@dataclass(frozen=True)
class CachedCustomer:
    """A Stripe customer of ours; `payment_method` is the one that we have set, `profile` and
    `held` are what else we have written and what Stripe has (`profiles.py`)."""

    stripe_customer_id: str
    customer_id: str
    created: int
    payment_method: str | None
    profile: str | None = None
    held: str | None = None


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
    """What left a wallet again because a top-up's charge was refunded or disputed, or, above 0,
    came back because a dispute was won; minor units of the top-up's currency, epoch seconds."""

    return_id: str
    payment_intent: str
    amount: int
    occurred_at: int


class StripeCache:
    """One SQLite file for all months of one Stripe account; safe for several processes.

    `recorded` gives the marks by which our records know invoices: of one that is seen for the first
    time, after a cache was lost, they say whose it is, whatever somebody has made of its marks.
    """

    def __init__(
        self,
        path: Path | str,
        recorded: Callable[[Iterable[str]], Mapping[str, Mapping[str, str]]] = lambda ids: {},
    ) -> None:
        self._recorded = recorded
        if isinstance(path, Path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        # A lost last write costs a longer listing, nothing else: no need to wait for the disk.
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        self._db.executescript(_SCHEMA + set_aside.SCHEMA)
        for table, column, kind in _ADDED:
            names = [row[1] for row in self._db.execute(f"pragma table_info({table})")]
            if column not in names:
                self._db.execute(f"alter table {table} add column {column} {kind}")
        self._remember_marks()
        self._begin_top_up_returns()

    def _remember_marks(self) -> None:
        """Marks of invoices that an earlier release has stored."""
        columns = {row[1] for row in self._db.execute("pragma table_info(invoices)")}
        if "marks" in columns:
            return
        with self._transaction():
            self._db.execute("alter table invoices add column marks text not null default '{}'")
            self._db.execute(_MARKS_FROM_BODIES)

    def _begin_top_up_returns(self) -> None:
        """Top-ups that an earlier release has read, without what was refunded of them or disputed,
        are read once more."""
        self._db.executescript(_PAID_BY_WALLETS)
        tables = "select 1 from sqlite_schema where name = 'top_up_returns'"
        if self._db.execute(tables).fetchone() is None:
            with self._transaction():
                self._db.execute(_TOP_UP_RETURNS)
                self._db.execute("delete from state where name = 'top_ups_read_until'")

    def close(self) -> None:
        self._db.close()

    # How far Stripe has been read.
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
        """A number that grows with every call, in all processes: what is read from Stripe from now
        on is not older than what was stored before."""
        row = self._db.execute(
            "insert into state values ('moment', 1) on conflict (name) "
            "do update set value = value + 1 returning value"
        ).fetchone()
        return int(row[0])

    # What cannot be read.
    def put_aside(self, kind: str, target: str, reason: str, at: float = 0) -> None:
        """It cannot be read; `at` is when an event was seen, which are forgotten in time."""
        self._db.execute(
            "insert or replace into set_aside values (?, ?, ?, ?)", [kind, target, reason, at]
        )
        self._db.execute(
            "delete from set_aside where kind = 'event' and seen_at < ?",
            [at - set_aside.KEPT_SECONDS],
        )

    def take_back(self, kind: str, targets: Iterable[str]) -> None:
        """These can be read by now."""
        self._db.execute(
            "delete from set_aside where kind = ? and subject in (select value from json_each(?))",
            [kind, json.dumps(list(targets))],
        )

    # What of it is published.
    def version(self, month_key: str) -> int:
        """Grows with every change of the month's invoices."""
        query = "select changed from months where billing_month = ?"
        row = self._db.execute(query, [month_key]).fetchone()
        return 0 if row is None else int(row[0])

    def touch(self, month_keys: Iterable[str], *, in_full: bool = False) -> None:
        """Let months count as changed; `in_full`: only listing them tells what is there."""
        self._db.executemany(
            "insert into months (billing_month, changed, is_listing_due) values (?1, 1, ?2) "
            "on conflict (billing_month) do update set changed = changed + 1, "
            "is_listing_due = max(is_listing_due, ?2)",
            [[key, int(in_full)] for key in month_keys],
        )

    def note_published(self, month_key: str, version: int, at: float, *, in_full: bool) -> None:
        """That version of the month is what stands published now, even where a newer one did."""
        self._db.execute(
            "insert into months (billing_month, published, published_at) values (?1, ?2, ?3) "
            "on conflict (billing_month) do update set published = ?2, published_at = ?3, "
            "is_listing_due = is_listing_due and not ?4",
            [month_key, version, at, int(in_full)],
        )

    def stale_months(self, now: float) -> list[tuple[str, int, bool]]:
        """Months whose published rows are not what they should be: key, version, and whether
        they have to be listed. That an invoice became overdue changes it too."""
        rows = self._db.execute(
            "select billing_month, changed, is_listing_due from months "
            "where billing_month <> '' and (changed <> published or is_listing_due or exists ("
            "  select 1 from invoices where invoices.billing_month = months.billing_month"
            "  and status_rank = 1 and json_extract(body, '$.due_date') >= published_at"
            "  and json_extract(body, '$.due_date') < ?"
            ")) order by billing_month",
            [now],
        )
        return [(str(key), int(version), bool(listing)) for key, version, listing in rows]

    # Where a run found nothing to do.
    def note_empty_plan(self, month_key: str, mark: str, at: float) -> None:
        self._db.execute(
            "insert or replace into settled_months values (?, ?, ?)", [month_key, mark, at]
        )

    def settled(self, month_key: str) -> tuple[str, float] | None:
        """The mark that was noted last, and when."""
        query = "select mark, at from settled_months where billing_month = ?"
        row: tuple[str, float] | None = self._db.execute(query, [month_key]).fetchone()
        return row

    # Invoices.
    def created_times(self, month_key: str) -> list[int]:
        rows = self._db.execute(
            "select created from invoices where billing_month = ? order by created", [month_key]
        )
        return [int(row[0]) for row in rows]

    def invoices(self, month_key: str) -> list[CachedInvoice]:
        """The month's invoices, in the order in which they were created."""
        rows = self._db.execute(
            "select body, extra, marks from invoices where billing_month = ? "
            "order by created, stripe_invoice_id",
            [month_key],
        )
        return [CachedInvoice(*(json.loads(text) for text in row)) for row in rows]

    def months_with_open(self) -> list[str]:
        """Months (``YYYY-MM-01``) in which something is still to be paid, as last read."""
        rows = self._db.execute(
            "select distinct billing_month from invoices "
            "where status_rank = ? and billing_month <> '' order by 1",
            [InvoiceStatus.OPEN.rank],
        )
        return [str(row[0]) for row in rows]

    def month_of(self, stripe_invoice_id: str) -> str | None:
        row = self._db.execute(
            "select billing_month from invoices where stripe_invoice_id = ?", [stripe_invoice_id]
        ).fetchone()
        return str(row[0]) or None if row is not None else None

    def count_created(self, window: Window) -> int:
        """How many invoices are known that were created in a stretch."""
        last = window.last if window.last is not None else 2**62
        query = "select count(*) from invoices where created between ? and ?"
        return int(self._db.execute(query, [window.first, last]).fetchone()[0])

    def store(self, invoices: Iterable[Mapping[str, Any]], *, moment: int | None = None) -> None:
        """Remember invoices of ours; those without any mark of ours are passed over, unless they
        are known already, here or in our records.

        Marks that say which invoice it is are kept as they were first seen: somebody may remove or
        change them in Stripe. An invoice only moves forward (draft, open, uncollectible, paid or
        void), and what was read from a given `moment` on (None: just now) does not replace what was
        stored later: an answer that was made earlier and arrives later does not set it back.
        """
        asked = [data for data in invoices if self._can_be_stored(data)]
        known = self._known([data["id"] for data in asked])
        recorded = self._recorded(data["id"] for data in asked if data["id"] not in known)
        known |= recorded.keys()
        rows, readable = [], []
        for data in asked:
            if data["id"] not in known and not self._is_ours(data):
                continue
            invoice = read_invoice(data)
            if invoice.unreadable is None:
                readable.append(invoice.stripe_invoice_id)
            else:
                self.put_aside("invoice", invoice.stripe_invoice_id, invoice.unreadable)
            rows.append(_row(data, invoice, recorded.get(data["id"], {})))
        with self._transaction():
            at = self.moment() if moment is None else moment
            self._db.executemany(
                "insert into invoices "
                "(stripe_invoice_id, billing_month, created, status_rank, body, extra, marks, "
                f"moment) values (?, ?, ?, ?, ?, ?, ?, {at:d}) "
                "on conflict (stripe_invoice_id) do update set "
                "marks = json_patch(excluded.marks, invoices.marks), "
                "billing_month = coalesce(nullif(invoices.billing_month, ''), "
                "excluded.billing_month), "
                "status_rank = excluded.status_rank, body = excluded.body, "
                "extra = json_patch(invoices.extra, excluded.extra), moment = excluded.moment "
                "where excluded.status_rank > invoices.status_rank or "
                "(excluded.status_rank = invoices.status_rank "
                "and excluded.moment >= invoices.moment)",
                rows,
            )
            self.take_back("invoice", readable)

    def _can_be_stored(self, data: Any) -> bool:
        if isinstance(data, Mapping) and set_aside.identity(data) == data.get("id"):
            return True
        self.put_aside("invoice", set_aside.identity(data), "it has no id that can be stored")
        return False

    def _is_ours(self, data: Mapping[str, Any]) -> bool:
        """True where it carries any mark of ours. Whose an invoice is whose metadata cannot be
        read, nobody can say: it is set aside."""
        metadata = data.get("metadata")
        if not isinstance(metadata, Mapping | None):
            self.put_aside("invoice", data["id"], f"of no month: {read_invoice(data).unreadable}")
            return False
        return metadata_keys.is_marked(data)

    def mark(self, stripe_invoice_id: str, marks: Mapping[str, str]) -> None:
        """These are the marks that say which invoice it is, whatever was seen on it."""
        self._db.execute(
            "update invoices set marks = ?, billing_month = ? where stripe_invoice_id = ?",
            [json.dumps(dict(marks)), marks[metadata_keys.MONTH], stripe_invoice_id],
        )

    def invoice(self, stripe_invoice_id: str) -> CachedInvoice | None:
        """One invoice as it was last read."""
        row = self._db.execute(
            "select body, extra, marks from invoices where stripe_invoice_id = ?",
            [stripe_invoice_id],
        ).fetchone()
        return None if row is None else CachedInvoice(*(json.loads(text) for text in row))

    def _known(self, stripe_invoice_ids: Sequence[str]) -> set[str]:
        query = (
            "select stripe_invoice_id from invoices "
            "where stripe_invoice_id in (select value from json_each(?))"
        )
        return {str(row[0]) for row in self._db.execute(query, [json.dumps(stripe_invoice_ids)])}

    def note(self, stripe_invoice_id: str, extra: Mapping[str, Any]) -> None:
        """Keep what we found out about an invoice beside it."""
        self._db.execute(
            "update invoices set extra = json_patch(extra, ?) where stripe_invoice_id = ?",
            [json.dumps(dict(extra)), stripe_invoice_id],
        )

    def note_failure(self, stripe_invoice_id: str, at: int) -> None:
        """A payment of an invoice failed at that time; the first one is remembered."""
        self._db.execute(
            "update invoices set extra = json_set(extra, '$.failed_at', "
            "min(coalesce(json_extract(extra, '$.failed_at'), ?1), ?1)) "
            "where stripe_invoice_id = ?2",
            [at, stripe_invoice_id],
        )

    def noted(self, stripe_invoice_id: str) -> dict[str, Any]:
        """What `note` kept."""
        row = self._db.execute(
            "select extra from invoices where stripe_invoice_id = ?", [stripe_invoice_id]
        ).fetchone()
        return {} if row is None else dict(json.loads(row[0]))

    def forget(self, stripe_invoice_ids: Iterable[str]) -> None:
        self._db.executemany(
            "delete from invoices where stripe_invoice_id = ?", [[i] for i in stripe_invoice_ids]
        )

    def known(self, month_key: str, window: Window) -> set[str]:
        """The month's invoices that are known and were created in a window."""
        last = window.last if window.last is not None else 2**62
        rows = self._db.execute(
            "select stripe_invoice_id from invoices "
            "where billing_month = ? and created between ? and ?",
            [month_key, window.first, last],
        )
        return {str(row[0]) for row in rows}

    # Customers.
    def customer(self, customer_id: str) -> CachedCustomer | None:
        """The oldest Stripe customer with that id of ours: there should be one."""
        row = self._db.execute(
            "select stripe_customer_id, customer_id, created, payment_method, profile, held "
            "from customers where customer_id = ? order by created, stripe_customer_id limit 1",
            [customer_id],
        ).fetchone()
        return None if row is None else CachedCustomer(*row)

    def named_customer(self, stripe_customer_id: str) -> CachedCustomer | None:
        row = self._db.execute(
            "select stripe_customer_id, customer_id, created, payment_method, profile, held "
            "from customers where stripe_customer_id = ?",
            [stripe_customer_id],
        ).fetchone()
        return None if row is None else CachedCustomer(*row)

    def customer_ids(self) -> set[str]:
        """All Stripe customers that are known as ours."""
        return {str(row[0]) for row in self._db.execute("select stripe_customer_id from customers")}

    def knows_customer(self, stripe_customer_id: str, metadata: Mapping[str, str]) -> bool:
        """True where these marks tell nothing new: no mark of ours now or before, or the same."""
        known = self.named_customer(stripe_customer_id)
        marks = [
            metadata.get(name)
            for name in (
                metadata_keys.CUSTOMER_ID,
                metadata_keys.PAYMENT_METHOD,
                metadata_keys.PROFILE,
            )
        ]
        if known is None:
            return marks[0] is None
        return marks == [known.customer_id, known.payment_method, known.profile]

    def store_customers(self, customers: Iterable[Mapping[str, Any]]) -> None:
        """Remember those that are marked as ours, and forget those that are not any more."""
        rows, others = [], []
        for data in customers:
            name = set_aside.identity(data)
            metadata = data.get("metadata") or {} if isinstance(data, Mapping) else None
            if not isinstance(metadata, Mapping) or name != data["id"]:
                self.put_aside("customer", name, "its id or metadata cannot be read")
                continue
            marks = [
                metadata.get(mark)
                for mark in (
                    metadata_keys.CUSTOMER_ID,
                    metadata_keys.PAYMENT_METHOD,
                    metadata_keys.PROFILE,
                )
            ]
            if not marks[0] or data.get("deleted"):
                others.append(name)
            elif not all(isinstance(m, str | None) for m in marks) or not is_time(data["created"]):
                self.put_aside("customer", name, "its metadata or its time cannot be read")
            else:
                rows.append((name, marks[0], data["created"], *marks[1:], digests(held_by(data))))
        with self._transaction():
            self._db.executemany("insert or replace into customers values (?, ?, ?, ?, ?, ?)", rows)
            for name in others:
                self.forget_customer(name)

    def stripe_customers(self, customer_ids: Collection[str]) -> dict[str, frozenset[str]]:
        """The Stripe customers that are known to carry these ids of ours."""
        rows = self._db.execute(
            "select customer_id, json_group_array(stripe_customer_id) from customers "
            "where customer_id in (select value from json_each(?)) group by customer_id",
            [json.dumps(sorted(customer_ids))],
        )
        return {str(customer): frozenset(json.loads(ids)) for customer, ids in rows}

    def forget_customer(self, stripe_customer_id: str) -> None:
        self._db.execute("delete from customers where stripe_customer_id = ?", [stripe_customer_id])

    def baseline(self, stripe_customer_id: str) -> str | None:
        """What our input was when a customer was first seen to whom we have written nothing."""
        query = "select profile from profiles where stripe_customer_id = ?"
        row = self._db.execute(query, [stripe_customer_id]).fetchone()
        return None if row is None else str(row[0])

    def note_baseline(self, stripe_customer_id: str, profile: str) -> None:
        self._db.execute(
            "insert or replace into profiles values (?, ?)", [stripe_customer_id, profile]
        )

    # Wallets: what invoices took from them, and the movements that stand in Stripe's balances.
    def invoices_paid_by_wallets(self, customer_id: str | None = None) -> list[CachedInvoice]:
        """As `invoices`, of all months: those of which a wallet was to pay a part."""
        query = f"select body, extra, marks from invoices where {_WALLET_PAID}"
        order = " order by created, stripe_invoice_id"
        if customer_id is None:
            rows = self._db.execute(query + order)
        else:
            of_one = " and json_extract(marks, '$.billing_customer_id') = ?"
            rows = self._db.execute(query + of_one + order, [customer_id])
        return [CachedInvoice(*(json.loads(text) for text in row)) for row in rows]

    def invoices_of(self, stripe_customer_ids: Iterable[str]) -> list[CachedInvoice]:
        """As `invoices`, of all months: those of some customers."""
        rows = self._db.execute(
            "select body, extra, marks from invoices where json_extract(body, '$.customer') in "
            "(select value from json_each(?)) order by created, stripe_invoice_id",
            [json.dumps(sorted(stripe_customer_ids))],
        )
        return [CachedInvoice(*(json.loads(text) for text in row)) for row in rows]

    def is_posted(
        self, stripe_customer_id: str, currency: str, transaction_id: str, amount: int
    ) -> bool:
        query = (
            "select 1 from wallet_movements where (stripe_customer_id, currency, transaction_id, "
            "amount) = (?, ?, ?, ?)"
        )
        values = [stripe_customer_id, currency, transaction_id, amount]
        return self._db.execute(query, values).fetchone() is not None

    def note_posted(
        self, stripe_customer_id: str, currency: str, amounts: Mapping[str, int]
    ) -> None:
        """Movements that stand on a customer's balance, with their amounts."""
        with self._transaction():
            self._db.executemany(
                "insert or replace into wallet_movements values (?, ?, ?, ?)",
                [(stripe_customer_id, currency, *item) for item in amounts.items()],
            )

    def touch_wallets(self) -> None:
        """A balance is about to be moved: what is published of wallets is not what they are."""
        self._db.execute(
            "insert into state values ('wallets_changed', 1) "
            "on conflict (name) do update set value = value + 1"
        )

    def wallets_version(self, month_key: str) -> int:
        """Grows with every change of the month's invoices, and of any wallet by us."""
        return self.version(month_key) + (self.get("wallets_changed") or 0)

    def note_wallets_published(self, month_key: str, version: int) -> None:
        self.put(f"wallets_published {month_key}", version)

    def wallets_are_published(self, month_key: str) -> bool:
        return self.get(f"wallets_published {month_key}") == self.wallets_version(month_key)

    # Payments that topped wallets up.
    def store_top_ups(self, payments: Iterable[PaidTopUp]) -> None:
        with self._transaction():
            self._db.executemany(
                "insert or replace into top_ups values (?, ?, ?, ?, ?, ?)",
                [astuple(paid) for paid in payments],
            )

    def top_ups(self) -> list[PaidTopUp]:
        rows = self._db.execute("select * from top_ups order by payment_intent")
        return [PaidTopUp(*row) for row in rows]

    def store_returns(self, payment_intent: str, returns: Iterable[TopUpReturn]) -> None:
        """All that left again of a payment, in place of what was known of it."""
        with self._transaction():
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

    def known_payments(self, payment_intents: Iterable[str]) -> set[str]:
        query = "select payment_intent from top_ups where payment_intent in (select value from "
        rows = self._db.execute(f"{query}json_each(?))", [json.dumps(sorted(payment_intents))])
        return {str(row[0]) for row in rows}

    # Events.
    def new_events(self, events: Iterable[Told]) -> list[Told]:
        """Those not seen before; none is remembered by asking."""
        asked = list(events)
        query = "select event_id from events where event_id in (select value from json_each(?))"
        rows = self._db.execute(query, [json.dumps([event.event_id for event in asked])])
        known = {row[0] for row in rows}
        return [event for event in asked if event.event_id not in known]

    def remember_events(self, events: Iterable[Told]) -> None:
        with self._transaction():
            self._db.executemany(
                "insert or ignore into events values (?, ?)",
                [(event.event_id, event.created) for event in events],
            )

    def forget_events(self, before: int) -> None:
        self._db.execute("delete from events where created < ?", [before])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")
