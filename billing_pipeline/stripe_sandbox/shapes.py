"""The fields that an object has even if nobody set them, by the classes of Stripe's own SDK.

What belongs here: which class describes which kind of object, and completing an object when it is
sent. The sandbox saves only what it knows. What does not: the values (the modules of the kinds).
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import stripe
from stripe import test_helpers

Json = dict[str, Any]

_CLASSES: dict[str, Any] = {
    "account": stripe.Account,
    "balance_transaction": stripe.BalanceTransaction,
    "charge": stripe.Charge,
    "credit_note": stripe.CreditNote,
    "credit_note_line_item": stripe.CreditNoteLineItem,
    "customer": stripe.Customer,
    "customer_balance_transaction": stripe.CustomerBalanceTransaction,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "invoice": stripe.Invoice,
    "invoice_payment": stripe.InvoicePayment,
    "invoiceitem": stripe.InvoiceItem,
    "line_item": stripe.InvoiceLineItem,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "payment_record": stripe.PaymentRecord,
    "payout": stripe.Payout,
    "price": stripe.Price,
    "product": stripe.Product,
    "refund": stripe.Refund,
    "tax_id": stripe.TaxId,
    "test_helpers.test_clock": test_helpers.TestClock,
}

_OMITTED_FIELDS = {
    "Account": "capabilities company controller created external_accounts future_requirements "
    "groups individual requirements tos_acceptance",
    "Account.Settings": "bacs_debit_payments card_issuing invoices payouts paypay_payments "
    "sepa_debit_payments treasury",
    "Charge": "authorization_code level3 presentment_details radar_options refunds transfer",
    "Charge.FraudDetails": "stripe_report user_report",
    "CreditNoteLineItem": "invoice_line_item",
    "Customer": "business_name cash_balance individual_name invoice_credit_balance sources "
    "subscriptions tax tax_ids",
    "Dispute": "network_reason_code",
    "Event": "account context",
    "Invoice": "confirmation_secret payments status_details threshold_reason",
    "Invoice.Issuer": "account",
    "InvoiceItem": "frozen_fields invoicing_rules proration_details",
    "PaymentIntent": "amount_details hooks payment_details presentment_details",
    "PaymentMethod": "radar_options",
    "Price": "currency_options tiers",
    "Refund": "description failure_balance_transaction failure_reason instructions_email "
    "next_action pending_reason presentment_details",
}
"""Fields that Stripe sends only if they have a value or `expand` asks for them. The SDK's classes
do not distinguish them from fields that are null."""

_ALTERNATIVES = frozenset(
    [
        "Charge.PaymentMethodDetails",
        "Dispute.PaymentMethodDetails",
        "InvoicePayment.Payment",
        "PaymentIntent.LastPaymentError",
        "PaymentMethod",
        "PaymentRecord.PaymentMethodDetails",
        "Refund.DestinationDetails",
    ]
)
"""Classes with a field for each `type`, of which only the one that `type` names is sent."""


_SOMETIMES_OMITTED = frozenset(["created", "livemode"])
"""Every saved object has them, but lines do not show the first, and refunds not the second."""


@dataclass(frozen=True)
class _Shape:
    """`blank`: the fields that are null or an empty list unless set; `inner`: the nested
    objects."""

    blank: Json = field(default_factory=dict)
    inner: dict[str, _Shape] = field(default_factory=dict)


def complete(item: Json) -> Json:
    """The object with all fields of its kind, nested ones included."""
    kind = item.get("object")
    if item.get("deleted") or kind not in _CLASSES:
        return item
    filled = _filled(item, shape_of(str(kind)))
    for name in _hidden(str(kind)):
        filled.pop(name, None)
    return filled


@cache
def _hidden(kind: str) -> frozenset[str]:
    return _SOMETIMES_OMITTED - frozenset(_CLASSES[kind].__annotations__)


@cache
def shape_of(kind: str) -> _Shape:
    return _shape(_CLASSES[kind])


def _filled(item: Json, shape: _Shape) -> Json:
    filled = {**shape.blank, **item}
    for name, inner in shape.inner.items():
        value = filled.get(name)
        if isinstance(value, dict):
            filled[name] = _filled(value, inner)
        elif isinstance(value, list):
            filled[name] = [_filled(one, inner) if isinstance(one, dict) else one for one in value]
    return filled


def expandable(kind: str, path: list[str]) -> bool:
    """True if `expand` may name this path in an object of the kind."""
    return _leads_to_object(_CLASSES.get(kind), path)


def _leads_to_object(owner: Any, path: list[str]) -> bool:
    """True if the path ends at an object or list with an address of its own, or at a field that is
    sent only if `expand` asks for it. The parts before may be nested objects."""
    if not path:
        return True
    if getattr(typing.get_origin(owner), "__name__", "") == "ListObject":
        [owner] = typing.get_args(owner)
        return path[0] == "data" and _leads_to_object(_resolved(owner), path[1:])
    hint = getattr(owner, "__annotations__", {}).get(path[0])
    parts = [_resolved(part) for part in _parts(hint)]
    if len(path) == 1:
        is_included = (
            path[0] in _OMITTED_FIELDS.get(owner.__qualname__, "").split() if owner else False
        )
        return is_included or any(_is_own(part) for part in parts)
    return any(
        _leads_to_object(part, path[1:]) for part in parts if _is_own(part) or _is_nested(part)
    )


def _resolved(part: Any) -> Any:
    if isinstance(part, typing.ForwardRef):
        # Some modules of the SDK import a class under another name.
        name = part.__forward_arg__.removesuffix("Resource")
        return test_helpers.TestClock if name == "TestClock" else getattr(stripe, name, None)
    return part


def _is_own(part: Any) -> bool:
    """True for an object with an address of its own, or a list of such objects."""
    kind = typing.get_origin(part) or part
    return isinstance(kind, type) and issubclass(kind, stripe.StripeObject) and not _is_nested(part)


def _shape(owner: Any) -> _Shape:
    shape = _Shape()
    left_out = {"deleted", *_OMITTED_FIELDS.get(owner.__qualname__, "").split()}
    hints = owner.__annotations__
    if owner.__qualname__ in _ALTERNATIVES:
        left_out |= set(hints) - {"allow_redisplay", "customer", "customer_account", "metadata"}
    for name, hint in hints.items():
        if typing.get_origin(hint) is typing.ClassVar:
            continue
        if type(None) in typing.get_args(hint) and name not in left_out:
            shape.blank[name] = None
        if typing.get_origin(hint) is list:
            shape.blank[name] = []
        nested = [part for part in map(_resolved, _parts(hint)) if _is_nested(part)]
        if name == "balance_transactions":
            nested = [stripe.BalanceTransaction]  # a dispute contains them
        if nested:
            shape.inner[name] = _shape(nested[0])
    return shape


def _parts(hint: Any) -> Iterator[Any]:
    """The members of a union and of a list; the hint itself if it is neither."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, list):
        for part in typing.get_args(hint):
            yield from _parts(part)
    else:
        yield hint


def _is_nested(part: Any) -> bool:
    """True for a class of Stripe's that exists only inside another. Objects with an address of
    their own are completed when they are read."""
    return (
        isinstance(part, type)
        and issubclass(part, stripe.StripeObject)
        and "." in (part.__qualname__)
    )
