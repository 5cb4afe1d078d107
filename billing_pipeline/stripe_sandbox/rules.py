"""What Stripe allows, as tables: states, amounts, and parameters that exclude each other.

What belongs here: every refusal that a table can express. What does not: refusals that need more
state than one invoice (the modules of the kinds), and the types of parameters (`validation.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from billing_pipeline.money import CURRENCY_PLACES
from billing_pipeline.stripe_sandbox.errors import ApiError, InvalidParamsError

Json = dict[str, Any]


class _States(NamedTuple):
    allowed: tuple[str, ...]
    message: str
    code: str | None = None


_ACTIONS = {
    "attach_payment": _States(("open", "uncollectible"), "Invoice is {status} and cannot be paid"),
    "change_lines": _States(
        ("draft",),
        "This invoice is no longer editable: only draft invoices can be changed",
        "invoice_not_editable",
    ),
    "credit": _States(
        ("open", "paid", "uncollectible"),
        "Credit notes need a finalized invoice; this one is {status}.",
    ),
    "delete": _States(
        ("draft",), "You can only delete draft invoices.", code="invoice_not_editable"
    ),
    "finalize": _States(
        ("draft",),
        "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
        "invoice_not_editable",
    ),
    "mark_uncollectible": _States(
        ("open",),
        "You can only mark open invoices as uncollectible; it is {status}",
        "invoice_not_editable",
    ),
    "pay": _States(("open", "uncollectible"), "Invoice is already {status} and cannot be paid"),
    "send": _States(("draft", "open"), "You can only send draft or open invoices, not {status}."),
    "void": _States(
        ("open", "uncollectible"),
        "You can only void open or uncollectible invoices; this one is {status}",
        "invoice_not_editable",
    ),
}
"""The states of an invoice in which each action is possible."""


def require_state(invoice: Json, action: str) -> None:
    """Raise Stripe's error if the invoice's state does not allow the action."""
    states = _ACTIONS[action]
    if invoice["status"] not in states.allowed:
        raise ApiError(states.message.format(status=invoice["status"]), code=states.code)


# Amounts.
_MINIMUM_CHARGES = {
    **{"usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500},
    **{"dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50},
    **{"mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300},
    **{"sgd": 50, "thb": 1000},
}
"""The smallest amount that can be charged, in minor units. Charges in other currencies must be
worth as much in the account's payout currency, which the sandbox cannot know."""
MAX_CHARGE = 99_999_999
"""Eight digits, whatever the currency: the stricter of two limits that Stripe documents."""
MAX_INVOICE_AMOUNT = 999_999_999_999
"""The largest amount of a line, and of an invoice that is not charged."""


def is_below_minimum(amount: int, currency: str) -> bool:
    return 0 < amount < _MINIMUM_CHARGES.get(currency, 1)


def require_chargeable(amount: int, currency: str) -> None:
    """Raise Stripe's error for an amount that no card or account can be charged."""
    least = _MINIMUM_CHARGES.get(currency, 1)
    if amount < least:
        text = f"Amount must be at least {least} in the smallest unit of {currency}"
        raise ApiError(text, code="amount_too_small", param="amount")
    if amount > MAX_CHARGE:
        text = f"Amount must be no more than {MAX_CHARGE} in the smallest unit of {currency}"
        raise ApiError(text, code="amount_too_large", param="amount")


# Parameters.
_EXCLUSIVE = {
    "CreditNoteCreateParams": ("amount lines",),
    "EventListParams": ("type types",),
    "InvoiceAttachPaymentParams": ("payment_intent payment_record",),
    "InvoiceCreateParams": ("days_until_due due_date",),
    "InvoicePayParams": ("paid_out_of_band payment_method",),
    "InvoiceUpdateParams": ("days_until_due due_date",),
    "PaymentIntentCreateParams": ("allowed_payment_method_types automatic_payment_methods",),
    "RefundCreateParams": ("charge payment_intent",),
}
_LISTS = ("ending_before starting_after",)


def require_compatible(params_class: str, given: Json) -> None:
    """Raise Stripe's error for parameters of which a request may have only one."""
    for pair in _EXCLUSIVE.get(params_class, ()) + _LISTS:
        if all(given.get(name) not in (None, "") for name in pair.split()):
            text = f"You may only specify one of these parameters: {pair.replace(' ', ', ')}."
            raise InvalidParamsError(text, code="parameters_exclusive", param=pair.split()[0])
    currency = given.get("currency")
    if isinstance(currency, str) and currency and currency.upper() not in CURRENCY_PLACES:
        raise InvalidParamsError(f"Invalid currency: {currency}.", param="currency")
    email = given.get("email")
    if params_class in ("CustomerCreateParams", "CustomerUpdateParams") and email:
        _require_address(email)


def _require_address(email: str) -> None:
    name, _, domain = email.rpartition("@")
    if not name or not domain or " " in email:
        text = f"Invalid email address: {email}"
        raise InvalidParamsError(text, code="email_invalid", param="email")


def require_email(customer: Json) -> None:
    """Raise Stripe's error for an invoice that could be sent to nobody."""
    if not customer["email"]:
        raise ApiError(
            "Missing email. In order to create invoices that are sent to the customer, the "
            "customer must have a valid email."
        )
