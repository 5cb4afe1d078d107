"""Handmade documents as issued, for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from billing_pipeline.documents.issued import IssuedDocument, in_order
from tests.unit.documents.made import END, START

Row = dict[str, Any]
ISSUED = datetime(2024, 2, 3, 12, 30, tzinfo=UTC)
DUE = datetime(2024, 3, 4, 12, 30, tzinfo=UTC)
SELLER: Row = {
    "role": "seller", "name": "Meridian Ltd", "address": "1 Quay; Dublin D02", "country": "IE",
    "tax_id": "IE 1234567WA", "email": "billing@meridian.example", "website": None,
    "bank_account": "IBAN IE29 AIBK 9311 5212 3456 78, BIC AIBKIE2D", "note": "Thank you.",
    "timezone": "UTC", "is_tax_exempt": None,
}  # fmt: skip
BUYER: Row = {
    "role": "buyer", "customer_id": "c1", "name": "Ada & Co <GmbH>", "country": "DE",
    "address": "Lindenallee 2; 10119 Berlin", "tax_id": "DE123456789", "email": "ada@ada.example",
    "is_tax_exempt": False, "purchase_order": None, "timezone": None,
}  # fmt: skip


def line(name: str, amount: str, **more: Any) -> Row:
    return {
        "line_id": name, "tax_rates": "", "is_whole": True, "customer_id": "c1",
        "subscription_id": "s", "plan_id": "p", "price_id": "x", "meter_id": None,
        "charge_model": "flat", "kind": "charge", "charge_id": f"ch_{name}", "coupon_id": None,
        "tax_rate_id": None, "is_inclusive": False, "position": 1, "description": name,
        "period_start": START, "period_end": END, "calculation": f"{name} = {amount}",
        "unit_amount": None, "quantity": Decimal(1), "billable_quantity": Decimal(1),
        "amount": Decimal(amount), "discount_share": Decimal(0), "currency": "EUR", **more,
    }  # fmt: skip


def tax_line(rate: str, amount: str, **more: Any) -> Row:
    values: Row = {"kind": "tax", "tax_rate_id": rate, "subscription_id": None, **more}
    return line(f"tax-{rate}", amount, **values)


def tax(name: str, base: str, amount: str, percentage: str = "19", **more: Any) -> Row:
    return {
        "line_id": name, "tax_rates": "", "tax_rate_id": "vat", "is_inclusive": False,
        "percentage": Decimal(percentage), "tax_base": Decimal(base),
        "tax_amount": Decimal(amount), "currency": "EUR", **more,
    }  # fmt: skip


def issued(
    amount: str,
    lines: list[Row],
    taxes: list[Row] | None = None,
    *,
    corrects: IssuedDocument | None = None,
    buyer: Row | None = None,
    seller: Row | None = None,
    **document: Any,
) -> IssuedDocument:
    row = {
        "document_id": "in_1", "number": "A-1", "kind": "invoice", "invoice_id": "in_202401_abc",
        "position": 1, "revision": 1, "corrects_id": None, "customer_id": "c1", "currency": "EUR",
        "billing_month": date(2024, 1, 1), "issued_at": ISSUED, "due_at": DUE, "status": "open",
        "amount": Decimal(amount), "amount_due": Decimal(amount), "version": 1,
        "version_before": 0, **document,
    }  # fmt: skip
    return IssuedDocument(
        document=row,
        lines=in_order(lines, "c1"),
        taxes=taxes or [],
        seller=SELLER | (seller or {}),
        buyer=BUYER | (buyer or {}),
        corrects=corrects,
    )


def plain_invoice(**more: Any) -> IssuedDocument:
    """20 seats at 4, and 1,000 calls in tiers for 20: 100 and a tax of 19."""
    lines = [
        line("seats", "80", charge_model="per_unit", unit_amount=Decimal(4),
             quantity=Decimal(20), billable_quantity=Decimal(20)),
        line("calls", "20", charge_model="graduated", meter_id="m", quantity=Decimal(1000),
             billable_quantity=Decimal(1000)),
        tax_line("vat", "19"),
    ]  # fmt: skip
    taxes = [tax("seats", "80", "15.2"), tax("calls", "20", "3.8")]
    return issued("119", lines, taxes, **more)


def credit_note(of: IssuedDocument, **more: Any) -> IssuedDocument:
    """Ten calls less: 2 and a tax of 0.38."""
    lines = [
        line("calls", "-2", is_whole=False, meter_id="m", quantity=Decimal(-100)),
        tax_line("vat", "-0.38", is_whole=False),
    ]
    values: Row = {
        "document_id": "cn_1", "number": "A-1-CN-01", "kind": "credit_note", "position": 2,
        "corrects_id": "in_1", "due_at": None, "status": "issued", "version": 2,
        "version_before": 1, **more,
    }  # fmt: skip
    amount = values.pop("amount", "-2.38")
    made = issued(amount, lines, [tax("calls", "-2", "-0.38")], **values)
    return replace(made, corrects=of)
