"""What usage costs, and what it leaves: worked numbers of `catalog/costs/` and the table `margins`.

What belongs here: which usage a cost is of, how often it counts, and what stands beside it. What
does not: what is refused (tests/unit/intake/test_costs.py).
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.dbt.price_books import PriceBook
from tests.property.harness import Tables

EU, US = {"region": "eu"}, {"region": "us"}
Margin = tuple[str, str, str, str, str, str]


def cost(book: PriceBook, meter: str, name: str = "", **cells: object) -> None:
    row = {"price_id": name or meter, "meter_id": meter, "charge_model": "per_unit"}
    if cells.get("charge_model", "per_unit") == "per_unit":
        row["unit_amount"] = "0.5"
    book.add("catalog/costs/prices", **{**row, **cells})


def company() -> PriceBook:
    book = PriceBook()
    for name in ("calls", "disk", "mail", "jobs", "odd"):
        book.meter(name)
    book.meter("seats", "max")
    book.meter("sizes", property="size")
    book.meter("kept", "latest", carry_forward="true")
    book.meter("room", "gauge_hours", carry_forward="true")
    for plan in ("pro", "flat", "addon", "trial", "off", "euro", "anniversary", "yearly"):
        cells = {"trial_days": 10} if plan == "trial" else {}
        if plan in ("anniversary", "yearly"):
            cells = {"billing_cycle": "anniversary"}
        book.add("catalog/plans", plan_id=plan, name=plan, **cells)
        book.price(plan, f"{plan}-fee", "", charge_model="flat", flat_amount="30")
    for plan in ("pro", "trial", "anniversary", "off"):
        book.price(plan, f"{plan}-calls", "calls", unit_amount="2", included_quantity="10")
    book.price("pro", "calls", "jobs")
    book.price("pro", "pro-seats", "seats", unit_amount="4")
    book.price("euro", "euro-calls", "calls", currency="EUR")
    book.add("catalog/entitlements", plan_id="addon", feature="disk", meter_id="disk")
    # A cost may be named like a price, and like one of another meter
    cost(book, "calls", "pro-calls")
    cost(book, "disk", charge_model="graduated", minimum_amount="1")
    book.add("catalog/costs/price_tiers", price_id="disk", up_to="10", unit_amount="0.0003")
    book.add("catalog/costs/price_tiers", price_id="disk", unit_amount="0.1", flat_amount="2")
    cost(book, "mail", "mail-eu", filter=EU, unit_amount="3")
    cost(book, "mail", "mail-rest", filter_rest="true", unit_amount="1")
    cost(book, "seats", unit_amount="1")
    cost(book, "jobs", unit_amount="1", valid_to="2024-04-11")
    cost(book, "jobs", unit_amount="7", valid_from="2024-04-11", minimum_amount="5")
    cost(book, "sizes", unit_amount="1")
    cost(book, "kept", unit_amount="2")
    # Holds for a microsecond
    edges = {"valid_from": "2024-04-11", "valid_to": "2024-04-11T00:00:00.000001"}
    cost(book, "room", charge_model="graduated", **edges)
    book.add("catalog/costs/price_tiers", price_id="room", unit_amount="1", flat_amount="2")
    book.add("catalog/coupons", coupon_id="half", percent_off="50", duration="forever")

    book.customer("included", "pro")
    book.use("included", "calls", 4, "2024-04-03")
    book.use("included", "calls", 16, "2024-04-20")
    book.use("included", "jobs", 3, "2024-04-10")
    book.use("included", "jobs", 2, "2024-04-11")
    book.use("included", "seats", 6, "2024-04-02")

    book.customer("discounted", "pro", coupon_id="half")
    book.use("discounted", "calls", 20, "2024-04-03")

    book.customer("unlimited", "flat")
    book.use("unlimited", "disk", "12.5", "2024-04-03")
    book.use("unlimited", "mail", 2, "2024-04-03", properties=EU)
    book.use("unlimited", "mail", 5, "2024-04-03", properties=US)
    book.use("unlimited", "odd", 5, "2024-04-03")

    book.customer("tiny", "addon")
    book.use("tiny", "disk", 1, "2024-04-03")

    book.customer("trial", "trial", starts_at="2024-04-01", trial_ends_at="2024-04-11")
    book.use("trial", "calls", 8, "2024-04-10")
    book.use("trial", "calls", 12, "2024-04-12")

    book.customer("speck", "flat")
    book.use("speck", "room", "0.000000000000000001", "2024-04-03")

    # Usage of no subscription, and before the subscription begins
    book.customer("nobody")
    book.use("nobody", "calls", 9, "2024-04-03")
    book.customer("late", "pro", starts_at="2024-04-11", ends_at="2024-04-21")
    for day, quantity in (("10", 1), ("11", 20), ("21", 4)):
        book.use("late", "calls", quantity, f"2024-04-{day}")

    # Several subscriptions: the one that prices the meter, else has a limit, else the first
    book.customer("several", "flat")
    book.subscribe("several-pro", "several", "pro", starts_at="2024-04-11")
    book.subscribe("several-addon", "several", "addon", starts_at="2024-04-16")
    for day in ("10", "12", "20"):
        book.use("several", "calls", 10, f"2024-04-{day}")
        book.use("several", "disk", 10, f"2024-04-{day}")

    # Two that charge the same usage: it costs once; what names one is for that one
    for name in ("twice", "named"):
        book.customer(name, "off", starts_at="2024-02-01")
        book.subscribe(f"{name}-pro", name, "pro", ends_at="2024-04-16")
        book.use(name, "calls", 20, "2024-04-03")
    book.use("named", "calls", 4, "2024-04-04", subscription_id="named")
    book.use("named", "calls", 8, "2024-04-20", subscription_id="named-pro")
    book.use("named", "calls", 16, "2024-04-20")

    # Nothing is converted
    book.customer("euro", "euro")
    book.use("euro", "calls", 7, "2024-04-03")

    # The period that is invoiced, not the month
    book.customer("anniversary", "anniversary", starts_at="2024-02-20")
    book.use("anniversary", "calls", 3, "2024-03-25")
    book.use("anniversary", "calls", 50, "2024-04-25")

    book.customer("yearly", "yearly", starts_at="2024-02-20")
    book.use("yearly", "calls", 6, "2024-03-25")
    book.use("yearly", "kept", 4, "2024-02-21")

    # Usage that nobody is billed for costs as well
    book.add("accounts/customers", customer_id="unbilled", currency="USD", is_payer="false")
    book.subscribe("unbilled", "unbilled", "pro")
    book.use("unbilled", "calls", 20, "2024-04-03")

    book.customer("unread", "flat")
    book.use("unread", "sizes", 1, "2024-04-03")
    book.use("unread", "sizes", 1, "2024-04-04", properties={"size": "3"})
    return book


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    directory: Path = tmp_path_factory.mktemp("margins")
    return company().rate(directory, "2024-04")


def margins(tables: Tables, customer: str) -> list[Margin]:
    """Plan, meter, currency, revenue, cost and margin of a customer's rows with a meter."""
    return sorted(
        (
            row["plan_id"] or "",
            row["meter_id"],
            row["currency"],
            *(f"{row[name].normalize():f}" for name in ("revenue", "cost", "margin")),
        )
        for row in tables["margins"]
        if row["customer_id"] == customer and row["meter_id"] is not None
    )


def test_included_usage_costs_and_prices_change(rated: Tables) -> None:
    assert margins(rated, "included") == [
        ("pro", "calls", "USD", "20", "10", "10"),
        # a minimum is of each version; 3 × 1, and 2 × 7
        ("pro", "jobs", "USD", "5", "17", "-12"),
        ("pro", "seats", "USD", "24", "6", "18"),
    ]
    [fee] = [
        row
        for row in rated["margins"]
        if row["customer_id"] == "included" and row["meter_id"] is None
    ]
    assert (fee["plan_id"], fee["revenue"], fee["cost"], fee["margin"]) == ("pro", 30, 0, 30)


def test_revenue_is_less_its_discounts(rated: Tables) -> None:
    assert ("pro", "calls", "USD", "10", "10", "0") in margins(rated, "discounted")


def test_usage_that_nothing_charges_costs(rated: Tables) -> None:
    """10 × 0.0003 + 2.5 × 0.1 + 2 = 2.253; 2 × 3 and 5 × 1; what has no cost has no row."""
    assert margins(rated, "unlimited") == [
        ("flat", "disk", "USD", "0", "2.25", "-2.25"),
        ("flat", "mail", "USD", "0", "11", "-11"),
    ]
    [disk] = [
        row
        for row in rated["margins"]
        if (row["customer_id"], row["meter_id"]) == ("unlimited", "disk")
    ]
    assert disk["exact_cost"] == Decimal("2.253")


def test_a_minimum_counts_where_something_is_used_or_sold(rated: Tables) -> None:
    assert margins(rated, "tiny") == [("addon", "disk", "USD", "0", "1", "-1")]
    assert ("pro", "jobs", "USD", "0", "5", "-5") in margins(rated, "discounted")


def test_what_is_too_little_to_be_shown_costs_as_well(rated: Tables) -> None:
    """10^-18 for a microsecond is below the 18 places of a quantity, and in the first tier."""
    assert margins(rated, "speck") == [("flat", "room", "USD", "0", "2", "-2")]


def test_usage_in_a_trial_costs_with_the_rest(rated: Tables) -> None:
    """12 less 10 included at 2; 20 × 0.5."""
    assert margins(rated, "trial") == [("trial", "calls", "USD", "4", "10", "-6")]


def test_usage_without_a_subscription_is_of_no_plan(rated: Tables) -> None:
    assert margins(rated, "nobody") == [("", "calls", "USD", "0", "4.5", "-4.5")]
    assert [row for row in margins(rated, "late") if row[1] == "calls"] == [
        ("", "calls", "USD", "0", "2.5", "-2.5"),
        ("pro", "calls", "USD", "20", "10", "10"),
    ]


def test_usage_costs_once_whatever_plans_there_are(rated: Tables) -> None:
    found = margins(rated, "several")
    assert [row for row in found if row[1] == "calls"] == [
        ("flat", "calls", "USD", "0", "5", "-5"),
        ("pro", "calls", "USD", "20", "10", "10"),
    ]
    # 20 units until the add-on begins: 0.003 + 10 × 0.1 + 2; then 10 × 0.0003, at least 1
    assert [row for row in found if row[1] == "disk"] == [
        ("addon", "disk", "USD", "0", "1", "-1"),
        ("flat", "disk", "USD", "0", "3", "-3"),
    ]
    # pro began first
    assert [row for row in margins(rated, "twice") if row[1] == "calls"] == [
        ("off", "calls", "USD", "20", "0", "20"),
        ("pro", "calls", "USD", "20", "10", "10"),
    ]


def test_what_names_a_subscription_costs_for_that_one(rated: Tables) -> None:
    """Pro has what names none until it ends, and what names it afterwards is of no plan."""
    assert [row for row in margins(rated, "named") if row[1] == "calls"] == [
        ("", "calls", "USD", "0", "4", "-4"),
        ("off", "calls", "USD", "60", "10", "50"),
        ("pro", "calls", "USD", "20", "10", "10"),
    ]


def test_nothing_is_converted(rated: Tables) -> None:
    assert margins(rated, "euro") == [
        ("euro", "calls", "EUR", "7", "0", "7"),
        ("euro", "calls", "USD", "0", "3.5", "-3.5"),
    ]


def test_costs_are_of_the_period_that_is_invoiced(rated: Tables) -> None:
    assert margins(rated, "anniversary") == [
        ("anniversary", "calls", "USD", "0", "1.5", "-1.5"),
    ]
    # also where nothing else is of an earlier month
    assert margins(rated, "yearly") == [
        ("yearly", "calls", "USD", "0", "3", "-3"),
        ("yearly", "kept", "USD", "0", "8", "-8"),
    ]


def test_nobody_pays_for_a_customer_who_is_no_payer(rated: Tables) -> None:
    assert ("pro", "calls", "USD", "0", "10", "-10") in margins(rated, "unbilled")


def test_an_event_that_a_cost_cannot_read_is_reported(rated: Tables) -> None:
    assert margins(rated, "unread") == [("flat", "sizes", "USD", "0", "3", "-3")]
    [issue] = [row for row in rated["usage_issues"] if row["meter_id"] == "sizes"]
    assert (issue["customer_id"], issue["reason"]) == ("unread", "missing_property")


def test_nobody_is_charged_a_cost(rated: Tables) -> None:
    prices = {row["price_id"] for row in rated["charges"]}
    assert not [name for name in prices if name.startswith("\n") or name in ("mail-eu", "disk")]
    assert {row["meter_id"] for row in rated["metered_usage"]} == {"calls", "jobs", "seats"}
    unpriced = {(row["customer_id"], row["event_name"]) for row in rated["unpriced_usage"]}
    assert {("unlimited", "disk"), ("unlimited", "mail"), ("nobody", "calls")} <= unpriced
