"""Events that name the subscription which they count for, in every format of usage files.

What belongs here: worked quantities and amounts, and rows that name a wrong subscription. What does
not: random worlds (tests/property).
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.dbt.company import LONG_AGO, Billed, Company, billed

FILES = ("a.csv", "b.jsonl", "c.parquet", "d.csv.gz", "e.jsonl.gz", "typed.parquet")


class Departments(Company):
    """Customers with two subscriptions, `NAME a` and `NAME b`, to one plan."""

    def two(self, name: str, aggregation: str, **cells: object) -> None:
        self.customer(name)
        self.plan(name)
        for department in ("a", "b"):
            ids = {"subscription_id": f"{name} {department}", "customer_id": name}
            self.world.add("subscriptions", plan_id=name, starts_at=LONG_AGO, **ids)
        self.metered(name, "per_unit", aggregation, unit_amount="0.10", prorate="false", **cells)

    def read(self, name: str, value: str, at: str, named: str = "", **cells: object) -> None:
        number = len(self.world.usage)
        self.world.event(
            at[:7],
            **{"file": FILES[number % len(FILES)], "event_id": f"{name} {number}"}
            | {"customer_id": name, "event_name": name, "occurred_at": f"{at}T00:00:00Z"}
            | {"quantity": value, "subscription_id": named and f"{name} {named}"}
            | cells,
        )


@pytest.fixture(scope="module")
def april(tmp_path_factory: pytest.TempPathFactory) -> Billed:
    company = Departments()
    company.two("calls", "sum")
    company.read("calls", "60", "2024-04-05", "a")
    company.read("calls", "40", "2024-04-06", "b")
    company.two("shared", "sum")
    for value, named in (("60", "a"), ("40", "b"), ("5", "")):
        company.read("shared", value, "2024-04-05", named)
    company.two("seats", "latest", carry_forward="true")
    for value, at, named in (("7", "2024-03-10", "a"), ("3", "2024-03-20", "b")):
        company.read("seats", value, at, named)
    company.read("seats", "4", "2024-04-20", "b")
    company.two("counter", "counter")
    for value, day, named in ((100, 1, "a"), (1000, 2, "b"), (150, 3, "a"), (1010, 4, "b")):
        company.read("counter", str(value), f"2024-04-{day:02d}", named)
    company.two("limited", "sum")
    company.world.add("entitlements", plan_id="limited", feature="f", meter_id="limited")
    for value, named in (("60", "a"), ("40", "b")):
        company.read("limited", value, "2024-04-05", named)
    _add_one_subscription(company)
    _add_wrong_names(company)
    return billed(company, "2024-04", "UTC", tmp_path_factory.mktemp("named"))


def _add_one_subscription(company: Departments) -> None:
    company.whole("one")
    company.metered("one", "per_unit", unit_amount="0.10")
    company.read("one", "60", "2024-04-05", subscription_id="one")
    company.read("one", "40", "2024-04-06")


def _add_wrong_names(company: Departments) -> None:
    company.two("wrong", "sum")
    for file in FILES:
        company.read("wrong", "1", "2024-04-05", "c", file=file)
        cells = {"file": file, "subscription_id": "calls a"}
        company.read("wrong", "1", "2024-04-05", **cells)
    same = {"file": "a.csv", "event_id": "again"}
    company.read("wrong", "3", "2024-04-05", "a", **same)
    company.read("wrong", "3", "2024-04-05", "a", **same)
    company.read("wrong", "3", "2024-04-05", "b", **same)
    company.read("wrong", "3", "2024-04-05", **same)


@pytest.mark.parametrize(
    ("name", "quantities"),
    [
        ("calls", (60, 40)),  # 10.00 together, not twice that
        ("shared", (65, 45)),  # what names none counts for both
        ("seats", (7, 4)),  # each has its own last value
        ("counter", (50, 10)),  # and its own running total
        ("limited", (60, 40)),
        ("wrong", (3, 0)),
    ],
)
def test_what_names_a_subscription_counts_for_that_one_only(
    april: Billed, name: str, quantities: tuple[int, int]
) -> None:
    for department, quantity in zip("ab", quantities, strict=True):
        charge = april.charge(f"{name} {department}")
        assert charge["quantity"] == quantity
        assert charge["amount"] == quantity * Decimal("0.10")


def test_a_limit_counts_the_usage_of_all_subscriptions(april: Billed) -> None:
    (row,) = april.tables["entitlement_usage"]
    assert row["used"] == 100


def test_the_only_subscription_may_be_named_or_not(april: Billed) -> None:
    assert april.charge("one")["quantity"] == 100


def test_an_unknown_subscription_or_another_customer_s_is_rejected(april: Billed) -> None:
    found = [row for row in april.tables["usage_rejections"] if "wrong" in row["event_id"]]
    assert {row["reason"] for row in found} == {"unknown_subscription"}
    assert sorted(row["source_file"] for row in found) == sorted(
        f"usage/2024-04/{file}" for file in [*FILES, *FILES]
    )
    assert all('"subscription_id":' in row["raw"].replace('": ', '":') for row in found)


def test_the_same_event_for_another_subscription_is_in_conflict(april: Billed) -> None:
    found = [row for row in april.tables["usage_rejections"] if row["event_id"] == "again"]
    assert [row["reason"] for row in found] == ["conflicting_duplicate"] * 2


def test_a_row_that_names_none_is_shown_as_it_was(tmp_path: Path) -> None:
    company = Departments()
    company.two("calls", "sum")
    for file in ("a.csv", "c.parquet"):
        company.read("calls", "-1", "2024-04-05", file=file)
    company.read("calls", "1", "2024-04-05", "a", file="c.parquet")
    found = billed(company, "2024-04", "UTC", tmp_path).tables["usage_rejections"]
    assert len(found) == 2
    assert not any("subscription_id" in row["raw"] for row in found)
