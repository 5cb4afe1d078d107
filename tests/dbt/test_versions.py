"""Subscriptions with versions, one customer each, worked out by hand; the oracle must agree.

What belongs here: what a change of quantity, plan, coupon or minimum does to a subscription that
goes on. What does not: what intake refuses (tests/unit/intake), periods (test_intervals.py).

All is April 2024 in UTC: 30 days, the change is after 15 of them unless a case says otherwise.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.property.harness import Tables, compare, run_pipeline
from tests.property.oracle import bill
from tests.property.tables import read

BEFORE, MIDDLE = "2024-01-01", "2024-04-16"
METERED = {"meter_id": "calls", "plan_id": "metered"}

PLANS: list[dict[str, Any]] = [
    {"plan_id": "seats"},
    {"plan_id": "seats-ahead"},
    {"plan_id": "desk"},
    {"plan_id": "metered"},
    {"plan_id": "packages"},
    {"plan_id": "pro"},
    {"plan_id": "trial", "trial_days": 10},
    {"plan_id": "cycle", "billing_cycle": "30_days"},
    {"plan_id": "cycle-pro", "billing_cycle": "30_days"},
    {"plan_id": "monthly", "billing_cycle": "anniversary"},
]
FEE = {"charge_model": "per_unit", "unit_amount": 10, "description": "{quantity} seats"}
PRICES: list[dict[str, Any]] = [
    {"price_id": "seat", "plan_id": "seats", **FEE},
    {"price_id": "seat-ahead", "plan_id": "seats-ahead", **FEE, "timing": "advance"},
    {"price_id": "desk", "plan_id": "desk", **FEE, "prorate": "false"},
    {"price_id": "call-fee", "plan_id": "metered", **FEE},
    {"price_id": "call", "charge_model": "per_unit", "unit_amount": "0.01",
     "included_quantity": 1000, **METERED},
    {"price_id": "package", "charge_model": "package", "unit_amount": 8, "package_size": 1000,
     "minimum_amount": 20, **METERED, "plan_id": "packages"},
    {"price_id": "pro-fee", "plan_id": "pro", "charge_model": "flat", "flat_amount": 60},
    {"price_id": "trial-fee", "plan_id": "trial", "charge_model": "flat", "flat_amount": 30},
    {"price_id": "cycle-fee", "plan_id": "cycle", "charge_model": "flat", "flat_amount": 30},
    {"price_id": "cycle-pro-fee", "plan_id": "cycle-pro", "charge_model": "flat",
     "flat_amount": 60},
    {"price_id": "monthly-fee", "plan_id": "monthly", "charge_model": "flat", "flat_amount": 31},
]  # fmt: skip
COUPONS: list[dict[str, Any]] = [
    {"coupon_id": "ten", "amount_off": 10, "currency": "USD", "duration": "forever"},
    {"coupon_id": "three-months", "percent_off": 10, "duration": "repeating",
     "duration_in_months": 3},
    {"coupon_id": "tenth", "percent_off": 10, "duration": "forever"},
]  # fmt: skip
USAGE = [("calls", "2024-04-10", 750), ("calls", "2024-04-20", 750)]

# Versions: plan, start, and other cells; each ends where the next one begins.
CASES: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "seats": [("seats", BEFORE, {"quantity": 3}), ("seats", MIDDLE, {"quantity": 5})],
    "same seats": [
        ("seats", BEFORE, {"quantity": 3}),
        ("seats", MIDDLE, {"quantity": 3, "coupon_id": "ten"}),
    ],
    "ahead": [
        ("seats-ahead", BEFORE, {"quantity": 3}),
        ("seats-ahead", MIDDLE, {"quantity": 5}),
        ("seats-ahead", "2024-04-25", {"quantity": 2}),
    ],
    "ahead at the edge": [
        ("seats-ahead", BEFORE, {"quantity": 3}),
        ("seats-ahead", "2024-05-01", {"quantity": 5}),
    ],
    "desk": [("desk", BEFORE, {"quantity": 3}), ("desk", MIDDLE, {"quantity": 5})],
    "calls": [("metered", BEFORE, {"quantity": 3}), ("metered", MIDDLE, {"quantity": 5})],
    "packages": [
        ("packages", BEFORE, {"quantity": 3, "coupon_id": "ten"}),
        ("packages", MIDDLE, {"quantity": 5, "coupon_id": "ten"}),
    ],
    "upgrade": [("seats", BEFORE, {"quantity": 3}), ("pro", MIDDLE, {})],
    "trial goes on": [("trial", "2024-04-11", {}), ("pro", MIDDLE, {})],
    "coupon goes on": [
        ("seats", "2024-02-10", {"coupon_id": "three-months"}),
        ("pro", MIDDLE, {"coupon_id": "three-months"}),
    ],
    "coupon is over": [
        ("seats", "2024-01-10", {"coupon_id": "three-months"}),
        ("pro", MIDDLE, {"coupon_id": "three-months"}),
    ],
    "coupon is dropped": [
        ("seats-ahead", BEFORE, {"quantity": 3, "coupon_id": "tenth"}),
        ("seats-ahead", MIDDLE, {"quantity": 1}),
    ],
    "coupon comes": [
        ("seats-ahead", BEFORE, {"quantity": 3}),
        ("seats-ahead", MIDDLE, {"quantity": 1, "coupon_id": "tenth"}),
    ],
    # Invoiced on the 22nd of each month: the coupon first in February, or in January.
    "monthly coupon comes": [
        ("monthly", "2023-11-22", {}),
        ("monthly", "2024-02-10", {"coupon_id": "three-months"}),
    ],
    "monthly coupon is over": [
        ("monthly", "2023-11-22", {}),
        ("monthly", "2024-01-10", {"coupon_id": "three-months"}),
    ],
    "minimums": [
        ("metered", BEFORE, {"quantity": 0, "minimum_amount": 60}),
        ("metered", MIDDLE, {"quantity": 0, "minimum_amount": 90}),
    ],
    "one minimum": [
        ("seats", BEFORE, {"minimum_amount": 60}),
        ("pro", MIDDLE, {"minimum_amount": 60}),
    ],
    # Periods of 30 days from 12 March: the first ends on 11 April, the plan changes within it.
    "anniversary": [("cycle", "2024-03-12", {}), ("cycle-pro", "2024-04-01", {})],
    # 30 days and a month of 31 days that begin together
    "two cycles": [
        ("cycle", "2024-03-12", {"minimum_amount": 60}),
        ("monthly", "2024-04-01", {"minimum_amount": 62, "ends_at": "2024-04-07"}),
    ],
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    directory = tmp_path_factory.mktemp("versions")
    write_inputs(directory, CASES, PLANS, PRICES, COUPONS, USAGE)
    found = run_pipeline(directory, "2024-04", "UTC")
    differences = compare(found, bill(directory, "2024-04"), read(directory))
    assert not differences, "\n".join(map(str, differences))
    return found


def write_inputs(
    directory: Path,
    cases: Mapping[str, list[tuple[str, str, dict[str, Any]]]],
    plans: list[dict[str, Any]],
    prices: list[dict[str, Any]],
    coupons: list[dict[str, Any]],
    usage: list[tuple[str, str, int]],
) -> None:
    """A data directory with a customer for each case. The last version ends with the cell
    `ends_at`, or never; a version whose `gap` is true does not go on from the one before."""
    versions: list[dict[str, Any]] = []
    for name, rows in cases.items():
        starts = [start for _, start, _ in rows]
        for (plan, start, cells), end in zip(rows, [*starts[1:], ""], strict=True):
            ids = {"subscription_id": name, "customer_id": name, "plan_id": plan}
            versions.append({**ids, "starts_at": start, "ends_at": end, **cells})
    events: dict[str, list[dict[str, Any]]] = {}
    for name in cases:
        for number, (event_name, at, quantity) in enumerate(usage):
            ids = {"event_id": f"{name} {number}", "customer_id": name, "event_name": event_name}
            cells = {"occurred_at": at, "quantity": quantity, "properties": ""}
            events.setdefault(at[:7], []).append({**ids, **cells})
    meters = [{"meter_id": name, "event_name": name, "aggregation": "sum"}
              for name in sorted({name for name, _, _ in usage})]  # fmt: skip
    _write(directory / "catalog/meters.csv", meters)
    _write(directory / "catalog/plans.csv", plans)
    _write(directory / "catalog/prices.csv", prices)
    _write(directory / "catalog/coupons.csv", coupons)
    customers = [{"customer_id": name, "currency": "USD"} for name in cases]
    _write(directory / "accounts/customers.csv", customers)
    _write(directory / "accounts/subscriptions.csv", versions)
    for month, rows_of_month in events.items():
        _write(directory / f"usage/{month}/usage.csv", rows_of_month)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def charges(tables: Tables, name: str) -> list[tuple[object, ...]]:
    """Price, start and end of the service period (month and day), amount."""
    rows = [row for row in tables["charges"] if row["subscription_id"] == name]
    return sorted(
        (row["price_id"], f"{row['period_start']:%m-%d}", f"{row['period_end']:%m-%d}",
         row["amount"].normalize())
        for row in rows
    )  # fmt: skip


def lines(tables: Tables, name: str, kind: str) -> list[object]:
    rows = [row for row in tables["invoice_lines"] if row["customer_id"] == name]
    return [row["amount"].normalize() for row in rows if row["kind"] == kind]


def test_a_change_of_seats_is_charged_by_its_share(tables: Tables) -> None:
    assert charges(tables, "seats") == [
        ("seat", "04-01", "04-16", 15),
        ("seat", "04-16", "05-01", 25),
    ]
    texts = sorted(r["description"] for r in tables["charges"] if r["subscription_id"] == "seats")
    assert texts == ["3 seats", "5 seats"]


def test_a_version_with_the_same_plan_and_quantity_cuts_no_fee(tables: Tables) -> None:
    assert charges(tables, "same seats") == [("seat", "04-01", "05-01", 30)]
    assert lines(tables, "same seats", "discount") == [-10]


def test_a_fee_in_advance_is_refunded_and_charged_again(tables: Tables) -> None:
    """April was charged at 3 on March's invoice; 15 days of it are given back."""
    assert charges(tables, "ahead") == [
        ("seat-ahead", "04-16", "04-25", 15),
        ("seat-ahead", "04-16", "05-01", -15),
        ("seat-ahead", "04-25", "05-01", 4),
        ("seat-ahead", "05-01", "06-01", 20),
    ]


def test_a_period_in_advance_is_charged_at_the_version_of_its_first_instant(
    tables: Tables,
) -> None:
    assert charges(tables, "ahead at the edge") == [("seat-ahead", "05-01", "06-01", 50)]


def test_a_fee_that_is_not_prorated_is_cut_by_no_change_of_quantity(tables: Tables) -> None:
    assert charges(tables, "desk") == [("desk", "04-01", "05-01", 30)]


def test_usage_goes_on_over_a_change_of_seats(tables: Tables) -> None:
    assert charges(tables, "calls") == [
        ("call", "04-01", "05-01", 5),
        ("call-fee", "04-01", "04-16", 15),
        ("call-fee", "04-16", "05-01", 25),
    ]


def test_packages_line_minimum_and_coupon_count_once(tables: Tables) -> None:
    assert charges(tables, "packages") == [("package", "04-01", "05-01", 20)]
    assert lines(tables, "packages", "discount") == [-10]


def test_each_plan_is_charged_for_its_part(tables: Tables) -> None:
    assert charges(tables, "upgrade") == [
        ("pro-fee", "04-16", "05-01", 30),
        ("seat", "04-01", "04-16", 15),
    ]


def test_the_trial_goes_on_over_a_change_of_plan(tables: Tables) -> None:
    """Ten days from the 11th, on either plan; 10 of 30 days are paid."""
    assert charges(tables, "trial goes on") == [("pro-fee", "04-21", "05-01", 20)]


def test_a_coupons_months_are_counted_over_the_versions(tables: Tables) -> None:
    """5 of 10 and 30 of 60: February is the first of three months, or January."""
    assert lines(tables, "coupon goes on", "discount") == [Decimal("-3.5")]
    assert lines(tables, "coupon is over", "discount") == []
    assert lines(tables, "monthly coupon comes", "discount") == [Decimal("-3.1")]
    assert lines(tables, "monthly coupon is over", "discount") == []


def test_unused_time_comes_back_at_the_price_that_was_paid(tables: Tables) -> None:
    """15 of 30 for April come back, of which a tenth was not paid; 5 and, for May, 10 are due."""
    assert lines(tables, "coupon is dropped", "discount") == [Decimal("1.5")]
    assert lines(tables, "coupon comes", "discount") == [Decimal("-1.5")]


def test_the_minimum_is_the_sum_of_the_versions_minimums(tables: Tables) -> None:
    """60 and 90 for half a month each, less 5 for usage; 60 over both plans, less 5 and 30."""
    assert lines(tables, "minimums", "minimum") == [70]
    [line] = [
        row for row in tables["invoice_lines"]
        if row["customer_id"] == "minimums" and row["kind"] == "minimum"
    ]  # fmt: skip
    assert line["description"] == "Minimum of 60 and 90 USD: the rest"
    half = "× 1296000 / 2592000 seconds of the period"
    assert line["calculation"] == (
        f"minimum 60; {half}; minimum 90; {half}; less 5 charged; rounded to 70.00 USD"
    )
    assert lines(tables, "one minimum", "minimum") == [25]


def test_periods_of_two_cycles_have_each_its_minimum_though_they_begin_together(
    tables: Tables,
) -> None:
    """20 of 30 days: 40 less 20. 6 of 31 days: 12 less 6."""
    assert sorted(lines(tables, "two cycles", "minimum")) == [6, 20]


def test_periods_of_thirty_days_are_counted_from_the_first_version(tables: Tables) -> None:
    """20 days of 30 at 30, and 10 of 30 at 60."""
    assert charges(tables, "anniversary") == [
        ("cycle-fee", "03-12", "04-01", 20),
        ("cycle-pro-fee", "04-01", "04-11", 20),
    ]
