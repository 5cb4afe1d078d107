"""Payment intents, and how they belong to invoices.

What belongs here: charging a card or a bank account, and the answer. What does not: the charge as
an object (`charges.py`), and the effect of a payment on the invoice (`collecting.py`).
"""

from __future__ import annotations

from typing import Any

from billing_pipeline.stripe_sandbox.answers import shown
from billing_pipeline.stripe_sandbox.cards import (
    AUTHENTICATION,
    NOT_CONFIRMED,
    decline_error,
    declined,
    dispute_of,
    is_test_card,
    needs_confirmation,
)
from billing_pipeline.stripe_sandbox.charges import new_charge, open_dispute, settle_charge
from billing_pipeline.stripe_sandbox.context import Call, json_equal, route
from billing_pipeline.stripe_sandbox.customers import existing_customer, new_method
from billing_pipeline.stripe_sandbox.debits import is_test_debit, outcome_of
from billing_pipeline.stripe_sandbox.errors import ApiError
from billing_pipeline.stripe_sandbox.rules import require_chargeable
from billing_pipeline.stripe_sandbox.validation import merge_metadata

Json = dict[str, Any]

_INTENT = "amount currency customer payment_method confirm metadata description off_session"
_INTENT += " allowed_payment_method_types automatic_payment_methods receipt_email return_url"
_INTENT += " setup_future_usage"
_CONFIRM = "payment_method off_session return_url"


def _intent(call: Call, amount: int, currency: str, customer: str | None, **more: Any) -> Json:
    body = {
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": 0,
        "capture_method": "automatic_async",
        "confirmation_method": "automatic",
        "currency": currency,
        "customer": customer,
        "client_secret": f"pi_secret_{call.store.next('secret'):012}",
        "description": None,
        "last_payment_error": None,
        "latest_charge": None,
        "metadata": {},
        "payment_method": None,
        "payment_method_types": ["card"],
        "status": "requires_payment_method",
        **more,
    }
    return call.new("payment_intent", body, customer=customer)


def _confirm(call: Call, intent: Json, method: Json) -> dict[str, str] | None:
    """Charge the payment method; returns the error if it declines, else None. A bank takes days to
    answer: until then the intent is processing."""
    intent |= {"payment_method": method["id"], "payment_method_types": [method["type"]]}
    if method["type"] == "sepa_debit":
        intent["latest_charge"] = new_charge(call, intent, method, None, waits=True)["id"]
        intent |= {"status": "processing", "last_payment_error": None}
        call.save(intent)
        call.set_due(intent["id"], call.now + outcome_of(method["_test_name"]).after)
        call.event("payment_intent.processing", intent)
        return None
    if needs_confirmation(method["_test_name"]):
        return _ask(call, intent)
    error = decline_error(method["_test_name"])
    intent["latest_charge"] = new_charge(call, intent, method, error, waits=False)["id"]
    _answered(call, intent, error)
    reason = dispute_of(method["_test_name"])
    if reason is not None:
        open_dispute(call, intent["latest_charge"], None, reason)
    return error


def _ask(call: Call, intent: Json) -> dict[str, str]:
    """Let the intent wait for the customer, who has to confirm the payment."""
    steps = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    intent |= {"status": "requires_action", "next_action": steps, "last_payment_error": None}
    call.save(intent)
    call.event("payment_intent.requires_action", intent)
    return AUTHENTICATION


def involved(call: Call, intent_id: str) -> Json:
    """The objects that the answer to a declined payment contains besides the reason."""
    intent = call.get("payment_intent", intent_id)
    method = call.get("payment_method", intent["payment_method"])
    return {
        "charge": intent["latest_charge"],
        "payment_intent": shown(call, intent),
        "payment_method": shown(call, method),
    }


def _answered(call: Call, intent: Json, error: dict[str, str] | None) -> None:
    if error is None:
        intent |= {"status": "succeeded", "amount_received": intent["amount"]}
    else:
        intent["status"] = "requires_payment_method"
    intent["last_payment_error"] = error
    call.save(intent)
    name = "payment_intent.payment_failed" if error else "payment_intent.succeeded"
    call.event(name, intent)


def settle(
    call: Call, intent_id: str, *, is_confirmed: bool
) -> tuple[Json | None, dict[str, str] | None]:
    """Record the bank's answer to a debit, or the customer's to a confirmation; returns the invoice
    payment, if there is one, and the error if the payment failed."""
    intent = call.get("payment_intent", intent_id)
    method = call.get("payment_method", intent["payment_method"])
    intent["next_action"] = None
    if method["type"] == "card":
        error = None if is_confirmed else NOT_CONFIRMED
        if is_confirmed:
            intent["latest_charge"] = new_charge(call, intent, method, None, waits=False)["id"]
        _answered(call, intent, error)
    else:
        outcome = outcome_of(method["_test_name"])
        error, charge_id = outcome.error, intent["latest_charge"]
        settle_charge(call, call.get("charge", charge_id), error)
        _answered(call, intent, error)
        if outcome.is_disputed:
            open_dispute(call, charge_id, None, "debit_not_authorized")
    payment = _payment_by(call, intent)
    if payment is not None and error is None:
        record_paid(call, payment, intent["amount"])
    return payment, error


def _payment_by(call: Call, intent: Json) -> Json | None:
    condition = ("json_extract(body, '$.payment.payment_intent') = ?", intent["id"])
    where = [("customer = ?", intent["customer"]), condition]
    found = call.store.select("invoice_payment", where, limit=1)
    return found[0] if found else None


# On invoices.
def new_payment(call: Call, invoice: Json) -> None:
    """Create the default payment that every finalized invoice with an amount due has."""
    amount = invoice["amount_remaining"]
    intent = _intent(call, amount, invoice["currency"], invoice["customer"])
    new_invoice_payment(call, invoice, amount, _by(intent), is_default=True)


def _by(intent: Json) -> Json:
    return {"type": "payment_intent", "payment_intent": intent["id"]}


def new_invoice_payment(
    call: Call, invoice: Json, amount: int, payment: Json, *, is_default: bool
) -> Json:
    """Tie a payment to an invoice."""
    body = {
        "amount_requested": amount,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": is_default,
        "payment": payment,
        "status": "open",
        "status_transitions": {},
    }
    customer, parent = invoice["customer"], invoice["id"]
    return call.new("invoice_payment", body, customer=customer, parent=parent)


def payment_of(call: Call, invoice: Json) -> Json | None:
    """The default payment; None before finalizing, or if nothing was due."""
    where = [("parent = ?", invoice["id"]), ("json_extract(body, '$.is_default') = ?", 1)]
    found = call.store.select("invoice_payment", where, limit=1)
    return found[0] if found else None


def _intent_of(call: Call, payment: Json) -> Json:
    return call.get("payment_intent", payment["payment"]["payment_intent"])


def refuse_while_processing(call: Call, invoice: Json) -> None:
    """Raise an error while a payment is processing: nothing else may end the invoice then."""
    payment = payment_of(call, invoice)
    if payment is not None and _intent_of(call, payment)["status"] == "processing":
        text = f"A payment of the invoice {invoice['id']} is being processed: wait for its end."
        raise ApiError(text, code="payment_intent_unexpected_state")


def charge(call: Call, invoice: Json, method: Json) -> tuple[Json, dict[str, str] | None]:
    """Charge the rest of an invoice; returns its payment and the error if it was declined."""
    payment = payment_of(call, invoice)
    assert payment is not None, "an open invoice has a payment"
    intent = _intent_of(call, payment)
    intent["amount"] = payment["amount_requested"] = invoice["amount_remaining"]
    error = _confirm(call, intent, method)
    if intent["status"] == "succeeded":
        record_paid(call, payment, invoice["amount_remaining"])
    return call.save(payment), error


def record_paid(call: Call, payment: Json, amount: int) -> None:
    """Record what a payment has paid of its invoice."""
    payment |= {"status": "paid", "amount_paid": amount}
    payment["status_transitions"]["paid_at"] = call.now
    call.save(payment)
    call.event("invoice_payment.paid", payment)


def attach(call: Call, invoice: Json, intent_id: str) -> int:
    """Use a separate payment for an invoice; returns its amount."""
    intent = call.get("payment_intent", intent_id, "payment_intent")
    if intent["status"] != "succeeded":
        raise ApiError("The sandbox attaches payments that have succeeded", param="payment_intent")
    if intent["customer"] != invoice["customer"] or intent["currency"] != invoice["currency"]:
        raise ApiError("The PaymentIntent is of another customer or currency than the invoice.")
    if _payment_by(call, intent) is not None:
        raise ApiError("The PaymentIntent is attached to an invoice already.")
    amount = int(intent["amount_received"])
    payment = new_invoice_payment(call, invoice, intent["amount"], _by(intent), is_default=False)
    record_paid(call, payment, amount)
    return amount


def charges_of(call: Call, invoice: Json) -> list[Json]:
    """The successful charges of an invoice, the newest first."""
    payments = call.store.select("invoice_payment", [("parent = ?", invoice["id"])], limit=100)
    paid = [payment for payment in payments if payment["status"] == "paid"]
    intents = [
        _intent_of(call, payment) for payment in paid if "payment_intent" in payment["payment"]
    ]
    return [call.get("charge", intent["latest_charge"]) for intent in intents]


def cancel_payment(call: Call, invoice: Json) -> None:
    """Cancel the default payment: the invoice is void, or was paid in another way."""
    payment = payment_of(call, invoice)
    if payment is None or payment["status"] != "open":
        return
    intent = _intent_of(call, payment)
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


# Separate payments, such as top-ups of wallets.
@route("POST", "payment_intents", "PaymentIntentCreateParams", _INTENT)
def create(call: Call) -> Json:
    given = call.params
    require_chargeable(given["amount"], given["currency"].lower())
    customer = given.get("customer")
    if customer is not None:
        existing_customer(call, customer, "customer")
    intent = _intent(
        call,
        given["amount"],
        given["currency"].lower(),
        customer,
        description=given.get("description"),
        metadata=merge_metadata({}, given.get("metadata")),
        _may_redirect=_may_redirect(given),
    )
    call.event("payment_intent.created", intent)
    if "payment_method" in given:
        intent["payment_method"] = _own_card(call, customer, given["payment_method"])["id"]
        intent["status"] = "requires_confirmation"
        call.save(intent)
    return _confirmed(call, intent) if given.get("confirm") else intent


@route("POST", "payment_intents/*/confirm", "PaymentIntentConfirmParams", _CONFIRM)
def confirm(call: Call, intent_id: str) -> Json:
    intent = call.get("payment_intent", intent_id)
    if "payment_method" in call.params:
        card = _own_card(call, intent["customer"], call.params["payment_method"])
        intent["payment_method"] = card["id"]
    return _confirmed(call, intent)


def _may_redirect(given: Json) -> bool:
    """True if payment methods that redirect the customer are allowed, as they are by default."""
    automatic = given.get("automatic_payment_methods") or {}
    is_ruled_out = automatic.get("allow_redirects") == "never"
    return "allowed_payment_method_types" not in given and not is_ruled_out


def _require_return_url(call: Call, intent: Json) -> None:
    if intent.get("_may_redirect") and not call.params.get("return_url"):
        raise ApiError(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. "
            "Because some of these payment methods might redirect your customer off of your page, "
            "you must provide a `return_url`.",
            code="payment_intent_invalid_parameter",
            param="return_url",
        )


def _own_card(call: Call, customer: str | None, method: str) -> Json:
    """The customer's payment method, or a copy of a test card for this payment alone."""
    if is_test_card(method) or is_test_debit(method):
        return new_method(call, method, customer)
    card = call.get("payment_method", method, "payment_method")
    if card["customer"] not in (None, customer):
        raise ApiError("The payment method you provided is not of this customer.")
    return card


def _confirmed(call: Call, intent: Json) -> Json:
    if intent["status"] in ("succeeded", "canceled", "processing"):
        text = f"This PaymentIntent's payment could not be confirmed: it is {intent['status']}."
        raise ApiError(text, code="payment_intent_unexpected_state")
    if intent["payment_method"] is None:
        raise ApiError("You cannot confirm this PaymentIntent because it is missing a method.")
    _require_return_url(call, intent)
    card = call.get("payment_method", intent["payment_method"], "payment_method")
    error = _confirm(call, intent, card)
    if error == AUTHENTICATION:
        if not call.params.get("off_session"):
            return intent  # the customer is present to confirm
        _answered(call, intent | {"next_action": None}, error)
        raise declined(error, **involved(call, intent["id"]))
    if error is not None:
        raise declined(error, **involved(call, intent["id"]))
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
    if intent["status"] in ("succeeded", "canceled", "processing"):
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
