"""Electronic invoices pass the official rules, or are refused with a sentence."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from facturx import get_xml_from_pdf
from lxml import etree
from pypdf import PdfReader

from billing_pipeline.code_lists import COUNTRIES, ELECTRONIC_ADDRESSES
from billing_pipeline.documents.cii import cii
from billing_pipeline.documents.electronic import (
    ElectronicInvoice,
    NotExpressibleError,
    electronic_invoice,
)
from billing_pipeline.documents.facturx import FILE, factur_x
from billing_pipeline.documents.issued import IssuedDocument
from billing_pipeline.documents.issued_page import issued_page
from billing_pipeline.documents.rendering import html
from billing_pipeline.documents.ubl import XRECHNUNG, ubl
from tests.unit.documents.issued_made import (
    credit_note,
    issued,
    line,
    plain_invoice,
    tax,
    tax_line,
)
from tests.unit.documents.official_rules import broken_rules, listed_codes

_CBC = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"


def long_invoice() -> IssuedDocument:
    """300 lines, with names that are written from right to left, and Chinese ones."""
    names = ("مكالمات", "שיחות", "电话 & <通话>", "Anrufe")
    lines = [
        line(f"{names[n % 4]} {n}", "0.10", meter_id="m", quantity=Decimal("1.5"))
        for n in range(300)
    ]
    taxes = [tax(row["line_id"], "0.10", "0.019") for row in lines]
    for row, share in zip(taxes, [Decimal("0.02")] * 270 + [Decimal("0.01")] * 30, strict=True):
        row["tax_amount"] = share
    return issued(
        "35.70", [*lines, tax_line("vat", "5.70")], taxes, buyer={"name": "שלום 株式会社"}
    )


def discounted() -> IssuedDocument:
    lines = [
        line("a", "60", discount_share=Decimal(6)),
        line("b", "40", discount_share=Decimal(4)),
        line("back", "-10", description="Seats (unused time)"),
        line("off", "-10", kind="discount"),
        tax_line("vat", "8.36"),
        tax_line("low", "2.52"),
    ]
    taxes = [
        tax("a", "54", "10.26"),
        tax("back", "-10", "-1.90"),
        tax("b", "36", "2.52", "7", tax_rate_id="low"),
    ]
    return issued("90.88", lines, taxes)


def two_rates_on_each_line() -> IssuedDocument:
    taxes = [
        tax("a", "100", "9", "9", tax_rate_id="cgst"),
        tax("a", "100", "9", "9", tax_rate_id="sgst"),
    ]
    lines = [line("a", "100"), tax_line("cgst", "9"), tax_line("sgst", "9")]
    return issued("118", lines, taxes, buyer={"country": "IN", "tax_id": None})


def two_rates_of_one_percentage() -> IssuedDocument:
    """The standard has one sum for both."""
    lines = [
        line("a", "100", discount_share=Decimal(10)),
        line("b", "50", discount_share=Decimal(5)),
        line("off", "-15", kind="discount"),
        tax_line("vat", "17.10"),
        tax_line("books", "8.55"),
    ]
    taxes = [tax("a", "90", "17.10"), tax("b", "45", "8.55", tax_rate_id="books")]
    return issued("160.65", lines, taxes)


def a_cent_of_tax_moves() -> IssuedDocument:
    """A supplement of one line; rounding gives it a cent that another line had."""
    lines = [line("calls", "2", is_whole=False), tax_line("vat", "0.38")]
    taxes = [tax("calls", "2", "0.39"), tax("seats", "0", "-0.01")]
    return issued("2.38", lines, taxes, corrects=plain_invoice(), version_before=1)


def a_contained_cent_of_tax_moves() -> IssuedDocument:
    lines = [line("calls", "2.38"), tax_line("vat", "0.38", is_inclusive=True)]
    taxes = [
        tax("calls", "2.38", "0.39", is_inclusive=True),
        tax("seats", "0", "-0.01", is_inclusive=True),
    ]
    return issued("2.38", lines, taxes, corrects=plain_invoice(), version_before=1)


def rounded_twice(*, second: str) -> IssuedDocument:
    """Two taxes of 5 % on 50 yen each, as of two months; each is 2.5 and rounded by itself."""
    lines = [
        *(line(name, "50", currency="JPY") for name in ("now", "before")),
        tax_line("ct", "3"),
        tax_line("ct", second, description="Correction of January 2024: CT"),
    ]
    taxes = [tax("now", "50", "3", "5"), tax("before", "50", second, "5")]
    total = str(103 + Decimal(second))
    return issued(total, lines, taxes, currency="JPY", buyer={"country": "JP", "tax_id": None})


def tax_alone() -> IssuedDocument:
    """Of closed books, where only the rate was another."""
    change = tax_line("old", "0.50", description="Correction of January 2024: VAT")
    taxes = [tax("a", "100", "19"), tax("tax-old", "0", "0.50", tax_rate_id="old")]
    return issued("119.50", [line("a", "100"), tax_line("vat", "19"), change], taxes)


def inclusive() -> IssuedDocument:
    lines = [line("a", "1100", currency="JPY"), tax_line("ct", "100", is_inclusive=True)]
    taxes = [tax("a", "1100", "100", "10", is_inclusive=True)]
    return issued("1100", lines, taxes, currency="JPY", buyer={"country": "JP", "tax_id": None})


def one_unit_less() -> IssuedDocument:
    """A credit note with the change of a quantity; a line has a greater share of a discount."""
    note = credit_note(plain_invoice())
    lines = [
        line("calls", "-2", is_whole=False, unit_amount=Decimal("0.02"),
             billable_quantity=Decimal(-100)),
        line("seats", "0", is_whole=False, discount_share=Decimal(1)),
        line("other", "0", is_whole=False, discount_share=Decimal(-1)),
        tax_line("vat", "-0.38", is_whole=False),
    ]  # fmt: skip
    return replace(note, lines=lines)


def partly_outside() -> IssuedDocument:
    """The standard has nothing beside what is not subject to tax: it is an exemption then."""
    lines = [line("a", "100"), line("b", "10"), tax_line("zero", "0")]
    taxes = [tax("a", "100", "0", "0", tax_rate_id="zero")]
    return issued("110", lines, taxes, buyer={"tax_category": "o"})


def untaxed(**buyer: Any) -> IssuedDocument:
    return issued("10", [line("a", "10")], buyer=buyer)


CASES: dict[str, Callable[[], IssuedDocument]] = {
    "an invoice": plain_invoice,
    "a credit note": lambda: credit_note(plain_invoice()),
    "a credit note without lines": lambda: credit_note(
        plain_invoice(), amount=Decimal("-7.77"), version_before=None
    ),
    "a credit note without tax": lambda: issued(
        "-10",
        [line("a", "-10", is_whole=False)],
        corrects=untaxed(country="US", tax_id=None),
        buyer={"country": "US", "tax_id": None},
        kind="credit_note",
        due_at=None,
    ),
    "300 lines": long_invoice,
    "discounts, two rates, a line below 0": discounted,
    "two rates on each line": two_rates_on_each_line,
    "two rates of one percentage": two_rates_of_one_percentage,
    "tax in the amounts": inclusive,
    "a cent of tax moves": a_cent_of_tax_moves,
    "a contained cent of tax moves": a_contained_cent_of_tax_moves,
    "reverse charge": lambda: untaxed(is_tax_exempt=True),
    "an exemption": lambda: untaxed(is_tax_exempt=True, country="IE", tax_id=None),
    "not subject to tax": lambda: untaxed(country="US", tax_id="12-3456789"),
    "an intra-community supply": lambda: untaxed(tax_category="k"),
    "partly not subject to tax": partly_outside,
    "a tax id that only looks like a VAT number": lambda: plain_invoice(
        buyer={"tax_id": "ABN 51824753556"}
    ),
    "one unit less": one_unit_less,
    "a tax that is rounded twice": lambda: rounded_twice(second="2"),
    "a supplement": lambda: replace(plain_invoice(), corrects=plain_invoice()),
    "partly prepaid": lambda: plain_invoice(amount_due=Decimal("19")),
    "charged automatically": lambda: plain_invoice(due_at=plain_invoice().document["issued_at"]),
    "a total below 0": lambda: issued(
        "-11.90", [line("a", "-10"), tax_line("vat", "-1.90")], [tax("a", "-10", "-1.90")]
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_document_passes_the_official_rules(case: str) -> None:
    found = electronic_invoice(CASES[case]())
    row = CASES[case]().document
    assert found.total == abs(row["amount"]) or found.total == row["amount"]
    assert broken_rules([ubl(found), cii(found)]) == []


def test_xrechnung_names_what_is_missing() -> None:
    invoice = plain_invoice()
    with pytest.raises(NotExpressibleError, match=r"it needs seller\.csv: .*phone"):
        ubl(electronic_invoice(invoice), is_xrechnung=True)
    seller = invoice.seller | {"phone": "+353 1 234", "city": "Dublin", "postal_code": "D02"}
    made = ubl(electronic_invoice(replace(invoice, seller=seller)), is_xrechnung=True)
    assert etree.fromstring(made).findtext(f"{_CBC}CustomizationID") == XRECHNUNG
    outside = replace(untaxed(country="US", tax_id=None), seller=seller)
    outside = replace(outside, buyer=outside.buyer | {"city": "Reno", "postal_code": "89501"})
    rate = ubl(electronic_invoice(outside), is_xrechnung=True)
    assert b"<cbc:Percent>0</cbc:Percent>" in rate
    assert broken_rules([made, rate]) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda: plain_invoice(seller={"name": None}), "names no seller"),
        (lambda: plain_invoice(seller={"tax_id": None}), "has no tax_id"),
        (lambda: plain_invoice(buyer={"country": None}), "its customer has no country"),
        (
            lambda: issued("1.234", [line("a", "1.234", currency="KWD")], currency="KWD"),
            "allows two decimal places, and its amounts in KWD have more",
        ),
        (lambda: plain_invoice(buyer={"country": "UK"}), "country UK, which is none of ISO 3166"),
        (
            lambda: plain_invoice(buyer={"electronic_address": "nonsense:7"}),
            "its customer has the electronic_address nonsense:7, whose scheme is none of EN 16931",
        ),
        (lambda: untaxed(tax_category="ae", tax_id=None), "needs the tax_id of its customer"),
        (lambda: untaxed(tax_category="k", tax_id="12-3"), "a VAT number as the tax_id of its"),
        (
            lambda: issued(
                "10", [line("a", "10")], seller={"tax_id": "12-3"}, buyer={"tax_category": "g"}
            ),
            "a VAT number as the tax_id of accounts/seller.csv",
        ),
        (lambda: plain_invoice(version_before=None), "its lines are not recorded"),
        (tax_alone, "corrects the tax of what it does not bill"),
        (
            lambda: rounded_twice(second="3"),
            r"tax of 6\.00 on 100\.00 is further from 5 % than EN 16931 allows",
        ),
    ],
)
def test_what_cannot_be_expressed_is_refused(
    change: Callable[[], IssuedDocument], reason: str
) -> None:
    with pytest.raises(NotExpressibleError, match=reason):
        electronic_invoice(change())


def test_a_credit_note_has_the_units_that_it_takes_back() -> None:
    [only] = electronic_invoice(one_unit_less()).lines
    assert (only.quantity, only.price, only.base_quantity) == (100, Decimal("0.02"), 1)
    assert only.net == 2


def test_code_lists_are_those_of_the_official_rules() -> None:
    found = listed_codes()
    assert COUNTRIES in found
    assert COUNTRIES | {"EL"} in found
    assert ELECTRONIC_ADDRESSES in found


def test_what_the_rules_of_factur_x_cannot_add_up_is_refused() -> None:
    """They do it in floating point, those of UBL in decimals."""

    def found(*amounts: str) -> ElectronicInvoice:
        lines = [line(f"l{n}", amount) for n, amount in enumerate(amounts)]
        total = sum(map(Decimal, amounts))
        return electronic_invoice(issued(str(total), lines, buyer={"country": "US"}))

    assert broken_rules([cii(found("8796093022207.99", "0.01", "0.02"))]) == []
    too_much = found("140737488355327.99", "0.01", "0.02")
    assert broken_rules([ubl(too_much)]) == []
    with pytest.raises(NotExpressibleError, match=r"come to 140737488355328\.02, more than"):
        cii(too_much)
    net, vat = "1000000000000000", "190000000000000.07"
    lines, taxes = [line("a", net), tax_line("vat", vat)], [tax("a", net, vat)]
    taxed = electronic_invoice(issued("1190000000000000.07", lines, taxes))
    assert broken_rules([ubl(taxed)]) == []
    with pytest.raises(NotExpressibleError, match=r"taxes come to 190000000000000\.07, more than"):
        cii(taxed)


def test_a_pdf_carries_the_same_invoice() -> None:
    invoice = plain_invoice()
    made = factur_x(invoice)
    assert made == factur_x(invoice)
    name, attached = get_xml_from_pdf(made, check_xsd=True)
    assert name == FILE
    assert etree.tostring(etree.fromstring(attached), method="c14n") == etree.tostring(
        etree.fromstring(cii(electronic_invoice(invoice))), method="c14n"
    )
    metadata = PdfReader(io.BytesIO(made)).root_object["/Metadata"].get_data().decode()
    assert "<fx:ConformanceLevel>EN 16931</fx:ConformanceLevel>" in metadata
    assert "<pdfaid:part>3</pdfaid:part>" in metadata
    assert etree.fromstring(metadata.encode()) is not None


def test_all_lines_of_a_long_document_are_on_the_page() -> None:
    page = html("invoice", issued_page(long_invoice()))
    assert page.count('<td class="small">') == 300
    assert "电话 &amp; &lt;通话&gt; 2" in page
