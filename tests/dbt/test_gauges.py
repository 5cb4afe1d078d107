"""Gauges are charged for the share of the billing period that each part is.

What belongs here: worked amounts of gauges over price versions, plan changes, trials, starts and
ends. What does not: whole periods (docs/charge-models.md has them), random worlds (tests/property).
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.dbt.company import LONG_AGO, Billed, Company
from tests.property.harness import run_pipeline
from tests.property.tables import write

MIDDLE = "2024-04-16T00:00:00Z"
AGGREGATIONS = ("max", "latest", "time_weighted_average", "unique_count", "p95")


def amounts(billed: Billed, subscription: str) -> list[str]:
    return [f"{charge['amount']:.2f}" for charge in billed.charges(subscription)]


def bill(company: Company, month: str, directory: Path) -> Billed:
    write(company.world, directory, ZoneInfo("UTC"))
    return Billed(run_pipeline(directory, month, "UTC"))


@pytest.fixture(scope="module")
def april(tmp_path_factory: pytest.TempPathFactory) -> Billed:
    company = Company()
    _add_price_versions(company)
    _add_plan_changes(company)
    _add_trials(company)
    _add_starts_and_ends(company)
    _add_values_between_parts(company)
    return bill(company, "2024-04", tmp_path_factory.mktemp("gauges"))


def _versions(company: Company, name: str, aggregation: str, **cells: Any) -> None:
    """A customer with a gauge at 0.10, from the middle of the month at 0.12."""
    company.whole(name)
    company.metered(name, "per_unit", aggregation, unit_amount="0.10", valid_to=MIDDLE, **cells)
    cells.pop("carry_forward", None)
    new = {"unit_amount": "0.12", "valid_from": MIDDLE, "description": "Gauge"} | cells
    company.price(name, "per_unit", meter_id=name, **new)


def _add_price_versions(company: Company) -> None:
    for aggregation in ("max", "latest", "time_weighted_average"):
        _versions(company, aggregation, aggregation)
        company.use(aggregation, "100", "2024-04-01T00:00:00Z")
    # These do not carry a value on: both parts have events of their own.
    _versions(company, "p95", "p95")
    _versions(company, "unique_count", "unique_count")
    for day in ("02", "20"):
        company.use("p95", "100", f"2024-04-{day}T00:00:00Z")
        for user in range(100):
            company.use("unique_count", str(user), f"2024-04-{day}T00:00:00Z")
    _versions(company, "in full", "latest", prorate="false")
    company.use("in full", "100", "2024-04-01T00:00:00Z")
    _versions(company, "bounds", "latest", minimum_amount="20", maximum_amount="30")
    company.use("bounds", "100", "2024-04-01T00:00:00Z")
    company.use("bounds", "1000", "2024-04-17T00:00:00Z")
    _versions(company, "included", "latest", included_quantity="40")
    company.use("included", "100", "2024-04-01T00:00:00Z")


def _add_plan_changes(company: Company) -> None:
    """Five seats, reported once, at the same price on the plan before and the plan after."""
    company.customer("upgrade")
    for name in ("basic", "pro"):
        company.plan(name)
    company.world.add("meters", meter_id="seats", event_name="seats", aggregation="max")
    for name in ("basic", "pro"):
        company.price(name, "per_unit", meter_id="seats", unit_amount="10")
    company.subscribe("upgrade", "basic", ends_at=MIDDLE)
    company.subscribe("upgrade", "pro", MIDDLE)
    company.use("seats", "5", "2024-04-03T00:00:00Z", customer="upgrade")


def _add_trials(company: Company) -> None:
    """50 GB of which 10 are included, free for the first 14 of 30 days."""
    company.customer("trial")
    company.plan("trial")
    start = "2024-04-01T00:00:00Z"
    company.subscribe("trial", "trial", start, trial_ends_at="2024-04-15T00:00:00Z")
    gauge = {"unit_amount": "0.25", "included_quantity": "10", "carry_forward": "true"}
    company.metered("trial", "per_unit", "time_weighted_average", **gauge)
    company.use("trial", "50", start)


def _add_starts_and_ends(company: Company) -> None:
    company.plan("month")
    company.metered("month", "per_unit", "latest", unit_amount="30")
    company.plan("30 days", billing_cycle="30_days")
    company.price("30 days", "per_unit", meter_id="month", unit_amount="30")
    for customer, plan, starts_at, ends_at in (
        ("starts", "month", "2024-04-11T00:00:00Z", ""),
        ("ends", "month", LONG_AGO, "2024-04-11T00:00:00Z"),
        ("ends early", "30 days", "2024-03-25T00:00:00Z", "2024-04-04T00:00:00Z"),
    ):
        company.customer(customer)
        company.subscribe(customer, plan, starts_at, ends_at=ends_at)
        at = "2024-04-12T00:00:00Z" if customer == "starts" else "2024-04-03T00:00:00Z"
        company.use("month", "1", at, customer=customer)


def _add_values_between_parts(company: Company) -> None:
    """A value of this period goes on into its later parts, one of an earlier period does not."""
    _versions(company, "of last month", "latest")
    company.use("of last month", "100", "2024-03-31T23:59:59Z")
    _versions(company, "carried", "latest", carry_forward="true")
    company.use("carried", "100", "2024-03-31T23:59:59Z")
    _versions(company, "at the edge", "latest")
    company.use("at the edge", "100", "2024-04-01T00:00:00Z")
    company.use("at the edge", "50", MIDDLE)
    # The first part has nothing, though a filter's value is there; the second has both.
    _versions(company, "filtered", "latest", filter={"size": "small"})
    for size, quantity in (("large", "7"), ("small", "100")):
        company.world.event(
            "2024-04",
            event_id=f"filtered {size}",
            customer_id="filtered",
            event_name="filtered",
            occurred_at="2024-04-02T00:00:00Z",
            quantity=quantity,
            properties={"size": size},
        )
    _versions(company, "average", "time_weighted_average")
    company.use("average", "90", "2024-04-06T00:00:00Z")
    company.use("average", "120", "2024-04-21T00:00:00Z")


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_new_price_charges_each_part_for_its_share(april: Billed, aggregation: str) -> None:
    assert amounts(april, aggregation) == ["5.00", "6.00"]


def test_bounds_are_those_of_a_whole_period_and_shared(april: Billed) -> None:
    """max(100 × 0.10, 20) × ½; min(1000 × 0.12, 30) × ½. Included: (100 - 40) × 0.10 × ½."""
    assert amounts(april, "bounds") == ["10.00", "15.00"]
    assert amounts(april, "included") == ["3.00", "3.60"]


def test_a_bound_is_applied_before_the_share_as_its_sentence_says(april: Billed) -> None:
    """At least 20 and at most 30 a month: half of each."""
    low, high = april.charges("bounds")
    assert [str(row["amount"]) for row in (low, high)] == ["10.0000", "15.0000"]
    half = "× 1296000 / 2592000 seconds of the period"
    assert f"; raised to the minimum of 20; {half}; exactly 10, " in low["calculation"]
    assert f"; held to the maximum of 30; {half}; exactly 15, " in high["calculation"]


def test_without_prorate_each_part_is_charged_in_full(april: Billed) -> None:
    assert amounts(april, "in full") == ["10.00", "12.00"]


def test_a_plan_change_charges_the_seats_once(april: Billed) -> None:
    parts = amounts(april, "upgrade/basic") + amounts(april, "upgrade/pro")
    assert parts == ["25.00", "25.00"]


def test_a_trial_is_free_and_the_rest_its_share(april: Billed) -> None:
    """(50 - 10) × 0.25 × 16 / 30 = 5.33…"""
    assert amounts(april, "trial") == ["5.33"]
    assert "seconds of the period" in april.charge("trial")["calculation"]


def test_a_start_or_an_end_inside_the_period_charges_its_share(april: Billed) -> None:
    assert amounts(april, "starts/month") == ["20.00"]
    assert amounts(april, "ends/month") == ["10.00"]
    assert amounts(april, "ends early/30 days") == ["10.00"]


@pytest.mark.parametrize(
    ("name", "quantities"),
    [
        ("of last month", (0, 0)),
        ("carried", (100, 100)),
        ("at the edge", (100, 50)),
        ("filtered", (100, 100)),
        # 90 for ten of 15 days; 90 for five and 120 for ten
        ("average", (60, 110)),
    ],
)
def test_the_last_value_goes_on_between_the_parts_of_a_period(
    april: Billed, name: str, quantities: tuple[int, int]
) -> None:
    assert [charge["quantity"] for charge in april.charges(name)] == [*map(Decimal, quantities)]


def test_only_a_value_of_an_earlier_period_is_remarked_upon(april: Billed) -> None:
    assert "last known value of 2024-03-31" in april.charges("carried")[1]["description"]
    assert "last known value" not in april.charges("latest")[1]["description"]


def test_a_price_that_changes_in_a_leap_february(tmp_path: Path) -> None:
    """Two clusters at 80 for 15 days, then at 88 for 14, of 29."""
    company = Company()
    company.whole("clusters")
    middle = "2024-02-16T00:00:00Z"
    company.metered("clusters", "per_unit", "latest", unit_amount="80", valid_to=middle)
    cells = {"unit_amount": "88", "valid_from": middle}
    company.price("clusters", "per_unit", meter_id="clusters", **cells)
    company.use("clusters", "2", "2024-02-01T08:00:00Z")
    assert amounts(bill(company, "2024-02", tmp_path), "clusters") == ["82.76", "84.97"]
