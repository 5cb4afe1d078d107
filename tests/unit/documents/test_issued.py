"""Documents as they were issued: their texts, their taxes, their order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from billing_pipeline.documents.issued import natural
from billing_pipeline.documents.issued_page import issued_page
from billing_pipeline.documents.tax_groups import breakdown_of, largest_remainder, untaxed_category
from tests.unit.documents.issued_made import (
    BUYER,
    SELLER,
    credit_note,
    issued,
    line,
    plain_invoice,
    tax,
    tax_line,
)


def test_an_invoice_has_unit_prices_and_taxable_amounts() -> None:
    page = issued_page(plain_invoice())
    assert (page["title"], page["number"]) == ("Invoice", "A-1")
    assert page["has_unit_prices"]
    assert [(x["description"], x["quantity"], x["unit_price"]) for x in page["lines"]] == [
        ("seats", "20", "4"),
        ("calls", "1,000", ""),
    ]
    assert [(row["label"], row["amount"]) for row in page["totals"]] == [
        ("Subtotal", "100.00"),
        ("VAT 19 % on 100.00".replace("VAT 19 %", "tax-vat"), "19.00"),
        ("Total", "119.00"),
    ]
    assert page["due"] == {"label": "Amount due", "amount": "119.00"}
    assert page["payment_terms"]["text"] == "Please quote A-1 with your payment."


def test_a_credit_note_names_the_invoice_that_it_corrects() -> None:
    page = issued_page(credit_note(plain_invoice()))
    assert page["title"] == "Credit note"
    facts = {fact["label"]: fact["value"] for fact in page["facts"]}
    assert facts["Corrects invoice"] == "A-1 of 3 February 2024"
    assert [x["amount"] for x in page["lines"]] == ["2.00"]
    assert page["lines"][0]["description"] == "Correction: calls"
    assert page["due"] == {"label": "Credited", "amount": "2.38"}
    assert page["payment_terms"] is None


def test_a_correction_has_the_change_of_its_quantity_where_the_price_is_the_same() -> None:
    """A line whose share of a discount alone has changed is not on the page."""
    counted = {"is_whole": False, "unit_amount": Decimal("0.04")}
    lines = [
        line("calls", "-40", billable_quantity=Decimal(-1000), **counted),
        line("dearer", "-3", billable_quantity=Decimal(-50), **counted),
        line("seats", "0", is_whole=False, discount_share=Decimal(1)),
    ]
    page = issued_page(replace(credit_note(plain_invoice()), lines=lines))
    figures = [(x["quantity"], x["unit_price"], x["amount"]) for x in page["lines"]]
    assert figures == [("1,000", "0.04", "40.00"), ("", "", "3.00")]


def test_what_is_not_recorded_is_spread_over_the_rates() -> None:
    lines = [line("a", "100"), line("b", "100"), tax_line("vat", "19"), tax_line("low", "7")]
    taxes = [tax("a", "100", "19"), tax("b", "100", "7", "7", tax_rate_id="low")]
    first = issued("226", lines, taxes)
    note = credit_note(first, amount=Decimal("-22.60"), version_before=None)
    found = breakdown_of(note)
    assert found is not None
    assert found.total == Decimal("-22.60")
    assert [(group.net, group.tax) for group in found.groups] == [
        (Decimal("-10.00"), Decimal("-1.90")),
        (Decimal("-10.00"), Decimal("-0.70")),
    ]
    page = issued_page(note)
    assert [x["description"] for x in page["lines"]] == [
        "Credit on invoice A-1 (19 %)",
        "Credit on invoice A-1 (7 %)",
    ]


def test_amounts_that_contain_tax_are_shown_without_it() -> None:
    lines = [
        line("a", "110", discount_share=Decimal("11")),
        line("off", "-11", kind="discount"),
        tax_line("ct", "9", is_inclusive=True),
    ]
    found = breakdown_of(issued("99", lines, [tax("a", "99", "9", "10", is_inclusive=True)]))
    assert found is not None
    (group,) = found.groups
    assert (group.net, group.discount, group.tax) == (90, 10, 9)
    assert found.lines[0].net == 100


def test_the_category_of_what_is_not_taxed() -> None:
    def category(seller: dict[str, object], buyer: dict[str, object], mixed: bool = False) -> str:
        return untaxed_category(SELLER | seller, BUYER | buyer, is_mixed=mixed)[0]

    assert category({}, {"is_tax_exempt": True}) == "AE"
    assert category({}, {"tax_id": None, "is_tax_exempt": True}) == "E"
    assert category({}, {"country": "US"}) == "O"
    assert category({}, {"country": "US"}, mixed=True) == "E"
    assert category({}, {"tax_category": "k"}) == "K"
    assert category({}, {"tax_category": "o"}) == "O"
    assert category({}, {"tax_category": "o"}, mixed=True) == "E"


def test_reverse_charge_is_stated() -> None:
    page = issued_page(issued("10", [line("a", "10")], buyer={"is_tax_exempt": True}))
    assert [text.partition(":")[0] for text in page["notices"]] == ["Reverse charge"]


def test_a_part_that_is_not_taxed_is_named_with_its_amount() -> None:
    lines = [line("a", "100"), line("credit", "600", kind="commitment"), tax_line("vat", "19")]
    page = issued_page(issued("719", lines, [tax("a", "100", "19")], buyer={"country": "IE"}))
    assert page["notices"] == ["Not subject to tax: EUR 600.00."]


def test_fees_come_first_and_numbers_by_their_value() -> None:
    lines = [
        line("calls 109", "1", meter_id="m", subscription_id="sub-9"),
        line("calls 10", "1", meter_id="m", subscription_id="sub-9"),
        line("calls 9", "1", meter_id="m", subscription_id="sub-9"),
        line("fee", "1", subscription_id="sub-9"),
        line("other", "1", subscription_id="sub-10"),
        line("off", "-1", kind="discount", subscription_id="sub-9"),
    ]
    page = issued_page(issued("4", lines))
    assert [x["description"] for x in page["lines"]] == [
        *("fee", "calls 9", "calls 10", "calls 109", "off", "other")
    ]
    assert sorted(["b2", "a10", "a9", "a", "10", "9"], key=natural) == [
        *("9", "10", "a", "a9", "a10", "b2")
    ]


def test_lines_of_one_price_follow_one_another_by_time() -> None:
    """By their names April would come before March."""
    march, april = (datetime(2024, month, 1, tzinfo=UTC) for month in (3, 4))
    lines = [
        line("Pro April", "1", period_start=april),
        line("Pro March", "1", period_start=march),
        line("Extra", "1", price_id="y", period_start=april),
    ]
    page = issued_page(issued("3", lines))
    assert [x["description"] for x in page["lines"]] == ["Extra", "Pro March", "Pro April"]


def test_parts_add_up() -> None:
    assert largest_remainder(-10, [1, 1, 1]) == [-4, -3, -3]
