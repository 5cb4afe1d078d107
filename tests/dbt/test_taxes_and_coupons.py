"""Taxes by region, kind of goods and date, and several coupons, worked out by hand.

What belongs here: what each line is taxed with and what is taken off it. What does not: rates and
coupons just inside and outside their time (test_invoice_edges.py), random worlds (tests/property).
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.dbt.inputs import Inputs, Rated, rated

LAST, END = "2024-04-30T23:59:59.999999Z", "2024-05-01T00:00:00Z"
RATES = [
    ("de", "DE", "", "", "19", ""),
    ("de-books", "DE", "", "books", "7", ""),
    ("fr", "FR", "", "", "20", ""),
    ("us", "US", "", "", "4", ""),
    ("us-saas", "US", "", "saas", "1", ""),
    ("us-ca", "US", "CA", "", "7.25", ""),
    ("us-ny", "US", "NY", "", "8", ""),
    ("us-ny-saas", "US", "NY", "saas", "2", ""),
    ("au", "AU", "", "", "10", "true"),
    ("au-luxury", "AU", "", "luxury", "20", "true"),
    ("au-green", "AU", "green", "", "5", "true"),
]
# Dated rows of a customer, and the tax on 100 in April 2024.
MOVES = {
    "moves in the last microsecond": ([("DE", ""), ("FR", LAST)], "20.00"),
    "moves with the next month": ([("DE", ""), ("FR", END)], "19.00"),
    "moved before": ([("US", ""), ("FR", "2024-01-01"), ("DE", "2024-03-01")], "19.00"),
    "begins later": ([("DE", "2025-01-01"), ("FR", "2026-01-01")], "19.00"),
}


def company() -> Inputs:
    inputs = Inputs()
    for rate, country, region, code, percentage, inclusive in RATES:
        cells = {"tax_rate_id": rate, "country": country, "region": region, "tax_code": code}
        inputs.add("tax_rates", percentage=percentage, inclusive=inclusive, **cells)
    inputs.fee("hundred", "100")
    for name, (rows, _) in MOVES.items():
        for country, valid_from in rows:
            cells = {"currency": "USD", "country": country, "valid_from": valid_from}
            inputs.add("customers", customer_id=name, email=f"{country}@example.com", **cells)
        inputs.subscribe(name, "hundred")
    inputs.fee("mixed", "100")
    inputs.fee("mixed", "10", price="mixed-saas", tax_code="saas")
    inputs.fee("mixed", "1", price="mixed-books", tax_code="books")
    for name, country, region in (
        ("berlin", "DE", ""), ("texas", "US", ""), ("california", "US", "CA"),
        ("new york", "US", "NY"),
    ):  # fmt: skip
        inputs.add("customers", customer_id=name, currency="USD", country=country, region=region)
        inputs.subscribe(name, "mixed")
    inputs.fee("dear", "115")
    inputs.fee("dear", "125", price="dear-luxury", tax_code="luxury")
    inputs.add("customers", customer_id="sydney", currency="USD", country="AU", region="green")
    inputs.subscribe("sydney", "dear")
    _add_coupons(inputs)
    return inputs


# Coupons, and what they take off fees of 33.33, 33.33 and 33.34, in their order.
COUPONS = {
    "a tenth": ("TENTH", ["-10.00"]),
    "a tenth, then five": ("TENTH;FIVE", ["-10.00", "-5.00"]),
    "five, then a tenth": ("FIVE; TENTH", ["-5.00", "-9.50"]),
    "all, then five": ("ALL;FIVE", ["-100.00"]),
    "half of the first, then a tenth": ("FIRST;TENTH", ["-16.67", "-8.33"]),
    "more than the first": ("FORTY", ["-33.33"]),
    "euros, then a tenth": ("EUROS;TENTH", ["-10.00"]),
}


def _add_coupons(inputs: Inputs) -> None:
    cells = {"duration": "forever"}
    inputs.add("coupons", coupon_id="TENTH", percent_off="10", **cells)
    inputs.add("coupons", coupon_id="ALL", percent_off="100", **cells)
    inputs.add("coupons", coupon_id="FIVE", amount_off="5", currency="USD", **cells)
    inputs.add("coupons", coupon_id="EUROS", amount_off="5", currency="EUR", **cells)
    inputs.add("coupons", coupon_id="FIRST", percent_off="50", price_ids="thirds-1", **cells)
    cells |= {"amount_off": "40", "currency": "USD"}
    inputs.add("coupons", coupon_id="FORTY", price_ids="thirds-1; hundred-1", **cells)
    inputs.fee("thirds", "33.33", "33.33", "33.34")
    for name, (coupon_id, _) in COUPONS.items():
        inputs.add("customers", customer_id=name, currency="USD", country="DE")
        inputs.subscribe(name, "thirds", coupon_id=coupon_id)


@pytest.fixture(scope="module")
def april(tmp_path_factory: pytest.TempPathFactory) -> Rated:
    return rated(company(), "2024-04", tmp_path_factory.mktemp("april"))


@pytest.mark.parametrize("name", MOVES)
def test_a_customer_is_taxed_where_they_are_in_the_months_last_instant(
    april: Rated, name: str
) -> None:
    assert april.invoice(name)["tax"] == Decimal(MOVES[name][1])


def test_what_is_not_dated_is_as_the_newest_row_has_it(april: Rated) -> None:
    (row,) = april.rows("customers", customer_id="begins later")
    assert (row["country"], row["email"]) == ("DE", "FR@example.com")


def test_a_code_with_a_rate_of_its_own_has_no_other_of_its_region(april: Rated) -> None:
    assert april.lines("berlin", "tax") == [("de 19 %", "20.90"), ("de-books 7 %", "0.07")]
    assert april.lines("texas", "tax") == [("us 4 %", "4.04"), ("us-saas 1 %", "0.10")]


def test_rates_of_the_country_and_of_the_region_add_up(april: Rated) -> None:
    # Its own rate for the code displaces the country's, not the region's.
    assert april.lines("california", "tax") == [
        ("us 4 %", "4.04"), ("us-ca 7.25 %", "8.05"), ("us-saas 1 %", "0.10"),
    ]  # fmt: skip
    assert april.lines("new york", "tax") == [
        ("us 4 %", "4.04"), ("us-ny 8 %", "8.08"), ("us-ny-saas 2 %", "0.20"),
        ("us-saas 1 %", "0.10"),
    ]  # fmt: skip


def test_an_inclusive_rate_on_some_lines_stays_contained(april: Rated) -> None:
    # 115 contain 10 and 5 %, 125 contain 20 and 5 %.
    assert april.lines("sydney", "tax") == [
        ("au 10 % (included)", "10.00"), ("au-green 5 % (included)", "10.00"),
        ("au-luxury 20 % (included)", "20.00"),
    ]  # fmt: skip
    [line] = april.rows("invoice_lines", tax_rate_id="au-green")
    assert line["calculation"] == ("125 × 5 / 125 + 115 × 5 / 115, included; rounded to 10.00 USD")
    assert april.invoice("sydney")["total"] == 240


@pytest.mark.parametrize("name", COUPONS)
def test_each_coupon_finds_what_those_before_it_have_left(april: Rated, name: str) -> None:
    amounts = [amount for _, amount in april.lines(name, "discount")]
    assert sorted(amounts) == sorted(COUPONS[name][1])


def test_a_discount_is_spread_over_its_lines(april: Rated) -> None:
    subscription = "half of the first, then a tenth/thirds"
    lines = april.rows("invoice_lines", subscription_id=subscription, kind="charge")
    amounts = {line["line_id"]: line["amount"] for line in lines}
    shares = {
        coupon: sorted(
            (amounts[row["line_id"]] - row["amount_before"], row["discount_share"])
            for row in april.rows("line_discounts", subscription_id=subscription, coupon_id=coupon)
        )
        for coupon in ("FIRST", "TENTH")
    }
    taken = Decimal("16.67")
    assert shares["FIRST"] == [(0, taken)]
    assert [before for before, _ in shares["TENTH"]] == [0, 0, taken]
    # 8.33 of 16.66, 33.33 and 33.34: exactly 1.666, 3.3327 and 3.3337 less a little; 1.66, 3.33 and
    # 3.33 leave a cent for the largest remainder.
    assert sorted(share for _, share in shares["TENTH"]) == [
        Decimal("1.67"), Decimal("3.33"), Decimal("3.33"),
    ]  # fmt: skip


def test_equal_remainders_go_by_line_id(april: Rated) -> None:
    rows = april.rows("line_discounts", subscription_id="five, then a tenth/thirds")
    five = sorted((row["line_id"], row["discount_share"]) for row in rows
                  if row["coupon_id"] == "FIVE")  # fmt: skip
    # 1.6665, 1.6665 and 1.667: the last has the largest remainder, of the others the first by id.
    amounts = {row["line_id"]: row["amount"] for row in april.rows("invoice_lines")}
    equal = [share for line_id, share in five if amounts[line_id] == Decimal("33.33")]
    assert equal == [Decimal("1.67"), Decimal("1.66")]
    assert sum(share for _, share in five) == 5


def test_the_taxes_of_the_lines_add_up_to_the_tax_lines(april: Rated) -> None:
    parts: dict[tuple[str, str], Decimal] = {}
    for row in april.rows("line_taxes"):
        assert row["tax_base"] == row["net_amount"] - row["discount_share"]
        key = row["invoice_id"], row["tax_rate_id"]
        parts[key] = parts.get(key, Decimal(0)) + row["tax_amount"]
    lines = {
        (row["invoice_id"], row["tax_rate_id"]): row["amount"]
        for row in april.rows("invoice_lines", kind="tax")
    }
    assert {key: amount for key, amount in parts.items() if amount} == lines
    assert len(lines) > 15
