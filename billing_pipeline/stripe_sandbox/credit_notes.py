"""Credit notes on finalized invoices.

What belongs here: issuing, reading and voiding them, and the effect on invoice and balance. What
does not: credit lines of a draft (`lines.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from billing_pipeline.stripe_sandbox.charges import refund
from billing_pipeline.stripe_sandbox.collecting import close_paid
from billing_pipeline.stripe_sandbox.context import Call, json_equal, route
from billing_pipeline.stripe_sandbox.customers import existing_customer, move_balance
from billing_pipeline.stripe_sandbox.errors import ApiError
from billing_pipeline.stripe_sandbox.payments import (
    cancel_payment,
    charges_of,
    refuse_while_processing,
)
from billing_pipeline.stripe_sandbox.rules import require_state
from billing_pipeline.stripe_sandbox.validation import merge_metadata

Json = dict[str, Any]

_CREATE = "invoice amount lines reason metadata memo credit_amount refund_amount"
_CREATE += " out_of_band_amount email_type effective_at"


@route("POST", "credit_notes", "CreditNoteCreateParams", _CREATE)
def create(call: Call) -> Json:
    given = call.params
    invoice = call.get("invoice", given["invoice"], "invoice")
    require_state(invoice, "credit")
    refuse_while_processing(call, invoice)
    lines = _lines(call, invoice)
    amount = sum(line["amount"] for line in lines)
    _fits(invoice, amount)
    off_due = min(amount, invoice["amount_remaining"])
    parts = _parts(given, amount - off_due)
    if parts["refund_amount"] > invoice["amount_paid"]:
        raise ApiError("The refund exceeds what was paid.", param="refund_amount")
    note = _note(call, invoice, amount, off_due)
    _apply(call, invoice, note, parts)
    for line in lines:
        call.new("credit_note_line_item", line, parent=note["id"])
    call.event("credit_note.created", note)
    return note


def _fits(invoice: Json, amount: int) -> None:
    before = invoice["pre_payment_credit_notes_amount"]
    before += invoice["post_payment_credit_notes_amount"]
    left = max(0, invoice["total"]) - before
    if amount < 1:
        raise ApiError("The credit note amount must be greater than 0.", param="amount")
    if amount > left:
        text = f"The credit note exceeds the invoice: {left} can still be credited, not {amount}."
        raise ApiError(text, param="amount")


def _parts(given: Json, after_payment: int) -> Json:
    """How the part beyond the amount still due is split: to the balance, refunded, out of band."""
    names = ("credit_amount", "refund_amount", "out_of_band_amount")
    parts = {name: int(given.get(name) or 0) for name in names}
    if sum(parts.values()) != after_payment:
        text = (
            f"The sum of credit amount, refund amount and out of band amount "
            f"({sum(parts.values())}) must equal the post payment credit note amount "
            f"({after_payment})."
        )
        raise ApiError(text)
    return parts


def _lines(call: Call, invoice: Json) -> list[Json]:
    given = call.params
    if "amount" not in given and "lines" not in given:
        raise ApiError("You must specify exactly one of the params: 'amount', 'lines'.")
    if "amount" in given:
        return [_line(given["amount"], "Credit", "custom_line_item")]
    lines = []
    for line in given["lines"]:
        amount = line.get("amount")
        if line["type"] == "invoice_line_item":
            of = call.get("line_item", line.get("invoice_line_item", ""), "lines")
            if of["invoice"] != invoice["id"]:
                raise ApiError("The line is of another invoice.", param="lines")
            amount = of["amount"] if amount is None else amount
            more = {"invoice_line_item": of["id"]}
            lines.append(_line(amount, of["description"], line["type"], **more))
            continue
        if amount is None:
            amount = int(line.get("unit_amount", 0)) * int(line.get("quantity", 1))
        lines.append(_line(amount, line.get("description"), line["type"]))
    return lines


def _line(amount: int, description: str | None, kind: str, **more: str) -> Json:
    line = {"amount": amount, "description": description, "quantity": 1, "type": kind}
    return line | {"discount_amount": 0, **more}


def _note(call: Call, invoice: Json, amount: int, off_due: int) -> Json:
    given = call.params
    invoice["_notes"] = invoice.get("_notes", 0) + 1
    number = f"{invoice['number']}-CN-{invoice['_notes']:02}"
    body = {
        **dict.fromkeys(("amount", "subtotal", "subtotal_excluding_tax", "total"), amount),
        "total_excluding_tax": amount,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "amount_shipping": 0,
        "discount_amount": 0,
        "effective_at": call.now,
        "invoice": invoice["id"],
        "memo": given.get("memo"),
        "metadata": merge_metadata({}, given.get("metadata")),
        "number": number,
        "out_of_band_amount": given.get("out_of_band_amount"),
        "pdf": f"https://pay.stripe.com/credit_notes/sandbox/{number}/pdf",
        "post_payment_amount": amount - off_due,
        "pre_payment_amount": off_due,
        "reason": given.get("reason"),
        "refunds": [],
        "status": "issued",
        "type": "pre_payment" if off_due == amount else "post_payment" if not off_due else "mixed",
    }
    return call.new("credit_note", body, customer=invoice["customer"], parent=invoice["id"])


def _apply(call: Call, invoice: Json, note: Json, parts: Json) -> None:
    invoice["amount_remaining"] -= note["pre_payment_amount"]
    invoice["pre_payment_credit_notes_amount"] += note["pre_payment_amount"]
    invoice["post_payment_credit_notes_amount"] += note["post_payment_amount"]
    if parts["credit_amount"]:
        customer = existing_customer(call, invoice["customer"], "customer")
        change, more = -parts["credit_amount"], {"credit_note": note["id"]}
        moved = move_balance(call, customer, change, invoice["currency"], "credit_note", **more)
        note["customer_balance_transaction"] = moved["id"]
    if parts["refund_amount"]:
        note["refunds"] = list(_refunds(call, invoice, parts["refund_amount"]))
    call.save(note)
    call.save(invoice)
    is_settled = invoice["amount_remaining"] == 0 and invoice["status"] != "paid"
    if is_settled:
        cancel_payment(call, invoice)
        close_paid(call, invoice)
    else:
        call.event("invoice.updated", invoice)


def _refunds(call: Call, invoice: Json, amount: int) -> Iterator[Json]:
    for charge in charges_of(call, invoice):
        part = min(amount, charge["amount"] - charge["amount_refunded"])
        if part > 0:
            made = refund(call, charge, part)
            yield {"amount_refunded": part, "refund": made["id"], "type": "refund"}
            amount -= part
    if amount:
        text = "The refund exceeds what was paid by a payment that can be refunded."
        raise ApiError(text, param="refund_amount")


@route("POST", "credit_notes/*/void", "CreditNoteVoidCreditNoteParams", "")
def void(call: Call, note_id: str) -> Json:
    note = call.get("credit_note", note_id)
    invoice = call.get("invoice", note["invoice"])
    if note["status"] == "void":
        raise ApiError("This credit note is already void.")
    if note["post_payment_amount"] or invoice["status"] == "paid":
        raise ApiError("You can only void a credit note of an open invoice.")
    invoice["amount_remaining"] += note["amount"]
    invoice["pre_payment_credit_notes_amount"] -= note["amount"]
    call.save(invoice)
    call.event("invoice.updated", invoice)
    note |= {"status": "void", "voided_at": call.now}
    call.event("credit_note.voided", note)
    return call.save(note)


@route("POST", "credit_notes/*", "CreditNoteUpdateParams", "memo metadata")
def update(call: Call, note_id: str) -> Json:
    note = call.get("credit_note", note_id)
    note["metadata"] = merge_metadata(note["metadata"], call.params.get("metadata"))
    note["memo"] = call.params.get("memo", note["memo"])
    call.event("credit_note.updated", note)
    return call.save(note)


@route("GET", "credit_notes/*", "CreditNoteRetrieveParams")
def retrieve(call: Call, note_id: str) -> Json:
    return call.get("credit_note", note_id)


@route("GET", "credit_notes", "CreditNoteListParams", "customer invoice")
def list_all(call: Call) -> Json:
    where = json_equal(call.params, "customer")
    invoice = call.params.get("invoice")
    return call.page("credit_note", "/v1/credit_notes", parent=invoice, where=where)


@route("GET", "credit_notes/*/lines", "CreditNoteLineItemListParams")
def list_lines(call: Call, note_id: str) -> Json:
    call.get("credit_note", note_id)
    url = f"/v1/credit_notes/{note_id}/lines"
    return call.page("credit_note_line_item", url, parent=note_id, oldest_first=True)
