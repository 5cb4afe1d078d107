"""catalog/ and accounts/: every rule refuses exactly the invalid cells, and names their place."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Rows, World, commitment, fee, price, subscription

from billing_pipeline.intake.problems import MAX_LINES, InvalidInput, Problem

MARCH = datetime(2024, 3, 1, tzinfo=UTC)


def test_a_right_data_directory_loads(catalog: World) -> None:
    rows = catalog.load_reference()
    assert rows["prices"] == rows["customers"] == rows["subscriptions"] == 1
    assert rows["meters"] == 3
    assert rows["tax_rates"] == rows["wallet_transactions"] == 0
    assert catalog.select("select count(*) from raw.tax_rates") == [(0,)]
    assert catalog.select("select exponent from raw.currencies where currency = 'KWD'") == [(3,)]


def test_types_and_defaults_are_those_of_the_design(catalog: World) -> None:
    catalog.write("catalog/prices.csv", [price(currency="usd"), fee()])
    catalog.load_reference()
    assert catalog.select(
        "select price_id, currency, unit_amount, quantity_rounding, timing, prorate, valid_from "
        "from raw.prices"
    ) == [
        ("p1", "USD", Decimal("0.01"), "none", "arrears", False, None),
        ("fee", None, None, "none", "arrears", True, None),
    ]
    assert catalog.select("select quantity, starts_at from raw.subscriptions") == [
        (Decimal(1), datetime(2024, 1, 1, tzinfo=UTC))
    ]
    assert catalog.select("select trial_days, billing_cycle from raw.plans") == [
        (0, "calendar_month")
    ]
    assert catalog.select(
        "select is_payer, collection_method, tax_exempt, name from raw.customers"
    ) == [(True, "charge_automatically", False, None)]
    types = {
        (row[0], row[1]): row[2]
        for row in catalog.select(
            "select table_name, column_name, data_type from information_schema.columns"
        )
    }
    assert types["prices", "unit_amount"] == types["subscriptions", "minimum_amount"]
    assert types["prices", "unit_amount"] == "DECIMAL(38,12)"
    assert types["prices", "package_size"] == types["price_tiers", "up_to"] == "DECIMAL(38,18)"
    assert types["wallet_transactions", "occurred_at"] == "TIMESTAMP WITH TIME ZONE"


def test_loading_again_replaces(catalog: World) -> None:
    catalog.load_reference()
    catalog.write(
        "accounts/customers.csv", [{"customer_id": c, "currency": "EUR"} for c in ("c1", "c2")]
    )
    assert catalog.load_reference()["customers"] == 2
    assert catalog.select("select distinct currency from raw.customers") == [("EUR",)]


def test_only_customers_are_required(world: World) -> None:
    assert [line.split(": ")[0] for line in world.problems()] == ["accounts/customers.csv"]
    world.write("accounts/customers.csv", [{"customer_id": "c1", "currency": "USD"}])
    assert world.load_reference()["customers"] == 1


def test_every_problem_is_listed_in_order_and_nothing_is_written(catalog: World) -> None:
    prices = [price(charge_model="gradated"), price(price_id="p2", unit_amount="0,5", plan_id="x")]
    catalog.write("catalog/prices.csv", prices)
    catalog.write(
        "accounts/customers.csv", [{"customer_id": "c1", "currency": "USD", "country": "DEU"}]
    )
    with pytest.raises(InvalidInput) as caught:
        catalog.load_reference()
    lines = str(caught.value).splitlines()
    assert lines.pop() == "4 problems in 2 input files, listed above: nothing was priced"
    assert [line.split(": ")[0] for line in lines] == [
        "accounts/customers.csv row 2, country",
        "catalog/prices.csv row 2, charge_model",
        "catalog/prices.csv row 3, plan_id",
        "catalog/prices.csv row 3, unit_amount",
    ]
    assert "'gradated' is not a charge model" in lines[1]
    assert "allowed: flat, per_unit, graduated" in lines[1]
    assert [problem.value for problem in caught.value.problems] == ["DEU", "gradated", "x", "0,5"]
    assert catalog.select("select count(*) from information_schema.tables") == [(0,)]


def one_problem(world: World, place: str, part: str) -> None:
    """The data directory has exactly one problem: there, saying that."""
    lines = world.problems()
    assert len(lines) == 1, lines
    assert lines[0].startswith(place + ": "), lines[0]
    assert part in lines[0]


# --- rules of prices ---------------------------------------------------------------------------

TIERS: Rows = [
    {"price_id": "p1", "up_to": "10", "unit_amount": "1"},
    {"price_id": "p1", "up_to": "", "unit_amount": "0.5"},
]


PER_EVENT = {
    "meter_id": "paid",
    "charge_model": "percentage",
    "unit_amount": "",
    "percentage": "1",
    "event_maximum_amount": "1",
}
LONG_LISTS = json.dumps({name: list(map(str, range(101))) for name in "ab"})


@pytest.mark.parametrize(
    ("row", "column", "part"),
    [
        (price(plan_id="nope"), "plan_id", "is not a plan_id of catalog/plans.csv"),
        (price(meter_id="nope"), "meter_id", "is not a meter_id of catalog/meters.csv"),
        (price(plan_id=""), "plan_id", "is empty"),
        (price(price_id="a\x01"), "price_id", "control character"),
        (price(currency="DM"), "currency", "ISO 4217"),
        (price(unit_amount="-1"), "unit_amount", "negative"),
        (price(unit_amount="NaN"), "unit_amount", "not a decimal number"),
        (price(unit_amount="0.0000000000001"), "unit_amount", "allowed: up to 12"),
        (price(unit_amount=""), "unit_amount", "charge model per_unit needs it"),
        (price(flat_amount="3"), "flat_amount", "per_unit does not use it"),
        (fee(flat_amount=""), "flat_amount", "charge model flat needs it"),
        (price(charge_model="percentage", unit_amount=""), "percentage", "needs it"),
        (price(charge_model="package"), "package_size", "needs it"),
        (price(charge_model="package", package_size="0"), "package_size", "not above 0"),
        (price(charge_model="package", package_size="-5"), "package_size", "not above 0"),
        (price(charge_model="dynamic", meter_id=""), "meter_id", "needs a meter"),
        (
            price(charge_model="percentage", unit_amount="", percentage="2", meter_id=""),
            "meter_id",
            "needs a meter",
        ),
        (price(charge_model="graduated", unit_amount=""), "charge_model", "needs tiers"),
        (price(charge_model="volume", unit_amount=""), "charge_model", "needs tiers"),
        (price(charge_model="graduated_percentage", unit_amount=""), "charge_model", "needs tiers"),
        (price(quantity_rounding="upwards"), "quantity_rounding", "allowed: none, up, down"),
        (price(timing="later"), "timing", "allowed: arrears, advance"),
        (price(timing="advance"), "timing", "recurring fees"),
        (price(prorate="sometimes"), "prorate", "neither true nor false"),
        (price(minimum_amount="5", maximum_amount="4"), "minimum_amount", "above maximum_amount"),
        (price(filter="[]"), "filter", "not a JSON object"),
        (price(filter="size=small"), "filter", "not a JSON object"),
        (price(filter="{}"), "filter", "empty object"),
        (price(filter='{"a": [[1]]}'), "filter", "a list that must hold texts"),
        (price(filter='{"a": null}'), "filter", "must be text, a number"),
        (price(filter='{"a": []}'), "filter", "must hold texts, at least one"),
        (price(filter='{"a": {}}'), "filter", "must have bounds only"),
        (price(filter='{"a": {"below": "1"}}'), "filter", "must have bounds only"),
        (price(filter='{"a": {"above": "1,000"}}'), "filter", "is not a decimal number"),
        (price(filter='{"a": {"above": true}}'), "filter", "'above' must be a number"),
        (price(filter='{"a": {"above": "2", "up_to": "2"}}'), "filter", "holds no number"),
        (price(filter=LONG_LISTS), "filter", "10,201 combinations of texts; allowed: up to 10,000"),
        (fee(filter_rest="true"), "filter_rest", "needs a meter_id"),
        (price(**{**PER_EVENT, "meter_id": "calls"}), "event_maximum_amount", "needs a sum meter"),
        (price(free_events="1"), "free_events", "per_unit does not use it"),
        (price(**PER_EVENT, free_events="1.5"), "free_events", "not a whole number"),
        (price(**PER_EVENT, free_events="-1"), "free_events", "negative"),
        (price(**PER_EVENT, event_minimum_amount="2"), "event_minimum_amount", "is above event_"),
        (price(**PER_EVENT, included_quantity="1"), "included_quantity", "use free_events"),
        (price(**PER_EVENT, quantity_rounding="up"), "quantity_rounding", "does not go with"),
        (
            price(**{**PER_EVENT, "event_maximum_amount": "1000000000000000"}),
            "event_maximum_amount",
            "is too large; allowed: up to 15 digits before the point",
        ),
        (price(**{**PER_EVENT, "percentage": "1000000.1"}), "percentage", "up to 1,000,000"),
        (price(included_per="seat"), "included_quantity", "is empty"),
        (price(included_per="user", included_quantity="1"), "included_per", "allowed: seat"),
        (fee(included_per="seat", included_quantity="1"), "included_per", "needs a meter_id"),
        (
            price(included_per="seat", included_quantity="0.0000000001"),
            "included_quantity",
            "up to 9 decimal places",
        ),
        (fee(filter='{"a": 1}'), "filter", "needs a meter_id"),
        (price(description="{month}: {price}"), "description", "'{price}' is not a placeholder"),
        (price(description="100% }"), "description", "'}' is not a placeholder"),
        (
            price(valid_from="2024-02-01", valid_to="2024-02-01"),
            "valid_to",
            "later than valid_from",
        ),
        (price(valid_from="1.2.2024"), "valid_from", "ISO 8601"),
    ],
)
def test_a_bad_price(catalog: World, row: dict[str, object], column: str, part: str) -> None:
    catalog.write("catalog/prices.csv", [row])
    one_problem(catalog, f"catalog/prices.csv row 2, {column}", part)


@pytest.mark.parametrize(
    "row",
    [
        price(flat_amount="0", percentage=""),
        price(filter='{"size": "small", "n": 1, "on": true}'),
        price(filter='{"size": ["small", 1, true], "n": {"above": -1, "up_to": "1.5"}}'),
        price(filter='{"n": {"up_to": "0"}}', filter_rest="true"),
        price(**PER_EVENT, event_minimum_amount="1", free_events="0", flat_amount="2"),
        price(included_per="seat", included_quantity="2.5", quantity_rounding="up"),
        price(description="{month}: {quantity} of {events} at {amount}"),
        price(charge_model="package", package_size="0.5"),
        price(charge_model="dynamic", unit_amount=""),
        price(charge_model="percentage", unit_amount="", percentage="0", flat_amount="0.1"),
        price(charge_model="flat", unit_amount="", flat_amount="5"),
        price(minimum_amount="5", maximum_amount="5"),
        fee(timing="advance", prorate="no"),
        price(charge_model=" Per_Unit ", plan_id=" pro "),
    ],
)
def test_a_good_price(catalog: World, row: dict[str, object]) -> None:
    catalog.write("catalog/prices.csv", [row])
    assert catalog.problems() == []


@pytest.mark.parametrize(
    ("windows", "rows"),
    [
        ([("", ""), ("2024-02-01", "")], [3]),
        ([("2024-02-01", "2024-03-01"), ("2024-01-01", "2024-02-02")], [2]),
        ([("2024-01-01", "2025-01-01"), ("2024-02-01", "2024-03-01"), ("2024-06-01", "")], [3, 4]),
        ([("2024-01-01", "2024-02-01T00:00:01Z"), ("2024-02-01", "")], [3]),
    ],
)
def test_versions_that_overlap(
    catalog: World, windows: list[tuple[str, str]], rows: list[int]
) -> None:
    versions = [price(valid_from=start, valid_to=end) for start, end in windows]
    catalog.write("catalog/prices.csv", versions)
    places = [line.split(" overlaps")[0] for line in catalog.problems()]
    assert places == [f"catalog/prices.csv row {row}, valid_from:" for row in rows]


def test_versions_that_follow_each_other(catalog: World) -> None:
    ends = [("", "2024-02-01"), ("2024-02-01", "2024-03-01"), ("2024-05-01", "")]
    catalog.write("catalog/prices.csv", [price(valid_from=a, valid_to=b) for a, b in ends])
    assert catalog.problems() == []


def test_the_same_version_twice(catalog: World) -> None:
    catalog.write("catalog/prices.csv", [price(), price()])
    one_problem(catalog, "catalog/prices.csv row 3, price_id", "is in row 2 already")


@pytest.mark.parametrize(
    ("tiers", "row", "column", "part"),
    [
        ([("10", "1"), ("20", "1")], 3, "up_to", "everything above 20 without a price"),
        ([("20", "1"), ("10", "1")], 2, "up_to", "everything above 20 without a price"),
        ([("10", "1"), ("10", "1"), ("", "1")], 3, "price_id", "is in row 2 already"),
        ([("0", "1"), ("", "1")], 2, "up_to", "must be above 0"),
        ([("-1", "1"), ("", "1")], 2, "up_to", "negative"),
        ([("ten", "1"), ("", "1")], 2, "up_to", "not a decimal"),
    ],
)
def test_bad_tiers(
    catalog: World, tiers: list[tuple[str, str]], row: int, column: str, part: str
) -> None:
    catalog.write("catalog/prices.csv", [price(charge_model="graduated", unit_amount="")])
    rows = [{"price_id": "p1", "up_to": up_to, "unit_amount": unit} for up_to, unit in tiers]
    catalog.write("catalog/price_tiers.csv", rows)
    one_problem(catalog, f"catalog/price_tiers.csv row {row}, {column}", part)


def test_two_unbounded_tiers_are_a_repeated_key(catalog: World) -> None:
    catalog.write("catalog/prices.csv", [price(charge_model="graduated", unit_amount="")])
    catalog.write("catalog/price_tiers.csv", [TIERS[1], TIERS[1]])
    lines = catalog.problems()
    message = "row 3, price_id: this price_id and valid_from and up_to is in row 2 already"
    assert any(message in line for line in lines)


@pytest.mark.parametrize("model", ["graduated", "volume"])
def test_good_tiers(catalog: World, model: str) -> None:
    catalog.write("catalog/prices.csv", [price(charge_model=model, unit_amount="")])
    for tiers in (TIERS, TIERS[::-1]):  # the bounds say which comes first, not the rows
        catalog.write("catalog/price_tiers.csv", tiers)
        assert catalog.problems() == []


def test_tiers_of_percentages(catalog: World) -> None:
    catalog.write(
        "catalog/prices.csv", [price(charge_model="graduated_percentage", unit_amount="")]
    )
    catalog.write("catalog/price_tiers.csv", [{"price_id": "p1", "percentage": "2"}])
    assert catalog.problems() == []
    catalog.write(
        "catalog/price_tiers.csv", [{"price_id": "p1", "percentage": "2", "unit_amount": 1}]
    )
    one_problem(catalog, "catalog/price_tiers.csv row 2, unit_amount", "does not use it")


def test_a_tier_without_any_amount(catalog: World) -> None:
    catalog.write("catalog/prices.csv", [price(charge_model="volume", unit_amount="")])
    catalog.write("catalog/price_tiers.csv", [{"price_id": "p1", "up_to": "", "unit_amount": ""}])
    one_problem(catalog, "catalog/price_tiers.csv row 2", "neither unit_amount nor flat_amount")


def test_tiers_of_a_version(catalog: World) -> None:
    tiered = {"charge_model": "graduated", "unit_amount": ""}
    prices = [price(**tiered, valid_to="2024-03-01"), price(**tiered, valid_from="2024-03-01")]
    catalog.write("catalog/prices.csv", prices)
    own = {"price_id": "p1", "unit_amount": "2", "valid_from": "2024-03-01T00:00:00Z"}
    catalog.write("catalog/price_tiers.csv", [*TIERS, own])
    catalog.load_reference()
    assert catalog.select(
        "select valid_from, tiers_from from raw.plan_prices order by 1 nulls first"
    ) == [(None, None), (MARCH, MARCH)]
    catalog.write("catalog/price_tiers.csv", [own])
    one_problem(catalog, "catalog/prices.csv row 2, charge_model", "needs tiers")
    catalog.write("catalog/price_tiers.csv", [*TIERS, {**own, "valid_from": "2024-03-02"}])
    place = f"catalog/price_tiers.csv row {len(TIERS) + 2}, valid_from"
    one_problem(catalog, place, "is the valid_from of no version of 'p1'")
    catalog.write("catalog/prices.csv", [price(valid_to="2024-03-01"), prices[1]])
    catalog.write("catalog/price_tiers.csv", [*TIERS, own])
    one_problem(catalog, "catalog/price_tiers.csv row 2, price_id", "per_unit has no tiers")


def test_tiers_that_no_price_uses(catalog: World) -> None:
    catalog.write("catalog/price_tiers.csv", TIERS)
    one_problem(catalog, "catalog/price_tiers.csv row 2, price_id", "per_unit has no tiers")
    catalog.write("catalog/price_tiers.csv", [{"price_id": "zz", "unit_amount": "1"}])
    one_problem(catalog, "catalog/price_tiers.csv row 2, price_id", "not a price_id of")


# --- rules of the other tables ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "row", "column", "part"),
    [
        ("catalog/meters.csv", {"meter_id": "m", "event_name": "e", "aggregation": "total"},
         "aggregation", "allowed: count, sum"),
        ("catalog/meters.csv", {"meter_id": "m", "aggregation": "sum"}, "event_name", "is empty"),
        ("catalog/meters.csv", {"meter_id": "m", "aggregation": "custom"},
         "aggregation", "needs a dbt model"),
        *(("catalog/meters.csv",
           {"meter_id": "m", "event_name": "e", "aggregation": kind, "carry_forward": "true"},
           "carry_forward", "cannot carry values forward")
          for kind in ("count", "sum", "unique_count", "p95", "counter")),
        *(("catalog/meters.csv", {"meter_id": "m", "event_name": "e"} | cells, column, part)
          for cells, column, part in (
              ({"aggregation": "p0"}, "aggregation", "unique_count, p1 to p99, time_weighted"),
              ({"aggregation": "p100"}, "aggregation", "allowed: count, sum"),
              ({"aggregation": "counter", "bucket": "day"}, "bucket", "allowed with: count, sum"),
              ({"aggregation": "gauge_hours", "bucket": "day"}, "bucket", "have no buckets"),
              ({"aggregation": "max", "bucket": "week"}, "bucket", "allowed: hour, day"),
              ({"aggregation": "max", "group_by": "a; ;b"}, "group_by", "names no property"),
              ({"aggregation": "max", "group_by": "a;b; a"}, "group_by", "twice"),
              ({"aggregation": "sum", "event_rounding": "0"}, "event_rounding", "not above 0"),
              ({"aggregation": "count", "event_rounding": "1"}, "event_rounding", "no numbers"),
          )),
        ("catalog/plans.csv", {"plan_id": "p", "trial_days": "-1"}, "trial_days", "negative"),
        ("catalog/plans.csv", {"plan_id": "p", "trial_days": "1.5"}, "trial_days", "whole number"),
        ("catalog/plans.csv", {"plan_id": "p", "billing_cycle": "weekly"},
         "billing_cycle", "allowed: calendar_month, 30_days"),
        ("catalog/entitlements.csv", {"plan_id": "zz", "feature": "f"}, "plan_id", "is not a"),
        ("catalog/entitlements.csv", {"plan_id": "pro", "feature": "f", "meter_id": "zz"},
         "meter_id", "is not a meter_id"),
        ("catalog/entitlements.csv", {"plan_id": "pro", "feature": "f", "limit_quantity": "-1"},
         "limit_quantity", "negative"),
        ("catalog/entitlements.csv", {"plan_id": "pro", "feature": "f", "limit_quantity": "1"},
         "limit_quantity", "needs a meter_id"),
        ("catalog/coupons.csv", {"coupon_id": "x", "duration": "once"}, "percent_off", "neither"),
        ("catalog/coupons.csv",
         {"coupon_id": "x", "duration": "once", "percent_off": 1, "amount_off": 1,
          "currency": "USD"},
         "percent_off", "both"),
        ("catalog/coupons.csv", {"coupon_id": "x", "duration": "once", "percent_off": "0"},
         "percent_off", "above 0 and at most 100"),
        ("catalog/coupons.csv", {"coupon_id": "x", "duration": "once", "percent_off": "100.01"},
         "percent_off", "above 0 and at most 100"),
        ("catalog/coupons.csv", {"coupon_id": "x", "duration": "once", "amount_off": "5"},
         "currency", "amount_off needs one"),
        ("catalog/coupons.csv",
         {"coupon_id": "x", "duration": "once", "amount_off": "0", "currency": "USD"},
         "amount_off", "not above 0"),
        ("catalog/coupons.csv", {"coupon_id": "x", "duration": "repeating", "percent_off": "5"},
         "duration_in_months", "1 or more"),
        ("catalog/coupons.csv",
         {"coupon_id": "x", "duration": "once", "percent_off": "5", "duration_in_months": "3"},
         "duration_in_months", "only for duration repeating"),
        ("catalog/coupons.csv", {"coupon_id": "x", "duration": "always", "percent_off": "5"},
         "duration", "allowed: once, repeating, forever"),
        ("catalog/sources.csv", {"source": "other", "file_pattern": "*"},
         "source", "other is the source of files that match no pattern"),
        ("catalog/sources.csv", {"source": "a", "file_pattern": "*", "expected": "daily"},
         "expected", "allowed: monthly"),
        ("catalog/sources.csv", {"source": "a", "file_pattern": ""},
         "file_pattern", "is empty"),
        ("catalog/coupons.csv",
         {"coupon_id": "x", "duration": "once", "percent_off": "5", "price_ids": "zz"},
         "price_ids", "'zz' is not a price_id of catalog/prices.csv"),
        ("catalog/tax_rates.csv", {"tax_rate_id": "t", "country": "DE", "percentage": "-1"},
         "percentage", "negative"),
        ("catalog/tax_rates.csv", {"tax_rate_id": "t", "country": "", "percentage": "1"},
         "country", "is empty"),
        ("catalog/tax_rates.csv", {"tax_rate_id": "t", "country": "DE", "percentage": "1",
                                   "valid_from": "2024-02-01", "valid_to": "2024-01-01"},
         "valid_to", "later than valid_from"),
        ("accounts/customers.csv", {"customer_id": "c1", "currency": ""}, "currency", "is empty"),
        ("accounts/customers.csv", {"customer_id": "c1", "currency": "USD", "is_payer": "x"},
         "is_payer", "neither true nor false"),
        ("accounts/customers.csv", {"customer_id": "c1", "currency": "USD", "days_until_due": "-1"},
         "days_until_due", "negative"),
        ("accounts/customers.csv",
         {"customer_id": "c1", "currency": "USD", "collection_method": "by_post"},
         "collection_method", "allowed: charge_automatically, send_invoice"),
        ("accounts/customers.csv", {"customer_id": "c1", "currency": "USD", "tax_exempt": "x"},
         "tax_exempt", "reverse"),
        ("accounts/customers.csv", {"customer_id": "c1", "currency": "USD", "bill_to": "c1"},
         "bill_to", "is the customer itself"),
        ("accounts/customers.csv", {"customer_id": "c1", "currency": "USD", "bill_to": "zz"},
         "bill_to", "is not a customer_id of accounts/customers.csv"),
        ("accounts/commitments.csv", commitment(ends_at="2024-01-01"), "ends_at",
         "must be later than starts_at"),
        ("accounts/commitments.csv", commitment(amount="0"), "amount", "not above 0"),
        ("accounts/commitments.csv", commitment(kind="monthly"), "kind",
         "is not a kind of commitment; allowed: true_up, prepaid"),
        ("accounts/commitments.csv", commitment(kind="prepaid", price_ids="p1"), "price_ids",
         "must be empty: what is prepaid is credit"),
        ("accounts/commitments.csv", commitment(price_ids="p1;zz"), "price_ids",
         "'zz' is not a price_id"),
        ("accounts/subscriptions.csv", subscription(customer_id="zz"), "customer_id", "is not a"),
        ("accounts/subscriptions.csv", subscription(plan_id="zz"), "plan_id", "is not a plan_id"),
        ("accounts/subscriptions.csv", subscription(coupon_id="zz"), "coupon_id", "is not a"),
        ("accounts/subscriptions.csv", subscription(coupon_id="zz;;yy"), "coupon_id",
         "has an empty id beside a `;`"),
        ("accounts/subscriptions.csv", subscription(coupon_id="zz; yy; zz"), "coupon_id",
         "names 'zz' more than once"),
        ("accounts/subscriptions.csv", subscription(starts_at=""), "starts_at", "is empty"),
        ("accounts/subscriptions.csv", subscription(ends_at="2023-12-31"), "ends_at", "is before"),
        ("accounts/subscriptions.csv", subscription(quantity="-1"), "quantity", "negative"),
        ("accounts/subscriptions.csv", subscription(minimum_amount="-1"), "minimum_amount",
         "negative"),
    ],
)  # fmt: skip
def test_a_bad_row(
    catalog: World, file: str, row: dict[str, object], column: str, part: str
) -> None:
    others = {
        "catalog/meters.csv": [{"meter_id": "calls", "event_name": "call", "aggregation": "count"}],
        "catalog/plans.csv": [{"plan_id": "pro"}],
    }
    rows = [*others.get(file, []), row]
    catalog.write(file, rows)
    one_problem(catalog, f"{file} row {len(rows) + 1}, {column}", part)


@pytest.mark.parametrize("ends_at", ["2024-01-01", "2024-01-01T00:00:00.000001Z", ""])
def test_a_subscription_may_end_when_it_starts(catalog: World, ends_at: str) -> None:
    catalog.write("accounts/subscriptions.csv", [subscription(ends_at=ends_at)])
    assert catalog.problems() == []


@pytest.mark.parametrize(
    ("ends_at", "longer", "is_clash"),
    [("", "b|c", True), ("2024-02-01T00:00:00.000001Z", "b|c", True),
     ("2024-02-01", "b|c", False), ("", "|b|c", False), ("", "b", False)],
)  # fmt: skip
def test_subscriptions_whose_charges_would_share_an_id(
    catalog: World, ends_at: str, longer: str, is_clash: bool
) -> None:
    """Price `c` of `a|b` and price `b|c` of `a`, while both go on."""
    prices = [price(price_id=price_id, valid_from="") for price_id in ("c", longer)]
    catalog.write("catalog/prices.csv", prices)
    subscriptions = [
        subscription(subscription_id="a", ends_at=ends_at),
        subscription(subscription_id="a|b", starts_at="2024-02-01"),
    ]
    catalog.write("accounts/subscriptions.csv", subscriptions)
    if is_clash:
        place = "accounts/subscriptions.csv row 3, subscription_id"
        one_problem(catalog, place, "by price 'c' would have the ids of those of 'a' (row 2)")
    else:
        assert catalog.problems() == []


@pytest.mark.parametrize(
    ("times", "fault"),
    [
        ([("2024-01-01", "2024-02-01"), ("2024-02-01", "")], None),
        ([("2024-02-01", ""), ("2024-01-01", "2024-02-01")], None),
        ([("2024-01-01", "2024-02-01"), ("2024-03-01", "")], None),
        ([("2024-01-01", "2024-01-01"), ("2024-01-01", "")], None),
        ([("2024-01-01", "2024-02-01"), ("2024-01-31", "")], "overlaps with row 2"),
        ([("2024-01-01", ""), ("2024-02-01", "")], "overlaps with row 2"),
        ([("2024-01-01", ""), ("2024-01-01", "")], "overlaps with row 2"),
    ],
)
def test_versions_of_a_subscription_have_times_of_their_own(
    catalog: World, times: list[tuple[str, str]], fault: str | None
) -> None:
    rows = [subscription(starts_at=starts_at, ends_at=ends_at) for starts_at, ends_at in times]
    catalog.write("accounts/subscriptions.csv", rows)
    if fault is None:
        assert catalog.problems() == []
    else:
        one_problem(catalog, "accounts/subscriptions.csv row 3, starts_at", fault)


def test_periods_of_thirty_days_have_no_other_intervals(catalog: World) -> None:
    catalog.write("catalog/plans.csv", [{"plan_id": "pro", "billing_cycle": "30_days"}])
    catalog.write("catalog/prices.csv", [price(interval="quarter")])
    one_problem(catalog, "catalog/prices.csv row 2, interval", "billing_cycle is 30_days")
    catalog.write("catalog/plans.csv", [{"plan_id": "pro", "billing_cycle": "anniversary"}])
    assert catalog.problems() == []


def test_versions_of_a_subscription_are_of_one_customer(catalog: World) -> None:
    customers = [{"customer_id": name, "currency": "USD"} for name in ("c1", "c2")]
    catalog.write("accounts/customers.csv", customers)
    rows = [
        subscription(ends_at="2024-02-01"),
        subscription(customer_id="c2", starts_at="2024-03-01"),
    ]
    catalog.write("accounts/subscriptions.csv", rows)
    place = "accounts/subscriptions.csv row 3, customer_id"
    one_problem(catalog, place, "row 2 gives the same subscription_id to 'c1'")


def test_custom_meters_are_allowed_where_their_model_is(catalog: World) -> None:
    meters = [
        {"meter_id": "calls", "event_name": "call", "aggregation": "count"},
        {"meter_id": "weird", "event_name": "", "aggregation": "custom"},
    ]
    catalog.write("catalog/meters.csv", meters)
    assert catalog.problems(frozenset({"weird"})) == []
    assert "there: other" in catalog.problems(frozenset({"other"}))[0]


@pytest.mark.parametrize(
    ("kind", "amount", "is_right"),
    [
        ("top_up", "5", True), ("top_up", "-5", False), ("top_up", "0", False),
        ("grant", "5", True), ("grant", "-5", False),
        ("refund", "-5", True), ("refund", "5", False),
        ("expiry", "-5", True), ("expiry", "0", False),
    ],
)  # fmt: skip
def test_the_sign_of_wallet_movements(
    catalog: World, kind: str, amount: str, is_right: bool
) -> None:
    row = {"transaction_id": "t", "customer_id": "c1", "currency": "USD", "kind": kind}
    row |= {"amount": amount, "occurred_at": "2024-01-01"}
    catalog.write("accounts/wallet_transactions.csv", [row])
    if is_right:
        assert catalog.problems() == []
    else:
        one_problem(catalog, "accounts/wallet_transactions.csv row 2, amount", "must be")


@pytest.mark.parametrize(
    ("cells", "column", "part"),
    [
        ({"expires_at": "2024-02-01", "priority": "0"}, None, ""),
        ({"expires_at": "2024-01-01"}, "expires_at", "must be after occurred_at"),
        ({"expires_at": "2023-12-31"}, "expires_at", "must be after occurred_at"),
        ({"priority": "-1"}, None, ""),
        ({"priority": "1.5"}, "priority", "whole number"),
        ({"kind": "refund", "amount": "-5", "priority": "1"}, "priority", "must be empty"),
        (
            {"kind": "expiry", "amount": "-5", "expires_at": "2024-02-01"},
            "expires_at",
            "must be empty",
        ),
        ({"transaction_id": "billing_expiry:t"}, "transaction_id", "must not begin with"),
        ({"transaction_id": "billing_commitment:t"}, "transaction_id", "must not begin with"),
    ],
)
def test_only_what_comes_into_a_wallet_expires(
    catalog: World, cells: dict[str, str], column: str | None, part: str
) -> None:
    row = {"transaction_id": "t", "customer_id": "c1", "currency": "USD", "kind": "top_up"}
    row |= {"amount": "5", "occurred_at": "2024-01-01", "expires_at": "", "priority": ""}
    catalog.write("accounts/wallet_transactions.csv", [row | cells])
    if column is None:
        assert catalog.problems() == []
    else:
        one_problem(catalog, f"accounts/wallet_transactions.csv row 2, {column}", part)


@pytest.mark.parametrize(
    ("event_name", "quantity", "column", "part"),
    [
        ("call", "-2.5", None, ""),
        ("unheard", "1", "event_name", "read by no meter"),
        ("stored", "1", None, ""),
        ("stored", "-1", "quantity", "a correction is a reading"),
        ("call", "", "quantity", "is empty"),
        ("call", "NaN", "quantity", "not a decimal"),
    ],
)
def test_corrections(
    catalog: World, event_name: str, quantity: str, column: str | None, part: str
) -> None:
    row = {"correction_id": "k", "customer_id": "c1", "occurred_at": "2024-01-05"}
    row |= {"event_name": event_name, "quantity": quantity}
    catalog.write("accounts/usage_corrections.csv", [row])
    if column is None:
        assert catalog.problems() == []
    else:
        one_problem(catalog, f"accounts/usage_corrections.csv row 2, {column}", part)


@pytest.mark.parametrize(
    ("file", "row"),
    [
        ("catalog/meters.csv", {"meter_id": "calls", "event_name": "e", "aggregation": "sum"}),
        ("catalog/plans.csv", {"plan_id": "pro"}),
        ("catalog/entitlements.csv", {"plan_id": "pro", "feature": "f"}),
        ("catalog/coupons.csv", {"coupon_id": "x", "percent_off": "5", "duration": "once"}),
        ("catalog/tax_rates.csv", {"tax_rate_id": "t", "country": "DE", "percentage": "19"}),
        ("accounts/customers.csv", {"customer_id": "c1", "currency": "USD"}),
        ("accounts/wallet_transactions.csv",
         {"transaction_id": "t", "customer_id": "c1", "amount": "1", "currency": "USD",
          "occurred_at": "2024-01-01", "kind": "grant"}),
        ("accounts/usage_corrections.csv",
         {"correction_id": "k", "customer_id": "c1", "event_name": "e",
          "occurred_at": "2024-01-01", "quantity": "1"}),
    ],
)  # fmt: skip
def test_a_key_given_twice(catalog: World, file: str, row: dict[str, object]) -> None:
    if file.startswith("accounts/usage_corrections"):
        row["event_name"] = "call"
    catalog.write(file, [row, row])
    one_problem(catalog, f"{file} row 3, {next(iter(row))}", "is in row 2 already")


def test_two_customers_cannot_share_a_stripe_customer(catalog: World) -> None:
    rows = [
        {"customer_id": c, "currency": "USD", "stripe_customer_id": "cus_1"} for c in ("c1", "c2")
    ]
    catalog.write("accounts/customers.csv", rows)
    one_problem(catalog, "accounts/customers.csv row 3, stripe_customer_id", "in row 2 already")


def test_the_rows_of_one_customer_differ_in_valid_from(catalog: World) -> None:
    row = {"customer_id": "c1", "currency": "USD", "stripe_customer_id": "cus_1"}
    catalog.write("accounts/customers.csv", [row, {**row, "valid_from": "2024-02-01"}])
    catalog.load_reference()
    assert catalog.select("select count(*) from raw.customers") == [(2,)]
    catalog.write("accounts/customers.csv", [row, row])
    one_problem(catalog, "accounts/customers.csv row 3, customer_id", "in row 2 already")


def test_billing_to_another_customer_has_one_level_at_any_time(catalog: World) -> None:
    row = {"currency": "USD"}
    rows = [
        {**row, "customer_id": "child", "bill_to": "parent"},
        {**row, "customer_id": "child", "valid_from": "2024-06-01"},
        {**row, "customer_id": "parent", "valid_from": "2024-01-01"},
        {**row, "customer_id": "parent", "bill_to": "c1", "valid_from": "2024-06-01"},
        {**row, "customer_id": "c1"},
    ]
    catalog.write("accounts/customers.csv", rows)
    catalog.load_reference()
    rows[1]["valid_from"] = "2024-06-02"
    catalog.write("accounts/customers.csv", rows)
    message = "'parent' is itself billed to 'c1' then (row 5); only one level is possible"
    one_problem(catalog, "accounts/customers.csv row 2, bill_to", message)


def test_an_adjustment_of_a_subscription_is_its_customers(catalog: World) -> None:
    row = {
        "adjustment_id": "a", "customer_id": "c1", "amount": "-5", "currency": "USD",
        "occurred_at": "2024-01-01",
    }  # fmt: skip
    catalog.write("accounts/adjustments.csv", [row])
    catalog.load_reference()
    catalog.write(
        "accounts/customers.csv", [{"customer_id": c, "currency": "USD"} for c in ("c1", "c2")]
    )
    catalog.write("accounts/subscriptions.csv", [subscription(customer_id="c2")])
    catalog.write("accounts/adjustments.csv", [{**row, "subscription_id": "s1"}])
    place = "accounts/adjustments.csv row 2, subscription_id"
    one_problem(catalog, place, "'s1' is a subscription of 'c2'")


def test_there_is_one_seller_or_none(catalog: World) -> None:
    seller = {"name": "Meridian Ltd", "address": "1 Quay; Dublin", "country": "ie"}
    catalog.write("accounts/seller.csv", [seller])
    catalog.load_reference()
    assert catalog.select("select name, country, tax_id from raw.seller") == [
        ("Meridian Ltd", "IE", None)
    ]
    catalog.write("accounts/seller.csv", [seller, {**seller, "name": "Other"}])
    one_problem(catalog, "accounts/seller.csv row 3, name", "is a second seller")
    catalog.write("accounts/seller.csv", [{**seller, "datev_consultant": 1000, "datev_client": 7}])
    place = "accounts/seller.csv row 2, datev_consultant"
    one_problem(catalog, place, "1000 is not a number from 1001 to 9999999")


@pytest.mark.parametrize("address", ["nonsense:7", "0088:", "5412345000013"])
def test_an_electronic_address_has_a_scheme(catalog: World, address: str) -> None:
    seller = {"name": "Meridian Ltd", "electronic_address": "0088:5412345000013"}
    catalog.write("accounts/seller.csv", [seller])
    catalog.load_reference()
    catalog.write("accounts/seller.csv", [{**seller, "electronic_address": address}])
    place = "accounts/seller.csv row 2, electronic_address"
    one_problem(catalog, place, "neither scheme:value with a scheme of the EAS list")


# --- files --------------------------------------------------------------------------------------


def test_byte_order_mark_crlf_quotes_newlines_and_formulas(catalog: World) -> None:
    catalog.write(
        "accounts/customers.csv",
        '\ufeffcustomer_id,name,currency\r\n c1 ,"=HYPERLINK(""x"")\r\nLtd, ""Inc""",usd\r\n'
        '\r\n,,\r\nc2,"+1+1",EUR\r\n',
    )
    catalog.load_reference()
    assert catalog.select("select customer_id, name, currency from raw.customers") == [
        ("c1", '=HYPERLINK("x")\r\nLtd, "Inc"', "USD"),
        ("c2", "+1+1", "EUR"),
    ]


def test_rows_are_counted_as_a_spreadsheet_counts_them(catalog: World) -> None:
    catalog.write(
        "accounts/customers.csv", 'customer_id,name,currency\nc1,"two\nlines",USD\n\nc3,x,NOPE\n'
    )
    one_problem(catalog, "accounts/customers.csv row 4, currency", "ISO 4217")


@pytest.mark.parametrize(
    ("content", "place", "part"),
    [
        (b"", "", "is empty"),
        (b"customer_id,name\nc1,x\n", ", currency", "column is missing"),
        (b"customer_id,currency,currency\nc1,USD,USD\n", ", currency", "is there twice"),
        (b"customer_id,currency,is_payr\nc1,USD,0\n", ", is_payr", "did you mean is_payer?"),
        (b"customer_id,currency\nc1\n", " row 2", "has 1 cells, the header 2"),
        (b"customer_id,currency\nc1,USD,x\n", " row 2", "has 3 cells, the header 2"),
        (b"customer_id,currency\nc1,USD\nc\xff,USD\n", " row 3", "not UTF-8"),
        (b'customer_id,currency\nc1,"USD\n', " row 2", "is not CSV"),
    ],
)
def test_a_bad_file(catalog: World, content: bytes, place: str, part: str) -> None:
    catalog.write("accounts/customers.csv", content)
    one_problem(catalog, f"accounts/customers.csv{place}", part)


def test_versions_of_a_tax_rate(catalog: World) -> None:
    rate = {"tax_rate_id": "vat", "country": "DE", "percentage": "19", "valid_to": ""}
    before = {**rate, "percentage": "16", "valid_to": "2024-02-01"}
    catalog.write("catalog/tax_rates.csv", [before, {**rate, "valid_from": "2024-02-01"}])
    assert catalog.problems() == []
    catalog.write("catalog/tax_rates.csv", [before, {**rate, "valid_from": "2024-01-31"}])
    part = "overlaps with row 2, a version of the same tax_rate_id"
    one_problem(catalog, "catalog/tax_rates.csv row 3, valid_from", part)


def test_columns_of_notes_have_names_that_say_so(catalog: World) -> None:
    row = {"customer_id": "c1", "currency": "USD", "_notes": "x", "": "y"}
    catalog.write("accounts/customers.csv", [row])
    assert catalog.problems() == []
    catalog.write("accounts/customers.csv", [{**row, "crm_owner": "z"}])
    part = "'crm_owner' is not a column of this file; the name of a column of notes begins with _"
    one_problem(catalog, "accounts/customers.csv, crm_owner", part)


def test_compressed_csv(catalog: World) -> None:
    (catalog.data / "accounts/customers.csv").unlink()
    packed = gzip.compress(b"customer_id,currency\nc1,USD\n")
    catalog.write("accounts/customers.csv.gz", packed)
    assert catalog.load_reference()["customers"] == 1
    catalog.write("accounts/customers.csv.gz", packed[:-9])
    one_problem(catalog, "accounts/customers.csv.gz", "cannot be read")


def test_parquet_with_types(catalog: World) -> None:
    (catalog.data / "catalog/prices.csv").unlink()
    table = pa.table(
        {
            "price_id": ["p1", "p2"],
            "plan_id": ["pro", "pro"],
            "meter_id": ["calls", None],
            "charge_model": ["per_unit", "flat"],
            "unit_amount": [0.1, None],
            "flat_amount": pa.array([None, Decimal("29.90")], pa.decimal128(10, 2)),
            "prorate": [None, False],
            "valid_from": [datetime(2024, 1, 1), None],  # noqa: DTZ001
            "filter": ['{"a": 1}', None],
        }
    )
    pq.write_table(table, catalog.data / "catalog/prices.parquet")
    catalog.load_reference()
    assert catalog.select(
        "select unit_amount, flat_amount, prorate, valid_from, filter from raw.prices order by 1"
    ) == [
        (Decimal("0.1"), None, False, datetime(2024, 1, 1, tzinfo=UTC), '{"a":1}'),
        (None, Decimal("29.9"), False, None, None),
    ]


def test_bad_parquet(catalog: World) -> None:
    path = catalog.data / "accounts/customers.parquet"
    (catalog.data / "accounts/customers.csv").unlink()
    pq.write_table(pa.table({"customer_id": ["c1"], "currency": ["ZZZ"]}), path)
    one_problem(catalog, "accounts/customers.parquet row 1, currency", "ISO 4217")
    path.write_bytes(path.read_bytes()[:-30])
    one_problem(catalog, "accounts/customers.parquet", "not readable Parquet")


def test_a_table_must_be_there_once(catalog: World) -> None:
    pq.write_table(pa.table({"customer_id": ["c1"]}), catalog.data / "accounts/customers.parquet")
    one_problem(catalog, "accounts/customers.csv", "once: customers.csv and customers.parquet")


SEATS = {"subscription_id": "s1", "customer_id": "c1", "plan_id": "pro", "starts_at": "2024-01-01"}


def written_by_spark(catalog: World, name: str) -> Path:
    folder = catalog.data / name
    folder.mkdir(parents=True)
    for part, row in enumerate(({**SEATS}, {**SEATS, "subscription_id": "s2"})):
        pq.write_table(pa.Table.from_pylist([row]), folder / f"part-0000{part}.snappy.parquet")
    (folder / "_SUCCESS").touch()
    (folder / ".part-00000.snappy.parquet.crc").touch()
    (catalog.data / "accounts/subscriptions.csv").unlink()
    return folder


@pytest.mark.parametrize("name", ["subscriptions.parquet", "subscriptions"])
def test_a_folder_of_parquet_files_is_a_table(catalog: World, name: str) -> None:
    folder = written_by_spark(catalog, f"accounts/{name}")
    assert catalog.load_reference()["subscriptions"] == 2
    pq.write_table(pa.Table.from_pylist([{**SEATS, "plan_id": "?"}]), folder / "part-00009.parquet")
    *_, last = catalog.problems()
    assert last.startswith(f"accounts/{name} row 3, starts_at: ")
    pq.write_table(pa.table({"subscription_id": ["s1"]}), folder / "part-00009.parquet")
    one_problem(catalog, f"accounts/{name}/part-00009.parquet", "has other columns than ")
    (folder / "part-00009.parquet").rename(folder / "part-00009.csv")
    one_problem(catalog, f"accounts/{name}/part-00009.csv", "is not a Parquet file")


def test_a_folder_of_nothing_is_not_an_empty_table(catalog: World) -> None:
    for part in written_by_spark(catalog, "accounts/subscriptions.parquet").glob("part-*"):
        part.unlink()
    one_problem(catalog, "accounts/subscriptions.parquet", "is a folder without Parquet files")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        (
            "catalog/tax_rates.json",
            "is not a format that tables are read from; allowed: a .csv, .csv.gz",
        ),
        ("catalog/tax_rates.csv.zip", "is not a format that tables are read from"),
        ("catalog/tax_rates.txt", "is not a format that tables are read from"),
        ("catalog/tax_rates.csv/part-0.csv", "is a folder; allowed: "),
        ("catalog/tax_rate.xlsx", "did you mean tax_rates.csv?"),
        ("catalog/book.xlsx", "does not look like a table; catalog/ holds meters, "),
        ("catalog/more/tax_rates.csv", "is a folder; catalog/ holds meters, "),
        ("accounts/wallets.json", "does not look like a table; accounts/ holds customers, "),
    ],
)
def test_a_table_in_another_form_is_not_taken_for_absent(
    catalog: World, name: str, part: str
) -> None:
    catalog.write(name, "{}")
    one_problem(catalog, "/".join(name.split("/")[:2]), part)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("accounts/tax_rates.csv", "is not read; it belongs in catalog/"),
        ("catalog/Customers.parquet", "is not read; it belongs in accounts/"),
        ("catalog/costs/plans.csv", "is not read; it belongs in catalog/"),
        ("tax_rates.csv", "is not read; it belongs in catalog/"),
        ("subscriptions/part-0.parquet", "is not read; it belongs in accounts/"),
        ("costs/prices.csv", "is not read; it belongs in catalog/"),
        ("usages/2024-01/events.csv", "is not read; did you mean usage/?"),
        ("Usage/2024-01/events.csv", "is not read; did you mean usage/?"),
    ],
)
def test_a_table_in_the_wrong_folder_is_not_taken_for_absent(
    catalog: World, name: str, part: str
) -> None:
    catalog.write(name, "{}")
    is_of_a_folder = name.startswith(("accounts/", "catalog/"))
    one_problem(catalog, name if is_of_a_folder else name.split("/")[0], part)


@pytest.mark.parametrize("name", ["events.csv", "invoices/2024.pdf", "catalogue/notes.txt"])
def test_other_things_beside_the_folders_are_ignored(catalog: World, name: str) -> None:
    catalog.write(name, "x\n")
    assert catalog.problems() == []


@pytest.mark.parametrize("name", ["README", "readme.txt", "notes.md", ".prices.csv.swp", "_old.db"])
def test_notes_next_to_tables_are_ignored(catalog: World, name: str) -> None:
    catalog.write(f"catalog/{name}", "x\n")
    assert catalog.problems() == []


def test_a_pipe_is_refused_and_not_waited_for(catalog: World) -> None:
    os.mkfifo(catalog.data / "catalog/tax_rates.csv")
    one_problem(catalog, "catalog/tax_rates.csv", "is a named pipe and no file")


def test_a_device_is_refused(catalog: World) -> None:
    (catalog.data / "catalog/tax_rates.csv").symlink_to("/dev/zero")
    one_problem(catalog, "catalog/tax_rates.csv", "is a device and no file")


def test_a_link_to_itself_is_refused(catalog: World) -> None:
    (catalog.data / "catalog/tax_rates.csv").symlink_to("tax_rates.csv")
    [problem] = catalog.problems()
    assert problem.startswith("catalog/tax_rates.csv")


def test_links_within_the_data_directory_are_followed(catalog: World) -> None:
    """A folder as a whole may lie elsewhere, as a mounted one does."""
    elsewhere = catalog.root / "mounted"
    (catalog.data / "accounts").rename(elsewhere)
    (catalog.data / "accounts").symlink_to(elsewhere)
    (elsewhere / "subscriptions.csv").rename(elsewhere / "..2026_01.csv")
    (elsewhere / "subscriptions.csv").symlink_to("..2026_01.csv")
    assert catalog.load_reference()["subscriptions"] == 1
    (elsewhere / "..2026_01.csv").rename(catalog.data / "catalog" / ".subscriptions")
    (elsewhere / "subscriptions.csv").unlink()
    (elsewhere / "subscriptions.csv").symlink_to(catalog.data / "catalog" / ".subscriptions")
    assert catalog.load_reference()["subscriptions"] == 1


def test_links_out_of_the_data_directory_are_refused(catalog: World) -> None:
    """Or whoever puts files there could have keys of this machine read and shown."""
    elsewhere = catalog.root / "elsewhere.csv"
    (catalog.data / "accounts/subscriptions.csv").rename(elsewhere)
    (catalog.data / "accounts/subscriptions.csv").symlink_to(elsewhere)
    one_problem(catalog, "accounts/subscriptions.csv", "is a link out of the data directory")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_table_that_memory_does_not_hold_is_refused(catalog: World, kind: str) -> None:
    """The limit is a sixteenth of the memory, and the unpacked size counts."""
    catalog.env["BILLING_MEMORY_LIMIT"] = "1600KB"
    (catalog.data / "accounts/customers.csv").unlink()
    row = {"customer_id": "c1", "currency": "USD", "name": "x" * 101_000}
    path = catalog.write(f"accounts/customers.{kind}", [row])
    if kind == "csv.gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), path, compression="gzip")
    assert kind == "csv" or path.stat().st_size < 10_000
    message = "holds more than 100 kB, a sixteenth of BILLING_MEMORY_LIMIT (1600KB)"
    one_problem(catalog, f"accounts/customers.{kind}", message)


def test_a_header_of_too_many_columns_is_none(catalog: World) -> None:
    catalog.write("accounts/customers.csv", "currenc," * 1_001)
    one_problem(catalog, "accounts/customers.csv row 1", "a header of 1,002 cells")


def bad_currencies(codes: Iterable[str]) -> list[dict[str, object]]:
    return [{"customer_id": f"c{n}", "currency": code} for n, code in enumerate(codes, start=1)]


def test_equal_problems_are_one_line_with_their_rows(catalog: World) -> None:
    codes = ["XX", *["US"] * 60, "USD", "US", "XX"]
    catalog.write("accounts/customers.csv", bad_currencies(codes))
    with pytest.raises(InvalidInput) as caught:
        catalog.load_reference()
    first, second, last = str(caught.value).splitlines()
    assert first.startswith("accounts/customers.csv rows 2, 65, currency: 'XX' is not ")
    assert second.startswith("accounts/customers.csv rows 3-62, 64, currency: 'US' is not ")
    assert last == ("63 problems in accounts/customers.csv, listed above: nothing was priced")


def test_rows_that_are_many_and_apart_are_counted(catalog: World) -> None:
    codes = [("US" if n % 2 else "USD") for n in range(60)]
    catalog.write("accounts/customers.csv", bad_currencies(codes))
    with pytest.raises(InvalidInput) as caught:
        catalog.load_reference()
    assert "rows 3, 5, 7, 9, 11, 13, 15, 17, 19, 21 and 20 more, currency" in str(caught.value)


def test_many_problems_are_cut_off_and_written_to_a_file(catalog: World, tmp_path: Path) -> None:
    catalog.write("accounts/customers.csv", bad_currencies(f"X{n}" for n in range(3_000)))
    with pytest.raises(InvalidInput) as caught:
        catalog.load_reference()
    assert len(str(caught.value).splitlines()) == MAX_LINES + 1
    message = caught.value.message(tmp_path).splitlines()
    assert message[:-1] == caught.value.lines[:MAX_LINES]
    path = tmp_path / "input-problems.txt"
    assert message[-1] == (
        "3,000 problems in accounts/customers.csv, the first 100 lines above, all of them in "
        f"{path}: nothing was priced"
    )
    assert path.read_text(encoding="utf-8").splitlines() == caught.value.lines
    assert len(caught.value.lines) == 3_000


def test_problems_are_shown_even_if_the_file_cannot_be_written(
    catalog: World, tmp_path: Path
) -> None:
    catalog.write("accounts/customers.csv", bad_currencies(f"X{n}" for n in range(200)))
    with pytest.raises(InvalidInput) as caught:
        catalog.load_reference()
    (tmp_path / "file").touch()
    assert caught.value.message(tmp_path / "file").endswith(
        "200 problems in accounts/customers.csv, the first of them listed above: nothing was priced"
    )


def test_a_misspelt_file_is_noticed_and_others_are_not(catalog: World) -> None:
    catalog.write("catalog/README.csv", "x\n")
    catalog.write("catalog/notes.md", "x\n")
    assert catalog.problems() == []
    catalog.write("catalog/price_tier.csv", "price_id\n")
    one_problem(catalog, "catalog/price_tier.csv", "did you mean price_tiers.csv?")


def test_an_unreadable_file(catalog: World) -> None:
    path = catalog.data / "accounts/customers.csv"
    path.unlink()
    path.symlink_to(catalog.data / "gone.csv")
    one_problem(catalog, "accounts/customers.csv", "cannot be read")


def test_a_problem_is_one_line() -> None:
    problem = Problem("usage/2024-01/a.csv", 2, None, None, "cannot be read:\n\n  no route\n")
    assert str(problem) == "usage/2024-01/a.csv row 2: cannot be read: no route"


def test_one_bad_cell_is_one_problem(catalog: World) -> None:
    """What follows from a cell that could not be read is not reported again."""
    catalog.write("catalog/plans.csv", [{"plan_id": "pro", "trial_days": "x"}])
    catalog.write("catalog/prices.csv", [price(meter_id="a\x00b"), fee(flat_amount="x")])
    places = [line.split(": ")[0] for line in catalog.problems()]
    assert places == [
        "catalog/plans.csv row 2, trial_days",
        "catalog/prices.csv row 2, meter_id",
        "catalog/prices.csv row 3, flat_amount",
    ]


def test_an_error_in_two_rows_is_reported_for_both(catalog: World) -> None:
    """Equal cells are read only once, but an error in them is reported for each row."""
    moved = {"customer_id": "c1", "amount": "1", "currency": "USD", "kind": "top_up"}
    good = {**moved, "occurred_at": "2024-01-01"}
    rows = [{"transaction_id": name, **good} for name in ("t1", "t2", "t1", "t2", "t1")]
    bad = {"transaction_id": "t3", **moved, "occurred_at": "soon", "customer_id": "x"}
    catalog.write("accounts/wallet_transactions.csv", [*rows, bad, bad])
    with pytest.raises(InvalidInput) as caught:
        catalog.load_reference()
    found = [(problem.row, problem.column, problem.value) for problem in caught.value.problems]
    assert found == [
        (4, "transaction_id", "t1"),
        (5, "transaction_id", "t2"),
        (6, "transaction_id", "t1"),
        (7, "customer_id", "x"),
        (7, "occurred_at", "soon"),
        (8, "customer_id", "x"),
        (8, "occurred_at", "soon"),
        (8, "transaction_id", "t3"),
    ]
    lines = str(caught.value).splitlines()
    assert [line.rsplit("is in ")[-1] for line in lines if "already" in line] == [
        f"row {first} already" for first in (2, 3, 7)
    ]
    assert sum(" rows 4, 6, transaction_id: " in line for line in lines) == 1
    assert sum(" rows 7-8, " in line for line in lines) == 2


def test_keys_that_could_not_be_read_are_not_the_same(catalog: World) -> None:
    catalog.write("catalog/prices.csv", [price(valid_from="soon"), price(valid_from="later")])
    assert [line.split(": ")[0] for line in catalog.problems()] == [
        "catalog/prices.csv row 2, valid_from",
        "catalog/prices.csv row 3, valid_from",
    ]


def test_an_unreadable_table_makes_no_unknown_references(catalog: World) -> None:
    catalog.write("catalog/plans.csv", "planid\npro\n")
    assert [line.split(": ")[0] for line in catalog.problems()] == [
        "catalog/plans.csv, plan_id",
        "catalog/plans.csv, planid",
    ]


def test_times_without_an_offset_are_in_the_billing_time_zone(catalog: World) -> None:
    catalog.env["BILLING_TIMEZONE"] = "Asia/Tokyo"
    catalog.load_reference()
    assert catalog.select("select starts_at from raw.subscriptions") == [
        (datetime(2023, 12, 31, 15, tzinfo=UTC),)
    ]


def test_many_rows_load_in_one_go(catalog: World) -> None:
    many = [subscription(subscription_id=f"s{i}") for i in range(5000)]
    catalog.write("accounts/subscriptions.csv", many)
    assert catalog.load_reference()["subscriptions"] == 5000


def test_a_warehouse_file_takes_the_tables(catalog: World, tmp_path: Path) -> None:
    catalog.connection = duckdb.connect(str(tmp_path / "warehouse.duckdb"))
    catalog.load_reference()
    catalog.connection.close()
    with duckdb.connect(str(tmp_path / "warehouse.duckdb"), read_only=True) as again:
        assert again.execute("select customer_id from raw.customers").fetchall() == [("c1",)]
