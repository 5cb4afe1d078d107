"""Each cause of a difference, as an export shows it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import pytest

from billing_pipeline.comparison.invoices import compare_customer
from billing_pipeline.comparison.lines import OurLine, Usage
from tests.unit.comparison.made import VAT, causes, charge, compared, line, same, their

CALLS = charge(
    "Calls: 1003",
    "1003 events, metered 1003; per_unit: 1003 × 0.0125; exactly 12.5375, rounded to 12.54 USD",
    meter_id="calls",
)
SEATS = charge("5 seats", "quantity 5; per_unit: 5 × 15; exactly 75, rounded to 75.00 USD")
FEE = charge(
    "Base fee",
    "quantity 1; flat: flat 10; × 1749600 / 2592000 seconds of the period; "
    "exactly 6.75, rounded to 6.75 USD",
)
TIERS = charge(
    "Requests: 1200",
    "1200 events, metered 1200; graduated: tier 1: 100 × 0.125 + 5; tier 2: 900 × 0.0505; "
    "tier 3: 200 × 0.02 + 2; exactly 68.95, rounded to 68.95 USD",
    meter_id="requests",
)
TRANSFERS = charge(
    "Transfers: 3",
    "3 events, metered 3; per_unit: 3 × 1; raised to the minimum of 40; exactly 40, rounded to "
    "40.00 USD",
    meter_id="transfers",
)
BLOCKS = charge(
    "Views: 4100",
    "9 events, metered 4100; 100 included, 4000 billable; package: ⌈4000 ÷ 1000⌉ = 4 packages × "
    "0.5; exactly 2, rounded to 2.00 USD",
    meter_id="views",
)
MINUTES = charge(
    "Minutes: 5.5",
    "1 events, metered 5.5; per_unit: 5.5 × 0.05; exactly 0.275, rounded to 0.28 USD",
    meter_id="minutes",
)


def late(our: OurLine, quantity: str, *, is_sure: bool = True) -> OurLine:
    text = "without 3 events of usage/2024-04/late.csv"
    return replace(our, usages=(Usage(D(quantity), 1000, text, is_sure),))


@pytest.mark.parametrize("our", [CALLS, SEATS, FEE, TIERS, TRANSFERS, BLOCKS, MINUTES])
def test_equal_amounts_are_no_difference(our: OurLine) -> None:
    assert compared([our], [same(our)]).agrees


@pytest.mark.parametrize(
    ("our", "amount", "cause"),
    [
        pytest.param(MINUTES, "0.27", "rounding", id="cut off"),
        pytest.param(MINUTES, "0.275", "rounding", id="not rounded"),
        pytest.param(CALLS, "12.53", "rounding", id="half to even or cut off"),
        pytest.param(CALLS, "10.03", "rounding", id="the price rounded first"),
        pytest.param(FEE, "7.00", "proration by day", id="21 begun days of 30"),
        pytest.param(FEE, "6.67", "proration by day", id="20 whole days of 30"),
        pytest.param(FEE, "10.00", "proration by day", id="not shared at all"),
        pytest.param(TRANSFERS, "3.00", "minimum", id="without the line's minimum"),
        pytest.param(CALLS, "15.05", "price", id="0.015"),
        pytest.param(SEATS, "80.00", "price", id="16"),
        pytest.param(SEATS, "90.00", "quantity", id="6 seats"),
        pytest.param(CALLS, "12.63", "quantity", id="1010 calls"),
        pytest.param(BLOCKS, "2.50", "quantity", id="a package more"),
        pytest.param(TIERS, "68.97", "quantity", id="1201 requests"),
        pytest.param(FEE, "8.10", "price", id="12 instead of 10"),
    ],
)
def test_a_cause_shows_itself_in_the_amount_alone(our: OurLine, amount: str, cause: str) -> None:
    theirs = same(our, amount=D(amount), quantity=None)
    assert causes([our], [theirs]) == {cause: D(amount) - our.amount}


def test_each_tier_rounded_by_itself() -> None:
    our = charge(
        "Requests: 3",
        "3 events, metered 3; graduated: tier 1: 1 × 0.125; tier 2: 1 × 0.125; tier 3: 1 × 0.125; "
        "exactly 0.375, rounded to 0.38 USD",
    )
    found = compared([our], [same(our, amount=D("0.39"))])
    assert [one.cause for one in found.differences] == ["rounding"]
    assert "3 tiers" in found.differences[0].evidence


def test_late_usage_is_the_amount_without_the_events_that_came_later() -> None:
    our = late(CALLS, "1000")
    assert causes([our], [same(our, amount=D("12.50"), quantity=None)]) == {"late usage": D("-.04")}
    assert causes([our], [same(our, amount=D("12.50"), quantity=D(1000))]) == {
        "late usage": D("-0.04")
    }


def test_nothing_is_late_where_both_counted_the_same() -> None:
    our = late(CALLS, "1000")
    assert causes([our], [same(our, amount=D("12.50"))]) == {"price": D("-0.04")}


def test_a_line_is_missing_or_its_usage_was_late() -> None:
    assert causes([CALLS, SEATS], [same(SEATS)]) == {"missing line": D("-12.54")}
    assert causes([late(CALLS, "0"), SEATS], [same(SEATS)]) == {"late usage": D("-12.54")}
    # Its events came in another file than most, but so do those of many customers.
    unsure = late(CALLS, "0", is_sure=False)
    assert causes([unsure, SEATS], [same(SEATS)]) == {"missing line": D("-12.54")}


def test_the_stated_quantity_tells_quantity_from_price() -> None:
    assert causes([SEATS], [same(SEATS, amount=D("90"), quantity=D(5))]) == {"price": D(15)}
    assert causes([SEATS], [same(SEATS, amount=D("90"), quantity=D(6))]) == {"quantity": D(15)}
    both = causes([SEATS], [same(SEATS, amount=D("96"), quantity=D(6))])
    assert both == {"quantity": D(15), "price": D(6)}
    rounded_up = same(MINUTES, amount=D("0.30"), quantity=D(6))
    assert causes([MINUTES], [rounded_up]) == {"rounding": D("0.02")}


def test_a_stated_quantity_of_1_is_ignored() -> None:
    assert causes([CALLS], [same(CALLS, amount=D("15.05"), quantity=D(1))]) == {"price": D("2.51")}
    assert causes([SEATS], [same(SEATS, amount=D("15"), quantity=D(1))]) == {"quantity": D(-60)}


def test_two_causes_on_one_line() -> None:
    """The events that came late, and the rest cut off."""
    our = late(CALLS, "1001")
    theirs = same(our, amount=D("12.51"), quantity=D(1001))
    assert causes([our], [theirs]) == {"late usage": D("-0.03")}
    finer = same(our, amount=D("12.5125"), quantity=D(1001))
    assert causes([our], [finer]) == {"late usage": D("-0.03"), "rounding": D("0.0025")}


def test_included_units_and_seats() -> None:
    whole = same(BLOCKS, amount=D("2.50"), quantity=None)
    (one,) = compared([BLOCKS], [whole]).differences
    assert one.cause == "quantity" and "100 that are included" in one.evidence


def test_the_age_of_a_gauge_is_no_text_that_is_like_another() -> None:
    old = "(no data this period; last known value of 2024-03-02)"
    storage = charge(f"Storage: 38 GB {old}", "0 events, metered 38; per_unit: 38 × 0.1")
    export = their("Data export", "15.50", quantity=D(1), period_start=storage.period_start)
    assert causes([storage, SEATS], [same(SEATS), export]) == {
        "extra line": D("15.50"),
        "missing line": D("-3.80"),
    }


def test_a_line_more_and_a_line_twice() -> None:
    assert causes([SEATS], [same(SEATS), their("Setup", "50")]) == {"extra line": D(50)}
    twice = [same(SEATS), same(SEATS, row=3)]
    assert causes([SEATS], twice) == {"extra line": D(75)}


def test_a_charge_of_nothing_here_is_not_an_extra_line() -> None:
    free = charge(
        "Renders: 80, 100 included",
        "80 events, metered 80; 100 included, 0 billable; per_unit: 0 × 0.1; exactly 0, rounded to "
        "0.00 USD",
    )
    (one,) = compared([free], [same(free, amount=D("8.00"))]).differences
    assert one.cause == "quantity" and "100 that are included" in one.evidence
    assert compared([free], []).agrees


TAX = line("tax", "VAT 20 %", "17.51", "87.54 × 20 / 100; rounded to 17.51 USD", tax_rate_id="vat")
TAXED = [replace(CALLS, taxes=(VAT,)), replace(SEATS, taxes=(VAT,)), TAX]


def test_tax_that_follows_from_a_line_has_the_lines_cause() -> None:
    theirs = [same(CALLS), same(SEATS, amount=D(80)), their("VAT 20%", "18.51")]
    assert causes(TAXED, theirs) == {"price": D("6.00")}


@pytest.mark.parametrize("amount", ["90.00", "93.75", "15.00"])
def test_one_line_that_is_dearer_by_what_the_tax_would_be(amount: str) -> None:
    """75 and a tax of 20 % are 90, 93.75 less its tax of 20 % is 75, and that of 75 is 15."""
    vat = line("tax", "VAT 20 %", "15.00", "75 × 20 / 100; rounded", tax_rate_id="vat")
    ours, tax = [replace(SEATS, taxes=(VAT,)), vat], D(amount) / 5
    for theirs in ([same(SEATS, amount=amount, tax=tax)],
                   [same(SEATS, amount=amount), their("Tax", tax)]):  # fmt: skip
        assert causes(ours, theirs) == {"price": D(amount) + tax - 90}


@pytest.mark.parametrize(
    ("tax", "cause"),
    [("17.50", "rounding"), ("16.63", "tax"), ("0", "tax"), ("17.5080", "rounding")],
)
def test_tax_of_its_own(tax: str, cause: str) -> None:
    as_line = [same(CALLS), same(SEATS), their("Sales tax", tax)]
    as_column = [same(CALLS), same(SEATS, tax=D(tax))]
    for theirs in (as_line, as_column):
        assert causes(TAXED, theirs) == {cause: D(tax) - D("17.51")}


def test_no_tax_at_all_and_a_comparison_before_tax() -> None:
    theirs = [same(CALLS), same(SEATS)]
    assert causes(TAXED, theirs) == {"tax": D("-17.51")}
    assert compared(TAXED, theirs, before_tax=True).agrees


def test_a_tax_that_amounts_contain_is_no_difference() -> None:
    inside = replace(VAT, is_inclusive=True)
    tax = line("tax", "VAT 20 % (included)", "12.50", tax_rate_id="vat", is_inclusive=True)
    ours = [replace(SEATS, taxes=(inside,)), tax]
    assert compared(ours, [same(SEATS)]).agrees
    assert compared(ours, [same(SEATS), their("VAT 20 % (included)", "12.50")]).agrees
    assert compared(ours, [same(SEATS, tax=D("12.50"))]).agrees
    beside = [same(SEATS, amount=D("62.50"), tax=D("12.50"))]
    assert compared(ours, beside).agrees


def test_amounts_that_contain_the_tax_of_their_column() -> None:
    theirs = [
        same(CALLS, amount=D("15.05"), tax=D("2.51")),
        same(SEATS, amount=D("90.00"), tax=D("15.00")),
    ]
    assert compare_customer("ada", TAXED, theirs) == []


DISCOUNT = line(
    "discount", "Coupon TEN: 10 % off", "-8.75", "10 % of 87.54; at most 87.54; rounded to -8.75",
    coupon_id="TEN",
)  # fmt: skip
OFF = [
    replace(CALLS, discounts=(("s1", "TEN"),), discount_share=D("1.25")),
    replace(SEATS, discounts=(("s1", "TEN"),), discount_share=D("7.50")),
    DISCOUNT,
]


def test_discounts() -> None:
    assert causes(OFF, [same(CALLS), same(SEATS)]) == {"discount": D("8.75")}
    more = [same(CALLS), same(SEATS), their("Discount 15%", "-13.13")]
    assert causes(OFF, more) == {"discount": D("-4.38")}
    theirs = [same(CALLS), same(SEATS), their("Promotion", "-5")]
    assert causes([CALLS, SEATS], theirs) == {"discount": D(-5)}
    # It is taken off the lines there, and stands on a line of its own here.
    assert compared(OFF, [same(CALLS, amount=D("11.29")), same(SEATS, amount=D("67.50"))]).agrees


def test_a_discount_that_follows_from_a_line_has_the_lines_cause() -> None:
    theirs = [same(CALLS), same(SEATS, amount=D(80)), their("10% off", "-9.25")]
    assert causes(OFF, theirs) == {"price": D("4.50")}


MINIMUM = line(
    "minimum", "Minimum of 100 USD: the rest", "12.46",
    "minimum 100; less 87.54 charged; rounded to 12.46 USD",
)  # fmt: skip


def test_minimums_of_a_subscription() -> None:
    ours = [CALLS, SEATS, MINIMUM]
    assert causes(ours, [same(CALLS), same(SEATS)]) == {"minimum": D("-12.46")}
    filled = [same(CALLS), same(SEATS, amount=D(60)), their("Minimum commitment", "27.46")]
    assert compared(ours, filled).differences
    assert causes(ours, filled) == {}
    higher = [same(CALLS), same(SEATS), their("True-up to minimum", "22.46")]
    assert causes(ours, higher) == {"minimum": D(10)}


def test_another_currency() -> None:
    euros = [same(CALLS, currency="EUR"), same(SEATS, currency="EUR")]
    found = compared([CALLS, SEATS], euros).differences
    assert {one.cause for one in found} == {"currency"}
    assert sum(one.difference for one in found if one.currency == "USD") == D("-87.54")
    assert sum(one.difference for one in found if one.currency == "EUR") == D("87.54")
    converted = [same(CALLS, currency="EUR", amount=D("11.54")), same(SEATS)]
    found = compared([CALLS, SEATS], converted).differences
    assert [(one.currency, one.difference) for one in found] == [
        ("EUR", D("11.54")),
        ("USD", D("-12.54")),
    ]


def test_several_causes_at_one_customer() -> None:
    ours = [late(CALLS, "1000"), SEATS, FEE, TRANSFERS, MINUTES]
    theirs = [
        same(CALLS, amount=D("12.50"), quantity=D(1000)),
        same(SEATS, amount=D("90"), quantity=D(6)),
        same(FEE, amount=D("7.00")),
        same(TRANSFERS, amount=D("3")),
        their("Onboarding", "20"),
    ]
    assert causes(ours, theirs) == {
        "late usage": D("-0.04"),
        "quantity": D(15),
        "proration by day": D("0.25"),
        "minimum": D(-37),
        "missing line": D("-0.28"),
        "extra line": D(20),
    }
