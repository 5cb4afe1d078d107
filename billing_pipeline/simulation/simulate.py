"""Pricing back-test: past usage rated by two sides, and the difference between them.

What belongs here: rating months twice in a scratch place, and publishing the difference. What does
not: what differs (``published.two_ratings``), whom a change is about (``reach``), the rules (the
same dbt models rate both), showing it (``commands.simulate``, ``documents.price_change``).

Nothing that was billed is touched: both sides are rated from the inputs as they are now into
warehouses of their own, which are deleted; Stripe is never asked.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.publish import publish_simulation
from billing_pipeline.published.reading import attach, utc_session
from billing_pipeline.published.two_ratings import Differences, compare
from billing_pipeline.rating.month import rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.settings import PlanMove, Settings
from billing_pipeline.simulation.price_book import Difference, differences
from billing_pipeline.simulation.reach import Outside, mark_affected, moved_subscriptions, outside

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
    """What came of one: all that `differences` has, `price_book`, the rows of the price books that
    are not the same, `moved`, the subscriptions on another plan, and for each month those
    `outside`, whom the change is not about."""

    simulation_id: str
    before: Side
    after: Side
    months: Sequence[BillingMonth]
    differences: Differences = field(default_factory=Differences)
    price_book: list[Difference] = field(default_factory=list)
    moved: list[Row] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    changes: list[Row] = field(default_factory=list)
    """The charges that differ or not, as they are published in `simulation_changes`."""


def simulate(
    settings: Settings,
    before: Side,
    after: Side,
    months: Sequence[BillingMonth],
    now: datetime,
    progress: Callable[[BillingMonth], None],
) -> Simulation:
    """Rate `months` by both sides.

    Raises `InvalidInput` with every problem of either price book.
    """
    done = Simulation(f"sim_{now:%Y%m%dT%H%M%S}", before, after, months)
    with scratch_home(settings) as present_home, scratch_home(settings) as other_home:
        for month in months:
            progress(month)
            sides = (before.settings(present_home), after.settings(other_home))
            present, simulated = (rate_month(side, month) for side in sides)
            done.differences += compare(present, simulated)
            _look(done, month, present, simulated)
            for side in sides:
                shutil.rmtree(side.month_dir(month))
    of_it = {"simulation_id": done.simulation_id, "catalog": after.name, "simulated_at": now}
    done.changes += [{**of_it, **row} for row in done.differences.charges]
    publish_simulation(settings, done.simulation_id, done.changes)
    return done


def _look(done: Simulation, month: BillingMonth, present: Path, simulated: Path) -> None:
    """What differs of the inputs, and what becomes of those whom that is not about."""
    with utc_session() as connection:
        attach(connection, present, "present")
        attach(connection, simulated, "simulated")
        mark_affected(connection)
        done.outside.append(outside(connection, month))
        # The price books and the accounts are the same for all months.
        if done.names:
            return
        done.price_book += differences(connection)
        done.moved += moved_subscriptions(connection)
        done.names.update(
            (row["customer_id"], row["name"] or row["customer_id"])
            for row in rows(connection, _NAMES)
        )
