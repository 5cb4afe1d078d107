"""Prices with intervals of their own and anniversaries, worked out by hand; the oracle must agree.

What belongs here: when a week, a quarter or a year is charged, and what it costs in part. What does
not: what a change of quantity does within a month (test_versions.py).

All is June 2024 in UTC: 30 days of a leap year, the last of a quarter and a half-year.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.dbt.test_versions import charges, lines, write_inputs
from tests.property.harness import Tables, compare, run_pipeline
from tests.property.oracle import bill
from tests.property.tables import read

PLANS: list[dict[str, Any]] = [
    {"plan_id": name}
    for name in ("quarter", "year-ahead", "week", "half-year", "pro", "mixed", "quarter-fee")
] + [
    {"plan_id": name, "billing_cycle": "anniversary"}
    for name in ("month", "month-ahead", "long", "long-minimum", "quarter-ahead")
]
FEE = {"charge_model": "flat"}
CALLS = {"meter_id": "calls", "charge_model": "per_unit", "unit_amount": "0.01",
         "included_quantity": 1000, "interval": "quarter"}  # fmt: skip
YEAR = {"charge_model": "per_unit", "unit_amount": 120, "interval": "year"}
PRICES: list[dict[str, Any]] = [
    {"price_id": "q-calls", "plan_id": "quarter", **CALLS},
    {"price_id": "m-calls", "plan_id": "long", **CALLS},
    {"price_id": "n-calls", "plan_id": "long-minimum", "meter_id": "calls",
     "charge_model": "per_unit", "unit_amount": "0.02", "interval": "quarter"},
    {"price_id": "y", "plan_id": "year-ahead", **YEAR, "timing": "advance"},
    {"price_id": "w", "plan_id": "week", **FEE, "flat_amount": 7, "interval": "week"},
    {"price_id": "h", "plan_id": "half-year", **FEE, "flat_amount": 60, "interval": "half_year"},
    {"price_id": "p", "plan_id": "pro", **FEE, "flat_amount": 60},
    {"price_id": "mix-year", "plan_id": "mixed", **YEAR, "timing": "advance"},
    {"price_id": "mix-month", "plan_id": "mixed", **FEE, "flat_amount": 30},
    {"price_id": "qf", "plan_id": "quarter-fee", **FEE, "flat_amount": 91, "interval": "quarter"},
    {"price_id": "a", "plan_id": "month", **FEE, "flat_amount": 30},
    {"price_id": "aa", "plan_id": "month-ahead", **FEE, "flat_amount": 30, "timing": "advance"},
    {"price_id": "qa", "plan_id": "quarter-ahead", **FEE, "flat_amount": 90,
     "interval": "quarter", "timing": "advance"},
]  # fmt: skip
COUPONS: list[dict[str, Any]] = [{"coupon_id": "once", "percent_off": 10, "duration": "once"}]
USAGE = [("calls", "2024-04-10", 750), ("calls", "2024-06-20", 750)]
CASES: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "usage of a quarter": [("quarter", "2024-01-01", {})],
    "usage of a quarter, cut": [("quarter", "2024-01-01", {}), ("pro", "2024-06-11", {})],
    "usage of a later quarter": [("long", "2024-05-15", {})],
    "usage from an anniversary on": [("long", "2024-03-20", {})],
    "year ahead": [("year-ahead", "2024-06-16", {})],
    "year ahead, more seats": [
        ("year-ahead", "2024-01-01", {"quantity": 3}),
        ("year-ahead", "2024-06-16", {"quantity": 5}),
    ],
    "year ahead, ended": [("year-ahead", "2023-01-01", {"ends_at": "2024-06-16"})],
    "weeks": [("week", "2024-01-01", {})],
    "half-year": [("half-year", "2024-01-01", {})],
    "a fee of a quarter, cut": [("quarter-fee", "2024-01-01", {}), ("pro", "2024-06-11", {})],
    "31st": [("month", "2024-01-31", {})],
    "anniversary, ended": [("month", "2024-01-10", {"ends_at": "2024-06-20"})],
    "anniversary ahead": [("month-ahead", "2024-06-15", {})],
    "anniversary ahead, next": [("month-ahead", "2024-01-15", {})],
    "quarter ahead of an anniversary": [("quarter-ahead", "2024-01-15", {})],
    "mixed": [("mixed", "2024-06-01", {"minimum_amount": 200})],
    "quarter and month begin together": [
        ("long-minimum", "2024-03-10", {"ends_at": "2024-06-25", "minimum_amount": 20})
    ],
    "coupon": [("month", "2024-05-15", {"coupon_id": "once"})],
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    directory: Path = tmp_path_factory.mktemp("intervals")
    write_inputs(directory, CASES, PLANS, PRICES, COUPONS, USAGE)
    found = run_pipeline(directory, "2024-06", "UTC")
    differences = compare(found, bill(directory, "2024-06"), read(directory))
    assert not differences, "\n".join(map(str, differences))
    return found


def test_usage_of_a_quarter_is_charged_when_it_ends(tables: Tables) -> None:
    """1,500 calls, 1,000 of them included: April's are read in June."""
    assert charges(tables, "usage of a quarter") == [("q-calls", "04-01", "07-01", 5)]
    assert charges(tables, "usage of a later quarter") == []
    assert charges(tables, "usage from an anniversary on") == [("m-calls", "03-20", "06-20", 0)]


def test_what_a_change_of_plan_cuts_is_charged_in_its_month(tables: Tables) -> None:
    """71 of 91 days of a fee of 91."""
    assert charges(tables, "usage of a quarter, cut") == [
        ("p", "06-11", "07-01", 40),
        ("q-calls", "04-01", "06-11", 0),
    ]
    assert charges(tables, "a fee of a quarter, cut") == [
        ("p", "06-11", "07-01", 40),
        ("qf", "04-01", "06-11", 71),
    ]


def test_a_year_in_advance(tables: Tables) -> None:
    """199 of 366 days are left; a change of seats gives them back and charges them anew."""
    left = Decimal("65.25")
    assert charges(tables, "year ahead") == [("y", "06-16", "01-01", left)]
    assert charges(tables, "year ahead, more seats") == [
        ("y", "06-16", "01-01", Decimal("-195.74")),
        ("y", "06-16", "01-01", Decimal("326.23")),
    ]
    assert charges(tables, "year ahead, ended") == [("y", "06-16", "01-01", -left)]


def test_weeks_begin_on_monday(tables: Tables) -> None:
    days = ["05-27", "06-03", "06-10", "06-17", "06-24", "07-01"]
    assert charges(tables, "weeks") == [("w", *edges, 7) for edges in pairwise(days)]
    assert charges(tables, "half-year") == [("h", "01-01", "07-01", 60)]


def test_an_anniversarys_month_is_charged_when_it_ends(tables: Tables) -> None:
    """On the last day of a shorter month; what is cut, in the month of the cut: 10 of 30 days."""
    assert charges(tables, "31st") == [("a", "05-31", "06-30", 30)]
    assert charges(tables, "anniversary, ended") == [
        ("a", "05-10", "06-10", 30),
        ("a", "06-10", "06-20", 10),
    ]


def test_a_period_in_advance_is_charged_in_the_month_before_it_begins(tables: Tables) -> None:
    assert charges(tables, "anniversary ahead") == [
        ("aa", "06-15", "07-15", 30),
        ("aa", "07-15", "08-15", 30),
    ]
    assert charges(tables, "anniversary ahead, next") == [("aa", "07-15", "08-15", 30)]
    assert charges(tables, "quarter ahead of an anniversary") == [("qa", "07-15", "10-15", 90)]


def test_prices_of_two_intervals_count_towards_one_minimum(tables: Tables) -> None:
    """A year from June on is 120 × 214 ÷ 366 = 70.16, the month 30.00."""
    assert charges(tables, "mixed") == [
        ("mix-month", "06-01", "07-01", 30),
        ("mix-year", "06-01", "01-01", Decimal("70.16")),
    ]
    assert lines(tables, "mixed", "minimum") == [Decimal("99.84")]


def test_a_quarter_that_begins_with_a_month_counts_in_the_first_month(tables: Tables) -> None:
    """Two quarters of 15.00 each are more than the 20 of the first month; of the second, which is
    cut after 15 of its 30 days, 10 are due."""
    name = "quarter and month begin together"
    assert charges(tables, name) == [
        ("n-calls", "03-10", "06-10", 15),
        ("n-calls", "06-10", "06-25", 15),
    ]
    assert lines(tables, name, "minimum") == [10]


def test_a_coupons_first_month_is_that_of_the_first_invoice(tables: Tables) -> None:
    assert lines(tables, "coupon", "discount") == [-3]
