"""Invoices line by line, as a warehouse has them and as they were billed.

What belongs here: reading lines, taxes and corrections, to be compared. What does not:
comparing (``collection.plan.corrections``), and which version was billed (``as_billed``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from billing_pipeline.collection.plan.corrections import (
    InvoiceContent,
    InvoiceCorrections,
    Line,
    LineTax,
)
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import (
    CORRECTION_TAXES,
    CORRECTIONS,
    LINES,
    TAXES,
    billed_versions,
    versions_query,
)
from billing_pipeline.published.reading import attach, utc_session
from billing_pipeline.rating.corrections import Correction, CorrectionTax
from billing_pipeline.settings import Settings

T = TypeVar("T")

_COLUMNS = """
lines.line_id, lines.kind, lines.customer_id, lines.subscription_id, lines.charge_id,
{price_id}, lines.tax_rate_id, lines.is_inclusive, lines.description, lines.quantity,
lines.amount, {discount_share}, lines.period_start, lines.period_end, lines.calculation
"""
_TAX_COLUMNS = "line_id, tax_rate_id, percentage, is_inclusive, tax_base, tax_amount"
_NOW = f"""
WITH shares AS (
    SELECT line_id, sum(discount_share)::DECIMAL(38, 4) AS discount_share
    FROM warehouse.main.line_discounts GROUP BY line_id
)
SELECT lines.invoice_id, {
    _COLUMNS.format(
        price_id="charges.price_id", discount_share="coalesce(shares.discount_share, 0)"
    )
}
FROM warehouse.main.invoice_lines AS lines
LEFT JOIN shares ON lines.line_id = shares.line_id
LEFT JOIN warehouse.main.charges AS charges ON lines.charge_id = charges.charge_id
WHERE list_contains($1, lines.invoice_id)
ORDER BY lines.invoice_id, lines.position
"""
_NOW_TAXES = f"""
SELECT invoice_id, {_TAX_COLUMNS} FROM warehouse.main.line_taxes
WHERE list_contains($1, invoice_id) ORDER BY ALL
"""


def content_now(warehouse: Path, invoice_ids: Collection[str]) -> dict[str, InvoiceContent]:
    """The content of these invoices as a month's warehouse has it."""
    with utc_session() as connection:
        attach(connection, warehouse, "warehouse")
        wanted = [sorted(invoice_ids)]
        lines = connection.execute(_NOW, wanted).fetchall()
        taxes = connection.execute(_NOW_TAXES, wanted).fetchall()
    return _contents(lines, taxes)


def content_billed(
    settings: Settings, month: BillingMonth, totals: Mapping[str, Decimal]
) -> dict[str, InvoiceContent]:
    """The content as finally billed: for each invoice, the newest saved version that comes to its
    total (major units). Invoices without such a version are left out."""
    saved, taxes = (versions_query(settings, month, table) for table in (LINES, TAXES))
    if saved is None or taxes is None:
        return {}
    with utc_session() as connection:
        _select(connection, billed_versions(connection, settings, month, totals))
        columns = _COLUMNS.format(price_id="lines.price_id", discount_share="lines.discount_share")
        lines = connection.execute(
            f"SELECT lines.invoice_id, {columns} FROM ({saved}) AS lines"
            " JOIN selected USING (invoice_id, version) ORDER BY lines.invoice_id, lines.position"
        ).fetchall()
        found = connection.execute(
            f"SELECT invoice_id, {_TAX_COLUMNS} FROM ({taxes}) AS taxes"
            " JOIN selected USING (invoice_id, version) ORDER BY ALL"
        ).fetchall()
    return _contents(lines, found)


def corrections_billed(
    settings: Settings, month: BillingMonth, totals: Mapping[str, Decimal]
) -> dict[str, InvoiceCorrections]:
    """The corrections of closed months on the month's invoices as billed, by invoice; see
    `content_billed`. An invoice whose version is known and corrects nothing has no lines here."""
    saved, taxes = (
        versions_query(settings, month, name) for name in (CORRECTIONS, CORRECTION_TAXES)
    )
    with utc_session() as connection:
        versions = billed_versions(connection, settings, month, totals)
        if saved is None or taxes is None:
            return {}
        _select(connection, versions)
        listed = ", ".join(f"rows.{name}" for name in Correction._fields)
        lines = connection.execute(
            f"SELECT rows.invoice_id, {listed} FROM ({saved}) AS rows"
            " JOIN selected USING (invoice_id, version) ORDER BY ALL"
        ).fetchall()
        listed = ", ".join(f"rows.{name}" for name in CorrectionTax._fields)
        found = connection.execute(
            f"SELECT rows.invoice_id, {listed} FROM ({taxes}) AS rows"
            " JOIN selected USING (invoice_id, version) ORDER BY ALL"
        ).fetchall()
    lines_of = _by_invoice(lines, Correction._make)
    taxes_of = _by_invoice(found, CorrectionTax._make)
    return {
        invoice_id: InvoiceCorrections(tuple(lines_of[invoice_id]), tuple(taxes_of[invoice_id]))
        for invoice_id in versions
    }


def _select(connection: duckdb.DuckDBPyConnection, versions: Mapping[str, int]) -> None:
    connection.execute("CREATE TEMP TABLE selected (invoice_id VARCHAR, version INTEGER)")
    if versions:
        connection.executemany(
            "INSERT INTO selected VALUES (?, ?)", [list(row) for row in versions.items()]
        )


def _contents(
    lines: Collection[tuple[object, ...]], taxes: Collection[tuple[object, ...]]
) -> dict[str, InvoiceContent]:
    taxes_of = _by_invoice(taxes, LineTax._make)
    return {
        invoice_id: InvoiceContent.of(found, taxes_of[invoice_id])
        for invoice_id, found in _by_invoice(lines, Line._make).items()
    }


def _by_invoice(
    rows: Iterable[tuple[Any, ...]], make: Callable[[Iterable[Any]], T]
) -> dict[str, list[T]]:
    """What is made of the rows, by the invoice in their first column."""
    found: dict[str, list[T]] = defaultdict(list)
    for invoice_id, *row in rows:
        found[invoice_id].append(make(row))
    return found
