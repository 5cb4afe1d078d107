"""The oracle against totals that were worked out by hand: it judges others, so it is judged first.

What belongs here: small worlds whose expected numbers a person can redo from the comment beside
them. What does not: generated worlds (test_oracle_properties.py, test_against_oracle.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.property.intake import month_edges
from tests.property.oracle import Charge, Result, bill
from tests.property.tables import World
from tests.property.values import decimal_text, micros, read_instant, round_half_away

MONTH = "2024-04"  # 30 days


def plan(world: World, plan_id: str = "plan", **cells: object) -> None:
    world.add("plans", plan_id=plan_id, **cells)


def meter(world: World, meter_id: str, aggregation: str, **cells: object) -> None:
    cells.setdefault("event_name", meter_id)
    world.add("meters", meter_id=meter_id, aggregation=aggregation, **cells)


def price(world: World, price_id: str, charge_model: str, **cells: object) -> None:
    cells.setdefault("plan_id", "plan")
    world.add("prices", price_id=price_id, charge_model=charge_model, **cells)


def tiers(world: World, price_id: str, *rows: dict[str, object]) -> None:
    for row in rows:
        world.add("price_tiers", price_id=price_id, **row)


def customer(world: World, customer_id: str = "ada", **cells: object) -> None:
    cells.setdefault("currency", "USD")
    world.add("customers", customer_id=customer_id, **cells)


def subscribe(world: World, subscription_id: str = "sub", **cells: Any) -> None:
    cells.setdefault("customer_id", "ada")
    cells.setdefault("plan_id", "plan")
    cells.setdefault("starts_at", "2023-01-01T00:00:00Z")
    world.add("subscriptions", subscription_id=subscription_id, **cells)


def use(world: World, name: str, quantity: str, at: str = "2024-04-10", **cells: Any) -> None:
    cells.setdefault("customer_id", "ada")
    number = len(world.usage)
    month = at[:7] if "month" not in cells else str(cells.pop("month"))
    cells.setdefault("event_id", f"e{number}")
    world.event(month, event_name=name, quantity=quantity, occurred_at=at, **cells)


def only(result: Result, price_id: str) -> Charge:
    (charge,) = [charge for charge in result.charges.values() if charge.price_id == price_id]
    return charge


def amounts(result: Result) -> dict[str, str]:
    return {key[1]: decimal_text(charge.amount) for key, charge in result.charges.items()}


def totals(result: Result) -> dict[str, str]:
    return {key[0]: decimal_text(invoice.total) for key, invoice in result.invoices.items()}


def world_of_one(model: str, aggregation: str = "sum", **cells: Any) -> World:
    """One customer `ada` on one plan with one usage price `p` on one meter `units`."""
    world = World()
    plan(world)
    meter(world, "units", aggregation, property=cells.pop("property", None))
    price(world, "p", model, meter_id="units", **cells)
    customer(world)
    subscribe(world)
    return world


# --- the five systems ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used", "total"),
    [(["4.2", "3.7", "0.05"], "8"), (["8.00"], "8"), (["0.0001"], "1"), ([], None)],
)
def test_restoration(used: list[str], total: str | None) -> None:
    world = World()
    plan(world)
    meter(world, "m2", "sum", event_name="restored")
    price(world, "p", "per_unit", meter_id="m2", unit_amount="1.00", quantity_rounding="up")
    customer(world, currency="EUR")
    customer(world, "free", currency="EUR", is_payer="false")
    subscribe(world)
    subscribe(world, "sub2", customer_id="free")
    for quantity in used:
        use(world, "restored", quantity)
        use(world, "restored", quantity, customer_id="free")
    result = bill(world, MONTH)
    assert totals(result) == ({"ada": total} if total else {})
    assert {decimal_text(charge.amount) for charge in result.charges.values()} == {total or "0"}


SIZES = {"small": (20, 40, 30), "medium": (40, 80, 60), "large": (80, 160, 120)}
ENVIRONMENTS = ("development", "production", "analytics")
GAUGES = {
    "basic": [("licences", 2, {"tier": "basic"}), ("clusters", 1, ("small", "development"))],
    "professional": [
        ("licences", 5, {"tier": "professional"}),
        ("clusters", 2, ("medium", "production")),
        ("users", 3, {}),
        ("storage", 105, {}),
    ],
    "enterprise": [
        ("licences", 10, {"tier": "enterprise"}),
        ("clusters", 3, ("large", "production")),
        ("clusters", 2, ("large", "analytics")),
        ("users", 10, {}),
    ],
}


def platform(cycle: str) -> World:
    world = World()
    plan(world, billing_cycle=cycle)
    price(world, "base", "flat", flat_amount="10")
    for name in ("licences", "clusters", "users", "storage"):
        meter(world, name, "latest", carry_forward="true")
    for tier, amount in (("basic", 5), ("professional", 15), ("enterprise", 25)):
        cell = {"filter": {"tier": tier}, "unit_amount": amount}
        price(world, f"licence-{tier}", "per_unit", meter_id="licences", **cell)
    for size, row in SIZES.items():
        for environment, amount in zip(ENVIRONMENTS, row, strict=True):
            wanted = {"size": size, "environment": environment}
            cell = {"filter": wanted, "unit_amount": amount}
            price(world, f"{size}-{environment}", "per_unit", meter_id="clusters", **cell)
    price(world, "users", "per_unit", meter_id="users", unit_amount="3")
    overage = {"unit_amount": "0.10", "included_quantity": "100"}
    price(world, "storage", "per_unit", meter_id="storage", **overage)
    for customer_id, gauges in GAUGES.items():
        customer(world, customer_id)
        starts_at = "2024-03-05T10:00:00Z"
        subscribe(world, f"s-{customer_id}", customer_id=customer_id, starts_at=starts_at)
        for name, quantity, properties in gauges:
            if isinstance(properties, tuple):
                properties = dict(zip(("size", "environment"), properties, strict=True))
            cells = {"customer_id": customer_id, "properties": properties}
            use(world, name, str(quantity), "2024-03-06", **cells)
    return world


@pytest.mark.parametrize("cycle", ["30_days", "calendar_month"])
def test_platform(cycle: str) -> None:
    # The gauges were reported in March; the 30 days end on 4 April, the calendar month is April.
    expected = {"basic": "40", "professional": "254.5", "enterprise": "1010"}
    assert totals(bill(platform(cycle), MONTH)) == expected


def test_metered_api() -> None:
    world = world_of_one("dynamic", property="cost", unit_amount="0.01")
    for cents in ("0.4", "0.4", "0.5"):
        use(world, "units", "", properties={"cost": cents})
    charge = only(bill(world, MONTH), "p")
    assert (charge.amount, charge.exact) == (Fraction(1, 100), Fraction(13, 1000))
    assert charge.event_count == 3
    world = world_of_one("dynamic", property="cost", unit_amount="0.01")
    for _ in range(1000):
        use(world, "units", "", properties={"cost": 1.25})
    assert amounts(bill(world, MONTH)) == {"p": "12.5"}


def wallet(top_up: str, minutes: str) -> World:
    world = World()
    plan(world)
    meter(world, "connections", "count", event_name="call")
    meter(world, "minutes", "sum", event_name="call")
    price(world, "connection", "per_unit", meter_id="connections", unit_amount="0.10")
    price(world, "minute", "per_unit", meter_id="minutes", unit_amount="0.05")
    customer(world)
    subscribe(world)
    use(world, "call", minutes)
    cells = {"customer_id": "ada", "currency": "USD", "kind": "top_up"}
    cells |= {"transaction_id": "t", "amount": top_up, "occurred_at": "2024-04-01"}
    world.add("wallet_transactions", **cells)
    return world


def test_wallet_call_is_rounded_on_each_line() -> None:
    result = bill(wallet("10.00", "5.5"), MONTH)
    assert amounts(result) == {"connection": "0.1", "minute": "0.28"}  # 0.275 away from zero
    assert totals(result) == {"ada": "0.38"}


@pytest.mark.parametrize(
    ("top_up", "before", "after", "applied", "due", "left"),
    [
        ("10.00", "0", "0", "10", "2.34", "0"),
        ("20.00", "0", "0", "12.34", "0", "7.66"),
        ("20.00", "12.34", "0", "7.66", "4.68", "0"),
        ("20.00", "5", "6", "9", "3.34", "6"),
    ],
)
def test_wallet_balance(
    top_up: str, before: str, after: str, applied: str, due: str, left: str
) -> None:
    # 12.34 = 0.10 + 244.8 minutes x 0.05
    taken = {"2000-01": Fraction(before), "2100-01": Fraction(after)}
    result = bill(wallet(top_up, "244.8"), MONTH, "UTC", {("ada", "USD"): taken})
    invoice = result.invoices[("ada", "USD")]
    assert decimal_text(invoice.total) == "12.34"
    assert decimal_text(invoice.wallet_applied) == applied
    assert decimal_text(invoice.amount_due) == due
    assert decimal_text(result.wallets[("ada", "USD")]) == left


def subscriptions() -> World:
    world = World()
    for plan_id, amount in (("starter", "29"), ("pro", "299")):
        plan(world, plan_id)
        price(world, f"fee-{plan_id}", "flat", plan_id=plan_id, flat_amount=amount)
    customer(world)
    return world


def test_upgrade_in_the_middle_of_a_month() -> None:
    world = subscriptions()
    middle = "2024-04-16T00:00:00Z"
    subscribe(world, "s1", plan_id="starter", ends_at=middle)
    subscribe(world, "s2", plan_id="pro", starts_at=middle)
    result = bill(world, MONTH)
    assert amounts(result) == {"fee-starter": "14.5", "fee-pro": "149.5"}
    assert totals(result) == {"ada": "164"}


def test_trial_that_ends_after_14_of_30_days() -> None:
    world = subscriptions()
    cells = {"plan_id": "starter", "starts_at": "2024-04-01T00:00:00Z"}
    subscribe(world, "s1", trial_ends_at="2024-04-15", **cells)
    assert totals(bill(world, MONTH)) == {"ada": "15.47"}  # 29 x 16/30 = 15.4666...
    world = subscriptions()
    world.tables["plans"][0]["trial_days"] = "14"
    subscribe(world, "s1", **cells)
    assert totals(bill(world, MONTH)) == {"ada": "15.47"}


# --- charge models ---------------------------------------------------------------------------


def three_tiers(model: str) -> World:
    world = world_of_one(model)
    rows = [("10", "1", "5"), ("20", "0.5", "3"), ("", "0.1", "0")]
    for up_to, unit, flat in rows:
        tiers(world, "p", {"up_to": up_to, "unit_amount": unit, "flat_amount": flat})
    return world


@pytest.mark.parametrize(
    ("model", "quantity", "expected"),
    [
        ("graduated", "0", "5"),  # the first tier's flat amount
        ("graduated", "10", "15"),  # 10 + 5
        ("graduated", "10.000000000000000001", "18.0000000000000000005"),  # the second is entered
        ("graduated", "20", "23"),  # 10 + 5 + 5 + 3
        ("graduated", "25", "23.5"),  # and 5 x 0.1
        ("volume", "0", "5"),
        ("volume", "10", "15"),
        ("volume", "11", "8.5"),  # 11 x 0.5 + 3
        ("volume", "20", "13"),
        ("volume", "20.5", "2.05"),
    ],
)
def test_tier_edges(model: str, quantity: str, expected: str) -> None:
    world = three_tiers(model)
    use(world, "units", quantity)
    assert decimal_text(only(bill(world, MONTH), "p").exact) == expected


@pytest.mark.parametrize(
    ("model", "cells", "used", "expected"),
    [
        ("flat", {"flat_amount": "7"}, ["3"], "7"),
        ("flat", {"flat_amount": "7", "included_quantity": "3"}, ["3"], "0"),
        ("per_unit", {"unit_amount": "0.333"}, ["2", "1"], "0.999"),
        ("package", {"unit_amount": "2", "package_size": "10"}, ["20"], "4"),
        ("package", {"unit_amount": "2", "package_size": "10"}, ["20", "0.1"], "6"),
        ("package", {"unit_amount": "2", "package_size": "10"}, [], "0"),
        ("percentage", {"percentage": "2.9", "flat_amount": "0.3"}, ["100", "50"], "4.95"),
        ("dynamic", {}, ["1.5", "2"], "3.5"),
        ("per_unit", {"unit_amount": "2", "included_quantity": "5"}, ["4"], "0"),
        ("per_unit", {"unit_amount": "2", "minimum_amount": "3"}, [], "3"),
        ("per_unit", {"unit_amount": "2", "maximum_amount": "3"}, ["9"], "3"),
        # 2.5 rounds up to 3, and only then is 1 taken off
        (
            "per_unit",
            {"unit_amount": "2", "included_quantity": "1", "quantity_rounding": "half_up"},
            ["2.5"],
            "4",
        ),
    ],
)
def test_models(model: str, cells: dict[str, Any], used: list[str], expected: str) -> None:
    world = world_of_one(model, **cells)
    for quantity in used:
        use(world, "units", quantity)
    assert decimal_text(only(bill(world, MONTH), "p").exact) == expected


def test_graduated_percentage() -> None:
    world = world_of_one("graduated_percentage")
    tiers(world, "p", {"up_to": "1000", "percentage": "2"}, {"percentage": "1", "flat_amount": "4"})
    use(world, "units", "1500")
    assert only(bill(world, MONTH), "p").exact == 29  # 20 + 5 + 4


# --- aggregations ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("count", 20),
        ("sum", 210),
        ("max", 20),
        ("latest", 1),  # the last one in time is the smallest
        ("unique_count", 20),
        ("p95", 19),  # the 19th of 20
    ],
)
def test_aggregations(aggregation: str, expected: int) -> None:
    world = world_of_one("per_unit", aggregation, unit_amount="1")
    for number in range(1, 21):
        use(world, "units", str(number), f"2024-04-{21 - number:02}")
    assert only(bill(world, MONTH), "p").quantity == expected


def test_time_weighted_average_with_a_change_of_the_clock() -> None:
    # Berlin's March 2024 has 743 hours. 2 until the 16th (360 h), then 5 for 383 h.
    world = world_of_one("per_unit", "time_weighted_average", unit_amount="1")
    world.tables["meters"][0]["carry_forward"] = "true"
    use(world, "units", "2", "2024-02-10T00:00:00+01:00")
    use(world, "units", "5", "2024-03-16T00:00:00")
    charge = only(bill(world, "2024-03", "Europe/Berlin"), "p")
    assert charge.quantity == Fraction(2 * 360 + 5 * 383, 743)
    assert decimal_text(charge.amount) == "3.55"  # 2635/743 = 3.5464...


def test_carried_value_counts_only_where_the_meter_says_so() -> None:
    for carry, expected in (("true", 7), ("", 0)):
        world = world_of_one("per_unit", "max", unit_amount="1")
        world.tables["meters"][0]["carry_forward"] = carry
        use(world, "units", "9", "2024-01-03")
        use(world, "units", "7", "2024-02-03")
        assert only(bill(world, MONTH), "p").quantity == expected


def test_an_event_without_the_property_counts_for_other_meters() -> None:
    world = world_of_one("per_unit", property="gb", unit_amount="1")
    meter(world, "calls", "count", event_name="units")
    price(world, "calls", "per_unit", meter_id="calls", unit_amount="1")
    use(world, "units", "", properties={"gb": "1.5"})
    use(world, "units", "", properties={"gb": "much"})
    use(world, "units", "")
    assert amounts(bill(world, MONTH)) == {"p": "1.5", "calls": "3"}


def test_filter_compares_as_text() -> None:
    world = world_of_one("per_unit", "count", unit_amount="1", filter={"live": True, "zone": 1})
    use(world, "units", "", properties={"live": True, "zone": 1})
    use(world, "units", "", properties={"live": "true", "zone": "1", "more": None})
    use(world, "units", "", properties={"live": True})
    use(world, "units", "", properties={"live": "True", "zone": 1})
    assert only(bill(world, MONTH), "p").quantity == 2


def test_corrections() -> None:
    world = world_of_one("per_unit", unit_amount="1")
    use(world, "units", "5")
    cells = {"customer_id": "ada", "event_name": "units"}
    world.add(
        "usage_corrections", correction_id="c1", occurred_at="2024-04-02", quantity="-2", **cells
    )
    world.add(
        "usage_corrections", correction_id="c2", occurred_at="2024-05-01", quantity="9", **cells
    )
    assert only(bill(world, MONTH), "p").quantity == 3
    world.tables["usage_corrections"][0]["quantity"] = "-6"
    result = bill(world, MONTH)
    assert only(result, "p").quantity == 0
    assert [row.quantity for row in result.metered.values()] == [-1]


# --- rows that are set aside -----------------------------------------------------------------


def test_rejections_and_duplicates() -> None:
    world = world_of_one("per_unit", unit_amount="1")
    use(world, "units", "1", event_id="a")
    use(world, "units", "1.0", "2024-04-10T02:00:00+02:00", event_id="a")  # the same event
    use(world, "units", "2", event_id="a")  # another one under its id
    use(world, "units", "-1", event_id="a")
    use(world, "units", "x")
    use(world, "units", "1", "2024-05-01T00:00:00Z", month="2024-04")
    use(world, "units", "1", customer_id="nobody")
    use(world, "other", "1")
    use(world, "units", "1", "2024-04-31")
    use(world, "units", "1", properties="[1]")
    use(world, "units", "0.0000000000000000001")
    use(world, "units", "1", "2024-03-31T23:59:59.999999Z", event_id="a", month="2024-03")
    result = bill(world, MONTH)
    assert only(result, "p").quantity == 1
    found = {row.source_row: sorted(row.reasons) for row in result.rejections}
    assert found == {
        4: ["conflicting_duplicate"],
        5: ["negative_quantity"],
        6: ["invalid_quantity"],
        7: ["outside_month"],
        8: ["unknown_customer"],
        9: ["unknown_event_name"],
        10: ["invalid_timestamp"],
        11: ["invalid_properties"],
        12: ["quantity_out_of_range"],
    }


# --- time ------------------------------------------------------------------------------------


def test_month_edges_in_a_zone() -> None:
    start, end = month_edges("2024-03", ZoneInfo("Europe/Berlin"))
    assert start == read_instant("2024-02-29T23:00:00Z", ZoneInfo("UTC"))
    assert end - start == 743 * 3600 * 1_000_000
    world = world_of_one("per_unit", "count", unit_amount="1")
    use(world, "units", "", "2024-02-29T23:00:00Z", month="2024-03")
    use(world, "units", "", "2024-03-31T23:59:59.999999")
    use(world, "units", "", "2024-04-01T00:00:00", month="2024-03")
    result = bill(world, "2024-03", "Europe/Berlin")
    assert only(result, "p").quantity == 2
    assert [row.source_row for row in result.rejections] == [4]


def test_price_versions_within_a_month() -> None:
    world = world_of_one("per_unit", unit_amount="1", included_quantity="2", valid_to="2024-04-11")
    later = {"valid_from": "2024-04-11", "unit_amount": "3", "included_quantity": "1"}
    price(world, "p", "per_unit", meter_id="units", **later)
    use(world, "units", "5", "2024-04-10T23:59:59.999999Z")
    use(world, "units", "5", "2024-04-11T00:00:00Z")
    result = bill(world, MONTH)
    assert [charge.exact for charge in result.charges.values()] == [3, 12]


def test_prorated_usage_price() -> None:
    # Half of the month: half of the 10 included, so 8 - 5 = 3 units at 2; at most half of 10.
    cells = {"unit_amount": "2", "included_quantity": "10", "prorate": "true"}
    world = world_of_one("per_unit", maximum_amount="10", **cells)
    world.tables["subscriptions"][0]["starts_at"] = "2024-04-16"
    use(world, "units", "8", "2024-04-20")
    charge = only(bill(world, MONTH), "p")
    assert charge.billable_quantity == 3
    assert charge.exact == 5


def test_usage_in_trial_is_metered_not_charged() -> None:
    world = world_of_one("per_unit", unit_amount="1")
    world.tables["subscriptions"][0]["trial_ends_at"] = "2024-04-10"
    use(world, "units", "5", "2024-04-09")
    use(world, "units", "3", "2024-04-10")
    result = bill(world, MONTH)
    in_trial, paid = result.metered.values()
    assert (decimal_text(in_trial.quantity), in_trial.is_trial) == ("5", True)
    assert (decimal_text(paid.quantity), paid.is_trial) == ("3", False)
    assert only(result, "p").exact == 3


def test_thirty_day_periods() -> None:
    # From 31 December 12:00: periods end on 30 January 12:00, 29 February 12:00, 30 March 12:00.
    world = world_of_one("per_unit", unit_amount="1")
    world.tables["plans"][0]["billing_cycle"] = "30_days"
    world.tables["subscriptions"][0]["starts_at"] = "2023-12-31T12:00:00Z"
    use(world, "units", "1", "2023-12-31T12:00:00Z")
    use(world, "units", "2", "2024-01-30T12:00:00Z")
    use(world, "units", "4", "2024-02-29T11:59:59.999999Z")
    assert [charge.exact for charge in bill(world, "2024-01").charges.values()] == [1]
    assert [charge.exact for charge in bill(world, "2024-02").charges.values()] == [6]
    # Cancelled on 10 February: the last period is cut there, and billed where it would have ended.
    world.tables["subscriptions"][0]["ends_at"] = "2024-02-10"
    assert [charge.exact for charge in bill(world, "2024-02").charges.values()] == [2]
    assert not bill(world, "2024-03").charges


def advance_world(**cells: Any) -> World:
    world = World()
    plan(world)
    price(world, "fee", "flat", flat_amount="30", timing="advance")
    customer(world)
    subscribe(world, **cells)
    return world


def test_advance_fee_and_credit() -> None:
    # From 16 April: half of April and all of May on April's invoice; June's on May's.
    world = advance_world(starts_at="2024-04-16", ends_at="2024-06-11")
    found = [
        [
            (charge.kind, decimal_text(charge.amount))
            for charge in bill(world, month).charges.values()
        ]
        for month in ("2024-03", "2024-04", "2024-05", "2024-06", "2024-07")
    ]
    # June was paid for, and 20 of its 30 days were not used.
    credit = [("credit", "-20")]
    assert found == [[], [("arrears", "15"), ("advance", "30")], [("advance", "30")], credit, []]


def test_advance_fee_of_a_subscription_that_starts_at_the_edge() -> None:
    world = advance_world(starts_at="2024-05-01", ends_at="2024-06-01")
    assert not bill(world, "2024-04").charges
    assert amounts(bill(world, "2024-05")) == {"fee": "30"}  # its own month, and no June
    assert not bill(world, "2024-06").charges


# --- invoices --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("currency", "unit", "expected"),
    [
        ("USD", "0.005", "0.01"),
        ("USD", "0.004999999999", "0"),
        ("JPY", "0.5", "1"),
        ("KWD", "0.0005", "0.001"),
    ],
)
def test_rounding_to_the_minor_unit(currency: str, unit: str, expected: str) -> None:
    world = world_of_one("per_unit", unit_amount=unit)
    world.tables["customers"][0]["currency"] = currency
    use(world, "units", "1")
    assert amounts(bill(world, MONTH)) == {"p": expected}


def test_a_tie_out_of_a_proration_goes_away_from_zero() -> None:
    # 0.15 x 1/30 = 0.005 exactly; and the credit of it too.
    assert round_half_away(Fraction(15, 100) / 30, 2) == Fraction(1, 100)
    assert round_half_away(-Fraction(15, 100) / 30, 2) == -Fraction(1, 100)
    world = World()
    plan(world)
    price(world, "fee", "flat", flat_amount="0.15")
    customer(world)
    subscribe(world, ends_at="2024-04-02")
    assert amounts(bill(world, MONTH)) == {"fee": "0.01"}


def test_order_of_an_invoice() -> None:
    # Lines 30.00 + 12.34, minimum 50 -> true-up 7.66; 10 % off 50.00 = 5.00; base 45.00;
    # 19 % = 8.55; total 53.55; the wallet holds 3.50.
    world = world_of_one("per_unit", unit_amount="1")
    price(world, "fee", "flat", flat_amount="30")
    use(world, "units", "12.34")
    world.tables["customers"][0]["country"] = "DE"
    cells = {"coupon_id": "ten", "duration": "forever", "percent_off": "10"}
    world.add("coupons", **cells)
    world.tables["subscriptions"][0] |= {"coupon_id": "ten", "minimum_amount": "50"}
    world.add("tax_rates", tax_rate_id="vat", country="DE", percentage="19")
    world.add("tax_rates", tax_rate_id="old", country="DE", percentage="16", valid_to="2024-04-30")
    top_up = {"customer_id": "ada", "currency": "USD", "amount": "3.50", "kind": "grant"}
    world.add("wallet_transactions", transaction_id="t", occurred_at="2024-04-30", **top_up)
    invoice = bill(world, MONTH).invoices[("ada", "USD")]
    assert [decimal_text(value) for value in invoice.of_kind("minimum")] == ["7.66"]
    assert [decimal_text(value) for value in invoice.of_kind("discount")] == ["-5"]
    assert [decimal_text(value) for value in invoice.of_kind("tax")] == ["8.55"]
    figures = (invoice.subtotal, invoice.discount, invoice.tax, invoice.total, invoice.amount_due)
    assert [decimal_text(value) for value in figures] == ["50", "5", "8.55", "53.55", "50.05"]


def test_inclusive_tax_and_exemption() -> None:
    world = World()
    plan(world)
    price(world, "fee", "flat", flat_amount="119")
    world.add("tax_rates", tax_rate_id="vat", country="DE", percentage="19", inclusive="true")
    for customer_id, exempt in (("ada", ""), ("ben", "true")):
        customer(world, customer_id, country="DE", tax_exempt=exempt)
        subscribe(world, f"s-{customer_id}", customer_id=customer_id)
    result = bill(world, MONTH)
    assert totals(result) == {"ada": "119", "ben": "119"}
    assert result.invoices[("ada", "USD")].tax_included == 19  # 119 x 19/119
    assert result.invoices[("ben", "USD")].tax_included == 0


@pytest.mark.parametrize(
    ("coupon", "months"),
    [
        ({"duration": "once"}, ["2024-02"]),
        ({"duration": "repeating", "duration_in_months": "2"}, ["2024-02", "2024-03"]),
        ({"duration": "forever"}, ["2024-02", "2024-03", "2024-04"]),
    ],
)
def test_coupon_months_begin_where_paying_begins(
    coupon: dict[str, object], months: list[str]
) -> None:
    world = World()
    plan(world)
    price(world, "fee", "flat", flat_amount="10")
    customer(world)
    cells = {"starts_at": "2024-01-20", "trial_ends_at": "2024-02-10"}
    subscribe(world, coupon_id="off", **cells)
    world.add("coupons", coupon_id="off", amount_off="100", currency="USD", **coupon)
    discounted = []
    for month in ("2024-01", "2024-02", "2024-03", "2024-04"):
        invoice = bill(world, month).invoices.get(("ada", "USD"))
        if invoice is not None and invoice.discount:
            assert invoice.total == 0  # never more than the lines
            discounted.append(month)
    assert discounted == months


def test_minimum_is_prorated_with_the_subscription() -> None:
    world = world_of_one("per_unit", unit_amount="1")
    world.tables["subscriptions"][0] |= {"starts_at": "2024-04-16", "minimum_amount": "100"}
    use(world, "units", "20", "2024-04-20")
    assert totals(bill(world, MONTH)) == {"ada": "50"}


def test_each_period_of_30_days_has_its_own_minimum() -> None:
    # Periods from 2 April to 2 May and to 1 June both end in May. 30 in the first, above its
    # minimum of 10, do not fill the second's.
    world = world_of_one("per_unit", unit_amount="1")
    world.tables["plans"][0]["billing_cycle"] = "30_days"
    world.tables["subscriptions"][0] |= {"starts_at": "2024-04-02", "minimum_amount": "10"}
    use(world, "units", "30", "2024-04-20")
    result = bill(world, "2024-05")
    (invoice,) = result.invoices.values()
    assert [decimal_text(value) for value in invoice.of_kind("charge")] == ["30"]
    assert [decimal_text(value) for value in invoice.of_kind("minimum")] == ["10"]


def test_entitlements() -> None:
    world = world_of_one("per_unit", unit_amount="1")
    world.add("entitlements", plan_id="plan", feature="sso")
    for feature, limit in (("a", "9"), ("b", "10"), ("c", "12.6"), ("d", "")):
        cells = {"plan_id": "plan", "meter_id": "units", "limit_quantity": limit}
        world.add("entitlements", feature=feature, **cells)
    use(world, "units", "10")
    found = {key[1]: value for key, value in bill(world, MONTH).entitlements.items()}
    states = {feature: entitlement.state for feature, entitlement in found.items()}
    assert states == {"sso": "ok", "a": "exceeded", "b": "warning", "c": "ok", "d": "ok"}
    left = {feature: entitlement.remaining for feature, entitlement in found.items()}
    assert left == {"sso": None, "a": 0, "b": 0, "c": Fraction(13, 5), "d": None}


def test_instants() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    utc = read_instant("2024-10-27T01:30:00Z", berlin)
    assert read_instant("2024-10-27 02:30:00", berlin) == utc  # the later of the two
    assert read_instant("2024-10-27T02:30:00.0000009", berlin) == utc
    assert micros(datetime(2024, 10, 27, 1, 30, tzinfo=UTC)) == utc


# --- gauges are charged for their share of the period ------------------------------------------


def gauge(aggregation: str = "latest", **cells: Any) -> World:
    world = world_of_one("per_unit", aggregation, **cells)
    world.tables["meters"][0]["carry_forward"] = "true"
    return world


def test_a_new_price_of_a_gauge_in_the_middle() -> None:
    # February 2024 has 29 days: 80 x 2 x 15/29 = 82.7586..., 88 x 2 x 14/29 = 84.9655...
    world = gauge(unit_amount="80", valid_to="2024-02-16")
    price(world, "p", "per_unit", meter_id="units", unit_amount="88", valid_from="2024-02-16")
    use(world, "units", "2", "2024-01-20")
    charges = bill(world, "2024-02").charges.values()
    assert [decimal_text(charge.amount) for charge in charges] == ["82.76", "84.97"]


def test_a_gauge_whose_trial_ends_in_the_period() -> None:
    # 40 above the included 10, at 0.25, for 16 of 30 days: 10.00 x 16/30 = 5.333...
    world = gauge(unit_amount="0.25", included_quantity="10")
    cells = {"starts_at": "2024-04-01", "trial_ends_at": "2024-04-15"}
    world.tables["subscriptions"][0] |= cells
    use(world, "units", "50", "2024-04-02")
    assert totals(bill(world, MONTH)) == {"ada": "5.33"}


@pytest.mark.parametrize(("prorate", "total"), [("", "11"), ("true", "11"), ("false", "22")])
def test_a_gauge_at_two_prices_costs_no_more_than_the_period(prorate: str, total: str) -> None:
    # 100 GB at 0.10 for 15 of 30 days, at 0.12 for the other 15; in full: 10 + 12.
    cells = {"prorate": prorate}
    world = gauge(unit_amount="0.10", valid_to="2024-04-16", **cells)
    later = {"unit_amount": "0.12", "valid_from": "2024-04-16"}
    price(world, "p", "per_unit", meter_id="units", **later, **cells)
    use(world, "units", "100", "2024-04-01")
    assert totals(bill(world, MONTH)) == {"ada": total}


@pytest.mark.parametrize("aggregation", ["latest", "max", "time_weighted_average"])
def test_a_gauge_goes_on_over_a_plan_change(aggregation: str) -> None:
    # 5 seats at 10, half of the month on each plan. The value goes on within the period, even if
    # the meter does not carry it from one period to the next.
    world = gauge(aggregation, unit_amount="10")
    world.tables["meters"][0]["carry_forward"] = ""
    plan(world, "other")
    price(world, "q", "per_unit", plan_id="other", meter_id="units", unit_amount="10")
    world.tables["subscriptions"][0]["ends_at"] = "2024-04-16"
    subscribe(world, "sub2", plan_id="other", starts_at="2024-04-16")
    use(world, "units", "5", "2024-04-01")
    assert totals(bill(world, MONTH)) == {"ada": "50"}
    assert not bill(world, "2024-05").invoices


def test_the_bounds_of_a_gauge_share_its_fate() -> None:
    # At least 30 a month, for half of one; a meter that adds up pays the minimum in full.
    for aggregation, total in (("unique_count", "15"), ("p95", "15"), ("sum", "30")):
        world = world_of_one("per_unit", aggregation, unit_amount="1", minimum_amount="30")
        world.tables["subscriptions"][0]["starts_at"] = "2024-04-16"
        use(world, "units", "1", "2024-04-20")
        assert totals(bill(world, MONTH)) == {"ada": total}
