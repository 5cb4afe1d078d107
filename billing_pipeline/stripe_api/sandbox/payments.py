"""Payment intents, and how they hang on invoices.

What belongs here: the charge of a card and its record. What does not: what the payment means to
an invoice (`collecting.py`).
"""

from __future__ import annotations

from typing import Any

from billing_pipeline.stripe_api.sandbox.cards import decline_of, declined
from billing_pipeline.stripe_api.sandbox.context import Call, json_equal, route
from billing_pipeline.stripe_api.sandbox.customers import attach_card, living, require_card
from billing_pipeline.stripe_api.sandbox.errors import ApiError
from billing_pipeline.stripe_api.sandbox.validation import merge_metadata

Json = dict[str, Any]

_INTENT = "amount currency customer payment_method confirm metadata description off_session"
_INTENT += " automatic_payment_methods payment_method_types receipt_email setup_future_usage"


def _intent(call: Call, amount: int, currency: str, customer: str | None, **more: Any) -> Json:
    body = {
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": 0,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "currency": currency,
        "customer": customer,
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": {},
        "next_action": None,
        "payment_method": None,
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
        **more,
    }
    return call.new("payment_intent", body, customer=customer)


def _confirm(call: Call, intent: Json, card: Json) -> dict[str, str] | None:
    """Charge the card; gives what it declined with, or None."""
    intent["payment_method"] = card["id"]
    error = decline_of(card["_test_card"])
    intent["latest_charge"] = call.new(
        "charge",
        {
            "amount": intent["amount"],
            "currency": intent["currency"],
            "customer": intent["customer"],
            "failure_code": error["code"] if error else None,
            "failure_message": error["message"] if error else None,
            "metadata": {},
            "paid": error is None,
            "payment_intent": intent["id"],
            "payment_method": card["id"],
            "status": "failed" if error else "succeeded",
        },
        customer=intent["customer"],
    )["id"]
    if error is None:
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
    else:
        intent["status"] = "requires_payment_method"
    intent["last_payment_error"] = error
    call.save(intent)
    name = "payment_intent.payment_failed" if error else "payment_intent.succeeded"
    call.event(name, intent)
    return error


# On invoices.
def new_payment(call: Call, invoice: Json) -> None:
    """The default payment that every finalized invoice with something due has."""
    amount = invoice["amount_remaining"]
    intent = _intent(call, amount, invoice["currency"], invoice["customer"])
    call.new(
        "invoice_payment",
        {
            "amount_paid": None,
            "amount_requested": amount,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        },
        customer=invoice["customer"],
        parent=invoice["id"],
    )


def _payment(call: Call, invoice: Json) -> Json | None:
    where = [("parent = ?", invoice["id"])]
    found = call.store.select("invoice_payment", where, limit=1)
    return found[0] if found else None


def charge(call: Call, invoice: Json, card: Json) -> tuple[Json, dict[str, str] | None]:
    """Charge what remains of an invoice; gives its payment and the decline."""
    payment = _payment(call, invoice)
    assert payment is not None, "an open invoice has a payment"
    intent = call.get("payment_intent", payment["payment"]["payment_intent"])
    intent["amount"] = payment["amount_requested"] = invoice["amount_remaining"]
    error = _confirm(call, intent, card)
    if error is None:
        payment |= {"status": "paid", "amount_paid": invoice["amount_remaining"]}
        payment["status_transitions"]["paid_at"] = call.now
    return call.save(payment), error


def settle_payment(call: Call, invoice: Json) -> None:
    """The invoice was paid otherwise."""
    cancel_payment(call, invoice)


def cancel_payment(call: Call, invoice: Json) -> None:
    payment = _payment(call, invoice)
    if payment is None or payment["status"] != "open":
        return
    intent = call.get("payment_intent", payment["payment"]["payment_intent"])
    call.save(intent | {"status": "canceled", "canceled_at": call.now})
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = call.now
    call.save(payment)


@route("GET", "invoice_payments", "InvoicePaymentListParams", "invoice status")
def list_payments(call: Call) -> Json:
    where = json_equal(call.params, "status")
    invoice = call.params.get("invoice")
    return call.page("invoice_payment", "/v1/invoice_payments", parent=invoice, where=where)


@route("GET", "invoice_payments/*", "InvoicePaymentRetrieveParams")
def retrieve_payment(call: Call, payment_id: str) -> Json:
    return call.get("invoice_payment", payment_id)


# By themselves: top-ups of wallets are such.
@route("POST", "payment_intents", "PaymentIntentCreateParams", _INTENT)
def create(call: Call) -> Json:
    given = call.params
    if given["amount"] < 1:
        raise ApiError("This value must be greater than or equal to 1.", param="amount")
    customer = given.get("customer")
    if customer is not None:
        living(call, customer, "customer")
    intent = _intent(
        call,
        given["amount"],
        given["currency"].lower(),
        customer,
        description=given.get("description"),
        metadata=merge_metadata({}, given.get("metadata")),
    )
    call.event("payment_intent.created", intent)
    if "payment_method" in given:
        intent["payment_method"] = _own_card(call, customer, given["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
        call.save(intent)
    return _confirmed(call, intent) if given.get("confirm") else intent


@route("POST", "payment_intents/*/confirm", "PaymentIntentConfirmParams", "payment_method")
def confirm(call: Call, intent_id: str) -> Json:
    intent = call.get("payment_intent", intent_id)
    if "payment_method" in call.params:
        card = _own_card(call, intent["customer"], call.params["payment_method"])
        intent["payment_method"] = card["id"]
    return _confirmed(call, intent)


def _own_card(call: Call, customer: str | None, method: str) -> Json:
    if customer is None:
        raise ApiError("The sandbox takes payments of customers only", param="customer")
    return attach_card(call, method, customer)


def _confirmed(call: Call, intent: Json) -> Json:
    if intent["status"] in ("succeeded", "canceled"):
        text = f"This PaymentIntent's payment could not be confirmed: it is {intent['status']}."
        raise ApiError(text, code="payment_intent_unexpected_state")
    if intent["payment_method"] is None:
        raise ApiError("You cannot confirm this PaymentIntent because it is missing a method.")
    card = require_card(call, intent["payment_method"], intent["customer"], "payment_method")
    error = _confirm(call, intent, card)
    if error is not None:
        raise declined(error)
    return intent


@route("POST", "payment_intents/*", "PaymentIntentUpdateParams", "metadata description amount")
def update(call: Call, intent_id: str) -> Json:
    intent = call.get("payment_intent", intent_id)
    if "amount" in call.params and intent["status"] in ("succeeded", "canceled"):
        raise ApiError("The amount cannot be changed", code="payment_intent_unexpected_state")
    intent |= {name: call.params[name] for name in ("description", "amount") if name in call.params}
    intent["metadata"] = merge_metadata(intent["metadata"], call.params.get("metadata"))
    return call.save(intent)


@route("POST", "payment_intents/*/cancel", "PaymentIntentCancelParams", "cancellation_reason")
def cancel(call: Call, intent_id: str) -> Json:
    intent = call.get("payment_intent", intent_id)
    if intent["status"] in ("succeeded", "canceled"):
        text = f"You cannot cancel this PaymentIntent: it is {intent['status']}."
        raise ApiError(text, code="payment_intent_unexpected_state")
    reason = call.params.get("cancellation_reason")
    changed = {"status": "canceled", "canceled_at": call.now, "cancellation_reason": reason}
    return call.save(intent | changed)


@route("GET", "payment_intents/*", "PaymentIntentRetrieveParams")
def retrieve(call: Call, intent_id: str) -> Json:
    return call.get("payment_intent", intent_id)


@route("GET", "payment_intents", "PaymentIntentListParams", "customer")
def list_all(call: Call) -> Json:
    customer = call.params.get("customer")
    return call.page("payment_intent", "/v1/payment_intents", customer=customer)
