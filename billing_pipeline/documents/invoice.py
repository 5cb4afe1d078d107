"""The statement of an invoice: its month as it stands now, with all its documents and payments.

What belongs here: the texts of the statement, or of the preview of what has not been sent, from
its published records; pure functions. What does not: a document as it was issued
(``issued_page``), layout (``templates``), reading (``reading``), and amounts that no record
contains: sums here only show how one recorded amount leads to the next.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing_pipeline.documents.formatting import (
    amount,
    day,
    month_name,
    period,
    plain,
    quantity,
)
from billing_pipeline.documents.issued import in_order
from billing_pipeline.documents.line_rows import NO_FIGURES, has_unit_prices, line_rows
from billing_pipeline.documents.parties import party
from billing_pipeline.documents.reading import InvoiceRecords
from billing_pipeline.duckdb_sql import Row

Document = dict[str, Any]

# status: label and tone
STATES = {
    "draft": ("Draft", "neutral"),
    "open": ("Open", "open"),
    "overdue": ("Overdue", "bad"),
    "paid": ("Paid", "good"),
    "void": ("Void", "neutral"),
    "uncollectible": ("Uncollectible", "bad"),
    "not sent": ("Not sent", "neutral"),
}
_TITLES = {"draft": "Draft invoice", "not sent": "Invoice preview", "void": "Void statement"}


def invoice_document(records: InvoiceRecords, *, has_pages: bool) -> Document:
    """All texts on the invoice. `has_pages`: Stripe's links can be opened (not in the sandbox)."""
    status = records.payment["status"] if records.payment else "not sent"
    first = records.stripe_invoices[0] if records.stripe_invoices else None
    number = (first and first["number"]) or records.invoice["invoice_id"]
    currency = records.invoice["currency"]
    settlement = settlement_of(records)
    label, tone = STATES[status]
    payer = records.invoice["customer_id"]
    lines = line_rows(
        in_order(records.lines, payer), payer, records.names, lambda line: _line(line, records)
    )
    return {
        "title": _TITLES.get(status, "Statement"),
        "number": plain(records.invoice["invoice_id"]),
        "state": {"label": label, "tone": tone},
        "date": _document_date(records).isoformat(),
        "currency": currency,
        "facts": _facts(records, plain(number)),
        "seller": party(records.seller) if records.seller["name"] else None,
        "buyer": party(records.customer, fallback=records.customer["customer_id"]),
        "lines": lines,
        "has_unit_prices": has_unit_prices(lines),
        "totals": _totals(records),
        "settlement": [
            {"label": label, "amount": amount(value, currency)} for label, value in settlement
        ],
        "due": {"label": "Amount due", "amount": amount(_due(records), currency)},
        "notices": _notices(records),
        "revisions": _revisions(records),
        "payment_terms": _payment_terms(records, plain(number), has_pages),
        "foot": plain(records.seller["note"]),
    }


def settlement_of(records: InvoiceRecords) -> list[tuple[str, Decimal]]:
    """The steps from the invoice's total to the amount due: total + steps = due."""
    payment, total = records.payment, Decimal(records.invoice["total"])
    if _is_void(records):
        return [("Made void", -total)]
    if payment is None or not is_billed(records):
        # A total below 0 is credited to the wallet.
        return _without_zeros([("Prepaid wallet", records.invoice["amount_due"] - total)])
    billed, credited = payment["billed"], payment["credited"]
    wallet = sum((row["wallet_applied"] for row in records.stripe_invoices), Decimal(0))
    paid_later = [
        (f"Paid from the prepaid wallet on {day(row['paid_at'])}", -row["amount"])
        for row in records.wallet_payments
    ]
    # Credit notes that corrected the charges are already in the total; others are not.
    difference = "Credit notes" if billed == total else "Difference from the billed amount"
    steps = [
        (difference, billed - credited - total),
        ("Prepaid wallet", -wallet),
        ("Customer balance", wallet - payment["settled_by_balance"]),
        *paid_later,
        ("Paid", -payment["paid"] - sum((value for _, value in paid_later), Decimal(0))),
    ]
    reached = total + sum(value for _, value in steps)
    return _without_zeros([*steps, ("Returned after payment", payment["outstanding"] - reached)])


def is_billed(records: InvoiceRecords) -> bool:
    """True if Stripe has a finalized invoice for it that is not void."""
    return any(row["status"] not in ("draft", "void") for row in records.stripe_invoices)


def _is_void(records: InvoiceRecords) -> bool:
    held = records.stripe_invoices
    return bool(held) and all(row["status"] == "void" for row in held)


def _due(records: InvoiceRecords) -> Decimal:
    if _is_void(records):
        return Decimal(0)
    if records.payment is not None and is_billed(records):
        return Decimal(records.payment["outstanding"])
    return Decimal(records.invoice["amount_due"])


def _without_zeros(steps: list[tuple[str, Decimal]]) -> list[tuple[str, Decimal]]:
    return [(label, value) for label, value in steps if value]


def _zone(records: InvoiceRecords) -> ZoneInfo:
    return ZoneInfo(records.seller["timezone"])


def _document_date(records: InvoiceRecords) -> Any:
    """The date of issue; before that, the month's end."""
    issued = [row["finalized_at"] for row in records.stripe_invoices if row["finalized_at"]]
    moment = min(issued, default=records.seller["month_end"])
    return moment.astimezone(_zone(records)).date()


def _facts(records: InvoiceRecords, number: str) -> list[Row]:
    invoice = records.invoice
    is_issued = any(row["finalized_at"] for row in records.stripe_invoices)
    facts = [("Reference", plain(invoice["invoice_id"]))]
    if number != invoice["invoice_id"] and len(records.stripe_invoices) == 1:
        facts.append(("Invoice number", number))
    if is_issued:
        facts.append(("Date of issue", day(_document_date(records))))
    if invoice["collection_method"] == "charge_automatically":
        facts.append(("Payment", "charged automatically"))
    else:
        facts.append(("Due date", day(invoice["due_date"])))
    if order := plain(records.customer.get("purchase_order")):
        facts.append(("Purchase order", order))
    facts.append(("Billing month", month_name(invoice["billing_month"])))
    return [{"label": label, "value": value} for label, value in facts]


def _line(line: Row, records: InvoiceRecords) -> Document:
    has_period = line["period_start"] is not None and line["period_end"] is not None
    is_counted = line["kind"] == "charge" and line["quantity"] is not None
    return NO_FIGURES | {
        "kind": line["kind"],
        "description": plain(line["description"]),
        "period": period(line["period_start"], line["period_end"], _zone(records))
        if has_period
        else "",
        "quantity": quantity(line["quantity"]) if is_counted else "",
        "amount": amount(line["amount"], line["currency"]),
    }


def _totals(records: InvoiceRecords) -> list[Row]:
    """From the subtotal to the total: discounts, then each tax."""
    invoice = records.invoice
    taxes = [line for line in records.lines if line["kind"] == "tax"]
    rows = [("Subtotal", invoice["subtotal"], "plain")]
    if invoice["discount"]:
        rows.append(("Discounts", -invoice["discount"], "plain"))
    rows += [(plain(tax["description"]), tax["amount"], "plain") for tax in taxes if _is_added(tax)]
    rows.append(("Total", invoice["total"], "total"))
    rows += [
        (f"of which {plain(tax['description'])}", tax["amount"], "note")
        for tax in taxes
        if not _is_added(tax)
    ]
    currency = invoice["currency"]
    return [
        {"label": label, "amount": amount(value, currency), "kind": kind}
        for label, value, kind in rows
    ]


def _is_added(tax: Row) -> bool:
    return not tax["is_inclusive"]


def _notices(records: InvoiceRecords) -> list[str]:
    notices = []
    if not is_billed(records):
        notices.append(
            "This invoice is void: nothing has to be paid."
            if _is_void(records)
            else "Not issued yet: amounts can still change, and nothing has to be paid."
        )
    payment, total = records.payment, records.invoice["total"]
    if payment is not None and is_billed(records):
        billed = payment["billed"] - payment["credited"]
        if billed != total:
            currency = records.invoice["currency"]
            end = "The difference has not been billed."
            if is_decided(records):
                end = "The difference is not billed."
            notices.append(
                f"The lines show the month as it is computed now, {currency} "
                f"{amount(total, currency)}; billed less credit notes is {currency} "
                f"{amount(billed, currency)}. {end}"
            )
    if _is_unpaid(records) and records.payment and records.payment["last_error"]:
        notices.append(f"The last payment failed: {plain(records.payment['last_error'])}")
    return notices


def is_decided(records: InvoiceRecords) -> bool:
    """True if a person has decided to accept the difference from Stripe's invoice."""
    row = records.reconciliation
    return row is not None and row["state"] in ("adopted", "written_off")


def _is_unpaid(records: InvoiceRecords) -> bool:
    return is_billed(records) and _due(records) > 0


def _revisions(records: InvoiceRecords) -> list[Row]:
    """The documents that the invoice consists of; empty if it is one invoice without credits."""
    if len(records.stripe_invoices) < 2 and not any(
        row["credited"] for row in records.stripe_invoices
    ):
        return []
    zone, currency = _zone(records), records.invoice["currency"]
    return [
        {
            "number": plain(row["number"] or row["stripe_invoice_id"]),
            "kind": "Invoice" if row["revision"] == 1 else "Supplement",
            "date": day(row["finalized_at"].astimezone(zone).date()) if row["finalized_at"] else "",
            "state": STATES[row["status"]][0],
            "total": amount(row["total"], currency),
            "credited": amount(-row["credited"], currency) if row["credited"] else "",
            "remaining": amount(row["amount_remaining"], currency),
        }
        for row in records.stripe_invoices
    ]


def _payment_terms(records: InvoiceRecords, number: str, has_pages: bool) -> Document | None:
    """How to pay the open amount; None if nothing is open, or if the invoice was given up."""
    if not _is_unpaid(records):
        return None
    bank_account = plain(records.seller["bank_account"])
    pages = [
        row["hosted_invoice_url"]
        for row in records.stripe_invoices
        if row["amount_remaining"] and (row["hosted_invoice_url"] or "").startswith("https://")
    ]
    page = pages[-1] if pages and has_pages else ""
    if not (bank_account or page):
        return None
    return {
        "text": f"Please quote {number} with your payment.",
        "bank_account": bank_account,
        "page": page,
    }
