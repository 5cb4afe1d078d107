"""Edges of coupons, taxes, wallets and limits, one customer each, worked out by hand.

What belongs here: discounts, taxes, payments and limits just inside and just outside a bound.
What does not: charges (test_edges.py), random worlds (tests/property).
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from tests.dbt.company import LONG_AGO, Billed, Company, billed

BEGIN, LAST, END = "2024-04-01T00:00:00Z", "2024-04-30T23:59:59.999999Z", "2024-05-01T00:00:00Z"
COUPONS = {
    "once": {"duration": "once", "percent_off": "10"},
    "two months": {"duration": "repeating", "duration_in_months": "2", "percent_off": "10"},
    "for ever": {"duration": "forever", "percent_off": "10"},
    "all": {"duration": "forever", "percent_off": "100"},
    "as much": {"duration": "forever", "amount_off": "30", "currency": "USD"},
    "more": {"duration": "forever", "amount_off": "30.01", "currency": "USD"},
    "other currency": {"duration": "forever", "amount_off": "5", "currency": "EUR"},
}
# Coupon, start, trial's end, discount off a whole month's fee of 30.
DISCOUNTS = {
    "its only month": ("once", BEGIN, "", "3"),
    "the month before": ("once", "2024-03-31T23:59:59.999999Z", "", "0"),
    "first paid this month": ("once", "2024-03-20T00:00:00Z", BEGIN, "3"),
    "first paid the month before": (
        "once", "2024-03-20T00:00:00Z", "2024-03-31T23:59:59.999999Z", "0",
    ),
    "second of two": ("two months", "2024-03-31T23:59:59Z", "", "3"),
    "third of two": ("two months", "2024-02-29T23:59:59Z", "", "0"),
    "long ago": ("for ever", LONG_AGO, "", "3"),
    "nothing is left": ("all", LONG_AGO, "", "30"),
    "as much as the lines": ("as much", LONG_AGO, "", "30"),
    "never more than the lines": ("more", LONG_AGO, "", "30"),
    "of another currency": ("other currency", LONG_AGO, "", "0"),
}  # fmt: skip
# Coupon, start, trial's end, discount off what a period of 30 days costs, 30 in full.
CYCLES = {
    "its first ends this month": ("once", "2024-03-20T00:00:00Z", "", "3"),
    "its first ends as the month does": ("once", "2024-04-01T00:00:00Z", "", "3"),
    "its first ended the month before": ("once", "2024-02-20T00:00:00Z", "", "0"),
    "its second of two ends": ("two months", "2024-02-20T00:00:00Z", "", "3"),
    "its third of two ends": ("two months", "2024-01-21T00:00:00Z", "", "0"),
    "its trial ended in the second": (
        "once", "2024-02-20T00:00:00Z", "2024-03-24T00:00:00Z", "2.7",
    ),
}  # fmt: skip
# Plan, start and end of each version (all name a coupon of a tenth for one month, but not the first
# of `UNNAMED_FIRST`), the end of the trial, and the discount in April.
FIRST_INVOICES: dict[str, tuple[str, list[tuple[str, str]], str, str]] = {
    "its first two months are sold": (*("anniversary", [("2024-04-15T00:00:00Z", "")], "", "6"),),
    "its first month was sold before": (*("anniversary", [("2024-03-15T00:00:00Z", "")], "", "0"),),
    "its year is sold, its month is not yet over": (
        *("year and month", [("2024-04-15T00:00:00Z", "")], "", "60"),
    ),
    "its trial ends in the month that is sold": (
        *("advance", [("2024-04-10T00:00:00Z", "")], "2024-05-20T00:00:00Z", "1.16"),
    ),
    "its trial ends with the 30 days before": (
        *("cycle in advance", [("2024-03-20T00:00:00Z", "")], "2024-04-19T00:00:00Z", "3"),
    ),
    "its first quarter ends": ("quarter", [("2024-01-20T00:00:00Z", "")], "", "9"),
    "named after its year was sold": (
        *("year", [("2023-05-10T00:00:00Z", "2024-02-10T00:00:00Z"), ("2024-02-10T00:00:00Z", "")]),
        *("", "60"),
    ),
    "its trial ends as the next version begins": (
        *("advance", [("2024-03-10T00:00:00Z", END), (END, "")]),
        *(END, "3"),
    ),
}
UNNAMED_FIRST = {"named after its year was sold"}
# Coupon, start, and what is given back of April's fee of 30, charged on March's invoice, to a
# subscription that ends after a third of April.
UNUSED = {
    "sold at a tenth less": ("for ever", LONG_AGO, "-18"),
    "sold for nothing": ("all", LONG_AGO, "0"),
    "sold with the coupon's last invoice": ("once", "2024-03-10T00:00:00Z", "-18"),
    "sold after the coupon's last invoice": ("once", "2024-02-10T00:00:00Z", "-20"),
    "sold with an amount off": ("as much", LONG_AGO, "-20"),
}
# When each country's rate of 10 % begins and ends, and the tax on 30.
RATES = {
    "AA": ("", "", "3"),
    "AB": ("", END, "3"),
    "AC": ("", LAST, "0"),
    "AD": (LAST, "", "3"),
    "AE": (END, "", "0"),
}
# Top-ups, what an invoice of 30 takes of them.
WALLETS = {
    "as much": ([("30", BEGIN)], "30"),
    "less": ([("29.99", BEGIN)], "29.99"),
    "more": ([("30.01", BEGIN)], "30"),
    "finer than a cent": ([("10.005", BEGIN)], "10"),
    "in the last microsecond": ([("7", LAST)], "7"),
    "too late": ([("7", END)], "0"),
    "in part too late": ([("7", BEGIN), ("8", END)], "7"),
}
# Limit on the 7 that were used, what is left of it, and the state. Without a limit nothing is
# "left": an application that read 0 there would lock out who may use any amount.
LIMITS = {
    "ten": ("10", "3", "ok"),
    "eight": ("8", "1", "warning"),
    "as much": ("7", "0", "warning"),
    "exceeded": ("6.5", "0", "exceeded"),
    "none at all": ("0", "0", "exceeded"),
    "unlimited": ("", None, "ok"),
}
# The same, where other months' invoices (month, amount) took of the wallet.
SHARED_WALLETS = {
    "after an earlier month": ([("10", BEGIN)], [("2024-03", "4")], "6"),
    "before a later month": ([("7", BEGIN)], [("2024-05", "5")], "2"),
    "between two": ([("9", BEGIN)], [("2024-03", "2"), ("2024-06", "3")], "4"),
    "taken out later": ([("3", BEGIN), ("-3", END)], [], "3"),
    "taken out before a later month": ([("9", BEGIN), ("-4", END)], [("2024-06", "5")], "0"),
    "overdrawn before": ([("3", BEGIN), ("-5", LAST)], [], "0"),
    "owed and filled": ([("-5", BEGIN), ("12", LAST)], [("2024-03", "1")], "6"),
}
# The same, where so much of the 30 was billed (and taken of the wallet) before the month is rated
# again: the same amounts for the same inputs, and what is billed anew takes of what is left.
BILLED_WALLETS = {
    "nothing has changed": ([("20", BEGIN)], [("2024-04", "20")], "30", "20"),
    "a later month took what credit gave back": (
        *([("20", BEGIN)], [("2024-04", "20"), ("2024-05", "5")], "30", "20"),
    ),
    "filled since": ([("20", BEGIN), ("9", LAST)], [("2024-04", "20")], "30", "20"),
    "charged elsewhere since": ([("20", BEGIN)], [("2024-03", "20"), ("2024-04", "0")], "30", "0"),
    "more is due": ([("28", BEGIN)], [("2024-04", "20")], "20", "28"),
    "more is due and a later month took": (
        *([("28", BEGIN)], [("2024-04", "20"), ("2024-05", "5")], "20", "23"),
    ),
    "less is due": ([("50", BEGIN)], [("2024-04", "40")], "45", "30"),
    "less is due than was paid otherwise": ([("20", BEGIN)], [("2024-04", "20")], "45", "20"),
    "taken out since": ([("20", BEGIN), ("-15", BEGIN)], [("2024-04", "20")], "30", "20"),
}


def company() -> Company:
    company = Company()
    company.plan("fee")
    company.price("fee", "flat", flat_amount="30")
    for coupon_id, cells in COUPONS.items():
        company.world.add("coupons", coupon_id=coupon_id, **cells)
    for name, (coupon, starts_at, trial_ends_at, _) in DISCOUNTS.items():
        company.customer(name)
        cells = {"coupon_id": coupon, "trial_ends_at": trial_ends_at}
        company.subscribe(name, "fee", starts_at, **cells)
    company.plan("cycle", billing_cycle="30_days")
    company.price("cycle", "flat", flat_amount="30")
    for name, (coupon, starts_at, trial_ends_at, _) in CYCLES.items():
        company.customer(name)
        cells = {"coupon_id": coupon, "trial_ends_at": trial_ends_at}
        company.subscribe(name, "cycle", starts_at, **cells)
    company.plan("advance")
    company.price("advance", "flat", flat_amount="30", timing="advance")
    for name, (coupon, starts_at, _) in UNUSED.items():
        company.customer(name)
        cells = {"coupon_id": coupon, "ends_at": "2024-04-11T00:00:00Z"}
        company.subscribe(name, "advance", starts_at, **cells)
    _add_first_invoices(company)
    for country, (valid_from, valid_to, _) in RATES.items():
        company.customer(country, country=country)
        company.subscribe(country, "fee")
        cells = {"valid_from": valid_from, "valid_to": valid_to, "percentage": "10"}
        company.world.add("tax_rates", tax_rate_id=country, country=country, **cells)
    for name, (top_ups, _) in WALLETS.items():
        company.customer(f"wallet {name}")
        company.subscribe(f"wallet {name}", "fee")
        for amount, at in top_ups:
            company.fill_wallet(f"wallet {name}", amount, at)
    _add_limits(company)
    for name, (movements, _, _) in SHARED_WALLETS.items():
        company.customer(f"shared {name}")
        company.subscribe(f"shared {name}", "fee")
        for amount, at in movements:
            company.fill_wallet(f"shared {name}", amount, at)
    for name, (movements, _, _, _) in BILLED_WALLETS.items():
        company.customer(f"billed {name}")
        company.subscribe(f"billed {name}", "fee")
        for number, (amount, at) in enumerate(movements):
            company.fill_wallet(f"billed {name}", amount, at, str(number))
    return company


def _add_first_invoices(company: Company) -> None:
    for plan, cycle, prices in (
        ("anniversary", "anniversary", [("30", "advance", "")]),
        ("year and month", "anniversary", [("600", "advance", "year"), ("30", "arrears", "")]),
        ("cycle in advance", "30_days", [("30", "advance", "")]),
        ("quarter", "anniversary", [("90", "arrears", "quarter")]),
        ("year", "anniversary", [("600", "advance", "year")]),
    ):
        company.plan(plan, billing_cycle=cycle)
        for number, (fee, timing, interval) in enumerate(prices):
            cells = {"flat_amount": fee, "timing": timing, "interval": interval}
            company.price(plan, "flat", price_id=f"{plan} {number}", **cells)
    for name, (plan, versions, trial_ends_at, _) in FIRST_INVOICES.items():
        company.customer(name)
        for place, (starts_at, ends_at) in enumerate(versions):
            coupon = "" if place == 0 and name in UNNAMED_FIRST else "once"
            cells = {"coupon_id": coupon, "trial_ends_at": trial_ends_at, "ends_at": ends_at}
            company.subscribe(name, plan, starts_at, **cells)


def _add_limits(company: Company) -> None:
    company.whole("limited")
    company.world.add("meters", meter_id="limited", event_name="limited", aggregation="sum")
    company.use("limited", "7", BEGIN)
    for feature, (limit, _, _) in LIMITS.items():
        cells = {"feature": feature, "meter_id": "limited", "limit_quantity": limit}
        company.world.add("entitlements", plan_id="limited", **cells)
    company.world.add("entitlements", plan_id="limited", feature="flag")


@pytest.fixture(scope="module")
def april(tmp_path_factory: pytest.TempPathFactory) -> Billed:
    taken = {
        (f"shared {name}", "USD"): {month: Fraction(part) for month, part in others}
        for name, (_, others, _) in SHARED_WALLETS.items()
    }
    taken |= {
        (f"billed {name}", "USD"): {month: Fraction(part) for month, part in parts}
        for name, (_, parts, _, _) in BILLED_WALLETS.items()
    }
    already = {
        (f"billed {name}", "USD"): Fraction(total)
        for name, (_, _, total, _) in BILLED_WALLETS.items()
    }
    return billed(company(), "2024-04", "UTC", tmp_path_factory.mktemp("april"), taken, already)


@pytest.mark.parametrize("name", DISCOUNTS)
def test_discounts(april: Billed, name: str) -> None:
    invoice = april.invoice(name)
    assert invoice["subtotal"] == 30
    assert str(invoice["discount"].normalize() + 0) == DISCOUNTS[name][3]
    assert invoice["total"] == invoice["subtotal"] - invoice["discount"]


@pytest.mark.parametrize("name", CYCLES)
def test_a_coupons_months_begin_with_the_first_invoice(april: Billed, name: str) -> None:
    assert str(april.invoice(name)["discount"].normalize() + 0) == CYCLES[name][3]


@pytest.mark.parametrize("name", FIRST_INVOICES)
def test_a_coupons_months_begin_with_the_invoice_that_charges_its_first_period(
    april: Billed, name: str
) -> None:
    assert str(april.invoice(name)["discount"].normalize() + 0) == FIRST_INVOICES[name][3]


@pytest.mark.parametrize("name", UNUSED)
def test_no_more_is_given_back_than_was_paid(april: Billed, name: str) -> None:
    assert april.invoice(name)["total"] == Decimal(UNUSED[name][2])


@pytest.mark.parametrize("country", RATES)
def test_a_rate_counts_where_it_is_valid_in_the_months_last_microsecond(
    april: Billed, country: str
) -> None:
    assert str(april.invoice(country)["tax"].normalize() + 0) == RATES[country][2]


@pytest.mark.parametrize("name", WALLETS)
def test_a_wallet_pays_what_it_holds_at_the_months_end(april: Billed, name: str) -> None:
    invoice = april.invoice(f"wallet {name}")
    assert str(invoice["wallet_applied"]) == f"{float(WALLETS[name][1]):.4f}"
    assert invoice["amount_due"] == 30 - invoice["wallet_applied"]


@pytest.mark.parametrize("feature", LIMITS)
def test_remaining_quantity_of_a_limit(april: Billed, feature: str) -> None:
    (row,) = [r for r in april.tables["entitlement_usage"] if r["feature"] == feature]
    left = None if row["remaining"] is None else str(row["remaining"].normalize() + 0)
    assert (row["used"], left, row["state"]) == (7, *LIMITS[feature][1:])


def test_a_plain_feature_flag_has_no_remaining_quantity(april: Billed) -> None:
    (row,) = [r for r in april.tables["entitlement_usage"] if r["feature"] == "flag"]
    assert (row["limit_quantity"], row["remaining"], row["state"]) == (None, None, "ok")


@pytest.mark.parametrize("name", SHARED_WALLETS)
def test_a_wallet_pays_each_month_what_the_others_left(april: Billed, name: str) -> None:
    invoice = april.invoice(f"shared {name}")
    assert str(invoice["wallet_applied"]) == f"{float(SHARED_WALLETS[name][2]):.4f}"


@pytest.mark.parametrize("name", BILLED_WALLETS)
def test_a_billed_invoice_keeps_the_amount_it_took_from_the_wallet(
    april: Billed, name: str
) -> None:
    invoice = april.invoice(f"billed {name}")
    assert str(invoice["wallet_applied"]) == f"{float(BILLED_WALLETS[name][3]):.4f}"
