"""Pricing back-test: past usage rated with another price book, beside the present one.

What belongs here: rating months twice in a scratch place, and publishing the difference. What does
not: the rules (the same dbt models rate both), what differs (``two_ratings``), showing it
(``commands.simulate``).

Nothing that was billed is touched: both sides are rated from the inputs as they are now into
warehouses of their own, which are deleted; Stripe is never asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from billing_pipeline.duckdb_sql import Row
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.publish import publish_simulation
from billing_pipeline.published.two_ratings import Differences, between
from billing_pipeline.rating.month import rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.settings import Settings


@dataclass(frozen=True)
class Simulation:
    """What came of one: `changes`, as they are published in `simulation_changes`, and all that
    differs."""

    simulation_id: str
    changes: Sequence[Row]
    differences: Differences


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
    found = Differences()
    with scratch_home(settings) as present_home, scratch_home(settings) as other_home:
        for month in months:
            progress(month)
            present = rate_month(present_home, month)
            other = replace(other_home, catalog_dir=catalog.absolute())
            found += between(present, rate_month(other, month))
    of_it = {"simulation_id": simulation_id, "catalog": catalog.name, "simulated_at": now}
    changes = [{**of_it, **row} for row in found.charges]
    publish_simulation(settings, simulation_id, changes)
    return Simulation(simulation_id, changes, found)
