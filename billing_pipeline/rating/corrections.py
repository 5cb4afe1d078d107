"""Corrections of closed months, as inputs to the month whose invoices bill them.

What belongs here: what a correction is, writing corrections into the month's warehouse and reading
them back. What does not: finding them (``collection.plan.corrections``), and turning them into
lines (dbt: `invoice_lines`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import duckdb


class Correction(NamedTuple):
    """A line of a closed month that would be different today. Amounts in major units.

    `kind` is the kind of the correcting line: `tax` for a tax, otherwise `correction`.
    `amount_before` is what was billed, on whichever invoice. `net_amount` is the change of a charge
    or minimum less its share of discounts, and 0 for other lines.
    """

    corrected_month: date
    corrected_line_id: str
    corrected_kind: str
    line_id: str
    kind: str
    payer_id: str
    customer_id: str
    subscription_id: str | None
    charge_id: str | None
    price_id: str | None
    tax_rate_id: str | None
    is_inclusive: bool
    description: str
    quantity: Decimal | None
    amount: Decimal
    amount_before: Decimal
    amount_now: Decimal
    net_amount: Decimal
    currency: str
    period_start: datetime | None
    period_end: datetime | None
    calculation: str
    cause: str = "other"
    evidence: str = ""


class CorrectionTax(NamedTuple):
    """The tax that a rate of the closed month adds to a correction."""

    line_id: str
    payer_id: str
    currency: str
    tax_rate_id: str
    percentage: Decimal
    is_inclusive: bool
    net_amount: Decimal
    discount_share: Decimal
    tax_base: Decimal
    tax_amount: Decimal


@dataclass(frozen=True)
class Corrections:
    """The corrections on a month's invoices; and what corrections of earlier months, on whichever
    invoices, add to the spend that counts towards commitments."""

    lines: tuple[Correction, ...] = ()
    taxes: tuple[CorrectionTax, ...] = ()
    spent: tuple[Correction, ...] = ()


NO_CORRECTIONS = Corrections()

_TABLES = """
CREATE TABLE raw.corrections (corrected_month DATE, corrected_line_id VARCHAR,
    corrected_kind VARCHAR, line_id VARCHAR, kind VARCHAR, payer_id VARCHAR, customer_id VARCHAR,
    subscription_id VARCHAR, charge_id VARCHAR, price_id VARCHAR, tax_rate_id VARCHAR,
    is_inclusive BOOLEAN, description VARCHAR, quantity DECIMAL(38, 18), amount DECIMAL(38, 4),
    amount_before DECIMAL(38, 4), amount_now DECIMAL(38, 4),
    net_amount DECIMAL(38, 4), currency VARCHAR,
    period_start TIMESTAMPTZ, period_end TIMESTAMPTZ, calculation VARCHAR, cause VARCHAR,
    evidence VARCHAR);
CREATE TABLE raw.correction_taxes (line_id VARCHAR, payer_id VARCHAR, currency VARCHAR,
    tax_rate_id VARCHAR, percentage DECIMAL(38, 12), is_inclusive BOOLEAN,
    net_amount DECIMAL(38, 4), discount_share DECIMAL(38, 4), tax_base DECIMAL(38, 4),
    tax_amount DECIMAL(38, 4))
"""


def write_corrections(connection: duckdb.DuckDBPyConnection, corrections: Corrections) -> None:
    """Create `raw.corrections` and `raw.correction_taxes`, and add to `raw.published_lines`."""
    connection.execute(_TABLES)
    for table, rows in (
        ("corrections", corrections.lines),
        ("correction_taxes", corrections.taxes),
    ):
        if rows:
            places = ", ".join("?" for _ in rows[0])
            connection.executemany(f"INSERT INTO raw.{table} VALUES ({places})", rows)
    spent = [
        (
            *(line.corrected_month, line.line_id, line.payer_id, line.customer_id, line.currency),
            *(line.price_id, line.period_end, line.net_amount),
        )
        for line in corrections.spent
        if line.net_amount
    ]
    if spent:
        connection.executemany(
            "INSERT INTO raw.published_lines VALUES (?, ?, ?, ?, ?, ?, ?, ?)", spent
        )


def known_corrections(warehouse: Path) -> Corrections:
    """The corrections with which a month was last rated; none if it never was, or by an earlier
    release."""
    if not warehouse.exists():
        return NO_CORRECTIONS
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            lines = connection.execute("SELECT * FROM raw.corrections ORDER BY ALL").fetchall()
            taxes = connection.execute("SELECT * FROM raw.correction_taxes ORDER BY ALL").fetchall()
        except duckdb.CatalogException:
            return NO_CORRECTIONS
    return Corrections(tuple(map(Correction._make, lines)), tuple(map(CorrectionTax._make, taxes)))
