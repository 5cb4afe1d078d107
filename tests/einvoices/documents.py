"""Documents of a generated month as they would be issued, and what the official rules say of them.

What belongs here: bringing a month to its documents by the code that bills (`as_billed`, the
reports), with Stripe's part made up: each invoice is sent and credited in part by hand; the month
is rated again with other events and with corrections of closed books, which gives supplements and
credit notes with lines; and what is left is credited as a whole. What does not: the worlds
(`tests/property`), and the rules.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import duckdb

from billing_pipeline.documents.cii import cii
from billing_pipeline.documents.electronic import NotExpressibleError, electronic_invoice
from billing_pipeline.documents.issued import IssuedDocument, read_issued
from billing_pipeline.documents.ubl import ubl
from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import CURRENCY_PLACES
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import SentDocument, save_versions, versions_query
from billing_pipeline.published.tables import published_tables
from billing_pipeline.rating.corrections import (
    NO_CORRECTIONS,
    Correction,
    Corrections,
    CorrectionTax,
)
from billing_pipeline.settings import Settings
from tests.compiled_models import rate_month
from tests.property.tables import World, write
from tests.property.world_maker import Setting
from tests.property.worlds import make_data_set, zone_of
from tests.unit.documents.official_rules import broken_rules
from tests.unit.published.declared import declare

SENT = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOTHING = Decimal(0)
SELLER = {
    "name": "Meridian Ltd",
    "country": "IE",
    "tax_id": "IE1234567WA",
    "email": "billing@meridian.example",
}
# These reasons are about other inputs: here they would be a bug.
NEVER = (
    "do not add up",
    "are not recorded",
    "no line",
    "names no seller",
    "has no country",
    "has no tax_id",
)


@dataclass(frozen=True)
class Outcome:
    """What the rules say of one document; `refused`: why there is none, without names."""

    number: str
    kind: str
    broken: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def issued_of(seed: str, worlds: range, setting: Setting) -> list[IssuedDocument]:
    """All documents of these worlds."""
    with tempfile.TemporaryDirectory() as scratch:
        world, month = make_data_set(seed, worlds, setting), BillingMonth.parse(setting.month)
        home = Path(scratch) / "home"
        first = _rate(world, 0, setting, home, Path(scratch) / "first")
        corrections = _corrections(first.warehouse_path(month), month)
        sent = _totals(first, month)
        documents = [SentDocument(name, 1, None, total) for name, total in sent.items()]
        save_versions(first, month, sent, "first", SENT, documents)
        again = _rate(world, 1, setting, home, Path(scratch) / "again", corrections)
        changes = _changes(sent, _totals(again, month))
        save_versions(again, month, sent, "again", SENT + DAY, changes)
        return _issued(again, month, sent, {change.invoice_id: change for change in changes})


def _rate(
    world: World,
    turn: int,
    setting: Setting,
    home: Path,
    data: Path,
    corrections: Corrections = NO_CORRECTIONS,
) -> Settings:
    """Rate the month without every tenth event, other ones in each turn."""
    usage = [row for place, row in enumerate(world.usage) if place % 10 != turn]
    write(World(world.tables, usage), data, zone_of(setting))
    settings = Settings.from_env(
        {
            "BILLING_DATA_DIR": str(data),
            "BILLING_HOME": str(home),
            "BILLING_TIMEZONE": setting.timezone,
            "BILLING_FIRST_MONTH": "2020-01-01",
        }
    )
    rate_month(settings, BillingMonth.parse(setting.month), corrections=corrections)
    return settings


def _totals(settings: Settings, month: BillingMonth) -> dict[str, Decimal]:
    query = "SELECT invoice_id, total FROM invoices WHERE total > 0 ORDER BY invoice_id"
    with duckdb.connect(str(settings.warehouse_path(month)), read_only=True) as warehouse:
        return dict(warehouse.execute(query).fetchall())


def _changes(before: Mapping[str, Decimal], now: Mapping[str, Decimal]) -> list[SentDocument]:
    """What the second rating bills: supplements, and credit notes with lines."""
    changes = {name: now.get(name, NOTHING) - total for name, total in before.items()}
    return [
        SentDocument(name, 2, None, amount) if amount > 0 else SentDocument(name, 1, 1, amount)
        for name, amount in changes.items()
        if amount
    ]


_FIRST_CHARGES = """
SELECT lines.*, invoices.customer_id AS payer_id
FROM invoice_lines AS lines
INNER JOIN invoices ON lines.invoice_id = invoices.invoice_id
INNER JOIN line_taxes AS taxes ON lines.line_id = taxes.line_id
WHERE lines.kind = 'charge' AND taxes.discount_share = 0
QUALIFY row_number() OVER (PARTITION BY lines.invoice_id ORDER BY lines.line_id) = 1
ORDER BY lines.line_id
"""


def _corrections(warehouse: Path, month: BillingMonth) -> Corrections:
    """Of a taxed line of each invoice, as if it had been forgotten in the month before, or, of
    every second one, charged there too much: a line of correction with that month's taxes."""
    lines, taxes = [], []
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        for place, row in enumerate(rows(connection, _FIRST_CHARGES)):
            sign = -1 if place % 2 else 1
            change = _corrected(row, month, sign * row["amount"])
            lines.append(change)
            found = "SELECT * FROM line_taxes WHERE line_id = $1 ORDER BY tax_rate_id"
            for tax in rows(connection, found, row["line_id"]):
                rate, amount = tax["tax_rate_id"], sign * tax["tax_amount"]
                taxes.append(
                    CorrectionTax(
                        change.line_id, row["payer_id"], row["currency"], rate, tax["percentage"],
                        tax["is_inclusive"], sign * tax["net_amount"], NOTHING,
                        sign * tax["tax_base"], amount,
                    )
                )  # fmt: skip
                if amount:
                    lines.append(
                        _corrected(row, month, amount)._replace(
                            kind="tax", corrected_kind="tax", line_id=f"{change.line_id}-{rate}",
                            corrected_line_id=f"{row['line_id']}-{rate}", tax_rate_id=rate,
                            is_inclusive=tax["is_inclusive"], subscription_id=None, charge_id=None,
                            net_amount=NOTHING,
                        )
                    )  # fmt: skip
    return Corrections(tuple(lines), tuple(taxes))


def _corrected(row: Row, month: BillingMonth, amount: Decimal) -> Correction:
    return Correction(
        month.shift(-1).first_day, row["line_id"], "charge", f"{row['line_id']}-before",
        "correction", row["payer_id"], row["customer_id"], row["subscription_id"],
        row["charge_id"], None, None, False, f"Correction: {row['description']}"[:300],
        row["quantity"], amount, NOTHING, amount, amount, row["currency"], row["period_start"],
        row["period_end"], "by what is known now",
    )  # fmt: skip


def _issued(
    settings: Settings,
    month: BillingMonth,
    sent: Mapping[str, Decimal],
    changes: Mapping[str, SentDocument],
) -> list[IssuedDocument]:
    with duckdb.connect() as published:
        declare(published, settings)
        for name, table in published_tables(settings).sources["as_billed"].items():
            query = versions_query(settings, month, name)
            if query is not None:
                columns = ", ".join(column.name for column in table.columns)
                published.execute(f"INSERT INTO {name} BY NAME SELECT {columns} FROM ({query})")
        parties = "SELECT * FROM parties_as_billed WHERE role = 'buyer' AND version = 1"
        currencies = dict(
            published.execute(
                "SELECT DISTINCT invoice_id, currency FROM lines_as_billed"
            ).fetchall()
        )
        for row in rows(published, parties):
            name = row["invoice_id"]
            if name in sent:
                stripe = _Stripe(published, month, name, row["customer_id"], currencies[name])
                stripe.send(sent[name], changes.get(name))
        found = rows(published, "SELECT * FROM documents ORDER BY invoice_id, position")
        return [read_issued(published, row) for row in found]


@dataclass(frozen=True)
class _Stripe:
    """Stripe's rows of one of our invoices."""

    published: duckdb.DuckDBPyConnection
    month: BillingMonth
    invoice_id: str
    customer_id: str
    currency: str

    def send(self, total: Decimal, change: SentDocument | None) -> None:
        """The invoice, a credit note by hand, what the second rating bills, and ours of all that is
        left. The notes come to more than the invoice, which makes no difference to any."""
        self._invoice(1, total, SENT)
        by_hand = _half(total, self.currency)
        if by_hand:
            self._credit("hand", 1, by_hand, None, SENT + HOUR)
        if change is not None and change.credit_number is None:
            self._invoice(2, change.amount, SENT + DAY)
        elif change is not None:
            self._credit("less", 1, -change.amount, 1, SENT + DAY)
        left = total + (change.amount if change else NOTHING)
        if left > 0:
            self._credit("all", 1, left, 2, SENT + 2 * DAY)
            self.published.execute(
                "INSERT INTO documents_as_billed (billing_month, invoice_id, revision,"
                " credit_number, amount, kept_at) VALUES ($1, $2, 1, 2, -$3, $4)",
                [self.month.first_day, self.invoice_id, left, SENT + 2 * DAY],
            )

    def _invoice(self, revision: int, total: Decimal, at: datetime) -> None:
        self.published.execute(
            "INSERT INTO stripe_invoices (billing_month, invoice_id, customer_id, currency,"
            " revision, stripe_invoice_id, number, status, total, amount_due, finalized_at, due_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $8, $9, $10)",
            [*self._of(), revision, self._stripe_id(revision), f"N{self.invoice_id}-{revision}",
             total, at, at + 2 * DAY],
        )  # fmt: skip

    def _credit(
        self, name: str, revision: int, amount: Decimal, number: int | None, at: datetime
    ) -> None:
        self.published.execute(
            "INSERT INTO credit_notes (billing_month, invoice_id, customer_id, currency,"
            " credit_note_id, number, stripe_invoice_id, amount, credit_number, issued_at)"
            " VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9)",
            [*self._of(), name + self.invoice_id, self._stripe_id(revision), amount, number, at],
        )

    def _of(self) -> list[object]:
        return [self.month.first_day, self.invoice_id, self.customer_id, self.currency]

    def _stripe_id(self, revision: int) -> str:
        return f"s{revision}{self.invoice_id}"


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
    broken: list[str] = []
    refused = []
    try:
        broken += broken_rules([cii(made)])
    except NotExpressibleError as error:
        refused = [f"no Factur-X: {_reason(error)}"]
    if abs(made.total) != abs(issued.document["amount"]):
        broken += [f"its total is {made.total}, not {issued.document['amount']}"]
    if made.buyer.address[1]:
        broken += broken_rules([ubl(made)])
    if any(line["kind"] == "correction" for line in issued.lines):
        kind += " with corrections"
    return Outcome(issued.number, kind, broken=broken, refused=refused)


def _reason(error: NotExpressibleError) -> str:
    return str(error).partition(": ")[2][:60]
