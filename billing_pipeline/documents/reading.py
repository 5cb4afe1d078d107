"""Reads the rows for documents from the published database, unchanged.

What belongs here: queries, and the error messages for missing rows. What does not: wording and
layout (``invoice``, ``close_report``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import open_published
from billing_pipeline.settings import Settings

_LINES = (
    "SELECT lines.*, charges.meter_id, charges.price_id FROM invoice_lines AS lines"
    " LEFT JOIN charges USING (charge_id) WHERE lines.invoice_id = $1 ORDER BY lines.position"
)
_FROM_WALLET = (
    "SELECT paid_at, amount FROM payments WHERE invoice_id = $1 AND method = 'wallet'"
    " AND kind = 'payment' ORDER BY paid_at, payment_id"
)


class NoDocumentError(LookupError):
    """The rows for the document are not published."""


@dataclass(frozen=True)
class InvoiceRecords:
    """One invoice: its row, its lines in order, the seller, the buyer, and Stripe's invoices."""

    invoice: Row
    lines: list[Row]
    seller: Row
    customer: Row
    payment: Row | None
    stripe_invoices: list[Row]
    reconciliation: Row | None = None
    names: Mapping[str, str | None] = field(default_factory=dict)
    """Names of the other customers whose lines are on it, by id."""
    wallet_payments: Sequence[Row] = ()
    """Payments from the wallet since the invoice was finalized."""


@contextmanager
def published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published database, read-only. Raises `NoDocumentError` if an earlier release published
    it without the tables that documents need."""
    with open_published(settings) as connection:
        try:
            yield connection
        except duckdb.CatalogException as error:
            raise NoDocumentError(
                "the months were published by an earlier release, without the tables that "
                "documents need: `billing plan MONTH` publishes a month again and sends nothing"
            ) from error


def read_invoice(connection: duckdb.DuckDBPyConnection, invoice_id: str) -> InvoiceRecords:
    """The records of an invoice, by our id or by Stripe's number."""
    found = rows(
        connection,
        "SELECT invoices.* REPLACE (due_dates.due_date AS due_date)"
        " FROM invoices JOIN due_dates USING (invoice_id) WHERE invoice_id = $1 OR invoice_id IN"
        " (SELECT invoice_id FROM stripe_invoices WHERE number = $1)",
        invoice_id,
    )
    if not found:
        raise NoDocumentError(
            f"no published invoice has the id or number {invoice_id!r}: "
            "`billing invoices` lists them"
        )
    (invoice,) = found
    key, month = invoice["invoice_id"], invoice["billing_month"]

    def of_invoice(table: str, order: str) -> list[Row]:
        return rows(
            connection, f"SELECT * FROM {table} WHERE invoice_id = $1 ORDER BY {order}", key
        )

    return InvoiceRecords(
        invoice=invoice,
        lines=rows(connection, _LINES, key),
        seller=read_seller(connection, BillingMonth(month.year, month.month)),
        customer=_customer(connection, invoice),
        payment=next(iter(of_invoice("invoice_payments", "billing_month")), None),
        stripe_invoices=of_invoice("stripe_invoices", "revision, created_at, stripe_invoice_id"),
        reconciliation=next(iter(of_invoice("reconciliation", "billing_month")), None),
        names=_names(connection, invoice),
        wallet_payments=rows(connection, _FROM_WALLET, key),
    )


def read_seller(connection: duckdb.DuckDBPyConnection, month: BillingMonth) -> Row:
    """The seller in the month, and the month's start and end."""
    found = rows(connection, "SELECT * FROM seller WHERE billing_month = $1::DATE", month.key)
    if not found:
        raise NoDocumentError(
            f"{month} is not published, or was by an earlier release: `billing plan {month}` "
            "publishes it and sends nothing"
        )
    return found[0]


def _names(connection: duckdb.DuckDBPyConnection, invoice: Row) -> dict[str, str | None]:
    found = rows(
        connection,
        "SELECT customer_id, name FROM customers WHERE billing_month = $1 AND customer_id <> $2"
        " AND customer_id IN (SELECT customer_id FROM invoice_lines WHERE invoice_id = $3)",
        invoice["billing_month"],
        invoice["customer_id"],
        invoice["invoice_id"],
    )
    return {row["customer_id"]: row["name"] for row in found}


def _customer(connection: duckdb.DuckDBPyConnection, invoice: Row) -> Row:
    (found,) = rows(
        connection,
        "SELECT * FROM customers WHERE customer_id = $1 AND billing_month = $2",
        invoice["customer_id"],
        invoice["billing_month"],
    ) or [{"customer_id": invoice["customer_id"]}]
    return found
