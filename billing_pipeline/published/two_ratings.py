"""What differs between two ratings of the same month: charges, invoices and margins.

What belongs here: the difference, by customer, plan and price. What does not: where the two come
from, another price book (``simulation``) or changed models (`billing diff`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import NotPublishedError, attach, database_path, utc_session
from billing_pipeline.settings import Settings

_CHARGES = """
WITH present AS (
    SELECT billing_month, customer_id, plan_id, price_id, meter_id, currency,
        sum(quantity) AS quantity, sum(amount) AS amount
    FROM present.main.charges GROUP BY ALL
),
simulated AS (
    SELECT billing_month, customer_id, plan_id, price_id, meter_id, currency,
        sum(quantity) AS quantity, sum(amount) AS amount
    FROM simulated.main.charges GROUP BY ALL
)
SELECT
    coalesce(simulated.billing_month, present.billing_month) AS billing_month,
    coalesce(simulated.customer_id, present.customer_id) AS customer_id,
    coalesce(simulated.plan_id, present.plan_id) AS plan_id,
    coalesce(simulated.price_id, present.price_id) AS price_id,
    coalesce(simulated.meter_id, present.meter_id) AS meter_id,
    coalesce(simulated.currency, present.currency) AS currency,
    coalesce(simulated.quantity, present.quantity)::DECIMAL(38, 18) AS quantity,
    coalesce(present.amount, 0)::DECIMAL(38, 4) AS present_amount,
    coalesce(simulated.amount, 0)::DECIMAL(38, 4) AS simulated_amount,
    (coalesce(simulated.amount, 0) - coalesce(present.amount, 0))::DECIMAL(38, 4) AS change
FROM present
FULL OUTER JOIN simulated
    ON present.billing_month = simulated.billing_month
    AND present.customer_id = simulated.customer_id
    AND present.plan_id = simulated.plan_id
    AND present.price_id = simulated.price_id
    AND present.meter_id IS NOT DISTINCT FROM simulated.meter_id
    AND present.currency = simulated.currency
ORDER BY ALL
"""

_INVOICES = """
SELECT
    coalesce(simulated.billing_month, present.billing_month) AS billing_month,
    coalesce(simulated.customer_id, present.customer_id) AS customer_id,
    coalesce(simulated.currency, present.currency) AS currency,
    coalesce(present.total, 0)::DECIMAL(38, 4) AS present_total,
    coalesce(simulated.total, 0)::DECIMAL(38, 4) AS simulated_total,
    (coalesce(simulated.total, 0) - coalesce(present.total, 0))::DECIMAL(38, 4) AS change
FROM present.main.invoices AS present
FULL OUTER JOIN simulated.main.invoices AS simulated USING (invoice_id)
ORDER BY ALL
"""

_MARGINS = """
WITH sides AS (
    SELECT 'present' AS side, * FROM present.main.margins
    UNION ALL BY NAME
    SELECT 'simulated' AS side, * FROM simulated.main.margins
)
SELECT
    billing_month, customer_id, coalesce(plan_id, '') AS plan_id, currency,
    coalesce(sum(revenue) FILTER (side = 'present'), 0)::DECIMAL(38, 4) AS present_revenue,
    coalesce(sum(cost) FILTER (side = 'present'), 0)::DECIMAL(38, 4) AS present_cost,
    coalesce(sum(revenue) FILTER (side = 'simulated'), 0)::DECIMAL(38, 4) AS simulated_revenue,
    coalesce(sum(cost) FILTER (side = 'simulated'), 0)::DECIMAL(38, 4) AS simulated_cost,
    present_revenue - present_cost AS present_margin,
    simulated_revenue - simulated_cost AS simulated_margin,
    simulated_margin - present_margin AS change
FROM sides
GROUP BY ALL
ORDER BY ALL
"""
COMPARED = ("charges", "invoices", "margins")


@dataclass(frozen=True)
class Differences:
    """Rows of both ratings side by side, including equal
    ones. `charges`: by customer, plan and price,
    before discounts and tax. `invoices`: their totals, after both. `margins`: what each customer
    and plan brings, costs and leaves, after discounts and before tax."""

    charges: Sequence[Row] = ()
    invoices: Sequence[Row] = ()
    margins: Sequence[Row] = ()

    def __add__(self, other: Differences) -> Differences:
        return Differences(
            [*self.charges, *other.charges],
            [*self.invoices, *other.invoices],
            [*self.margins, *other.margins],
        )


def compare(present: Path, simulated: Path) -> Differences:
    """Compare two warehouses of the same month."""
    with utc_session() as connection:
        attach(connection, present, "present")
        attach(connection, simulated, "simulated")
        return _differences(connection)


def compare_with_published(settings: Settings, month: BillingMonth, simulated: Path) -> Differences:
    """Compare the month as published with a warehouse. Raises `NotPublishedError`."""
    path = database_path(settings)
    if not path.exists():
        raise NotPublishedError(f"nothing is published in {path} yet: there is nothing to compare")
    with utc_session() as connection:
        attach(connection, path, "published")
        attach(connection, simulated, "simulated")
        connection.execute("ATTACH ':memory:' AS present")
        for table in COMPARED:
            connection.execute(
                f"CREATE TABLE present.main.{table} AS SELECT * FROM published.main.{table}"
                " WHERE billing_month = $1::DATE",
                [month.key],
            )
        return _differences(connection)


def _differences(connection: duckdb.DuckDBPyConnection) -> Differences:
    return Differences(*(rows(connection, query) for query in (_CHARGES, _INVOICES, _MARGINS)))
