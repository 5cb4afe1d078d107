"""Invoices: drafts, and the requests on them.

What belongs here: creating, reading, changing and deleting invoices. What does not: their lines
(`lines.py`) and what happens at and after finalizing (`collecting.py`).
"""

from __future__ import annotations

from typing import Any

from billing_pipeline.stripe_sandbox import collecting, payouts
from billing_pipeline.stripe_sandbox.context import Call, json_equal, json_range, route
from billing_pipeline.stripe_sandbox.customers import existing_customer, require_card
from billing_pipeline.stripe_sandbox.errors import ApiError
from billing_pipeline.stripe_sandbox.lines import remove_all, retotal, take_pending
from billing_pipeline.stripe_sandbox.rules import require_email, require_state
from billing_pipeline.stripe_sandbox.validation import merge_metadata

Json = dict[str, Any]

AUTO_FINALIZE_DELAY = 3600
"""Seconds until Stripe finalizes a draft with `auto_advance`."""

_TEXTS = ("description", "footer", "statement_descriptor", "custom_fields", "effective_at")
_ALWAYS = frozenset({"metadata", "auto_advance", "default_payment_method", "expand"})
"""The only parameters that may be changed on a finalized invoice."""
_UPDATE = f"{' '.join(_TEXTS)} metadata auto_advance default_payment_method collection_method"
_UPDATE += " days_until_due due_date"

_ZEROS = [
    "amount_due",
    "amount_paid",
    "amount_paid_off_stripe",
    "amount_remaining",
    "amount_overpaid",
    "amount_shipping",
    "attempt_count",
    "starting_balance",
    "subtotal",
    "subtotal_excluding_tax",
    "total",
    "total_excluding_tax",
    "pre_payment_credit_notes_amount",
    "post_payment_credit_notes_amount",
]


@route(
    "POST",
    "invoices",
    "InvoiceCreateParams",
    f"{_UPDATE} customer currency pending_invoice_items_behavior",
)
def create(call: Call) -> Json:
    given = call.params
    if "customer" not in given:
        raise ApiError("Missing required param: customer.", param="customer")
    customer = existing_customer(call, given["customer"], "customer")
    currency = (given.get("currency") or customer["currency"] or "usd").lower()
    if customer["currency"] is None:
        call.save(customer | {"currency": currency})
    body = {
        **dict.fromkeys(_ZEROS, 0),
        "attempted": False,
        "auto_advance": False,
        "automatic_tax": {"enabled": False},
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "currency": currency,
        "customer": customer["id"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_address": customer["address"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": [],
        "default_payment_method": None,
        "due_date": None,
        "issuer": {"type": "self"},
        "metadata": {},
        "payment_settings": {},
        "period_start": call.now,
        "period_end": call.now,
        "status": "draft",
        "status_transitions": {},
        "test_clock": customer.get("test_clock"),
        "_days": None,
    }
    invoice = call.new("invoice", body, customer=customer["id"])
    _change(call, invoice)
    if given.get("pending_invoice_items_behavior") == "include":
        take_pending(call, invoice)
    call.event("invoice.created", invoice)
    return retotal(call, invoice)


@route("POST", "invoices/*", "InvoiceUpdateParams", _UPDATE)
def update(call: Call, invoice_id: str) -> Json:
    invoice = call.get("invoice", invoice_id)
    frozen = set(call.params) - _ALWAYS
    if invoice["status"] != "draft" and frozen:
        name = min(frozen)
        text = f"Finalized invoices can't be updated in this way: {name}"
        raise ApiError(text, code="invoice_not_editable", param=name)
    _change(call, invoice)
    call.event("invoice.updated", invoice)
    return invoice


def _change(call: Call, invoice: Json) -> Json:
    given = call.params
    invoice["metadata"] = merge_metadata(invoice["metadata"], given.get("metadata"))
    invoice |= {name: given[name] or None for name in _TEXTS if name in given}
    if "default_payment_method" in given:
        method = given["default_payment_method"] or None
        if method:
            require_card(call, method, invoice["customer"], "default_payment_method")
        invoice["default_payment_method"] = method
    if invoice["status"] == "draft":
        _collection(call, invoice)
    if "auto_advance" in given:
        invoice["auto_advance"] = given["auto_advance"]
    if invoice["status"] == "draft":
        at = call.now + AUTO_FINALIZE_DELAY if invoice["auto_advance"] else None
        invoice["automatically_finalizes_at"] = at
        call.set_due(invoice["id"], at)
    return call.save(invoice)


def _collection(call: Call, invoice: Json) -> None:
    given = call.params
    method = given.get("collection_method", invoice["collection_method"])
    if method != "send_invoice":
        for name in ("days_until_due", "due_date"):
            if given.get(name):
                text = f"You can only pass in {name} if the collection_method is send_invoice"
                raise ApiError(text, param=name)
        invoice |= {"collection_method": method, "due_date": None, "_days": None}
        return
    require_email(call.get("customer", invoice["customer"]))
    if given.get("days_until_due") not in (None, ""):
        invoice["_days"] = given["days_until_due"]
        invoice["due_date"] = call.now + invoice["_days"] * collecting.DAY
    elif given.get("due_date"):
        if given["due_date"] < call.now:
            raise ApiError("The due date must be in the future", param="due_date")
        invoice |= {"_days": None, "due_date": given["due_date"]}
    if invoice["due_date"] is None:
        text = (
            "If invoice `collection_method`=`send_invoice`, you must specify `due_date` or "
            "`days_until_due`."
        )
        raise ApiError(text, param="days_until_due")
    invoice["collection_method"] = method


@route("GET", "invoices/*", "InvoiceRetrieveParams")
def retrieve(call: Call, invoice_id: str) -> Json:
    return call.get("invoice", invoice_id)


@route("DELETE", "invoices/*", "InvoiceDeleteParams")
def delete(call: Call, invoice_id: str) -> Json:
    invoice = call.get("invoice", invoice_id)
    require_state(invoice, "delete")
    remove_all(call, invoice_id)
    call.store.remove("invoice", invoice_id)
    call.set_due(invoice_id, None)
    call.event("invoice.deleted", invoice)
    return {"id": invoice_id, "object": "invoice", "deleted": True}


@route("GET", "invoices", "InvoiceListParams", "customer status collection_method due_date")
def list_all(call: Call) -> Json:
    where = json_equal(call.params, "status", "collection_method")
    where += json_range("due_date", call.params.get("due_date"))
    customer = call.params.get("customer")
    return call.page("invoice", "/v1/invoices", customer=customer, where=where)


@route("POST", "invoices/*/finalize", "InvoiceFinalizeInvoiceParams", "auto_advance")
def finalize(call: Call, invoice_id: str) -> Json:
    invoice = call.get("invoice", invoice_id)
    invoice = collecting.finalize(call, invoice, auto_advance=call.params.get("auto_advance"))
    return collecting.advance(call, invoice)


@route("POST", "invoices/*/pay", "InvoicePayParams", "payment_method paid_out_of_band off_session")
def pay(call: Call, invoice_id: str) -> Json:
    invoice = call.get("invoice", invoice_id)
    if call.params.get("paid_out_of_band"):
        return collecting.pay_out_of_band(call, invoice)
    return collecting.pay(call, invoice, call.params.get("payment_method"))


@route("POST", "invoices/*/send", "InvoiceSendInvoiceParams", "")
def send(call: Call, invoice_id: str) -> Json:
    invoice = call.get("invoice", invoice_id)
    if invoice["collection_method"] != "send_invoice":
        raise ApiError("You can only manually send an invoice whose collection is send_invoice.")
    require_state(invoice, "send")
    require_email(call.get("customer", invoice["customer"]))
    if invoice["status"] == "draft":
        invoice = collecting.finalize(call, invoice)
    call.event("invoice.sent", invoice)
    return invoice


@route("POST", "invoices/*/void", "InvoiceVoidInvoiceParams", "")
def void(call: Call, invoice_id: str) -> Json:
    return collecting.void(call, call.get("invoice", invoice_id))


@route("POST", "invoices/*/mark_uncollectible", "InvoiceMarkUncollectibleParams", "")
def mark_uncollectible(call: Call, invoice_id: str) -> Json:
    return collecting.mark_uncollectible(call, call.get("invoice", invoice_id))


@route(
    "POST",
    "invoices/*/attach_payment",
    "InvoiceAttachPaymentParams",
    "payment_intent payment_record",
)
def attach_payment(call: Call, invoice_id: str) -> Json:
    invoice, given = call.get("invoice", invoice_id), call.params
    return collecting.attach_payment(
        call,
        invoice,
        intent=given.get("payment_intent", ""),
        record=given.get("payment_record", ""),
    )


def run_due(call: Call, object_id: str) -> None:
    """Do what Stripe does by itself: finalize a draft after its hour, record the bank's answer, pay
    out."""
    call.set_due(object_id, None)
    if object_id.startswith(payouts.BALANCE):
        _, currency, _, *clock = object_id.split("/")
        payouts.pay_out(call, currency, clock[0] if clock else None)
        return
    if call.store.get("payout", object_id) is not None:
        payouts.arrive(call, call.get("payout", object_id))
        return
    if call.store.get("payment_intent", object_id) is not None:
        collecting.settle_intent(call, object_id)
        return
    if call.store.get("invoice", object_id) is None:
        return
    invoice = call.get("invoice", object_id)
    if invoice["status"] != "draft":
        return
    if call.store.count("line_item", object_id)[0] == 0:
        return  # Stripe cannot finalize it either
    if call.get("customer", invoice["customer"]).get("deleted"):
        return
    collecting.advance(call, collecting.finalize(call, invoice))
