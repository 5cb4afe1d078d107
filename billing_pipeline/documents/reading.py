"""What documents are made of: rows of the published database, as they stand there.

What belongs here: queries, and what to say where a row is missing. What does not: wording and
layout (``invoice``, ``close_report``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.database import open_published
from billing_pipeline.settings import Settings


class NoDocumentError(LookupError):
    """There is nothing published to make the document of."""


@dataclass(frozen=True)
class InvoiceRecords:
    """One invoice: its row, its lines in order, who sells and buys, and what Stripe has of it."""

    invoice: Row
    lines: list[Row]
    seller: Row
    customer: Row
    payment: Row | None
    stripe_invoices: list[Row]
    reconciliation: Row | None = None


@contextmanager
def published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published database, read-only. Raises `NoDocumentError` where it lacks what documents
    need, because an earlier release published it."""
    with open_published(settings) as connection:
        try:
            yield connection
        except duckdb.CatalogException as error:
            raise NoDocumentError(
                "the months were published by an earlier release, without what documents need: "
                "`billing plan MONTH` publishes a month anew and sends nothing"
            ) from error


def read_invoice(connection: duckdb.DuckDBPyConnection, invoice_id: str) -> InvoiceRecords:
    """The records of an invoice, by our id or by Stripe's number of it."""
    found = rows(
        connection,
        "SELECT * FROM invoices WHERE invoice_id = $1 OR invoice_id IN"
        " (SELECT invoice_id FROM stripe_invoices WHERE number = $1)",
        invoice_id,
    )
    if not found:
        raise NoDocumentError(
            f"{invoice_id!r} is the id or number of no invoice that was published: "
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
        lines=of_invoice("invoice_lines", "position"),
        seller=read_seller(connection, BillingMonth(month.year, month.month)),
        customer=_customer(connection, invoice),
        payment=next(iter(of_invoice("invoice_payments", "billing_month")), None),
        stripe_invoices=of_invoice("stripe_invoices", "revision, created_at, stripe_invoice_id"),
        reconciliation=next(iter(of_invoice("reconciliation", "billing_month")), None),
    )


def read_seller(connection: duckdb.DuckDBPyConnection, month: BillingMonth) -> Row:
    """Who sold in the month, and the month's window."""
    found = rows(connection, "SELECT * FROM seller WHERE billing_month = $1::DATE", month.key)
    if not found:
        raise NoDocumentError(
            f"{month} is not published, or was by an earlier release: `billing plan {month}` "
            "publishes it and sends nothing"
        )
    return found[0]


def _customer(connection: duckdb.DuckDBPyConnection, invoice: Row) -> Row:
    (found,) = rows(
        connection,
        "SELECT * FROM customers WHERE customer_id = $1 AND billing_month = $2",
        invoice["customer_id"],
        invoice["billing_month"],
    ) or [{"customer_id": invoice["customer_id"]}]
    return found
