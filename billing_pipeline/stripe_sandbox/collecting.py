"""Collecting an invoice: from finalizing to its last status.

What belongs here: the number, the customer balance, all kinds of payment, and the ways in which an
open invoice can end. What does not: drafts (`invoices.py`, `lines.py`), credit notes.
"""

from __future__ import annotations

from typing import Any

from billing_pipeline.stripe_sandbox.cards import AUTHENTICATION, declined
from billing_pipeline.stripe_sandbox.context import Call
from billing_pipeline.stripe_sandbox.customers import (
    balance_of,
    existing_customer,
    move_balance,
    require_card,
)
from billing_pipeline.stripe_sandbox.errors import ApiError
from billing_pipeline.stripe_sandbox.payment_records import attach_record
from billing_pipeline.stripe_sandbox.payments import (
    attach,
    cancel_payment,
    charge,
    involved,
    new_payment,
    refuse_while_processing,
    settle,
)
from billing_pipeline.stripe_sandbox.rules import (
    is_below_minimum,
    require_chargeable,
    require_state,
)
from billing_pipeline.stripe_sandbox.tax_ids import shown_on_invoice

Json = dict[str, Any]

DAY = 86_400


def finalize(call: Call, invoice: Json, *, auto_advance: bool | None = None) -> Json:
    """Finalize a draft: number, due date, balance. It is paid at once if nothing is due."""
    require_state(invoice, "finalize")
    if invoice["total"] == 0 and call.store.count("line_item", invoice["id"])[0] == 0:
        raise ApiError(
            "You can't finalize an invoice without any line items",
            code="invoice_no_customer_line_items",
        )
    customer = existing_customer(call, invoice["customer"], "customer")
    if auto_advance is not None:
        invoice["auto_advance"] = auto_advance
    invoice["status"] = "open"
    invoice["number"] = _number(call, customer)
    invoice["customer_tax_ids"] = shown_on_invoice(call, customer["id"])
    invoice["effective_at"] = invoice["status_transitions"]["finalized_at"] = call.now
    if invoice.get("_days") is not None:
        invoice["due_date"] = call.now + invoice["_days"] * DAY
    invoice["hosted_invoice_url"] = f"https://invoice.stripe.com/i/sandbox/{invoice['id']}"
    invoice["invoice_pdf"] = f"https://pay.stripe.com/invoice/sandbox/{invoice['id']}/pdf"
    call.set_due(invoice["id"], None)
    invoice["automatically_finalizes_at"] = None
    _take_balance(call, invoice, customer)
    call.save(invoice)
    call.event("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        return close_paid(call, invoice)
    new_payment(call, invoice)
    return invoice


def _number(call: Call, customer: Json) -> str:
    sequence = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] = sequence + 1
    call.save(customer)
    return f"{customer['invoice_prefix']}-{sequence:04}"


def _take_balance(call: Call, invoice: Json, customer: Json) -> None:
    """Apply the customer's balance: credit lowers the amount due, debt raises it."""
    currency = invoice["currency"]
    before = balance_of(customer, currency)
    due = max(0, invoice["total"] + before)
    after = min(0, invoice["total"] + before)
    if is_below_minimum(due, currency) and _is_charged(invoice):
        # Too small to charge: carried over to the next invoice.
        due, after = 0, due
    if due and _is_charged(invoice):
        require_chargeable(due, currency)
    invoice |= {"starting_balance": before, "ending_balance": after}
    invoice["amount_due"] = invoice["amount_remaining"] = due
    if after != before:
        invoice["_from_balance"] = after - before
        kind = "applied_to_invoice"
        move_balance(call, customer, after - before, currency, kind, invoice=invoice["id"])


def _is_charged(invoice: Json) -> bool:
    return bool(invoice["collection_method"] == "charge_automatically")


def close_paid(call: Call, invoice: Json) -> Json:
    invoice["status"] = "paid"
    invoice["attempted"] = True
    invoice["auto_advance"] = False
    invoice["next_payment_attempt"] = None
    invoice["status_transitions"]["paid_at"] = call.now
    call.save(invoice)
    call.event("invoice.paid", invoice)
    call.event("invoice.payment_succeeded", invoice)
    return invoice


def advance(call: Call, invoice: Json) -> Json:
    """Charge an open invoice once, as Stripe does by itself right after finalizing it."""
    if invoice["status"] == "open" and invoice["auto_advance"] and _is_charged(invoice):
        try:
            return pay(call, invoice)
        except ApiError as error:
            if error.status != 402 and error.body["error"].get("code") != "resource_missing":
                raise
            return call.get("invoice", invoice["id"])
    return invoice


def pay(call: Call, invoice: Json, method: str | None = None) -> Json:
    """Charge the remaining amount. If the card declines, raises 402 and the attempt is recorded."""
    require_state(invoice, "pay")
    refuse_while_processing(call, invoice)
    chosen = _method(call, invoice, method)
    require_chargeable(invoice["amount_remaining"], invoice["currency"])
    payment, error = charge(call, invoice, chosen)
    invoice["attempted"] = True
    # Stripe's own schedule of retries sets this; an attempt by API does not.
    invoice["attempt_count"] = max(1, invoice["attempt_count"])
    if error is not None:
        call.save(invoice)
        call.event("invoice.payment_failed", invoice)
        if error == AUTHENTICATION:
            call.event("invoice.payment_action_required", invoice)
            error = error | {"code": "invoice_payment_intent_requires_action"}
        raise declined(error, **involved(call, payment["payment"]["payment_intent"]))
    if payment["status"] != "paid":
        return call.save(invoice)  # the bank answers days later
    return _paid(call, invoice, payment["amount_paid"])


def _paid(call: Call, invoice: Json, amount: int) -> Json:
    """Record an amount received; an overpayment goes to the customer's balance."""
    counts = min(amount, invoice["amount_remaining"])
    invoice["amount_paid"] += counts
    invoice["amount_remaining"] -= counts
    if amount > counts:
        invoice["amount_overpaid"] += amount - counts
        customer = call.get("customer", invoice["customer"])
        kind, more = "invoice_overpaid", {"invoice": invoice["id"]}
        move_balance(call, customer, counts - amount, invoice["currency"], kind, **more)
    if invoice["amount_remaining"] == 0:
        return close_paid(call, invoice)
    call.save(invoice)
    call.event("invoice.updated", invoice)
    return invoice


def attach_payment(call: Call, invoice: Json, *, intent: str = "", record: str = "") -> Json:
    """Attach a separate payment of the customer, of any amount, or one made outside of Stripe."""
    _require_payable(call, invoice)
    if record:
        amount = attach_record(call, invoice, record)
        invoice["amount_paid_off_stripe"] += amount
    else:
        amount = attach(call, invoice, intent)
    invoice = _paid(call, invoice, amount)
    if invoice["status"] == "paid":
        cancel_payment(call, invoice)
    return invoice


def pay_out_of_band(call: Call, invoice: Json) -> Json:
    """Mark the invoice as paid outside Stripe: no charge."""
    _require_payable(call, invoice)
    cancel_payment(call, invoice)
    invoice["amount_paid_off_stripe"] += invoice["amount_remaining"]
    return _paid(call, invoice, invoice["amount_remaining"])


def _require_payable(call: Call, invoice: Json) -> None:
    require_state(invoice, "attach_payment")
    refuse_while_processing(call, invoice)


def settle_intent(call: Call, intent_id: str, *, is_confirmed: bool = True) -> None:
    """Record the bank's or the customer's answer to a waiting payment: the invoice is paid, or
    stays open with a failed payment."""
    payment, error = settle(call, intent_id, is_confirmed=is_confirmed)
    if payment is None:
        return
    invoice = call.get("invoice", payment["invoice"])
    if error is None:
        _paid(call, invoice, payment["amount_paid"])
    else:
        call.event("invoice.payment_failed", invoice)


def _method(call: Call, invoice: Json, method: str | None) -> Json:
    customer = call.get("customer", invoice["customer"])
    chosen = method or invoice["default_payment_method"]
    chosen = chosen or customer["invoice_settings"].get("default_payment_method")
    if chosen is None:
        text = (
            "This customer has no attached payment source or default payment method. Please "
            "consider adding a default payment method."
        )
        raise ApiError(text, code="resource_missing")
    return require_card(call, chosen, customer["id"], "payment_method")


def void(call: Call, invoice: Json) -> Json:
    """Void an invoice. The amount that it took from the balance is returned."""
    require_state(invoice, "void")
    if invoice["amount_paid"]:
        raise ApiError("You can't void an invoice that was paid in part.")
    refuse_while_processing(call, invoice)
    taken = invoice.get("_from_balance", 0)
    if taken:
        customer = call.get("customer", invoice["customer"])
        kind = "unapplied_from_invoice"
        more = {"invoice": invoice["id"]}
        move_balance(call, customer, -taken, invoice["currency"], kind, **more)
    cancel_payment(call, invoice)
    return _ended(call, invoice, "void", "voided")


def mark_uncollectible(call: Call, invoice: Json) -> Json:
    require_state(invoice, "mark_uncollectible")
    return _ended(call, invoice, "uncollectible", "marked_uncollectible")


def _ended(call: Call, invoice: Json, status: str, what: str) -> Json:
    invoice["status"] = status
    invoice["auto_advance"] = False
    invoice["status_transitions"][f"{what}_at"] = call.now
    call.save(invoice)
    call.event(f"invoice.{what}", invoice)
    return invoice
