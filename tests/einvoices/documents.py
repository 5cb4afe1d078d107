"""Documents of a generated month as they would be issued, and what the official rules say of them.

What belongs here: bringing a rated month to its documents by the code that bills (`as_billed`, the
reports), with Stripe's part made up: each invoice is sent, credited in part by hand, and credited
as a whole. What does not: the worlds (`tests/property`), and the rules.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import duckdb

from billing_pipeline.documents.cii import cii
from billing_pipeline.documents.electronic import NotExpressibleError, electronic_invoice
from billing_pipeline.documents.issued import IssuedDocument, read_issued
from billing_pipeline.documents.ubl import ubl
from billing_pipeline.duckdb_sql import rows
from billing_pipeline.money import CURRENCY_PLACES
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import SentDocument, save_versions, versions_query
from billing_pipeline.published.tables import published_tables
from billing_pipeline.settings import Settings
from tests.property.harness import run_pipeline
from tests.property.tables import write
from tests.property.world_maker import Setting
from tests.property.worlds import make_data_set, zone_of
from tests.unit.documents.official_rules import broken_rules
from tests.unit.published.declared import declare

SENT = datetime(2026, 1, 5, 12, tzinfo=UTC)
SELLER = {
    "name": "Meridian Ltd",
    "country": "IE",
    "tax_id": "IE1234567WA",
    "email": "billing@meridian.example",
}
# These reasons are about other inputs: here they would be a bug.
NEVER = ("do not add up", "no line", "names no seller", "has no country", "has no tax_id")


@dataclass(frozen=True)
class Outcome:
    """What the rules say of one document; `refused`: why there is none, without names."""

    number: str
    kind: str
    broken: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def issued_of(seed: str, worlds: range, setting: Setting) -> list[IssuedDocument]:
    """All documents of these worlds."""
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as home:
        write(make_data_set(seed, worlds, setting), Path(data), zone_of(setting))
        run_pipeline(Path(data), setting.month, setting.timezone, Path(home))
        settings = Settings.from_env({"BILLING_DATA_DIR": data, "BILLING_HOME": home})
        return _issued(settings, BillingMonth.parse(setting.month))


def _issued(settings: Settings, month: BillingMonth) -> list[IssuedDocument]:
    with duckdb.connect(str(settings.warehouse_path(month)), read_only=True) as warehouse:
        invoices = rows(warehouse, "SELECT * FROM invoices WHERE total > 0 ORDER BY invoice_id")
    totals = {row["invoice_id"]: row["total"] for row in invoices}
    sent = [SentDocument(name, 1, None, total) for name, total in totals.items()]
    save_versions(settings, month, totals, "run", SENT, sent)
    later = SENT + timedelta(days=2)
    with duckdb.connect() as published:
        declare(published, settings)
        for name, table in published_tables(settings).sources["as_billed"].items():
            query = versions_query(settings, month, name)
            if query is not None:
                columns = ", ".join(column.name for column in table.columns)
                published.execute(f"INSERT INTO {name} BY NAME SELECT {columns} FROM ({query})")
        for row in invoices:
            _send(published, month, row, _half(row["total"], row["currency"]), later)
        found = rows(published, "SELECT * FROM documents ORDER BY invoice_id, position")
        return [read_issued(published, row) for row in found]


def _send(
    published: duckdb.DuckDBPyConnection,
    month: BillingMonth,
    invoice: dict[str, object],
    by_hand: Decimal,
    later: datetime,
) -> None:
    """Stripe's rows: the invoice, a credit note by hand, and ours of all of it. The two notes come
    to more than the invoice, which makes no difference to either."""
    key, currency, total = invoice["invoice_id"], invoice["currency"], invoice["total"]
    of = [month.first_day, key, invoice["customer_id"], currency]
    published.execute(
        "INSERT INTO stripe_invoices (billing_month, invoice_id, customer_id, currency, revision,"
        " stripe_invoice_id, number, status, total, amount_due, finalized_at, due_at)"
        " VALUES ($1, $2, $3, $4, 1, 's' || $2, 'N' || $2, 'open', $5, $5, $6, $7)",
        [*of, total, SENT, later],
    )
    notes = [("hand", by_hand, None, SENT), ("all", total, 1, later)]
    for name, amount, number, at in notes:
        if amount:
            published.execute(
                "INSERT INTO credit_notes (billing_month, invoice_id, customer_id, currency,"
                " credit_note_id, number, stripe_invoice_id, amount, credit_number, issued_at)"
                " VALUES ($1, $2, $3, $4, $5 || $2, $5 || $2, 's' || $2, $6, $7, $8)",
                [*of, name, amount, number, at + timedelta(hours=1)],
            )
    published.execute(
        "INSERT INTO documents_as_billed (billing_month, invoice_id, revision, credit_number,"
        " amount, kept_at) VALUES ($1, $2, 1, 1, -$3, $4)",
        [of[0], key, total, later],
    )


def _half(total: Decimal, currency: str) -> Decimal:
    unit = Decimal(1).scaleb(-CURRENCY_PLACES[currency])
    return (total / 2).quantize(unit, rounding=ROUND_DOWN)


def judged(documents: Iterable[IssuedDocument]) -> Iterator[Outcome]:
    """Each document as CII and, where the buyer can have it, UBL."""
    for issued in documents:
        complete = replace(
            issued,
            seller=issued.seller | SELLER,
            buyer=issued.buyer | {"country": issued.buyer["country"] or "FR"},
        )
        if issued.corrects is not None:
            complete = replace(complete, corrects=replace(issued.corrects, seller=complete.seller))
        yield _judged(complete)


def _judged(issued: IssuedDocument) -> Outcome:
    kind = issued.kind if issued.is_itemized else f"{issued.kind} without lines"
    try:
        made = electronic_invoice(issued)
    except NotExpressibleError as error:
        reason = _reason(error)
        if any(word in reason for word in NEVER):
            return Outcome(issued.number, kind, broken=[str(error)])
        return Outcome(issued.number, kind, refused=[f"refused: {reason}"])
    broken: Sequence[str] = broken_rules([cii(made)])
    if abs(made.total) != abs(issued.document["amount"]):
        broken = [*broken, f"its total is {made.total}, not {issued.document['amount']}"]
    if made.buyer.address[1]:
        broken = [*broken, *broken_rules([ubl(made)])]
    return Outcome(issued.number, kind, broken=list(broken))


def _reason(error: NotExpressibleError) -> str:
    return str(error).partition(": ")[2][:60]
