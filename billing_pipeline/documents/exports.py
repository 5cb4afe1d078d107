"""Exports for bookkeeping: a month's invoices, its lines, and its charges as FOCUS, as CSV.

What belongs here: the columns and the format of their values. What does not: the meaning of
FOCUS's columns (``reports/focus_charges.sql``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb

from billing_pipeline.documents.reading import NoDocumentError, read_seller
from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import plain_number, with_places
from billing_pipeline.months import BillingMonth
from billing_pipeline.text import csv_text

_INVOICES = """
SELECT
    invoices.invoice_id, first_sent.number, strftime(invoices.billing_month, '%Y-%m') AS month,
    invoices.customer_id, customers.name AS customer_name, customers.country AS customer_country,
    customers.tax_id AS customer_tax_id, invoices.currency, invoices.subtotal, invoices.discount,
    invoices.tax, invoices.tax_included, invoices.total, invoices.wallet_applied,
    invoices.amount_due, first_sent.finalized_at AS issued_at, due_dates.due_date,
    coalesce(payments.status, 'not sent') AS status, payments.billed, payments.credited,
    payments.settled_by_balance, payments.paid, payments.outstanding
FROM invoices
LEFT JOIN customers USING (customer_id, billing_month)
LEFT JOIN invoice_payments AS payments USING (invoice_id)
LEFT JOIN due_dates USING (invoice_id)
LEFT JOIN (SELECT * FROM stripe_invoices WHERE revision = 1) AS first_sent USING (invoice_id)
WHERE invoices.billing_month = $1::DATE
ORDER BY invoices.customer_id, invoices.currency
"""
_LINES = """
SELECT
    lines.line_id, lines.invoice_id, first_sent.number,
    strftime(lines.billing_month, '%Y-%m') AS month, lines.customer_id,
    customers.name AS customer_name, lines.position, lines.kind, lines.description,
    lines.quantity, lines.amount, lines.currency, lines.is_inclusive, lines.period_start,
    lines.period_end, lines.subscription_id, charges.plan_id, charges.price_id, charges.meter_id,
    lines.charge_id, lines.coupon_id, lines.tax_rate_id
FROM invoice_lines AS lines
LEFT JOIN charges ON lines.charge_id = charges.charge_id
LEFT JOIN customers
    ON lines.customer_id = customers.customer_id AND lines.billing_month = customers.billing_month
LEFT JOIN (SELECT * FROM stripe_invoices WHERE revision = 1) AS first_sent
    ON lines.invoice_id = first_sent.invoice_id
WHERE lines.billing_month = $1::DATE
ORDER BY lines.customer_id, lines.currency, lines.position
"""
_FOCUS = """
SELECT * EXCLUDE (billing_month) FROM focus_charges
WHERE billing_month = $1::DATE
ORDER BY "BillingAccountId", "BillingCurrency", "InvoiceId" NULLS LAST, "x_LineId", "x_ChargeId"
"""
QUERIES = {"invoices": _INVOICES, "lines": _LINES, "focus": _FOCUS}


def export(connection: duckdb.DuckDBPyConnection, month: BillingMonth, what: str) -> str:
    """The CSV of `invoices`, `lines` or `focus`. Raises `NoDocumentError` if the month is not
    published, or for FOCUS if there is no seller, whose name it requires on every row."""
    found = rows(connection, QUERIES[what], month.key)
    columns = [column[0] for column in connection.description]
    # Corrections may be issued in a month that was not billed itself.
    sellers = {row["ProviderName"] for row in found} if what == "focus" else set()
    if not sellers:
        sellers = {read_seller(connection, month)["name"]}
    if what == "focus" and not all(sellers):
        raise NoDocumentError(
            f"FOCUS needs the provider's name on every row: write accounts/seller.csv, then "
            f"`billing plan {month}` publishes it and sends nothing"
        )
    written = [_written(row) for row in found]
    if what == "focus":
        written = [_with_decimal_place(in_ascii(row)) for row in written]
    return csv_text(written, columns)


def in_ascii(row: Row) -> Row:
    """The row with names and descriptions in ASCII, which FOCUS requires: `Müller` becomes
    `Muller`. Ids stay as they are, so that rows can be traced back to ours."""
    from text_unidecode import unidecode

    return {
        name: unidecode(value).strip()
        if isinstance(value, str) and name.endswith(("Name", "Description"))
        else value
        for name, value in row.items()
    }


def _with_decimal_place(row: Row) -> Row:
    """The row with at least one decimal place in each number. FOCUS's validator guesses a column's
    type from its values, and would refuse a column of whole numbers as integers."""
    return {
        name: Decimal(f"{value:f}.0")
        if isinstance(value, Decimal) and "." not in f"{value:f}"
        else value
        for name, value in row.items()
    }


def _written(row: Row) -> Row:
    currency = row.get("currency") or row.get("BillingCurrency")
    return {name: _cell(name, value, str(currency)) for name, value in row.items()}


def _cell(name: str, value: Any, currency: str) -> Any:
    """Amounts have their currency's decimal places, quantities all of theirs; times are ISO 8601 in
    UTC."""
    if isinstance(value, Decimal):
        return Decimal(plain_number(value)) if "uantity" in name else with_places(value, currency)
    if isinstance(value, datetime):
        text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
        return f"{text}Z"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
