"""The oracle against worked numbers of what came with the second edition of the contract.

What belongs here: small worlds whose expected numbers a person can redo from the comment beside
them. What does not: the first edition (test_oracle_by_hand.py), generated worlds.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from tests.property.oracle import Result, bill
from tests.property.tables import World
from tests.property.test_oracle_by_hand import (
    MONTH,
    amounts,
    customer,
    meter,
    only,
    plan,
    price,
    subscribe,
    tiers,
    totals,
    use,
    world_of_one,
)
from tests.property.values import decimal_text


def shown(result: Result, kind: str = "charge", customer_id: str = "ada") -> list[str]:
    """The amounts of an invoice's lines of a kind, in order of size."""
    return [decimal_text(value) for value in result.invoices[customer_id, "USD"].of_kind(kind)]


def seats(world: World, *steps: tuple[str, str], **cells: Any) -> None:
    """One subscription whose quantity changes: (from when, quantity)."""
    ends = [*(at for at, _ in steps[1:]), ""]
    for (starts_at, quantity), ends_at in zip(steps, ends, strict=True):
        subscribe(world, starts_at=starts_at, ends_at=ends_at, quantity=quantity, **cells)


# --- versions of a subscription ----------------------------------------------------------------


def test_a_change_of_seats_touches_the_fee_and_nothing_else() -> None:
    # Seats 3 for 15 of 30 days, then 5: 10 x 3/2 + 10 x 5/2 = 40. 1,500 calls, of which 1,000 are
    # included once: 500 x 0.01 = 5.
    world = World()
    plan(world)
    meter(world, "calls", "count")
    price(world, "seat", "per_unit", unit_amount="10")
    price(
        world,
        "calls",
        "per_unit",
        meter_id="calls",
        unit_amount="0.01",
        included_quantity="1000",
    )
    customer(world)
    seats(world, ("2024-01-01", "3"), ("2024-04-16", "5"))
    for day in ("2024-04-10", "2024-04-20"):
        for _ in range(750):
            use(world, "calls", "", day)
    assert shown(bill(world, MONTH)) == ["5", "15", "25"]


def test_package_minimum_and_coupon_count_once() -> None:
    # 1 + 1 units are one package of 1,000 at 7; the line's minimum is 20; the subscription's is 50;
    # the coupon takes 10 off.
    world = world_of_one("package", unit_amount="7", package_size="1000", minimum_amount="20")
    world.tables["subscriptions"].clear()
    world.add("coupons", coupon_id="ten", amount_off="10", currency="USD", duration="forever")
    steps = (("2024-01-01", "3"), ("2024-04-16", "5"))
    seats(world, *steps, minimum_amount="50", coupon_id="ten")
    use(world, "units", "1", "2024-04-10")
    use(world, "units", "1", "2024-04-20")
    result = bill(world, MONTH)
    assert (shown(result), shown(result, "minimum")) == (["20"], ["30"])
    assert (shown(result, "discount"), totals(result)) == (["-10"], {"ada": "40"})


def test_a_plan_change_keeps_coupon_months_and_trial() -> None:
    # Trial until 11 April, plan A until the 21st, then B: 30 x 10/30 and 60 x 10/30. The coupon is
    # for once, and April is the first month that is paid.
    world = World()
    plan(world)
    plan(world, "other", trial_days="14")
    price(world, "a", "flat", flat_amount="30")
    price(world, "b", "flat", plan_id="other", flat_amount="60")
    world.add("coupons", coupon_id="half", percent_off="50", duration="once")
    customer(world)
    cells = {"coupon_id": "half"}
    start = "2024-03-28"
    subscribe(world, starts_at=start, ends_at="2024-04-21", trial_ends_at="2024-04-11", **cells)
    subscribe(world, starts_at="2024-04-21", plan_id="other", **cells)
    assert amounts(bill(world, MONTH)) == {"a": "10", "b": "20"}
    assert totals(bill(world, MONTH)) == {"ada": "15"}
    assert totals(bill(world, "2024-05")) == {"ada": "60"}


def test_after_a_gap_a_new_subscription_begins() -> None:
    world = world_of_one("per_unit", unit_amount="1", included_quantity="2")
    world.tables["subscriptions"][0]["ends_at"] = "2024-04-11"
    subscribe(world, starts_at="2024-04-21")
    use(world, "units", "5", "2024-04-05")
    use(world, "units", "5", "2024-04-15")
    use(world, "units", "5", "2024-04-25")
    assert shown(bill(world, MONTH)) == ["3", "3"]


def test_a_fee_in_advance_with_a_change_of_seats() -> None:
    # 3 seats at 10 are charged for April in March. From the 16th there are 5: 15 are given back,
    # 25 charged, and 50 for May.
    world = World()
    plan(world)
    price(world, "seat", "per_unit", unit_amount="10", timing="advance")
    customer(world)
    seats(world, ("2024-01-01", "3"), ("2024-04-16", "5"))
    assert shown(bill(world, "2024-03")) == ["30"]
    assert shown(bill(world, "2024-04")) == ["-15", "25", "50"]
    assert shown(bill(world, "2024-05")) == ["50"]


def test_without_prorate_the_first_quantity_of_the_period_counts() -> None:
    world = World()
    plan(world)
    price(world, "seat", "per_unit", unit_amount="10", prorate="false")
    customer(world)
    seats(world, ("2024-01-01", "3"), ("2024-04-16", "5"))
    assert amounts(bill(world, MONTH)) == {"seat": "30"}
    assert amounts(bill(world, "2024-05")) == {"seat": "50"}


def test_minimums_of_versions_add_up() -> None:
    # 60 x 10/30 + 90 x 20/30 = 80, less 50 used.
    world = world_of_one("per_unit", unit_amount="1")
    world.tables["subscriptions"][0] |= {"ends_at": "2024-04-11", "minimum_amount": "60"}
    subscribe(world, starts_at="2024-04-11", minimum_amount="90")
    use(world, "units", "50")
    assert shown(bill(world, MONTH), "minimum") == ["30"]


# --- filters, events, subscriptions that are named ---------------------------------------------


def test_lists_bounds_and_the_rest() -> None:
    world = world_of_one("per_unit", "count", unit_amount="1", filter={"zone": ["eu", "us"]})
    large = {"tokens": {"above": "200000", "up_to": "1000000"}}
    price(world, "large", "per_unit", meter_id="units", unit_amount="1", filter=large)
    price(world, "rest", "per_unit", meter_id="units", unit_amount="1", filter_rest="true")
    price(world, "all", "per_unit", meter_id="units", unit_amount="1")
    for properties in (
        {"zone": "eu"},
        {"zone": "us", "tokens": 200000},  # not above
        {"zone": "asia", "tokens": "200000.1"},
        {"tokens": 1000000},
        {"tokens": 1000001},
        {"tokens": "many"},
        {},
    ):
        use(world, "units", "", properties=properties)
    found = amounts(bill(world, MONTH))
    assert found == {"p": "2", "large": "2", "rest": "3", "all": "7"}


def test_the_rest_of_what_is_valid() -> None:
    # What the other price's filter matched until the 11th is in the rest from then on. Beside a
    # filter both must hold.
    world = world_of_one("per_unit", "count", unit_amount="1", filter={"zone": "eu"})
    world.tables["prices"][0]["valid_to"] = "2024-04-11"
    price(world, "rest", "per_unit", meter_id="units", unit_amount="1", filter_rest="true")
    both = {"filter": {"live": True}, "filter_rest": "true"}
    price(world, "both", "per_unit", meter_id="units", unit_amount="1", **both)
    for day in ("2024-04-05", "2024-04-15"):
        use(world, "units", "", day, properties={"zone": "eu", "live": True})
        use(world, "units", "", day, properties={"zone": "us", "live": True})
        use(world, "units", "", day, properties={"zone": "us"})
    assert amounts(bill(world, MONTH)) == {"p": "1", "rest": "5", "both": "3"}


def test_bounds_of_each_event() -> None:
    # 0.8 % of 1,000 is 8.00, at most 5.00; of 100 it is 0.80; of 1 it is 0.008, at least 0.10.
    cells = {"percentage": "0.8", "event_maximum_amount": "5", "event_minimum_amount": "0.1"}
    world = world_of_one("percentage", flat_amount="0.3", **cells)
    for quantity in ("1000", "100", "1"):
        use(world, "units", quantity)
    assert amounts(bill(world, MONTH)) == {"p": "6.8"}  # 5 + 0.8 + 0.1 + 3 x 0.3
    cells = {"customer_id": "ada", "event_name": "units", "quantity": "-50"}
    world.add("usage_corrections", correction_id="c", occurred_at="2024-04-12", **cells)
    assert amounts(bill(world, MONTH)) == {"p": "6.4"}


def test_free_events_are_the_first_by_time_then_id() -> None:
    world = world_of_one("percentage", percentage="1", flat_amount="0.25", free_events="2")
    use(world, "units", "100", "2024-04-03", event_id="b")
    use(world, "units", "200", "2024-04-03", event_id="a")
    use(world, "units", "400", "2024-04-02", event_id="z")
    use(world, "units", "800", "2024-04-04", event_id="c")
    assert amounts(bill(world, MONTH)) == {"p": "9.5"}  # 1 + 8 + 2 x 0.25


def test_an_event_that_names_its_subscription() -> None:
    world = world_of_one("per_unit", "count", unit_amount="1")
    subscribe(world, "sub2")
    customer(world, "ben")
    use(world, "units", "", subscription_id="sub")
    use(world, "units", "", subscription_id="sub2")
    use(world, "units", "", subscription_id="sub2")
    use(world, "units", "")
    use(world, "units", "", subscription_id="nobody's")
    use(world, "units", "", customer_id="ben", subscription_id="sub")
    result = bill(world, MONTH)
    assert shown(result) == ["2", "3"]
    assert [row.source_row for row in result.rejections] == [6, 7]


# --- meters ------------------------------------------------------------------------------------


def test_calls_by_minutes_begun() -> None:
    # 61 s are 120 s, 59 s are 60 s: three minutes at 0.02.
    world = world_of_one("package", unit_amount="0.02", package_size="60")
    world.tables["meters"][0]["event_rounding"] = "60"
    use(world, "units", "61")
    use(world, "units", "59")
    assert amounts(bill(world, MONTH)) == {"p": "0.06"}


def test_groups_are_added_up() -> None:
    world = world_of_one("per_unit", "latest", unit_amount="1", prorate="false")
    world.tables["meters"][0] |= {"group_by": "volume", "carry_forward": "true"}
    use(world, "units", "100", "2024-03-02", properties={"volume": "a"})
    use(world, "units", "250", "2024-04-02", properties={"volume": "b"})
    use(world, "units", "300", "2024-04-03", properties={"volume": "b"})
    assert only(bill(world, MONTH), "p").quantity == 400
    use(world, "units", "5", "2024-04-04")
    use(world, "units", "7", "2024-04-04", properties={"volume": None})
    assert only(bill(world, MONTH), "p").quantity == 407  # missing and null are one group
    use(world, "units", "0", "2024-04-05", properties={"volume": "a"})
    assert only(bill(world, MONTH), "p").quantity == 307


def test_a_counter_begins_again() -> None:
    # 100 last month, 150, then 30 after a restart: 50 + 30.
    world = world_of_one("per_unit", "counter", unit_amount="1")
    use(world, "units", "100", "2024-03-20")
    use(world, "units", "150", "2024-04-02")
    use(world, "units", "30", "2024-04-03")
    charge = only(bill(world, MONTH), "p")
    assert charge.quantity == 80
    assert charge.event_count == 2


def test_a_counter_has_series_and_is_filtered_afterwards() -> None:
    # Two devices; the increases count with the properties of the later reading.
    world = world_of_one("per_unit", "counter", unit_amount="1", filter={"rate": "day"})
    world.tables["meters"][0]["group_by"] = "device"
    for at, device, value, rate in (
        ("2024-04-01", "a", "10", "day"),  # the first: only a starting point
        ("2024-04-02", "a", "15", "night"),
        ("2024-04-03", "a", "22", "day"),  # 7
        ("2024-04-03", "b", "100", "day"),
        ("2024-04-04", "b", "101", "day"),  # 1
    ):
        use(world, "units", value, at, properties={"device": device, "rate": rate})
    assert only(bill(world, MONTH), "p").quantity == 8


def test_gauge_hours() -> None:
    # 100 GB from noon on the last day: 12 hours, 1,200.
    world = world_of_one("per_unit", "gauge_hours", unit_amount="1")
    use(world, "units", "100", "2024-04-30T12:00:00")
    assert only(bill(world, MONTH), "p").quantity == 1200
    world.tables["meters"][0]["carry_forward"] = "true"
    assert only(bill(world, "2024-05"), "p").quantity == 100 * 24 * 31


@pytest.mark.parametrize(("name", "expected"), [("p1", 1), ("p50", 10), ("p90", 18), ("p99", 20)])
def test_percentiles(name: str, expected: int) -> None:
    world = world_of_one("per_unit", name, unit_amount="1")
    for number in range(1, 21):
        use(world, "units", str(number), f"2024-04-{21 - number:02}")
    assert only(bill(world, MONTH), "p").quantity == expected


def test_buckets_of_an_hour_that_the_clock_repeats() -> None:
    # New York, 3 November 2024: 01:30 EDT and 01:30 EST are in two hours. Most in each: 5 and 3;
    # with the hours before and after 0 or, carried forward, the last value.
    world = world_of_one("per_unit", "max", unit_amount="1")
    world.tables["meters"][0]["bucket"] = "hour"
    use(world, "units", "5", "2024-11-03T01:30:00-04:00", month="2024-11")
    use(world, "units", "4", "2024-11-03T01:40:00-04:00", month="2024-11")
    use(world, "units", "3", "2024-11-03T01:30:00-05:00", month="2024-11")
    zone = "America/New_York"
    assert only(bill(world, "2024-11", zone), "p").quantity == 8
    world.tables["meters"][0]["carry_forward"] = "true"
    world.tables["subscriptions"][0]["ends_at"] = "2024-11-03T04:00:00-05:00"
    # 5; then max(4 carried, 3) = 4; then 3 at 02:00 and at 03:00
    assert only(bill(world, "2024-11", zone), "p").quantity == 15


def test_distinct_users_of_each_day() -> None:
    world = world_of_one("per_unit", "unique_count", property="user", unit_amount="1")
    world.tables["meters"][0]["bucket"] = "day"
    for at, user in (("04-02", "a"), ("04-02", "a"), ("04-02", "b"), ("04-03", "a")):
        use(world, "units", "", f"2024-{at}", properties={"user": user})
    assert only(bill(world, MONTH), "p").quantity == 3


def test_a_correction_of_a_gauge_is_a_reading() -> None:
    world = world_of_one("per_unit", "latest", unit_amount="1")
    use(world, "units", "9", "2024-04-10")
    cells = {"customer_id": "ada", "event_name": "units"}
    for number, quantity in enumerate(("4", "5")):
        world.add(
            "usage_corrections",
            correction_id=f"c{number}",
            occurred_at="2024-04-10",
            quantity=quantity,
            **cells,
        )
    assert only(bill(world, MONTH), "p").quantity == 5
    world.tables["meters"][0]["aggregation"] = "max"
    assert only(bill(world, MONTH), "p").quantity == 5
    # Where a sum reads the name as well, it is added there and no reading here.
    meter(world, "added", "sum", event_name="units")
    assert only(bill(world, MONTH), "p").quantity == 9


def test_included_for_each_seat() -> None:
    # 10 for each of 4 hosts, 60 used; with 2 hosts for half of the month it is 3 on average.
    world = world_of_one("per_unit", unit_amount="1", included_quantity="10", included_per="seat")
    world.tables["subscriptions"].clear()
    seats(world, ("2024-01-01", "4"))
    use(world, "units", "60")
    assert only(bill(world, MONTH), "p").billable_quantity == 20
    world.tables["subscriptions"].clear()
    seats(world, ("2024-01-01", "4"), ("2024-04-16", "2"))
    assert only(bill(world, MONTH), "p").billable_quantity == 30


def test_tiers_of_a_version() -> None:
    world = world_of_one("volume", valid_to="2024-04-11")
    price(world, "p", "volume", meter_id="units", valid_from="2024-04-11")
    tiers(world, "p", {"unit_amount": "1"}, {"unit_amount": "2", "valid_from": "2024-04-11"})
    use(world, "units", "5", "2024-04-10")
    use(world, "units", "5", "2024-04-11")
    assert shown(bill(world, MONTH)) == ["5", "10"]


def test_a_plan_based_on_another() -> None:
    # The contract's own price counts from 11 to 21 April; before and after it is the list's.
    world = world_of_one("per_unit", "count", unit_amount="3")
    price(world, "fee", "flat", flat_amount="9")
    plan(world, "contract", based_on="plan")
    cells = {"plan_id": "contract", "meter_id": "units", "unit_amount": "1", "replaces": "p"}
    times = {"valid_from": "2024-04-11", "valid_to": "2024-04-21"}
    price(world, "own", "per_unit", **cells, **times)
    world.tables["subscriptions"][0]["plan_id"] = "contract"
    for day in ("05", "15", "25"):
        use(world, "units", "", f"2024-04-{day}")
    assert shown(bill(world, MONTH)) == ["1", "3", "3", "9"]


# --- periods of a price's own ------------------------------------------------------------------


def fee(interval: str, cycle: str = "", **cells: Any) -> World:
    world = World()
    plan(world, billing_cycle=cycle)
    price(world, "fee", "flat", flat_amount="120", interval=interval, **cells)
    customer(world)
    return world


def by_month(world: World, *months: str) -> dict[str, list[str]]:
    found = {}
    for month in months:
        charges = bill(world, month).charges.values()
        found[month] = sorted((decimal_text(row.amount) for row in charges), key=float)
    return found


def test_a_quarter_in_arrears() -> None:
    # From 16 May: 46 of the 91 days of the second quarter. Cancelled on 1 August: 31 of 92 days.
    world = fee("quarter")
    subscribe(world, starts_at="2024-05-16", ends_at="2024-08-01")
    found = by_month(world, "2024-05", "2024-06", "2024-07", "2024-08", "2024-09")
    none: list[str] = []
    assert found == {
        "2024-05": none,
        "2024-06": ["60.66"],
        "2024-07": ["40.43"],
        "2024-08": none,
        "2024-09": none,
    }


def test_a_year_in_advance_from_the_anniversary() -> None:
    # From 31 January 2023. The first year is charged in January 2023, the second in December 2023;
    # cancelled on 1 February 2024, 365 of its 366 days are given back in January, where it ends.
    world = fee("year", "anniversary", timing="advance")
    subscribe(world, starts_at="2023-01-31", ends_at="2024-02-01")
    found = by_month(world, "2023-01", "2023-02", "2023-12", "2024-01", "2024-02")
    assert found == {
        "2023-01": ["120"],
        "2023-02": [],
        "2023-12": ["120"],
        "2024-01": ["-119.67"],
        "2024-02": [],
    }


def test_anniversaries_of_the_31st() -> None:
    # Months end on 29 February, 31 March and 30 April.
    world = fee("", "anniversary")
    subscribe(world, starts_at="2024-01-31")
    months = ("2024-01", "2024-02", "2024-03", "2024-04")
    assert list(by_month(world, *months).values()) == [[], ["120"], ["120"], ["120"]]
    charge = only(bill(world, "2024-03"), "fee")
    assert (charge.period_end - charge.period_start) == 31 * 24 * 3600 * 10**6


def test_weeks_begin_on_monday() -> None:
    # April 2024 begins on a Monday: weeks end on 1 (in March's end), 8, 15, 22 and 29 April.
    world = fee("week")
    subscribe(world)
    assert by_month(world, "2024-03", "2024-04") == {
        "2024-03": ["120"] * 5,  # 4, 11, 18, 25 March and 1 April 00:00
        "2024-04": ["120"] * 4,
    }


# --- coupons, taxes, customers -----------------------------------------------------------------


def with_fees(*fees: str, **cells: str) -> World:
    world = World()
    plan(world)
    for number, value in enumerate(fees):
        price(world, f"fee{number}", "flat", flat_amount=value, **cells)
    customer(world, country="DE")
    subscribe(world)
    return world


def test_coupons_in_their_order() -> None:
    # 50 % of 100.01 are 50.01 (half away), then 20 off what is left of fee0, then 10 % of the rest.
    world = with_fees("60", "40.01")
    world.tables["subscriptions"][0]["coupon_id"] = "half; off ;ten"
    world.add("coupons", coupon_id="half", percent_off="50", duration="forever")
    cells = {"amount_off": "20", "currency": "USD", "price_ids": "fee0;other"}
    world.add("coupons", coupon_id="off", duration="forever", **cells)
    world.add("coupons", coupon_id="ten", percent_off="10", duration="forever")
    result = bill(world, MONTH)
    assert shown(result, "discount") == ["-50.01", "-20", "-3"]
    assert totals(result) == {"ada": "27"}


def test_tax_of_regions_and_codes() -> None:
    # books: the country's own rate for them (7 %) instead of 19 %, and the region's 2 % for all.
    world = with_fees("100", "200")
    world.tables["prices"][1]["tax_code"] = "books"
    world.tables["customers"][0]["region"] = "BE"
    rates = (("all", "19", "", ""), ("books", "7", "", "books"), ("city", "2", "BE", ""))
    for tax_rate_id, percentage, region, code in (*rates, ("other", "50", "XX", "")):
        cells = {"country": "DE", "percentage": percentage}
        world.add("tax_rates", tax_rate_id=tax_rate_id, region=region, tax_code=code, **cells)
    assert shown(bill(world, MONTH), "tax") == ["6", "14", "19"]


def test_tax_is_on_what_the_discount_leaves_of_each_line() -> None:
    # 10.00 off 100 and 200: 3.33 and 6.67. Tax 20 % of 96.67, 10 % of 193.33.
    world = with_fees("100", "200")
    world.tables["prices"][1]["tax_code"] = "books"
    world.tables["subscriptions"][0]["coupon_id"] = "ten"
    world.add("coupons", coupon_id="ten", amount_off="10", currency="USD", duration="forever")
    world.add("tax_rates", tax_rate_id="a", country="DE", percentage="20")
    world.add("tax_rates", tax_rate_id="b", country="DE", percentage="10", tax_code="books")
    assert shown(bill(world, MONTH), "tax") == ["19.33", "19.33"]


def test_a_customer_who_moved() -> None:
    world = with_fees("100")
    world.tables["customers"].clear()
    customer(world, country="DE")
    customer(world, country="AT", valid_from="2024-05-01")
    world.add("tax_rates", tax_rate_id="de", country="DE", percentage="19")
    world.add("tax_rates", tax_rate_id="at", country="AT", percentage="20")
    assert totals(bill(world, MONTH)) == {"ada": "119"}
    assert totals(bill(world, "2024-05")) == {"ada": "120"}


def test_lines_on_another_customers_invoice() -> None:
    # Ada's coupon is hers; the tax is her payer's.
    world = with_fees("100")
    world.tables["customers"][0]["bill_to"] = "group"
    world.tables["subscriptions"][0]["coupon_id"] = "ten"
    world.add("coupons", coupon_id="ten", percent_off="10", duration="forever")
    customer(world, "group", country="AT")
    subscribe(world, "own", customer_id="group")
    world.add("tax_rates", tax_rate_id="de", country="DE", percentage="19")
    world.add("tax_rates", tax_rate_id="at", country="AT", percentage="20")
    assert totals(bill(world, MONTH)) == {"group": "228"}  # 190 x 1.2
    world.tables["customers"][0]["is_payer"] = "false"
    assert totals(bill(world, MONTH)) == {"group": "120"}


# --- wallets, adjustments, commitments ---------------------------------------------------------


def put_in(world: World, name: str, value: str, at: str, **cells: Any) -> None:
    cells = {"customer_id": "ada", "currency": "USD", "kind": "grant"} | cells
    world.add("wallet_transactions", transaction_id=name, amount=value, occurred_at=at, **cells)


def test_lots_are_used_in_order_and_expire() -> None:
    # The fee of 30 takes 20 that expire in May, and 10 of what never does. In May 5 expire and the
    # next 30 are due of 90 - 10.
    world = with_fees("30")
    put_in(world, "a", "90", "2024-03-01")
    put_in(world, "b", "20", "2024-04-02", expires_at="2024-05-15")
    put_in(world, "c", "5", "2024-04-02", priority="200", expires_at="2024-05-02")
    result = bill(world, MONTH)
    assert decimal_text(result.wallets["ada", "USD"]) == "85"
    taken = {("ada", "USD"): {MONTH: Fraction(30)}}
    result = bill(world, "2024-05", "UTC", taken)
    assert decimal_text(result.wallets["ada", "USD"]) == "50"


def test_what_expires_at_the_months_end_pays_first() -> None:
    world = with_fees("30")
    put_in(world, "a", "50", "2024-04-02", expires_at="2024-05-01")
    put_in(world, "b", "7", "2024-04-02", expires_at="2024-04-30T23:59:59.999999Z")
    result = bill(world, MONTH)
    assert decimal_text(result.invoices["ada", "USD"].wallet_applied) == "30"
    assert result.wallets["ada", "USD"] == 0


def test_a_credit_goes_to_the_wallet() -> None:
    world = with_fees("30")
    cells = {"customer_id": "ada", "currency": "USD", "occurred_at": "2024-04-05"}
    world.add("adjustments", adjustment_id="x", amount="-42.5", description="Sorry", **cells)
    result = bill(world, MONTH)
    invoice = result.invoices["ada", "USD"]
    assert decimal_text(invoice.total) == "-12.5"
    assert invoice.amount_due == 0
    assert decimal_text(result.wallets["ada", "USD"]) == "12.5"


def test_an_adjustment_comes_after_discounts_and_before_tax() -> None:
    world = with_fees("100")
    world.tables["subscriptions"][0]["coupon_id"] = "half"
    world.add("coupons", coupon_id="half", percent_off="50", duration="forever")
    world.add("tax_rates", tax_rate_id="vat", country="DE", percentage="10")
    cells = {"customer_id": "ada", "currency": "USD", "occurred_at": "2024-04-30T23:59:59Z"}
    world.add("adjustments", adjustment_id="x", amount="20", **cells)
    assert totals(bill(world, MONTH)) == {"ada": "77"}  # (50 + 20) x 1.1


def commit(world: World, kind: str, value: str, starts_at: str, ends_at: str, **cells: Any) -> None:
    cells = {"customer_id": "ada", "currency": "USD", "commitment_id": "c"} | cells
    times = {"starts_at": starts_at, "ends_at": ends_at}
    world.add("commitments", kind=kind, amount=value, **times, **cells)


def test_a_commitment_is_filled_where_its_term_ends() -> None:
    # 1,000 over the quarter until 1 May: 300 + 250 before, 100 now less a discount of 10.
    world = with_fees("100")
    world.tables["subscriptions"][0]["coupon_id"] = "ten"
    world.add("coupons", coupon_id="ten", percent_off="10", duration="forever")
    commit(world, "true_up", "1000", "2024-02-01", "2024-05-01")
    result = bill(world, MONTH, spent_before={"c": Fraction(550)})
    assert shown(result, "commitment") == ["360"]
    assert totals(result) == {"ada": "450"}
    assert shown(bill(world, "2024-03"), "commitment") == []


def test_overage_is_charged_on_the_increase_beyond_the_amount() -> None:
    # 950 before, 100 now: 50 beyond 1,000 cost 20 % more.
    world = with_fees("100")
    commit(world, "true_up", "1000", "2024-01-01", "2025-01-01", overage_percent="20")
    result = bill(world, MONTH, spent_before={"c": Fraction(950)})
    assert shown(result, "overage") == ["10"]
    result = bill(world, MONTH, spent_before={"c": Fraction(1200)})
    assert shown(result, "overage") == ["20"]


def test_a_prepaid_commitment_pays_all_but_itself() -> None:
    # 200 are invoiced without tax in the month in which the term starts; the lot pays the fee of
    # 100 and its tax of 19, and keeps 81.
    world = with_fees("100")
    world.add("tax_rates", tax_rate_id="vat", country="DE", percentage="19")
    commit(world, "prepaid", "200", "2024-04-10", "2025-04-10")
    result = bill(world, MONTH)
    invoice = result.invoices["ada", "USD"]
    figures = (invoice.total, invoice.wallet_applied, invoice.amount_due)
    assert [decimal_text(value) for value in figures] == ["319", "119", "200"]
    assert decimal_text(result.wallets["ada", "USD"]) == "81"


# --- usage that nothing charges ----------------------------------------------------------------


def test_the_reason_nearest_to_a_price_counts() -> None:
    # Charged until the 11th if the zone is eu; from the 21st on the customer has no subscription.
    world = world_of_one("per_unit", unit_amount="1", filter={"zone": "eu"})
    world.tables["prices"][0]["valid_to"] = "2024-04-11"
    world.tables["subscriptions"][0]["ends_at"] = "2024-04-21"
    meter(world, "others", "count", event_name="other")
    eu = {"properties": {"zone": "eu"}}
    use(world, "units", "1", "2024-04-05", **eu)
    use(world, "units", "2", "2024-04-05", properties={"zone": "us"})
    use(world, "units", "4", "2024-04-15", **eu)
    use(world, "units", "8", "2024-04-16", **eu)
    use(world, "units", "16", "2024-04-25", **eu)
    use(world, "other", "32", "2024-04-05")
    found = bill(world, MONTH).unpriced
    quantities = {key[1:]: (int(row.quantity), row.event_count) for key, row in found.items()}
    assert quantities == {
        ("units", "no_matching_filter"): (2, 1),
        ("units", "price_gap"): (12, 2),
        ("units", "no_subscription"): (16, 1),
        ("other", "no_price"): (32, 1),
    }


def test_what_a_limit_counts_or_a_trial_covers_is_not_unpriced() -> None:
    world = world_of_one("per_unit", unit_amount="1")
    world.tables["subscriptions"][0]["trial_ends_at"] = "2024-04-20"
    meter(world, "others", "count", event_name="other")
    world.add("entitlements", plan_id="plan", feature="others", meter_id="others")
    use(world, "units", "1", "2024-04-05")
    use(world, "other", "1", "2024-04-05")
    assert bill(world, MONTH).unpriced == {}
