"""Handmade records of an invoice, for tests of documents."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from billing_pipeline.documents.reading import InvoiceRecords

Row = dict[str, Any]
START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
ISSUED = datetime(2024, 2, 3, 12, 30, tzinfo=UTC)
NOTHING = Decimal(0)

SELLER: Row = {
    "name": "Meridian Ltd", "address": "1 Quay; Dublin", "country": "IE", "tax_id": "IE1",
    "email": "billing@meridian.example", "website": None, "bank_account": "IBAN IE00",
    "note": "Thank you.", "timezone": "UTC", "month_start": START, "month_end": END,
}  # fmt: skip
CUSTOMER: Row = {
    "customer_id": "c1", "name": "Ada & Co", "address": "2 Lane\nBerlin", "country": "DE",
    "tax_id": None, "email": "ada@example.com",
}  # fmt: skip


def line(position: int, amount: str, **more: Any) -> Row:
    return {
        "kind": "charge", "position": position, "description": f"Line {position}",
        "quantity": Decimal(1), "amount": Decimal(amount), "currency": "EUR",
        "period_start": START, "period_end": END, "is_inclusive": False, **more,
    }  # fmt: skip


def stripe_invoice(total: str, **more: Any) -> Row:
    return {
        "revision": 1, "stripe_invoice_id": "in_9", "status": "open", "number": "A-1",
        "total": Decimal(total), "amount_remaining": Decimal(total), "credited": NOTHING,
        "wallet_applied": NOTHING, "finalized_at": ISSUED, "due_at": None,
        "hosted_invoice_url": "https://invoice.stripe.com/i/1", **more,
    }  # fmt: skip


def payment(status: str, **amounts: str) -> Row:
    names = ("billed", "paid", "credited", "outstanding", "settled_by_balance")
    return {
        "status": status, "last_error": None,
        **{name: Decimal(amounts.get(name, "0")) for name in names},
    }  # fmt: skip


def records(
    *,
    total: str = "119",
    wallet: str = "0",
    lines: list[Row] | None = None,
    held: list[Row] | None = None,
    paid: Row | None = None,
    invoice: Row | None = None,
    seller: Row | None = None,
    customer: Row | None = None,
    from_wallet: Sequence[Row] = (),
) -> InvoiceRecords:
    """By default 100.00 EUR and 19 % tax, not sent."""
    tax = {"kind": "tax", "description": "VAT 19 %", "period_start": None, "period_end": None}
    amounts = {"subtotal": Decimal(100), "discount": NOTHING, "tax": Decimal(19)}
    return InvoiceRecords(
        invoice={
            "invoice_id": "in_202401_abc", "billing_month": date(2024, 1, 1), "customer_id": "c1",
            "currency": "EUR", **amounts, "tax_included": NOTHING, "total": Decimal(total),
            "wallet_applied": Decimal(wallet), "amount_due": Decimal(total) - Decimal(wallet),
            "due_date": date(2024, 3, 2), "collection_method": "send_invoice", **(invoice or {}),
        },
        lines=lines or [line(1, "100"), line(2, "19", **tax)],
        seller={**SELLER, **(seller or {})},
        customer={**CUSTOMER, **(customer or {})},
        payment=paid,
        stripe_invoices=held or [],
        wallet_payments=from_wallet,
    )  # fmt: skip
