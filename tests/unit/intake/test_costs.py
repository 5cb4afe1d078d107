"""catalog/costs/: what usage costs us, checked by the rules of prices, and nobody's price."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import World, fee, price, subscription

from billing_pipeline.commands.check import check_reference
from billing_pipeline.intake.price_periods import earliest_usage, write_price_periods
from billing_pipeline.intake.reference.load import load_reference
from billing_pipeline.months import BillingMonth

PRICES, TIERS = "catalog/costs/prices.csv", "catalog/costs/price_tiers.csv"


def cost(**cells: object) -> dict[str, object]:
    row = price(**{"unit_amount": "0.002", **cells})
    del row["plan_id"]
    return row


def one_problem(world: World, place: str, part: str) -> None:
    [line] = world.problems()
    assert line.startswith(f"{place}: ")
    assert part in line


def test_costs_are_tables_of_their_own(catalog: World) -> None:
    """A cost may be named like a price; without a folder `costs` there are none."""
    assert catalog.load_reference()["cost_prices"] == 0
    tiered = cost(charge_model="graduated", valid_from="2024-03-01") | {"unit_amount": ""}
    catalog.write(PRICES, [cost(valid_to="2024-03-01"), tiered])
    catalog.write(TIERS, [{"price_id": "p1", "unit_amount": "0.001"}])
    rows = catalog.load_reference()
    assert (rows["prices"], rows["cost_prices"], rows["cost_price_tiers"]) == (1, 2, 1)
    assert catalog.select(
        "select price_id, meter_id, unit_amount, quantity_rounding, prorate, valid_to"
        " from raw.cost_prices order by valid_to nulls last"
    ) == [
        ("p1", "calls", Decimal("0.002"), "none", False, datetime(2024, 3, 1, tzinfo=UTC)),
        ("p1", "calls", None, "none", False, None),
    ]
    assert catalog.select("select count(*) from raw.plan_prices") == [(1,)]


def test_costs_of_gauges_are_prorated(catalog: World) -> None:
    gauge = {"meter_id": "calls", "event_name": "call", "aggregation": "max"}
    catalog.write("catalog/meters.csv", [gauge])
    catalog.write(PRICES, [cost()])
    catalog.load_reference()
    assert catalog.select("select prorate from raw.cost_prices") == [(True,)]


def test_filters_of_costs_are_known_to_metering(catalog: World) -> None:
    catalog.write(PRICES, [cost(filter='{"region": "eu"}')])
    catalog.load_reference()
    assert catalog.select("select texts from raw.filters where filter <> ''") == [(["eu"],)]


@pytest.mark.parametrize(
    ("cells", "column", "part"),
    [
        ({"meter_id": "nothing"}, "meter_id", "is not a meter_id of catalog/meters.csv"),
        ({"meter_id": ""}, "meter_id", "is empty and must not be"),
        ({"unit_amount": ""}, "unit_amount", "charge model per_unit needs it"),
        ({"flat_amount": "1"}, "flat_amount", "does not use it"),
        ({"unit_amount": "-1"}, "unit_amount", "is negative"),
        ({"charge_model": "volume", "unit_amount": ""}, "charge_model", f"needs tiers in {TIERS}"),
        ({"timing": "advance"}, "timing", "is for recurring fees"),
        ({"filter": "{}"}, "filter", "is an empty object"),
        ({"valid_from": "2024-02-01", "valid_to": "2024-01-01"}, "valid_to", "must be later"),
        ({"replaces": "p1"}, "replaces", "costs are of no plan"),
        ({"tax_code": "food"}, "tax_code", "costs are not taxed"),
    ],
)
def test_a_bad_cost(catalog: World, cells: dict[str, object], column: str, part: str) -> None:
    catalog.write(PRICES, [cost() | cells])
    one_problem(catalog, f"{PRICES} row 2, {column}", part)


def test_bad_files_of_costs(catalog: World) -> None:
    catalog.write(PRICES, [cost(), cost()])
    one_problem(catalog, f"{PRICES} row 3, price_id", "is in row 2 already")
    catalog.write(PRICES, [cost(), cost(valid_from="2024-02-01")])
    one_problem(catalog, f"{PRICES} row 3, valid_from", "overlaps with row 2")
    catalog.write(PRICES, [cost()])
    catalog.write(TIERS, [{"price_id": "zz", "unit_amount": "1"}])
    one_problem(catalog, f"{TIERS} row 2, price_id", f"'zz' is not a price_id of {PRICES}")
    (catalog.data / TIERS).unlink()
    catalog.write(PRICES, [{**cost(), "plan_id": "pro"}])
    one_problem(catalog, f"{PRICES}, plan_id", "is not a column of this file: costs are of no plan")
    catalog.write(PRICES, [cost()])
    catalog.write("catalog/costs/price.csv", "x\n")
    one_problem(catalog, "catalog/costs/price.csv", "did you mean prices.csv?")


def test_a_file_in_place_of_the_folder_is_refused(catalog: World) -> None:
    catalog.write("catalog/costs.json", "{}")
    one_problem(catalog, "catalog/costs.json", "does not look like a table")


def test_costs_as_parquet_and_in_another_price_book(catalog: World, tmp_path: Path) -> None:
    """`billing simulate --catalog` takes that folder's costs, not those of the data directory."""
    catalog.write(PRICES, [cost()])
    other = tmp_path / "next prices"
    (other / "costs").mkdir(parents=True)
    for path in (catalog.data / "catalog").glob("*.csv"):
        (other / path.name).write_bytes(path.read_bytes())
    row = {name: [value] for name, value in cost(unit_amount="0.5").items()}
    pq.write_table(pa.table(row), other / "costs" / "prices.parquet")
    catalog.load_reference()
    assert catalog.select("select unit_amount from raw.cost_prices") == [(Decimal("0.002"),)]
    load_reference(catalog.connection, replace(catalog.settings, catalog_dir=other))
    assert catalog.select("select unit_amount from raw.cost_prices") == [(Decimal("0.5"),)]


def test_a_meter_that_only_a_cost_reads_is_not_forgotten(catalog: World) -> None:
    _, hints = check_reference(catalog.settings)
    [unread] = [ids for hint, ids in hints.items() if hint.startswith("meters that no price")]
    catalog.write(PRICES, [cost(meter_id=unread[0])])
    _, hints = check_reference(catalog.settings)
    [left] = [ids for hint, ids in hints.items() if hint.startswith("meters that no price")]
    assert set(unread) - set(left) == {unread[0]}


@pytest.mark.parametrize(
    ("costs", "earliest"),
    [
        ([], datetime(2024, 3, 1, tzinfo=UTC)),
        ([cost()], datetime(2024, 2, 15, tzinfo=UTC)),
        ([cost(interval="year")], datetime(2024, 3, 1, tzinfo=UTC)),
        ([cost(interval="quarter")], datetime(2023, 12, 15, tzinfo=UTC)),
    ],
)
def test_usage_of_earlier_months_is_read_for_costs(
    catalog: World, costs: list[dict[str, object]], earliest: datetime
) -> None:
    """Of a plan with a fee alone, whose periods begin on the 15th of December."""
    catalog.write("catalog/plans.csv", [{"plan_id": "pro", "billing_cycle": "anniversary"}])
    catalog.write("catalog/prices.csv", [fee()])
    catalog.write("accounts/subscriptions.csv", [subscription(starts_at="2023-12-15")])
    if costs:
        catalog.write(PRICES, costs)
    catalog.load_reference()
    month = BillingMonth(2024, 3)
    write_price_periods(catalog.connection, month, ZoneInfo("UTC"))
    assert earliest_usage(catalog.connection, month, ZoneInfo("UTC")) == earliest
