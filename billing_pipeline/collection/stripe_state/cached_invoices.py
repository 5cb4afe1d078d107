"""Stripe's invoices of ours as they were last read, with their marks as they were first seen.

What belongs here: storing and finding them. What does not: any decision, and what their fields mean
(``stripe_invoice``).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from billing_pipeline.collection.stripe_state import metadata_keys, set_aside
from billing_pipeline.collection.stripe_state.reading_progress import ReadingProgress
from billing_pipeline.collection.stripe_state.set_aside import SetAsideList
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
    is_month_key,
    read_invoice,
)
from billing_pipeline.runs.sqlite_file import transaction

_UNREADABLE = -1
"""The rank of an invoice that cannot be read: below all others."""

# What `stripe_invoice.read_invoice` needs: the rest of Stripe's answer is not worth saving.
_SAVED = (
    "id",
    "customer",
    "status",
    "currency",
    "total",
    "created",
    "metadata",
    "collection_method",
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

UNKNOWN_MONTH = ""
"""The month of an invoice that carries marks of ours but no longer says which month it is of."""

MAX_PAYOUT_WAIT = 100 * 86_400
"""Seconds for which a payment waits to be found in a payout. Not forever: an account whose payouts
are made by hand never says what is in them."""


@dataclass(frozen=True)
class Window:
    """A span of creation times in epoch seconds, both ends included; `last` None: open-ended."""

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


RecordedMarks = Callable[[Iterable[str]], Mapping[str, Mapping[str, str]]]
"""Gives, by Stripe's id, the marks that our records have of invoices."""

# By the mark as it was first seen: if it could be removed, what a wallet paid could be taken twice.
HAS_WALLET_PART = (
    f"cast(coalesce(json_extract(marks, '$.{metadata_keys.WALLET_APPLIED}'), "
    f"json_extract(body, '$.metadata.{metadata_keys.WALLET_APPLIED}')) as integer) <> 0"
)

# By the mark as it was first seen: if it could be removed, a correction could be billed twice.
CORRECTS = (
    f"coalesce(json_extract(marks, '$.{metadata_keys.CORRECTIONS}'), "
    f"json_extract(body, '$.metadata.{metadata_keys.CORRECTIONS}'), '') <> ''"
)


class CachedInvoices:
    """Found by Stripe's id, by month (``YYYY-MM-01``), by the time of creation (epoch seconds).

    When an invoice is seen for the first time, as all are after the cache was lost, `recorded` says
    which invoice it is, even if somebody has changed its marks in Stripe by then.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        progress: ReadingProgress,
        unreadable: SetAsideList,
        recorded: RecordedMarks,
    ) -> None:
        self._db = db
        self._unreadable = unreadable
        self._recorded = recorded
        self._progress = progress

    def created_times(self, month_key: str) -> list[int]:
        """When the month's invoices were created, epoch seconds, ascending."""
        rows = self._db.execute(
            "select created from invoices where billing_month = ? order by created", [month_key]
        )
        return [int(row[0]) for row in rows]

    def of_month(self, month_key: str) -> list[CachedInvoice]:
        """The month's invoices, in the order in which they were created."""
        rows = self._db.execute(
            "select body, extra, marks from invoices where billing_month = ? "
            "order by created, stripe_invoice_id",
            [month_key],
        )
        return [CachedInvoice(*(json.loads(text) for text in row)) for row in rows]

    def metadata(self, month_key: str, name: str) -> dict[str, str | None]:
        """What the month's invoices have under one key of their metadata, by Stripe's ids."""
        rows = self._db.execute(
            "select stripe_invoice_id, json_extract(body, '$.metadata.' || ?) "
            "from invoices where billing_month = ?",
            [name, month_key],
        )
        return dict(rows.fetchall())

    def months_with_open(self) -> list[str]:
        """Months (``YYYY-MM-01``) in which something is still to be paid, as last read."""
        rows = self._db.execute(
            "select distinct billing_month from invoices "
            "where status_rank = ? and billing_month <> '' order by 1",
            [InvoiceStatus.OPEN.rank],
        )
        return [str(row[0]) for row in rows]

    def month_of(self, stripe_invoice_id: str) -> str | None:
        """The invoice's month (``YYYY-MM-01``); None where either is not known."""
        row = self._db.execute(
            "select billing_month from invoices where stripe_invoice_id = ?", [stripe_invoice_id]
        ).fetchone()
        return str(row[0]) or None if row is not None else None

    def count_created(self, window: Window) -> int:
        """How many known invoices were created in the window."""
        last = window.last if window.last is not None else 2**62
        query = "select count(*) from invoices where created between ? and ?"
        return int(self._db.execute(query, [window.first, last]).fetchone()[0])

    def store(self, invoices: Iterable[Mapping[str, Any]], *, moment: int | None = None) -> None:
        """Store invoices of ours; those without any mark of ours are passed over, unless they are
        known already, here or in our records.

        Marks that say which invoice it is are kept as they were first seen: somebody may remove or
        change them in Stripe. An invoice only moves forward (draft, open, uncollectible, paid or
        void), and what was read from a given `moment` on (None: just now) does not replace what was
        read later: an old answer that arrives late does not set it back. The status of an
        unreadable invoice is not known, so it is replaced by the next answer.
        """
        storable = [data for data in invoices if self._can_be_stored(data)]
        known = self._known([data["id"] for data in storable])
        recorded = self._recorded(data["id"] for data in storable if data["id"] not in known)
        known |= recorded.keys()
        rows, readable = [], []
        for data in storable:
            if data["id"] not in known and not self._is_ours(data):
                continue
            invoice = read_invoice(data)
            if invoice.unreadable is None:
                readable.append(invoice.stripe_invoice_id)
            else:
                self._unreadable.add("invoice", invoice.stripe_invoice_id, invoice.unreadable)
            rows.append(_row(data, invoice, recorded.get(data["id"], {})))
        with transaction(self._db):
            at = self._progress.moment() if moment is None else moment
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
                f"where case when {_UNREADABLE} in (excluded.status_rank, invoices.status_rank) "
                "then excluded.moment >= invoices.moment "
                "else excluded.status_rank > invoices.status_rank or "
                "(excluded.status_rank = invoices.status_rank "
                "and excluded.moment >= invoices.moment) end",
                rows,
            )
            self._unreadable.remove("invoice", readable)

    def _can_be_stored(self, data: Any) -> bool:
        if isinstance(data, Mapping) and set_aside.identity(data) == data.get("id"):
            return True
        self._unreadable.add("invoice", set_aside.identity(data), "it has no id that can be stored")
        return False

    def _is_ours(self, data: Mapping[str, Any]) -> bool:
        """True where it carries any mark of ours. An invoice with unreadable metadata is set aside:
        nothing says whose it is."""
        metadata = data.get("metadata")
        if not isinstance(metadata, Mapping | None):
            self._unreadable.add(
                "invoice", data["id"], f"of no month: {read_invoice(data).unreadable}"
            )
            return False
        return metadata_keys.is_marked(data)

    def mark(self, stripe_invoice_id: str, marks: Mapping[str, str]) -> None:
        """Replace the marks that say which invoice it is, whatever was seen on it."""
        self._db.execute(
            "update invoices set marks = ?, billing_month = ? where stripe_invoice_id = ?",
            [json.dumps(dict(marks)), marks[metadata_keys.MONTH], stripe_invoice_id],
        )

    def get(self, stripe_invoice_id: str) -> CachedInvoice | None:
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
        """Store what we found out about an invoice beside it, over what was noted before."""
        self._db.execute(
            "update invoices set extra = json_patch(extra, ?) where stripe_invoice_id = ?",
            [json.dumps(dict(extra)), stripe_invoice_id],
        )

    def record_failure(self, stripe_invoice_id: str, at: int) -> None:
        """Note that a payment of an invoice failed `at` (epoch seconds); the first failure is
        kept."""
        self._db.execute(
            "update invoices set extra = json_set(extra, '$.failed_at', "
            "min(coalesce(json_extract(extra, '$.failed_at'), ?1), ?1)) "
            "where stripe_invoice_id = ?2",
            [at, stripe_invoice_id],
        )

    def noted(self, stripe_invoice_id: str) -> dict[str, Any]:
        """All that `note` has stored for an invoice."""
        row = self._db.execute(
            "select extra from invoices where stripe_invoice_id = ?", [stripe_invoice_id]
        ).fetchone()
        return {} if row is None else dict(json.loads(row[0]))

    def record_received(
        self, stripe_invoice_id: str, amount_paid: int | None, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Store what was received for an invoice (`received.py`), and the invoice's `amount_paid`
        (minor units) when it was read."""
        with transaction(self._db):
            self.note(
                stripe_invoice_id,
                {"received_of": amount_paid, "received": [dict(row) for row in rows]},
            )
            self._db.executemany(
                "insert or replace into received values (?, ?)",
                {(row["intent"], stripe_invoice_id) for row in rows if row.get("intent")},
            )

    def received(
        self, stripe_invoice_ids: Iterable[str]
    ) -> dict[str, tuple[int | None, list[dict[str, Any]]]]:
        """What `record_received` has stored, by invoice. The amount is None where the rows have
        become stale."""
        found = self._db.execute(
            "select stripe_invoice_id, json_extract(extra, '$.received_of'), "
            "json_extract(extra, '$.received') from invoices where stripe_invoice_id in "
            "(select value from json_each(?)) and json_extract(extra, '$.received') is not null",
            [json.dumps(sorted(stripe_invoice_ids))],
        )
        return {str(name): (paid, json.loads(rows)) for name, paid, rows in found}

    def credit_notes(self, stripe_invoice_ids: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
        """Stripe's credit notes as they were last read, by invoice."""
        found = self._db.execute(
            "select stripe_invoice_id, json_extract(extra, '$.credit_notes') from invoices "
            "where stripe_invoice_id in (select value from json_each(?)) "
            "and json_extract(extra, '$.credit_notes') is not null",
            [json.dumps(sorted(stripe_invoice_ids))],
        )
        return {str(name): json.loads(rows) for name, rows in found}

    def mark_received_stale(self, payment_intents: Iterable[str]) -> set[str]:
        """Have read again what was received for the invoices of these payments, after a refund or a
        dispute. Returns the months concerned."""
        wanted = [json.dumps(sorted(payment_intents))]
        of_them = (
            "stripe_invoice_id in (select stripe_invoice_id from received "
            "where payment_intent in (select value from json_each(?)))"
        )
        months = self._db.execute(
            f"select distinct billing_month from invoices where {of_them}", wanted
        ).fetchall()
        self._db.execute(
            f"update invoices set extra = json_remove(extra, '$.received_of') where {of_them}",
            wanted,
        )
        return {str(row[0]) for row in months}

    def months_of_payouts(self, payout_ids: Iterable[str], now: int) -> set[str]:
        """The months of which a payment, refund or dispute is in one of these payouts, or is in no
        payout yet although its funds are available, since at most `MAX_PAYOUT_WAIT` seconds."""
        rows = self._db.execute(
            "select distinct billing_month from invoices, "
            "json_each(coalesce(json_extract(extra, '$.received'), '[]')) as moved "
            "where json_extract(moved.value, '$.payout') in (select value from json_each(?)) "
            "or (json_extract(moved.value, '$.payout') is null "
            "and json_extract(moved.value, '$.available_on') between ? and ?)",
            [json.dumps(sorted(payout_ids)), now - MAX_PAYOUT_WAIT, now],
        )
        return {str(row[0]) for row in rows}

    def unknown(self, known_months: Iterable[str]) -> list[CachedInvoice]:
        """As `of_month`: the invoices with marks of ours that are of none of these months."""
        rows = self._db.execute(
            "select body, extra, marks from invoices "
            "where billing_month not in (select value from json_each(?)) "
            "order by created, stripe_invoice_id",
            [json.dumps(sorted(known_months))],
        )
        return [CachedInvoice(*(json.loads(text) for text in row)) for row in rows]

    def forget(self, stripe_invoice_ids: Iterable[str]) -> None:
        self._db.executemany(
            "delete from invoices where stripe_invoice_id = ?", [[i] for i in stripe_invoice_ids]
        )

    def known(self, month_key: str, window: Window) -> set[str]:
        """Stripe's ids of the month's known invoices that were created in the window."""
        last = window.last if window.last is not None else 2**62
        rows = self._db.execute(
            "select stripe_invoice_id from invoices "
            "where billing_month = ? and created between ? and ?",
            [month_key, window.first, last],
        )
        return {str(row[0]) for row in rows}

    def paid_by_wallets(self, customer_id: str | None = None) -> list[CachedInvoice]:
        """As `of_month`, of all months: the invoices of which a wallet was to pay a part."""
        query = f"select body, extra, marks from invoices where {HAS_WALLET_PART}"
        order = " order by created, stripe_invoice_id"
        if customer_id is None:
            rows = self._db.execute(query + order)
        else:
            of_one = " and json_extract(marks, '$.billing_customer_id') = ?"
            rows = self._db.execute(query + of_one + order, [customer_id])
        return [CachedInvoice(*(json.loads(text) for text in row)) for row in rows]

    def months(self) -> list[str]:
        """The months (``YYYY-MM-01``) with a finalized invoice, as last read."""
        rows = self._db.execute(
            "select distinct billing_month from invoices "
            "where status_rank > ? and billing_month <> '' order by 1",
            [InvoiceStatus.DRAFT.rank],
        )
        return [str(row[0]) for row in rows]

    def correcting(self) -> list[CachedInvoice]:
        """As `of_month`, of all months: the invoices that correct months whose books are closed."""
        rows = self._db.execute(
            f"select body, extra, marks from invoices where {CORRECTS} "
            "order by created, stripe_invoice_id"
        )
        return [CachedInvoice(*(json.loads(text) for text in row)) for row in rows]

    def paid_later_by_wallets(self) -> list[CachedInvoice]:
        """As `of_month`, of all months: the invoices of which a wallet paid something while they
        were open."""
        rows = self._db.execute(
            "select body, extra, marks from invoices where "
            f"json_extract(body, '$.metadata.{metadata_keys.WALLET_PAYMENTS}') is not null "
            "order by created, stripe_invoice_id"
        )
        return [CachedInvoice(*(json.loads(text) for text in row)) for row in rows]

    def of_customers(self, stripe_customer_ids: Iterable[str]) -> list[CachedInvoice]:
        """As `of_month`, of all months: the invoices of these customers."""
        rows = self._db.execute(
            "select body, extra, marks from invoices where json_extract(body, '$.customer') in "
            "(select value from json_each(?)) order by created, stripe_invoice_id",
            [json.dumps(sorted(stripe_customer_ids))],
        )
        return [CachedInvoice(*(json.loads(text) for text in row)) for row in rows]


def _row(data: Mapping[str, Any], invoice: ActualInvoice, recorded: Mapping[str, str]) -> list[Any]:
    metadata = data.get("metadata")
    found = metadata if isinstance(metadata, Mapping) else {}
    # Marks such as what the wallet pays no longer change once the invoice is finalized.
    names: tuple[str, ...] = metadata_keys.IDENTITY
    if not invoice.is_draft:
        names = (
            *metadata_keys.SETTLED,
            *metadata_keys.billed_for_names(found),
            *metadata_keys.corrections_names(found),
        )
    marks = {name: found[name] for name in names if isinstance(found.get(name), str)}
    marks |= recorded
    if not is_month_key(marks.get(metadata_keys.MONTH)):
        marks.pop(metadata_keys.MONTH, None)
    # Where the invoice no longer says whose it is, its lines still may.
    is_lost = not all(name in marks for name in metadata_keys.IDENTITY)
    return [
        invoice.stripe_invoice_id,
        marks.get(metadata_keys.MONTH, UNKNOWN_MONTH),
        invoice.created,
        invoice.status.rank if invoice.unreadable is None else _UNREADABLE,
        json.dumps({name: data[name] for name in _SAVED if name in data}),
        json.dumps({"line_ids": metadata_keys.line_ids(data)} if is_lost else {}),
        json.dumps(marks),
    ]
