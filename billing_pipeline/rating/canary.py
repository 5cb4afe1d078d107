"""The canary: a made-up customer whose invoice is known, rated before anything is sent.

What belongs here: rating the canary's accounts and usage with the month's own price book, models
and engine, and comparing. What does not: reading the expected amounts (``intake.canary``), and when
this is done (``defs.canary``).

The canary has a folder of its own, `canary/`, and is rated into a warehouse of its own, which is
then deleted. So no table, plan or report of the month has to exclude it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.intake.canary import (
    AMOUNTS,
    Expected,
    canary_file_name,
    canary_settings,
    read_expected,
    with_canary_file_names,
)
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.money import format_amount, plain_number
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.month import open_warehouse, rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.settings import Settings

_INVOICES = f"SELECT customer_id, currency, {', '.join(AMOUNTS)} FROM invoices ORDER BY ALL"
_CHARGES = """
SELECT customer_id, price_id, min(currency) AS currency,
    sum(amount) AS amount, sum(quantity) AS quantity
FROM charges GROUP BY customer_id, price_id ORDER BY ALL
"""
_SET_ASIDE = """
SELECT source_file, source_row, reason FROM usage_rejections
ORDER BY source_file, source_row, reason
"""


@dataclass(frozen=True)
class CanaryResult:
    """The result of the canary: the month in which it was rated, how many amounts were compared, a
    sentence for each that deviates, and how many rows of its usage were set aside."""

    month: BillingMonth
    compared: int
    deviations: Sequence[str]
    set_aside: Sequence[str]

    @property
    def finding(self) -> str:
        """The result in one line."""
        if not self.deviations:
            return f"{self.compared} amounts of {self.month} are as expected."
        first, *others = self.deviations
        return f"{first} ({len(others)} more amounts deviate)" if others else first

    @property
    def sentence(self) -> str:
        """What a run says about the result."""
        return f"{self.finding}: nothing was sent" if self.deviations else self.finding


def check_canary(settings: Settings, month: BillingMonth) -> CanaryResult | None:
    """Rate the canary and compare it; None if there is no canary. Raises `InvalidInput` with every
    problem of its files, and `DbtError` like a run of the month."""
    expected = read_expected(settings, month)
    if expected is None:
        return None
    with scratch_home(settings) as scratch:
        try:
            warehouse = rate_month(canary_settings(scratch), expected.month)
        except InvalidInput as error:
            raise with_canary_file_names(error) from error
        invoices, charges, set_aside = _computed(warehouse)
    found = compared(expected, invoices, charges)
    deviations = [text for text in found if text is not None]
    return CanaryResult(expected.month, len(found), deviations, set_aside)


def _computed(warehouse: Path) -> tuple[list[Row], list[Row], list[str]]:
    with open_warehouse(warehouse, read_only=True) as connection:
        invoices, charges, set_aside = (
            rows(connection, query) for query in (_INVOICES, _CHARGES, _SET_ASIDE)
        )
    return invoices, charges, [_set_aside(row) for row in set_aside]


def _set_aside(row: Row) -> str:
    return f"{canary_file_name(row['source_file'])} row {row['source_row']}: {row['reason']}"


# Comparing


def compared(
    expected: Expected, invoices: Sequence[Row], charges: Sequence[Row]
) -> list[str | None]:
    """For each amount compared, how it deviates, or None if it does not. Pure."""
    return [*_compared_invoices(expected, invoices), *_compared_charges(expected, charges)]


def _compared_invoices(expected: Expected, invoices: Sequence[Row]) -> Iterator[str | None]:
    found = {(row["customer_id"], row["currency"]): row for row in invoices}
    for row in expected.invoices:
        key = (row["customer_id"], row["currency"])
        computed = found.pop(key, {})
        name = f"invoice of {key[0]} for {expected.month}"
        for amount in AMOUNTS:
            if row[amount] is not None:
                yield _deviation(name, amount, row[amount], computed.get(amount), key[1])
    for (customer_id, currency), row in found.items():
        name = f"invoice of {customer_id} for {expected.month}"
        yield _deviation(name, "total", None, row["total"], currency)


def _compared_charges(expected: Expected, charges: Sequence[Row]) -> Iterator[str | None]:
    found = {(row["customer_id"], row["price_id"]): row for row in charges}
    for row in expected.charges:
        key = (row["customer_id"], row["price_id"])
        computed: Mapping[str, Any] = found.get(key, {})
        name = f"charges of {key[0]} for {key[1]} in {expected.month}"
        for column in ("amount", "quantity"):
            if row[column] is not None:
                currency = computed.get("currency", "") if column == "amount" else ""
                yield _deviation(name, column, row[column], computed.get(column), currency)


def _deviation(
    name: str, column: str, expected: Decimal | None, computed: Decimal | None, currency: str
) -> str | None:
    if expected == computed:
        return None
    return (
        f"{name}: {column} is expected {_shown(expected, currency)}"
        f" and computed {_shown(computed, currency)}"
    )


def _shown(amount: Decimal | None, currency: str) -> str:
    if amount is None:
        return "none"
    if not currency:
        return plain_number(amount)
    return f"{format_amount(amount, currency)} {currency}"
