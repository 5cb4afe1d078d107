"""Payment intents, charges, refunds and invoice payments: where the money would move.

What belongs here: trying a card, and the endpoints of those objects. What does not: what a payment
means for an invoice (`collection.py`).
"""

from __future__ import annotations

from billing_pipeline.stripe_api.sandbox import cards, shapes
from billing_pipeline.stripe_api.sandbox.context import (
    Context,
    Json,
    Params,
    merge_metadata,
    public,
)
from billing_pipeline.stripe_api.sandbox.errors import ApiError, declined, invalid, missing_param
from billing_pipeline.stripe_api.sandbox.lists import equals, in_body, page, time_filter
from billing_pipeline.stripe_api.sandbox.money import amount_of, currency_of

OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def new_intent(
    context: Context, *, amount: int, currency: str, customer: str | None, description: str | None
) -> Json:
    """An intent that waits for a payment method."""
    intent = context.make(
        "payment_intent",
        "pi",
        amount=amount,
        currency=currency,
        customer=customer,
        description=description,
        metadata={},
        payment_method=None,
        status="requires_payment_method",
    )
    intent["client_secret"] = f"{intent['id']}_secret_sandbox"
    context.save(intent)
    context.tell("payment_intent.created", shapes.payment_intent(context, intent))
    return intent


def try_card(context: Context, intent: Json, method: Json) -> Json | None:
    """Charge the intent's amount. Gives the error of a declined card, or None."""
    card = cards.card_of(method)
    is_paid = card.decline_code is None
    charge = context.make(
        "charge",
        "ch",
        amount=intent["amount"],
        amount_captured=intent["amount"] if is_paid else 0,
        captured=is_paid,
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        failure_code=None if is_paid else card.code,
        failure_message=None if is_paid else card.message,
        metadata={},
        paid=is_paid,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details={
            "card": {"brand": card.brand, "last4": card.last4},
            "type": "card",
        },
        status="succeeded" if is_paid else "failed",
    )
    error = None if is_paid else _decline(card, charge, method)
    _note_outcome(context, intent, charge, error)
    return error


def _note_outcome(context: Context, intent: Json, charge: Json, error: Json | None) -> None:
    intent["latest_charge"] = charge["id"]
    intent["last_payment_error"] = error
    if error is None:
        intent.update(
            status="succeeded",
            amount_received=intent["amount"],
            payment_method=charge["payment_method"],
        )
    else:
        intent.update(status="requires_payment_method", payment_method=None)
    context.save(intent)
    context.tell(f"charge.{charge['status']}", shapes.charge(context, charge))
    told = "succeeded" if error is None else "payment_failed"
    context.tell(f"payment_intent.{told}", shapes.payment_intent(context, intent))


def _decline(card: cards.TestCard, charge: Json, method: Json) -> Json:
    return {
        "charge": charge["id"],
        "code": card.code,
        "decline_code": card.decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{card.code.replace('_', '-')}",
        "message": card.message,
        "payment_method": public(method),
        "type": "card_error",
    }


def declined_intent(context: Context, intent: Json, error: Json) -> ApiError:
    """The 402 that carries the intent with it."""
    details = {
        "charge": error["charge"],
        "decline_code": error["decline_code"],
        "payment_intent": shapes.payment_intent(context, intent),
        "payment_method": error["payment_method"],
    }
    return declined(error["message"], error["code"], **details)


# Payment intents.
def create_intent(context: Context, params: Params) -> Json:
    currency, amount = currency_of(params["currency"]), amount_of(params["amount"])
    _require_chargeable(context, amount, currency)
    if "customer" in params:
        context.live_customer(params["customer"], param="customer")
    intent = new_intent(
        context,
        amount=amount,
        currency=currency,
        customer=params.get("customer"),
        description=params.get("description"),
    )
    _set(context, intent, params)
    if params.get("confirm"):
        return _confirm(context, intent)
    context.save(intent)
    return shapes.payment_intent(context, intent)


def _require_chargeable(context: Context, amount: int, currency: str) -> None:
    least = context.config.minimum_charge.get(currency, 1)
    if amount < least:
        raise invalid(
            f"Amount must be at least {least} {currency}, in the smallest currency unit",
            "amount",
            "amount_too_small",
        )


def _set(context: Context, intent: Json, params: Params) -> None:
    for name in (
        "description",
        "receipt_email",
        "setup_future_usage",
        "statement_descriptor",
        "statement_descriptor_suffix",
        "automatic_payment_methods",
    ):
        if name in params:
            intent[name] = params[name] or None
    merge_metadata(intent, params.get("metadata"))
    if name := params.get("payment_method"):
        method = cards.method_named(context, name, param="payment_method")
        if method["customer"] is not None and method["customer"] != intent["customer"]:
            raise invalid(
                "The payment method belongs to another customer. Please include the customer in "
                "the `customer` parameter on the PaymentIntent.",
                "payment_method",
            )
        intent.update(payment_method=method["id"], status="requires_confirmation")


def _confirm(context: Context, intent: Json) -> Json:
    if intent["payment_method"] is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    method = context.get("payment_method", intent["payment_method"], param="payment_method")
    error = try_card(context, intent, method)
    if error is not None:
        raise declined_intent(context, intent, error)
    return shapes.payment_intent(context, intent)


def confirm_intent(context: Context, params: Params) -> Json:
    intent = _own_open_intent(context, "confirm")
    _set(context, intent, params)
    return _confirm(context, intent)


def retrieve_intent(context: Context, params: Params) -> Json:
    return shapes.payment_intent(context, context.get("payment_intent", context.path_id))


def update_intent(context: Context, params: Params) -> Json:
    intent = context.get("payment_intent", context.path_id)
    if {"amount", "currency", "payment_method"} & set(params):
        intent = _own_open_intent(context, "update")
        intent["currency"] = currency_of(params.get("currency", intent["currency"]))
        intent["amount"] = amount_of(params.get("amount", intent["amount"]))
        _require_chargeable(context, intent["amount"], intent["currency"])
    if "customer" in params:
        intent["customer"] = context.live_customer(params["customer"], param="customer")["id"]
    _set(context, intent, params)
    context.save(intent)
    return shapes.payment_intent(context, intent)


def cancel_intent(context: Context, params: Params) -> Json:
    intent = _own_open_intent(context, "cancel")
    cancel(context, intent, params.get("cancellation_reason"))
    return shapes.payment_intent(context, intent)


def cancel(context: Context, intent: Json, reason: str | None) -> None:
    intent.update(status="canceled", canceled_at=context.now, cancellation_reason=reason)
    context.save(intent)
    context.tell("payment_intent.canceled", shapes.payment_intent(context, intent))


def _own_open_intent(context: Context, verb: str) -> Json:
    """An intent that may be worked on by hand: open, and not an invoice's."""
    intent = context.get("payment_intent", context.path_id)
    if intent["status"] not in OPEN:
        raise invalid(
            f"You cannot {verb} this PaymentIntent because it has a status of "
            f"{intent['status']}. Only a PaymentIntent with one of the following statuses may be "
            f"used: {', '.join(OPEN)}.",
            code="payment_intent_unexpected_state",
        )
    if intent.get("_invoice"):
        raise invalid(
            f"You cannot {verb} a PaymentIntent that an invoice made: work on the invoice "
            f"{intent['_invoice']} instead.",
            code="payment_intent_unexpected_state",
        )
    return intent


def list_intents(context: Context, params: Params) -> Json:
    where = [*equals(params, "customer"), *time_filter(params, "created", "created")]
    url, show = "/v1/payment_intents", shapes.payment_intent
    return page(context, "payment_intent", params, where, show, url=url)


# Charges and refunds.
def retrieve_charge(context: Context, params: Params) -> Json:
    return shapes.charge(context, context.get("charge", context.path_id))


def list_charges(context: Context, params: Params) -> Json:
    where = [
        *equals(params, "customer"),
        *in_body(params, "payment_intent"),
        *time_filter(params, "created", "created"),
    ]
    return page(context, "charge", params, where, shapes.charge, url="/v1/charges")


def refund_charge(context: Context, charge: Json, amount: int, reason: str | None = None) -> Json:
    """Give back part of a charge; raises `ApiError` where that is more than is left of it."""
    left = charge["amount_captured"] - charge.get("amount_refunded", 0)
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise invalid(message, code="charge_already_refunded")
    if amount <= 0:
        raise invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
    if amount > left:
        raise invalid(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            "amount",
        )
    charge["amount_refunded"] = charge.get("amount_refunded", 0) + amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    context.save(charge)
    refund = context.make(
        "refund",
        "re",
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        customer=charge["customer"],
        metadata={},
        payment_intent=charge["payment_intent"],
        payment_method=charge["payment_method"],
        reason=reason,
        status="succeeded",
    )
    context.tell("charge.refunded", shapes.charge(context, charge))
    context.tell("refund.created", shapes.refund(context, refund))
    return refund


def create_refund(context: Context, params: Params) -> Json:
    if "payment_intent" in params:
        intent = context.get("payment_intent", params["payment_intent"], param="payment_intent")
        charge_id = intent.get("latest_charge") or ""
    elif "charge" in params:
        charge_id = params["charge"]
    else:
        raise missing_param("charge")
    charge = context.get("charge", charge_id, param="charge")
    left = charge["amount_captured"] - charge.get("amount_refunded", 0)
    refund = refund_charge(context, charge, params.get("amount", left), params.get("reason"))
    merge_metadata(refund, params.get("metadata"))
    context.save(refund)
    return shapes.refund(context, refund)


def retrieve_refund(context: Context, params: Params) -> Json:
    return shapes.refund(context, context.get("refund", context.path_id))


def list_refunds(context: Context, params: Params) -> Json:
    where = [
        *in_body(params, "charge", "payment_intent"),
        *time_filter(params, "created", "created"),
    ]
    return page(context, "refund", params, where, shapes.refund, url="/v1/refunds")


# Invoice payments.
def retrieve_invoice_payment(context: Context, params: Params) -> Json:
    found = context.get("invoice_payment", context.path_id)
    return shapes.invoice_payment(context, found)


def list_invoice_payments(context: Context, params: Params) -> Json:
    where = [*equals(params, "invoice", "status"), *time_filter(params, "created", "created")]
    if payment := params.get("payment"):
        wanted = payment.get("payment_intent") or payment.get("payment_record") or ""
        where.append(("json_extract(body, '$.payment.payment_intent') = ?", wanted))
    url, show = "/v1/invoice_payments", shapes.invoice_payment
    return page(context, "invoice_payment", params, where, show, url=url)
