"""Pricing back-test: past usage rated with another price book, beside the present one.

What belongs here: rating months twice in a scratch place, and the difference by customer, plan and
price. What does not: the rules (the same dbt models rate both), showing it (``commands.simulate``).

Nothing that was billed is touched: both sides are rated from the inputs as they are now into
warehouses of their own, which are deleted; Stripe is never asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.publish import publish_simulation
from billing_pipeline.published.reading import attach, utc_session
from billing_pipeline.rating.month import rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.settings import Settings

_CHANGES = """
WITH present AS (
    SELECT customer_id, plan_id, price_id, meter_id, currency,
        sum(quantity) AS quantity, sum(amount) AS amount
    FROM present.main.charges GROUP BY ALL
),
simulated AS (
    SELECT customer_id, plan_id, price_id, meter_id, currency,
        sum(quantity) AS quantity, sum(amount) AS amount
    FROM simulated.main.charges GROUP BY ALL
)
SELECT
    $simulation_id AS simulation_id,
    $catalog AS catalog,
    $simulated_at::TIMESTAMPTZ AS simulated_at,
    $billing_month::DATE AS billing_month,
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
    ON present.customer_id = simulated.customer_id
    AND present.plan_id = simulated.plan_id
    AND present.price_id = simulated.price_id
    AND present.meter_id IS NOT DISTINCT FROM simulated.meter_id
    AND present.currency = simulated.currency
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


@dataclass(frozen=True)
class Simulation:
    """What came of one: a row for each month, customer, plan and price, amounts in major units
    before discounts and tax. They are published as `simulation_changes`. And `margins`: what each
    month, customer and plan brings, costs and leaves, after discounts and before tax."""

    simulation_id: str
    rows: Sequence[Row]
    margins: Sequence[Row]


def simulate(
    settings: Settings,
    catalog: Path,
    months: Sequence[BillingMonth],
    now: datetime,
    progress: Callable[[BillingMonth], None] = lambda month: None,
) -> Simulation:
    """Rate `months` with the price book in the folder `catalog` and with the present one.

    Raises `InvalidInput` with every problem of either price book.
    """
    simulation_id = f"sim_{now:%Y%m%dT%H%M%S}"
    changes: list[Row] = []
    margins: list[Row] = []
    with scratch_home(settings) as present_home, scratch_home(settings) as other_home:
        for month in months:
            progress(month)
            present = rate_month(present_home, month)
            other = replace(other_home, catalog_dir=catalog.absolute())
            simulated = rate_month(other, month)
            values = {
                "simulation_id": simulation_id,
                "catalog": catalog.name,
                "simulated_at": now,
                "billing_month": month.key,
            }
            with utc_session() as connection:
                attach(connection, present, "present")
                attach(connection, simulated, "simulated")
                changes += _changes(connection, values)
                margins += rows(connection, _MARGINS)
    publish_simulation(settings, simulation_id, changes)
    return Simulation(simulation_id, changes, margins)


def _changes(connection: duckdb.DuckDBPyConnection, values: dict[str, object]) -> list[Row]:
    found = connection.execute(_CHANGES, values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
