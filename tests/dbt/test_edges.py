"""Edges of tiers, months, clocks and subscriptions, one customer each, worked out by hand.

What belongs here: the instants and quantities at which a charge jumps. What does not: typical use
(test_documented_examples.py), random worlds (tests/property).

Everything of one month and zone is billed in one build; the oracle must agree on all of it.
"""

from __future__ import annotations

import json
import re
from datetime import date
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.dbt.company import LONG_AGO, Billed, Company, billed
from tests.property.harness import exact
from tests.property.intake import month_edges
from tests.property.values import iso, round_half_away

TINY = "0.000000000000000001"

# --- tiers -----------------------------------------------------------------------------------

TIERS = ("10", "1", "5"), ("20.5", "0.5", "0"), ("", "0.25", "7")
PERCENTAGES = ("10", "10", "5"), ("20.5", "5", "0"), ("", "1", "7")
FLAT_ONLY = ("10", "", "3"), ("20", "", "4"), ("", "", "5")

# quantity: graduated, volume, graduated_percentage over TIERS and PERCENTAGES, and the tiers
# that graduated enters. Amounts to 12 places: what 10^-18 adds cannot be seen, a tier can.
AT_TIERS = {
    "0": ("5", "5", "5", 1),
    TINY: ("5", "5", "5", 1),
    "9.999999999999999999": ("15", "15", "6", 1),
    "10": ("15", "15", "6", 1),
    "10.000000000000000001": ("15", "5", "6", 2),
    "10.5": ("15.25", "5.25", "6.025", 2),
    "20.499999999999999999": ("20.25", "10.25", "6.525", 2),
    "20.5": ("20.25", "10.25", "6.525", 2),
    "20.500000000000000001": ("27.25", "12.125", "13.525", 3),
    "100": ("47.125", "32", "14.32", 3),
}
# quantity: graduated, volume over tiers that have nothing but flat amounts
AT_FLAT_TIERS = {
    "0": ("3", "3"),
    "10": ("3", "3"),
    "10.000000000000000001": ("7", "4"),
    "20": ("7", "4"),
    "20.000000000000000001": ("12", "5"),
    "1000": ("12", "5"),
}
# quantity: over a single tier of 2 a unit and 1 flat, which has no bound
AT_ONE_TIER = {"0": "1", TINY: "1", "7.25": "15.5", "1000000": "2000001"}
MODELS = ("graduated", "volume", "graduated_percentage")


def tier_company() -> Company:
    company = Company()

    def case(name: str, model: str, quantity: str, *tiers: tuple[str, str, str]) -> None:
        company.whole(name)
        company.metered(name, model)
        rate = "percentage" if model == "graduated_percentage" else "unit_amount"
        company.tiers(name, *tiers, rate=rate)
        if quantity != "0":
            company.use(name, quantity, "2024-04-10")

    for quantity in AT_TIERS:
        for model in MODELS:
            tiers = PERCENTAGES if model == "graduated_percentage" else TIERS
            case(f"{model} {quantity}", model, quantity, *tiers)
    for quantity in AT_FLAT_TIERS:
        for model in MODELS[:2]:
            case(f"flat {model} {quantity}", model, quantity, *FLAT_ONLY)
    for quantity in AT_ONE_TIER:
        for model in MODELS[:2]:
            case(f"one {model} {quantity}", model, quantity, ("", "2", "1"))
    _add_averages(company)
    return company


def _add_averages(company: Company) -> None:
    """Averages that no decimal can hold: above a bound by less than the last of 18 places."""
    for model in MODELS[:2]:
        name = f"average {model}"
        company.whole(name)
        company.metered(name, model, "time_weighted_average")
        company.tiers(name, *TIERS)
        company.use(name, "10", "2024-04-01")
        company.use(name, "10.000000000000000001", "2024-04-10T00:00:00.000000")
        company.use(name, "10", "2024-04-10T00:00:00.000001")
    # Less what is included, times a price of 12 places, times a share: 60 digits on the way.
    company.customer("dear")
    company.plan("dear")
    company.subscribe("dear", "dear", starts_at="2024-04-10T07:11:13.123457Z")
    terms = {"unit_amount": "98683.600834313739", "included_quantity": "5", "prorate": "true"}
    company.metered("dear", "per_unit", "time_weighted_average", **terms)
    company.use("dear", "999999.999999999999999999", "2024-04-10T07:11:13.123459Z")


@pytest.fixture(scope="module")
def tiers(tmp_path_factory: pytest.TempPathFactory) -> Billed:
    return billed(tier_company(), "2024-04", "UTC", tmp_path_factory.mktemp("tiers"))


@pytest.mark.parametrize("quantity", AT_TIERS)
def test_a_tier_ends_with_its_bound(tiers: Billed, quantity: str) -> None:
    *amounts, entered = AT_TIERS[quantity]
    for model, amount in zip(MODELS, amounts, strict=True):
        assert tiers.exactly(f"{model} {quantity}") == [Fraction(str(amount))], model
    charge = tiers.charge(f"graduated {quantity}")
    found = [r for r in tiers.tables["charge_tiers"] if r["charge_id"] == charge["charge_id"]]
    assert len(found) == entered
    assert sum(row["quantity"] for row in found) == charge["billable_quantity"]


@pytest.mark.parametrize("quantity", AT_FLAT_TIERS)
def test_tiers_of_flat_amounts_only(tiers: Billed, quantity: str) -> None:
    for model, amount in zip(MODELS, AT_FLAT_TIERS[quantity], strict=False):
        assert tiers.exactly(f"flat {model} {quantity}") == [Fraction(amount)], model


@pytest.mark.parametrize("quantity", AT_ONE_TIER)
def test_one_tier_without_a_bound(tiers: Billed, quantity: str) -> None:
    for model in MODELS[:2]:
        assert tiers.exactly(f"one {model} {quantity}") == [Fraction(AT_ONE_TIER[quantity])]


def test_an_average_just_above_a_bound_is_above_it(tiers: Billed) -> None:
    graduated, volume = (tiers.charge(f"average {model}") for model in MODELS[:2])
    assert graduated["billable_quantity"] == 10  # as far as 18 places show
    found = [r for r in tiers.tables["charge_tiers"] if r["charge_id"] == graduated["charge_id"]]
    assert [row["tier"] for row in sorted(found, key=lambda row: row["tier"])] == [1, 2]
    assert exact(volume["exact_amount"]) == 5  # all units at 0.5, none at 1


def test_an_average_at_a_dear_price_is_exact(tiers: Billed) -> None:
    month = 30 * 86_400 * 10**6
    part = month - (9 * 86_400 + 7 * 3600 + 11 * 60 + 13) * 10**6 - 123_457
    average = Fraction("999999.999999999999999999") * (part - 2) / part
    expected = (average - 5) * Fraction("98683.600834313739") * Fraction(part, month)
    assert tiers.exactly("dear") == [round_half_away(expected, 12)]
    assert exact(tiers.charge("dear")["amount"]) == round_half_away(expected, 2)


# --- months, clocks, subscriptions -----------------------------------------------------------

BERLIN = "Europe/Berlin"
# The month's edges in UTC: winter time at the start of March, summer time at its end.
MARCH = "2024-02-29T23:00:00.000000Z", "2024-03-31T22:00:00.000000Z"
LAST = "2024-03-31T21:59:59.999999Z"
CHANGE = "2024-03-17T12:00:00.250000Z"
AGAIN = "2024-03-17T12:00:00.750000Z"
HOURS = 743


def march_company() -> Company:
    company = Company()
    _add_month_edges(company)
    _add_carried(company)
    _add_subscription_edges(company)
    _add_plan_changes(company)
    _add_thirty_days(company)
    return company


def _add_month_edges(company: Company) -> None:
    company.whole("edges")
    company.metered("edges", "per_unit", unit_amount="1")
    company.use("edges", "1", MARCH[0], "2024-03")
    company.use("edges", "10", LAST)
    company.use("edges", "100", "2024-02-29T22:59:59.999999Z", "2024-02")
    company.use("edges", "1000", MARCH[1], "2024-04")
    company.use("edges", "10000", MARCH[1], "2024-03")  # the folder is no part of the time
    company.use("edges", "100000", "2024-02-29T22:59:59.999999Z", "2024-03")
    # 02:30 does not exist on 31 March: it is 03:30, and 20.5 hours are left of the month's 743.
    company.whole("average")
    company.metered("average", "per_unit", "time_weighted_average", unit_amount="743000000000")
    company.use("average", "2", "2024-03-31T02:30:00")


# Rows of October after a reading of 5, none of which is a reading.
NO_READINGS: dict[str, dict[str, object]] = {
    "negative": {"quantity": "-1"},
    "no number": {"quantity": "NaN"},
    "of another month": {"occurred_at": MARCH[0]},
    "no time": {"occurred_at": "2023-10-32"},
    "no properties": {"properties": "[]"},
    "without id": {"event_id": ""},
    "of nobody": {"customer_id": "nobody"},
    "of another name": {"event_name": "unheard"},
    "with the id of the one before": {"event_id": "with the id of the one before 5"},
}


def _add_carried(company: Company) -> None:
    """Gauges that were last read in months that are not read for anything else."""

    def read(
        customer: str, quantity: str, at: str, file: str = "a.csv", /, **cells: object
    ) -> None:
        known = {"customer_id": customer, "event_name": "carried", "occurred_at": at}
        known |= {"event_id": f"{customer} {quantity}", "quantity": quantity}
        company.world.event("2023-10", file, **(known | cells))

    company.plan("carried")
    company.metered("carried", "per_unit", "latest", unit_amount="1", carry_forward="true")
    cells = {"plan_id": "carried", "meter_id": "carried", "unit_amount": "1"}
    company.price("carried small", "per_unit", filter={"size": "small"}, **cells)
    others = ("in another month", "id taken", "id free", "id of another's")
    for customer in ("carried", "carried too", *others, *NO_READINGS):
        company.customer(customer)
        company.subscribe(customer, "carried")
    # Two readings of the same instant long ago: file and row decide, within and without filters.
    # Once so that the last is the small one, once the other way.
    for customer, last, first in (("carried", "small", "large"), ("carried too", "large", "small")):
        for file, quantity, size in (("b.csv", "7", last), ("a.csv", "9", first)):
            read(customer, quantity, "2023-10-15T00:00:00Z", file, properties={"size": size})
    for name, fault in NO_READINGS.items():
        read(name, "5", "2023-10-10T00:00:00Z")
        read(name, "6", "2023-10-20T00:00:00Z", **fault)
    company.use("carried", "3", "2019-05-01T00:00:00Z", customer="in another month")
    company.use("carried", "4", "2023-12-01T00:00:00Z", customer="in another month")
    # An id counts for its first row that is not rejected, of whatever name and customer.
    ids = {"event_id": "taken"}
    read("id taken", "1", "2023-10-10T00:00:00Z", event_name="edges", **ids)
    read("id taken", "2", "2023-10-11T00:00:00Z", **ids)
    ids = {"event_id": "free"}
    read("id free", "-1", "2023-10-10T00:00:00Z", **ids)
    read("id free", "1", "2023-10-10T00:00:00Z", event_name="unheard", **ids)
    read("nobody", "1", "2023-10-10T00:00:00Z", **ids)
    read("id free", "6", "2023-10-11T00:00:00Z", **ids)
    ids = {"event_id": "of another"}
    read("carried", "1", "2023-10-01T00:00:00Z", **ids)
    read("id of another's", "2", "2023-10-11T00:00:00Z", **ids)
    # The newest event lacks what a meter reads: the one before counts, for that meter alone.
    company.whole("gigabytes")
    for name, key in (("gigabytes", "gb"), ("awkward", "a/b~c.d$")):
        cells = {"event_name": "disk", "aggregation": "max", "property": key}
        company.world.add("meters", meter_id=name, carry_forward="true", **cells)
        cells = {"plan_id": "gigabytes", "meter_id": name, "unit_amount": "1"}
        company.price(name, "per_unit", filter={'it\'s "q"': "y"}, **cells)
    for number, (gb, awkward) in enumerate(((5, 1), ("7.5", 2), (-1, 3), (True, None))):
        properties = {"gb": gb, "a/b~c.d$": awkward, 'it\'s "q"': "y", "request": number}
        at = f"2023-10-0{number + 1}T12:00:00Z"
        cells = {"event_name": "disk", "event_id": f"disk {number}", "properties": properties}
        read("gigabytes", "1", at, **cells)


# When each subscription of a fee of 743 begins and ends, and what it costs.
STAYS = {
    "whole month": (MARCH[0], MARCH[1], "743"),
    "last day of 23 hours": ("2024-03-31T00:00:00", "", "23"),
    "until the last day": (LONG_AGO, "2024-03-31T00:00:00", "720"),
    "first microsecond": (LONG_AGO, "2024-02-29T23:00:00.000001Z", "0.000000000278"),
    "last microsecond": (LAST, "", "0.000000000278"),
    "all but the first microsecond": ("2024-02-29T23:00:00.000001Z", "", "742.999999999722"),
    "ended at the start": (LONG_AGO, MARCH[0], None),
    "begins at the end": (MARCH[1], "", None),
    "never was": ("2024-03-15T00:00:00", "2024-03-15T00:00:00", None),
}


def _add_subscription_edges(company: Company) -> None:
    company.plan("fee")
    company.price("fee", "flat", flat_amount=str(HOURS))
    for name, (starts_at, ends_at, _) in STAYS.items():
        company.customer(name)
        company.subscribe(name, "fee", starts_at, ends_at=ends_at)
    company.customer("trial")
    company.plan("trial")
    company.metered("trial", "per_unit", unit_amount="1")
    company.subscribe("trial", "trial", trial_ends_at=CHANGE)
    company.use("trial", "1", CHANGE)
    company.use("trial", "10", "2024-03-17T12:00:00.249999Z")


def _add_plan_changes(company: Company) -> None:
    """Three plans, two changes within one second; each plan has the same fee, and meters."""
    company.customer("changing")
    stays = {"first": (LONG_AGO, CHANGE), "second": (CHANGE, AGAIN), "third": (AGAIN, "")}
    company.world.add("meters", meter_id="calls", event_name="calls", aggregation="sum")
    for plan, (starts_at, ends_at) in stays.items():
        company.plan(plan)
        company.price(f"{plan} fee", "flat", plan_id=plan, flat_amount=str(HOURS))
        cells = {"plan_id": plan, "meter_id": "calls", "unit_amount": "1"}
        company.price(f"{plan} calls", "per_unit", **cells)
        company.subscribe("changing", plan, starts_at, ends_at=ends_at)
    for at, quantity in (
        ("2024-03-17T12:00:00.249999Z", "1"),
        (CHANGE, "10"),
        ("2024-03-17T12:00:00.749999Z", "100"),
        (AGAIN, "1000"),
    ):
        company.use("calls", quantity, at, customer="changing")


def _add_thirty_days(company: Company) -> None:
    """Periods that end with the month's first or last instant, or a microsecond after it."""
    company.plan("cycle", billing_cycle="30_days")
    company.price("cycle", "flat", flat_amount="30")
    for name, starts_at in (
        ("ends at the start", "2024-01-30T23:00:00Z"),
        ("ends after the start", "2024-01-30T23:00:00.000001Z"),
        ("ends at the end", "2024-03-01T22:00:00Z"),
        ("ends after the end", "2024-03-01T22:00:00.000001Z"),
    ):
        company.customer(name)
        company.subscribe(name, "cycle", starts_at)


@pytest.fixture(scope="module")
def march(tmp_path_factory: pytest.TempPathFactory) -> Billed:
    return billed(march_company(), "2024-03", BERLIN, tmp_path_factory.mktemp("march"))


def test_events_of_the_first_and_last_microsecond(march: Billed) -> None:
    assert march.charge("edges")["quantity"] == 11
    outside = [row["reason"] for row in march.tables["usage_rejections"]]
    assert outside == ["outside_month", "outside_month"]


def test_an_average_over_a_month_that_lacks_an_hour(march: Billed) -> None:
    # At such a price the remainder behind the 18th place of the average is seen.
    assert march.exactly("average") == [2 * Fraction(41, 2) * 10**9]


def test_readings_of_one_instant_are_carried_by_file_and_row(march: Billed) -> None:
    found = {row["price_id"]: row["quantity"] for row in march.charges("carried")}
    assert found == {"carried": 7, "carried small": 7}
    found = {row["price_id"]: row["quantity"] for row in march.charges("carried too/carried")}
    assert found == {"carried": 7, "carried small": 9}


@pytest.mark.parametrize(
    ("customer", "quantity"),
    [*((name, 5) for name in NO_READINGS), ("in another month", 4), ("id free", 6)],
)
def test_the_last_reading_that_counts_is_carried(
    march: Billed, customer: str, quantity: int
) -> None:
    found = {row["price_id"]: row["quantity"] for row in march.charges(f"{customer}/carried")}
    assert found["carried"] == quantity


def test_a_reading_whose_id_was_taken_is_not_carried(march: Billed) -> None:
    for customer in ("id taken", "id of another's"):
        assert {row["quantity"] for row in march.charges(f"{customer}/carried")} == {0}


def test_each_property_is_carried_from_its_own_last_reading(march: Billed) -> None:
    found = {row["price_id"]: row["quantity"] for row in march.charges("gigabytes")}
    assert found == {"gigabytes": Fraction("7.5"), "awkward": 3}


@pytest.mark.parametrize("stay", STAYS)
def test_subscriptions_that_begin_or_end_at_an_edge(march: Billed, stay: str) -> None:
    expected = STAYS[stay][2]
    found = march.exactly(f"{stay}/fee")
    assert found == ([] if expected is None else [Fraction(expected)])


def test_the_trials_last_instant_is_paid_for(march: Billed) -> None:
    assert march.exactly("trial") == [1]
    metered = [r for r in march.tables["metered_usage"] if r["subscription_id"] == "trial"]
    assert {row["is_trial"]: row["quantity"] for row in metered} == {True: 10, False: 1}


def test_plan_changes_within_one_second(march: Billed) -> None:
    found = {row["price_id"]: row for plan in PLANS for row in march.charges(f"changing/{plan}")}
    calls = {plan: found[f"{plan} calls"]["quantity"] for plan in PLANS}
    assert calls == {"first": 1, "second": 110, "third": 1000}
    fees = [exact(found[f"{plan} fee"]["exact_amount"]) for plan in PLANS]
    assert fees[1] == round_half_away(Fraction(1, 7200), 12)  # half a second of an hour's fee
    assert abs(sum(fees) - HOURS) <= Fraction(3, 10**12)


PLANS = ("first", "second", "third")


@pytest.mark.parametrize(
    ("name", "periods"),
    [
        ("ends at the start", 1),  # that one was February's; the next ends on 30 March
        ("ends after the start", 2),
        ("ends at the end", 1),
        ("ends after the end", 0),
    ],
)
def test_a_period_of_30_days_is_billed_where_it_ends(
    march: Billed, name: str, periods: int
) -> None:
    assert march.exactly(f"{name}/cycle") == [30] * periods


def test_an_event_without_its_property_is_reported_in_its_own_month(tmp_path: Path) -> None:
    """Reported once for each meter, whenever the customers' periods are invoiced, if at all."""
    company = Company()
    company.customer("c")
    company.world.add("meters", meter_id="v", event_name="e", aggregation="sum", property="v")
    for name, starts_at in (("cycle", "2024-01-10T00:00:00Z"), ("other", "2024-01-05T00:00:00Z")):
        company.plan(name, billing_cycle="30_days")
        company.price(name, "per_unit", meter_id="v", unit_amount="1")
        company.subscribe("c", name, starts_at)
    for day in ("04", "20"):  # on the 4th nobody reads it yet
        company.use("e", "1", f"2024-01-{day}T00:00:00Z", customer="c")
    reported = [
        [
            (row["source_file"], row["source_row"], row["meter_id"], row["reason"])
            for row in billed(company, month, "UTC", tmp_path / month).tables["usage_issues"]
            if row["reason"] != "charged_by_several_subscriptions"
        ]
        for month in ("2024-01", "2024-02")
    ]
    assert reported == [[("usage/2024-01/a.csv", 3, "v", "missing_property")], []]


def test_a_month_with_an_hour_twice(tmp_path: Path) -> None:
    company = Company()
    company.plan("fee")
    company.price("fee", "flat", flat_amount="745")
    company.customer("late")
    company.subscribe("late", "fee", "2024-10-27T00:00:00")  # 25 hours and four days
    company.whole("twice")
    company.metered("twice", "per_unit", "time_weighted_average", unit_amount="745")
    company.use("twice", "1", "2024-10-27T02:30:00")  # written without offset: the second one
    company.use("twice", "3", "2024-10-27T01:30:00Z", "2024-10")  # and that one in UTC
    found = billed(company, "2024-10", BERLIN, tmp_path)
    assert found.exactly("late/fee") == [25 + 4 * 24]
    assert found.exactly("twice") == [3 * (Fraction(43, 2) + 4 * 24)]


def test_a_month_whose_midnight_occurs_twice(tmp_path: Path) -> None:
    """In Havana 1 November 2026 began twice: the month begins with the first, for everything."""
    company = Company()
    company.plan("fee")
    company.price("fee", "flat", flat_amount="721")
    for name, starts_at, ends_at in (
        ("whole", "2026-11-01", ""),
        ("ended", LONG_AGO, "2026-11-01"),
        ("second midnight", "2026-11-01T05:00:00Z", ""),
    ):
        company.customer(name)
        company.subscribe(name, "fee", starts_at, ends_at=ends_at)
    company.whole("used")
    company.metered("used", "per_unit", unit_amount="1", valid_to="2026-11-01")
    company.price(
        "used", "per_unit", meter_id="used", unit_amount="1", valid_from="2026-11-01",
        minimum_amount="9",
    )  # fmt: skip
    company.use("used", "1", "2026-11-01T04:00:00Z")
    company.use("used", "10", "2026-11-01T00:00:00")
    company.use("used", "100", "2026-11-01T03:59:59.999999Z")
    company.use("used", "1000", "2026-11-01T04:30:00Z", "2026-10")
    company.use("used", "10000", "2026-11-01T00:30:00")  # the second one
    found = billed(company, "2026-11", "America/Havana", tmp_path)
    assert found.exactly("whole/fee") == [721]
    assert found.exactly("ended/fee") == []
    assert found.exactly("second midnight/fee") == [720]
    assert found.exactly("used") == [10011]
    assert [row["reason"] for row in found.tables["usage_rejections"]] == ["outside_month"]
    before = billed(company, "2026-10", "America/Havana", tmp_path)
    assert before.exactly("used") == [0]
    assert [row["reason"] for row in before.tables["usage_rejections"]] == ["outside_month"]


@pytest.mark.parametrize("zone", ["America/Vancouver", "Africa/Casablanca", "Europe/Berlin"])
def test_a_month_after_clocks_were_changed_for_good(tmp_path: Path, zone: str) -> None:
    """As Python knows them: DuckDB may not have heard of it yet."""
    start, end = month_edges("2026-12", ZoneInfo(zone))
    company = Company()
    company.world.add("coupons", coupon_id="first", percent_off="50", duration="once")
    company.plan("fee")
    company.price("fee", "flat", flat_amount="744", description="{month}", timing="advance")
    company.customer("new", days_until_due="0")
    company.subscribe("new", "fee", "2026-12-01", coupon_id="first")
    company.whole("used")
    company.metered("used", "per_unit", unit_amount="1")
    for quantity, at in (
        ("1", iso(start)), ("10", iso(end - 1)), ("100", "2026-12-01"),
        ("1000", "2026-12-31T23:59:59.999999"), ("10000", iso(start - 1)), ("100000", iso(end)),
    ):  # fmt: skip
        company.use("used", quantity, at, "2026-12")
    company.use("used", "1000000", "2026-12-15T12:00:00", "2026-12")
    found = billed(company, "2026-12", zone, tmp_path)
    assert found.exactly("used") == [1001111]
    assert [row["description"] for row in found.charges("new/fee")] == [
        "December 2026",
        "January 2027",
    ]
    assert exact(found.invoice("new")["discount"]) == 744
    assert found.invoice("new")["due_date"] == date(2027, 1, 1)


def test_the_29th_of_february(tmp_path: Path) -> None:
    company = Company()
    company.plan("fee")
    company.price("fee", "flat", flat_amount="29")
    company.customer("leap")
    company.subscribe("leap", "fee", "2024-02-29T00:00:00+05:30")
    company.whole("counted")
    company.metered("counted", "per_unit", unit_amount="1")
    company.use("counted", "1", "2024-02-29T23:59:59.999999+05:30")
    company.use("counted", "10", "2024-03-01T00:00:00+05:30", "2024-02")
    found = billed(company, "2024-02", "Asia/Kolkata", tmp_path)
    assert found.exactly("leap/fee") == [1]
    assert found.exactly("counted") == [1]


# What a meter makes of a quantity or a property: its value, or why it has none.
NUMBERS = {
    "3e-5": "0.00003",
    "2.5E3": "2500",
    "2.000000000000000000000e-05": "0.00002",
    "0.0000000000000000001e5": "0.00000000000001",
    "1000e-20": "0.00000000000000001",
    "1e-18": TINY,
    "0.02e16": "200000000000000",
    "999999999999999.999999999999999999": "999999999999999.999999999999999999",
    "4e-19": "out_of_range",
    "6e-19": "out_of_range",
    "2.9999999999999997e-05": "out_of_range",
    "0.000029999999999999997": "out_of_range",
    "1e15": "out_of_range",
    "1000000000000000": "out_of_range",
    "76722938758818.9005019400152254690E+2": "out_of_range",
    "1e400": "out_of_range",
    "1e": "invalid",
    "many": "invalid",
}


def test_numbers_are_never_rounded_in_any_format(tmp_path: Path) -> None:
    company = Company()
    meter = {"event_name": "property", "aggregation": "sum", "property": "n"}
    company.world.add("meters", meter_id="property", **meter)
    company.world.add("meters", meter_id="quantity", event_name="quantity", aggregation="sum")
    for name in ("property", "quantity"):
        company.plan(name)
        company.price(name, "dynamic", meter_id=name)
    ways = {}
    for text in NUMBERS:
        as_json = [text] if re.fullmatch(r"[0-9].*[0-9]", text) else []
        for way, properties in (
            ("quantity", None), ("text", json.dumps({"n": text})),
            *(("number", f'{{"n": {number}}}') for number in as_json),
        ):  # fmt: skip
            customer = f"{text} as {way}"
            plan = "quantity" if properties is None else "property"
            ways[customer] = (text, plan)
            company.customer(customer)
            company.subscribe(customer, plan)
            company.world.event(
                "2024-03", event_id=customer, customer_id=customer, event_name=plan,
                occurred_at="2024-03-05", properties=properties,
                quantity=text if properties is None else "",
            )  # fmt: skip
    tables = billed(company, "2024-03", "UTC", tmp_path).tables
    billed_as = {
        row["customer_id"]: row["quantity"] for row in tables["charges"] if row["event_count"]
    }
    reasons = {
        row["event_id"]: row["reason"]
        for table in ("usage_rejections", "usage_issues")
        for row in tables[table]
    }
    for customer, (text, plan) in ways.items():
        expected = NUMBERS[text]
        if expected == "invalid":
            assert reasons[customer] == f"invalid_{plan}", customer
        elif expected == "out_of_range":
            assert reasons[customer] == f"{plan}_out_of_range", customer
        else:
            assert exact(billed_as[customer]) == Fraction(expected), customer
            assert customer not in reasons


def test_rejected_rows_show_what_was_given(tmp_path: Path) -> None:
    """Text as it stood there, columns by their names: also where files have them in other types."""
    company = Company()
    company.whole("c")
    company.metered("c", "per_unit", unit_amount="1")
    for number, file in enumerate(("a.csv", "c.parquet", "typed.parquet", "b.jsonl")):
        for quantity in ("1", "2.5"):  # the second is in conflict with the first
            company.world.event(
                "2024-03",
                file=file,
                event_id=f"e{number}",
                customer_id="c",
                event_name="c",
                occurred_at="2024-03-05T00:00:00Z",
                quantity=quantity,
            )
    found = billed(company, "2024-03", "UTC", tmp_path).tables["usage_rejections"]
    assert {row["reason"] for row in found} == {"conflicting_duplicate"}
    given = {row["source_file"].rsplit("/")[-1]: json.loads(row["raw"]) for row in found}
    as_text = {"customer_id": "c", "event_name": "c", "occurred_at": "2024-03-05T00:00:00Z"}
    empty = {"properties": None}
    exported = {"occurred_at": "2024-03-05 00:00:00+00", "quantity": "2.500000000000000000"}
    assert given.pop("b.jsonl")["event_id"] == "e3"
    assert given == {
        "a.csv": as_text | {"event_id": "e0", "quantity": "2.5", "properties": ""},
        "c.parquet": as_text | {"event_id": "e1", "quantity": "2.5"} | empty,
        "typed.parquet": as_text | {"event_id": "e2"} | exported | empty,
    }
