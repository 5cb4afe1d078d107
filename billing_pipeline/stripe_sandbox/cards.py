"""Stripe's test cards and how they answer a charge.

What belongs here: their names and the error of each declining card. What does not: payments.
"""

from __future__ import annotations

import re
from typing import Any

from billing_pipeline.stripe_sandbox.errors import ApiError

TEST_CARDS = {
    "pm_card_visa": ("visa", "4242"),
    "pm_card_visa_debit": ("visa", "5556"),
    "pm_card_mastercard": ("mastercard", "4444"),
    "pm_card_amex": ("amex", "8431"),
    "pm_card_chargeCustomerFail": ("visa", "0341"),
    "pm_card_createDispute": ("visa", "0259"),
    "pm_card_createDisputeProductNotReceived": ("visa", "2685"),
}
"""Brand and last digits. The others are recognized by name (`_DECLINES`, `_CONFIRMED`)."""
_DISPUTES = {
    "pm_card_createDispute": "fraudulent",
    "pm_card_createDisputeProductNotReceived": "product_not_received",
}
_CONFIRMED = re.compile(r"pm_card_(authenticationRequired|threeDSecure2?Required)")
AUTHENTICATION = {
    "type": "card_error",
    "code": "authentication_required",
    "decline_code": "authentication_required",
    "message": "Your card was declined. This transaction requires authentication.",
}
"""The error of a card whose holder has to confirm each payment by 3-D Secure."""
NOT_CONFIRMED = {
    "type": "invalid_request_error",
    "code": "payment_intent_authentication_failure",
    "message": (
        "The provided PaymentMethod has failed authentication. You can provide payment_method_data "
        "or a new PaymentMethod to attempt to fulfill this PaymentIntent again."
    ),
}

_DECLINES = re.compile(r"pm_card_(visa_)?charge(Declined([A-Z][A-Za-z]*)?|CustomerFail)")

_REASONS: dict[str, tuple[str, str | None]] = {
    "InsufficientFunds": ("card_declined", "insufficient_funds"),
    "LostCard": ("card_declined", "lost_card"),
    "StolenCard": ("card_declined", "stolen_card"),
    "Fraudulent": ("card_declined", "fraudulent"),
    "VelocityLimitExceeded": ("card_declined", "card_velocity_exceeded"),
    "ExpiredCard": ("expired_card", None),
    "IncorrectCvc": ("incorrect_cvc", None),
    "ProcessingError": ("processing_error", None),
}
_MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": (
        "An error occurred while processing your card. Try again in a little bit."
    ),
}


def is_test_card(method: str) -> bool:
    return method in TEST_CARDS or bool(_DECLINES.fullmatch(method)) or needs_confirmation(method)


def needs_confirmation(test_card: str) -> bool:
    return _CONFIRMED.fullmatch(test_card) is not None


def dispute_of(test_card: str) -> str | None:
    """Why the card's holder disputes each charge as soon as it is made, or None."""
    return _DISPUTES.get(test_card)


def attach_error(test_card: str) -> dict[str, str] | None:
    """Stripe's error if the card cannot even be attached to a customer. This applies to every
    declining card except one, which exists to be attached and then decline."""
    return None if test_card.endswith("CustomerFail") else decline_error(test_card)


def decline_error(test_card: str) -> dict[str, str] | None:
    """Stripe's error for a charge of the card, or None if the charge succeeds."""
    match = _DECLINES.fullmatch(test_card)
    if match is None:
        return None
    code, decline = _REASONS.get(match[3] or "", ("card_declined", "generic_decline"))
    message = _MESSAGES.get(decline or code, "Your card was declined.")
    error = {"type": "card_error", "code": code, "message": message}
    return error | ({} if decline is None else {"decline_code": decline})


def declined(error: dict[str, str], *, on_record: bool = True, **more: Any) -> ApiError:
    """The 402 answer to the request that charged. A failed payment stays on record; a card that
    could not be attached does not. `more`: the charge's id, and the payment intent and the payment
    method as objects."""
    return ApiError(
        error["message"],
        status=402,
        code=error["code"],
        kind="card_error",
        commits_changes=on_record,
        **{name: error[name] for name in ("decline_code",) if name in error},
        **more,
    )
