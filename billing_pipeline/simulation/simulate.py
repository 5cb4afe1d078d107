"""Pricing back-test: past usage rated by two sides, and the difference between them.

What belongs here: rating months twice in a scratch place, and the difference by customer, plan and
price. What does not: whom a change is about (``reach``), the rules (the same dbt models rate both),
showing it (``commands.simulate``, ``documents.price_change``).

Nothing that was billed is touched: both sides are rated from the inputs as they are now into
warehouses of their own, which are deleted; Stripe is never asked.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.publish import publish_simulation
from billing_pipeline.published.reading import attach, utc_session
from billing_pipeline.rating.month import rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.settings import PlanMove, Settings
from billing_pipeline.simulation.price_book import Difference, differences
from billing_pipeline.simulation.reach import Outside, moved_subscriptions, outside, set_reach

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

_NAMES = """
SELECT customer_id, name FROM simulated.raw.customers
QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY valid_from DESC NULLS LAST) = 1
"""


@dataclass(frozen=True)
class Side:
    """One side of the comparison: its `name` for people, the folder of its price book (None: the
    data directory's own), and the subscriptions that are on another plan there."""

    name: str
    catalog: Path | None = None
    moves: tuple[PlanMove, ...] = ()

    def settings(self, scratch: Settings) -> Settings:
        catalog = None if self.catalog is None else self.catalog.absolute()
        return replace(scratch, catalog_dir=catalog, moves=self.moves)


@dataclass
class Simulation:
    """What came of one.

    `rows`: one for each month, customer, plan and price, amounts in major units before discounts
    and tax; they are published as `simulation_changes`. `margins`: what each month, customer and
    plan brings, costs and leaves, after discounts and before tax. `price_book`: the rows of the
    price books that differ. `outside`: for each month, the customers whom the change is not about.
    """

    simulation_id: str
    before: Side
    after: Side
    months: Sequence[BillingMonth]
    rows: list[Row] = field(default_factory=list)
    margins: list[Row] = field(default_factory=list)
    price_book: list[Difference] = field(default_factory=list)
    moved: list[Row] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


def simulate(
    settings: Settings,
    before: Side,
    after: Side,
    months: Sequence[BillingMonth],
    now: datetime,
    progress: Callable[[BillingMonth], None] = lambda month: None,
) -> Simulation:
    """Rate `months` by both sides.

    Raises `InvalidInput` with every problem of either price book.
    """
    done = Simulation(f"sim_{now:%Y%m%dT%H%M%S}", before, after, months)
    with scratch_home(settings) as present_home, scratch_home(settings) as other_home:
        for month in months:
            progress(month)
            sides = (before.settings(present_home), after.settings(other_home))
            with utc_session() as connection:
                for name, side in zip(("present", "simulated"), sides, strict=True):
                    attach(connection, rate_month(side, month), name)
                _compare(connection, done, month, now)
            for side in sides:
                shutil.rmtree(side.month_dir(month))
    publish_simulation(settings, done.simulation_id, done.rows)
    return done


def _compare(
    connection: duckdb.DuckDBPyConnection, done: Simulation, month: BillingMonth, now: datetime
) -> None:
    values = {
        "simulation_id": done.simulation_id,
        "catalog": done.after.name,
        "simulated_at": now,
        "billing_month": month.key,
    }
    found = connection.execute(_CHANGES, values)
    names = [column[0] for column in found.description]
    done.rows += [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    done.margins += rows(connection, _MARGINS)
    set_reach(connection)
    done.outside.append(outside(connection, month))
    # The price books and the accounts are the same for all months.
    if not done.names:
        done.price_book += differences(connection)
        done.moved += moved_subscriptions(connection)
        done.names.update(
            (row["customer_id"], row["name"] or row["customer_id"])
            for row in rows(connection, _NAMES)
        )
