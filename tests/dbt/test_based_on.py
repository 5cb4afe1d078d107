"""Plans that are based on others: what they have of them, and for how long.

What belongs here: worked numbers of `based_on` and `replaces`. What does not: what is refused
(tests/unit/intake/test_inheritance.py).
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from pathlib import Path

import pytest

from tests.dbt.price_books import PriceBook, amounts, charges_of
from tests.property.harness import Tables

EU = {"region": "eu"}


def price_book() -> PriceBook:
    book = PriceBook()
    for name in ("calls", "disk", "more"):
        book.meter(name)
    book.add("catalog/plans", plan_id="base", name="Base", trial_days=0)
    fee = {"charge_model": "flat", "flat_amount": "30", "timing": "advance"}
    book.price("base", "fee", "", **fee)
    book.price("base", "eu", "calls", filter=EU)
    book.price("base", "rest", "calls", filter_rest="true", unit_amount="0.1")
    book.price("base", "disk", "disk", unit_amount="2")
    for feature, limit in (("calls", 100), ("disk", 10)):
        row = {"feature": feature, "meter_id": feature, "limit_quantity": limit}
        book.add("catalog/entitlements", plan_id="base", **row)

    # A contract, one on top of it, and a variant in periods of 30 days
    book.add("catalog/plans", plan_id="acme", name="Acme", based_on="base")
    april = {"valid_from": "2024-04-11", "valid_to": "2024-04-21"}
    book.price("acme", "acme-eu", "calls", replaces="eu", filter=EU, unit_amount="0.5", **april)
    limit = {"meter_id": "calls", "limit_quantity": 1000}
    book.add("catalog/entitlements", plan_id="acme", feature="acme", replaces="calls", **limit)
    book.add("catalog/plans", plan_id="acme-2", name="Acme 2", based_on="acme")
    book.price("acme-2", "acme-2-disk", "disk", replaces="disk", unit_amount="1")
    book.add("catalog/plans", plan_id="thirty", based_on="base", billing_cycle="30_days")
    book.add("catalog/plans", plan_id="thirty-2", based_on="thirty", trial_days="2")

    # Tiers of one version of an inherited price, which is cut in two by another
    version = {"valid_from": "2024-04-03"}
    tiered = {"charge_model": "volume"}
    book.price("base", "tiered", "more", **tiered, valid_to="2024-04-03")
    book.price("base", "tiered", "more", **tiered, **version)
    book.add("catalog/price_tiers", price_id="tiered", unit_amount="1")
    book.add("catalog/price_tiers", price_id="tiered", up_to="9", unit_amount="2", **version)
    book.add("catalog/price_tiers", price_id="tiered", unit_amount="3", **version)
    book.price("acme", "acme-tiered", "more", replaces="tiered", unit_amount="7", **april)

    for customer, plan in (("base", "base"), ("acme", "acme"), ("acme-2", "acme-2")):
        book.customer(customer, plan)
    book.customer("thirty", "thirty-2", starts_at="2024-03-10")
    book.customer("moving", "base", ends_at="2024-04-16")
    book.subscribe("moving", "moving", "acme", starts_at="2024-04-16")
    for customer in ("base", "acme", "acme-2", "moving"):
        for day in ("05", "15", "25"):
            book.use(customer, "calls", 10, f"2024-04-{day}", properties=EU)
            book.use(customer, "calls", 100, f"2024-04-{day}", properties={"region": "us"})
        for day in ("02", "05", "15", "25"):
            book.use(customer, "more", int(day), f"2024-04-{day}")
        book.use(customer, "disk", 7, "2024-04-20")
    book.use("thirty", "disk", 5, "2024-03-11")
    book.use("thirty", "disk", 5, "2024-03-20")
    return book


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    directory: Path = tmp_path_factory.mktemp("based")
    return price_book().rate(directory, "2024-04")


def numbers(*values: str) -> list[Decimal]:
    return [Decimal(value).normalize() for value in values]


def test_a_plan_has_what_it_is_based_on(rated: Tables) -> None:
    base = {"fee": numbers("30"), "eu": numbers("30"), "rest": numbers("30"), "disk": numbers("14")}
    base["tiered"] = numbers("2", "135")  # 2 × 1, and 45 × 3 by the version's own tiers
    assert amounts(rated, "base") == base
    # Replaced from the 11th to the 20th: before and after it, the base's price has its own lines
    acme = {**base, "eu": numbers("10", "10"), "acme-eu": numbers("5")}
    acme["tiered"], acme["acme-tiered"] = numbers("2", "10", "75"), numbers("105")
    assert amounts(rated, "acme") == acme
    assert charges_of(rated, "acme")["disk"][0]["plan_id"] == "acme"


def test_a_plan_has_what_a_plan_that_is_based_on_another_has(rated: Tables) -> None:
    expected = amounts(rated, "acme")
    del expected["disk"]
    assert amounts(rated, "acme-2") == {**expected, "acme-2-disk": numbers("7")}


def test_trial_and_cycle_are_those_of_the_nearest_plan_that_has_them(rated: Tables) -> None:
    # The trial of 2 days takes the first 5; the period of 30 days ends on 9 April
    (disk,) = charges_of(rated, "thirty")["disk"]
    assert (disk["exact_amount"], disk["period_start"].day) == (Decimal(10), 12)


def test_a_change_between_plans_with_the_same_price_is_two_charges(rated: Tables) -> None:
    found = charges_of(rated, "moving")
    assert [(row["plan_id"], row["exact_amount"]) for row in found["rest"]] == [
        ("base", Decimal(20)),
        ("acme", Decimal(10)),
    ]
    fees = {(row["plan_id"], row["kind"]): row["exact_amount"] for row in found["fee"]}
    assert fees == {
        ("base", "advance_credit"): Decimal(-15),
        ("acme", "advance_start"): Decimal(15),
        ("acme", "advance"): Decimal(30),
    }
    # Charged in advance by one plan and, from the same instant, by the other: not the same charge
    (started,) = (row for row in found["fee"] if row["kind"] == "advance_start")
    start = int(started["period_start"].timestamp()) * 10**6
    named = f"moving|fee|advance_start|{start}\nacme"
    assert started["charge_id"] == f"ch_{hashlib.md5(named.encode()).hexdigest()[:24]}"


def test_entitlements_are_inherited_and_replaced(rated: Tables) -> None:
    limits = {
        customer: {
            row["feature"]: row["limit_quantity"]
            for row in rated["entitlement_usage"]
            if row["customer_id"] == customer
        }
        for customer in ("base", "acme", "acme-2", "thirty")
    }
    base = {"calls": Decimal(100), "disk": Decimal(10)}
    contract = {"acme": Decimal(1000), "disk": Decimal(10)}
    assert limits == {"base": base, "acme": contract, "acme-2": contract, "thirty": base}
