"""The texts of an invoice: states, steps to the amount due, notices."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing_pipeline.documents.invoice import invoice_document, settlement_of
from billing_pipeline.documents.reading import InvoiceRecords
from billing_pipeline.documents.rendering import html
from tests.unit.documents.made import line, payment, records, stripe_invoice


def document(of: InvoiceRecords) -> dict[str, Any]:
    return invoice_document(of, has_pages=True)


def test_the_customers_order_number_stands_on_it() -> None:
    found = document(records(customer={"purchase_order": "PO 7"}))
    assert {"label": "Purchase order", "value": "PO 7"} in found["facts"]


def test_lines_of_other_customers_stand_below_their_names() -> None:
    lines = [line(1, "100"), line(2, "7", customer_id="c2"), line(3, "8", customer_id="c2")]
    made = replace(records(lines=[*lines, line(4, "9", customer_id="c3")]), names={"c2": "Bob"})
    assert [row["description"] for row in document(made)["lines"]] == [
        *("Line 1", "Bob", "Line 2", "Line 3", "c3", "Line 4")
    ]


def test_lines_stand_fees_first_and_by_the_value_of_numbers() -> None:
    """And the address in the parts that electronic invoices need."""
    lines = [
        line(1, "1", description="9 calls", meter_id="m"),
        line(2, "2", description="10 calls", meter_id="m"),
        line(3, "3", description="Seats"),
    ]
    apart = {"street": "2 Lane", "city": "Berlin", "postal_code": "10119", "address": "elsewhere"}
    found = document(records(lines=lines, customer=apart))
    assert [row["description"] for row in found["lines"]] == ["Seats", "9 calls", "10 calls"]
    assert found["buyer"]["lines"] == ["2 Lane", "10119 Berlin, DE"]


def test_without_a_price_per_unit_there_is_no_column_for_it() -> None:
    page = document(records(lines=[line(1, "1")]))
    assert "Unit price" not in html("invoice", page)
    page["has_unit_prices"] = True
    assert "Unit price" in html("invoice", page)


def test_an_open_invoice() -> None:
    found = document(
        records(held=[stripe_invoice("119")], paid=payment("open", billed="119", outstanding="119"))
    )
    assert (found["title"], found["number"]) == ("Statement", "in_202401_abc")
    assert found["state"]["label"] == "Open"
    assert {fact["label"]: fact["value"] for fact in found["facts"]} == {
        "Invoice number": "A-1",
        "Reference": "in_202401_abc",
        "Date of issue": "3 February 2024",
        "Due date": "2 March 2024",
        "Billing month": "January 2024",
    }
    assert found["buyer"]["lines"] == ["2 Lane", "Berlin, DE"]
    assert found["seller"]["tax_id"] == "Tax ID IE1"
    assert [(row["label"], row["amount"]) for row in found["totals"]] == [
        ("Subtotal", "100.00"),
        ("VAT 19 %", "19.00"),
        ("Total", "119.00"),
    ]
    assert (found["settlement"], found["due"]["amount"]) == ([], "119.00")
    assert found["payment_terms"]["bank_account"] == "IBAN IE00"
    assert found["payment_terms"]["page"] == "https://invoice.stripe.com/i/1"
    assert found["notices"] == []


CASES: dict[str, tuple[InvoiceRecords, list[tuple[str, str]], str]] = {
    "not sent": (records(wallet="20"), [("Prepaid wallet", "-20")], "99.00"),
    "paid": (
        records(held=[stripe_invoice("119")], paid=payment("paid", billed="119", paid="119")),
        [("Paid", "-119")],
        "0.00",
    ),
    "by wallet, balance and card": (
        records(
            wallet="50",
            held=[stripe_invoice("119", wallet_applied=Decimal(50))],
            paid=payment("paid", billed="119", settled_by_balance="60", paid="59"),
        ),
        [("Prepaid wallet", "-50"), ("Customer balance", "-10"), ("Paid", "-59")],
        "0.00",
    ),
    "corrected downwards: the total is that after the credit note": (
        records(
            held=[stripe_invoice("150", credited=Decimal(31))],
            paid=payment("open", billed="150", credited="31", outstanding="119"),
        ),
        [],
        "119.00",
    ),
    "corrected downwards when it was paid": (
        records(
            held=[stripe_invoice("150", credited=Decimal(31))],
            paid=payment("paid", billed="150", credited="31", paid="150"),
        ),
        [("Paid", "-150"), ("Returned after payment", "31")],
        "0.00",
    ),
    "a credit note that no correction explains": (
        records(
            held=[stripe_invoice("119", credited=Decimal(9))],
            paid=payment("open", billed="119", credited="9", outstanding="110"),
        ),
        [("Credit notes", "-9")],
        "110.00",
    ),
    "an increase that waits for approval": (
        records(
            held=[stripe_invoice("100")],
            paid=payment("open", billed="100", outstanding="100"),
        ),
        [("Difference from the billed amount", "-19")],
        "100.00",
    ),
    "paid by its wallet in part, and then by card": (
        records(
            held=[stripe_invoice("119")],
            paid=payment("paid", billed="119", paid="119"),
            from_wallet=[{"paid_at": datetime(2024, 2, 3, tzinfo=UTC), "amount": Decimal(19)}],
        ),
        [("Paid from the prepaid wallet on 3 February 2024", "-19"), ("Paid", "-100")],
        "0.00",
    ),
    "void": (
        records(held=[stripe_invoice("119", status="void")], paid=payment("void")),
        [("Made void", "-119")],
        "0.00",
    ),
    "uncollectible": (
        records(
            held=[stripe_invoice("119", status="uncollectible")],
            paid=payment("uncollectible", billed="119", outstanding="119"),
        ),
        [],
        "119.00",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_steps_lead_from_the_total_to_what_is_due(name: str) -> None:
    of, steps, due = CASES[name]
    assert settlement_of(of) == [(label, Decimal(value)) for label, value in steps]
    assert document(of)["due"]["amount"] == due
    assert of.invoice["total"] + sum(value for _, value in settlement_of(of)) == Decimal(due)


def test_an_unbilled_document_says_so() -> None:
    preview = document(records())
    assert (preview["title"], preview["number"]) == ("Invoice preview", "in_202401_abc")
    assert "Date of issue" not in {fact["label"] for fact in preview["facts"]}
    assert "nothing has to be paid" in preview["notices"][0]
    assert preview["payment_terms"] is None
    draft = records(held=[stripe_invoice("119", status="draft", number=None, finalized_at=None)])
    assert "nothing has to be paid" in document(draft)["notices"][0]
    void = document(CASES["void"][0])
    assert (void["title"], void["state"]["label"]) == ("Void statement", "Void")
    assert void["notices"] == ["This invoice is void: nothing has to be paid."]
    assert void["payment_terms"] is None


def test_a_difference_from_the_billed_amount_is_shown() -> None:
    waits, _, _ = CASES["an increase that waits for approval"]
    (notice,) = document(waits)["notices"]
    assert "EUR 119.00; billed less credit notes is EUR 100.00" in notice
    for name in ("paid", "corrected downwards when it was paid", "by wallet, balance and card"):
        assert document(CASES[name][0])["notices"] == []


def test_supplements_and_credit_notes_are_listed() -> None:
    supplement = stripe_invoice("19", revision=2, number="A-2", stripe_invoice_id="in_10")
    both = records(
        held=[stripe_invoice("110", credited=Decimal(10)), supplement],
        paid=payment("open", billed="129", credited="10", outstanding="119"),
    )
    assert [
        (row["number"], row["kind"], row["total"], row["credited"])
        for row in document(both)["revisions"]
    ] == [("A-1", "Invoice", "110.00", "−10.00"), ("A-2", "Supplement", "19.00", "")]
    assert document(CASES["paid"][0])["revisions"] == []


def test_a_failed_payment_is_shown_until_it_is_paid() -> None:
    failed = payment("overdue", billed="119", outstanding="119") | {"last_error": "card declined"}
    found = document(records(held=[stripe_invoice("119")], paid=failed))
    assert found["notices"] == ["The last payment failed: card declined"]
    assert found["state"] == {"label": "Overdue", "tone": "bad"}


def test_included_tax_informs_and_adds_nothing() -> None:
    tax = line(2, "9", kind="tax", description="消費税 10 %", is_inclusive=True)
    found = document(records(total="100", lines=[line(1, "100"), tax], invoice={"tax": Decimal(0)}))
    assert [(row["label"], row["amount"], row["kind"]) for row in found["totals"]] == [
        ("Subtotal", "100.00", "plain"),
        ("Total", "100.00", "total"),
        ("of which 消費税 10 %", "9.00", "note"),
    ]
    assert [row["description"] for row in found["lines"]] == ["Line 1"]


def test_only_stripe_s_own_links_are_links() -> None:
    for url in ("javascript:alert(1)", "http://example.com", None):
        held = [stripe_invoice("119", hosted_invoice_url=url)]
        open_one = records(held=held, paid=payment("open", billed="119", outstanding="119"))
        assert document(open_one)["payment_terms"]["page"] == ""


def test_without_seller_and_name_there_is_still_a_document() -> None:
    of = records(seller={"name": None, "bank_account": None}, customer={"name": None})
    assert document(of)["seller"] is None
    assert document(of)["buyer"]["name"] == "c1"
