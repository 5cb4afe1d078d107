"""The requests that are sent to both: all that the pipeline relies on, and what is not documented.

What belongs here: the list. What does not: sending and comparing (`compare.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

Params = dict[str, Any]


class Step(NamedTuple):
    """A request. ``{name}`` in path and parameters is the id in the answer to the step `name`.
    `question`: what only an account can answer."""

    name: str
    method: str
    path: str
    params: Params = {}  # noqa: RUF012  # never changed
    question: str = ""


_CARD = "pm_card_visa"
_SENT = {"collection_method": "send_invoice", "days_until_due": 7}
_FROZEN = 1_900_000_000
"""In 2030: an event from then on has the clock's time and not the account's."""
_CLOCK = "/v1/test_helpers/test_clocks/{clock}"
_TAX_IDS = "/v1/customers/{ada}/tax_ids"
_RULED_OUT = {"enabled": True, "allow_redirects": "never"}


def _lines(*amounts: int) -> Params:
    return {"lines": [{"amount": amount, "description": "A line"} for amount in amounts]}


def _invoice(name: str, customer: str, amounts: tuple[int, ...], **params: Any) -> list[Step]:
    """A draft with lines, finalized without being charged."""
    created = {"customer": "{" + customer + "}", "currency": "usd", "auto_advance": False, **params}
    of = f"/v1/invoices/{{{name}}}"
    return [
        Step(name, "POST", "/v1/invoices", created),
        Step(f"{name}_lines", "POST", f"{of}/add_lines", _lines(*amounts)),
        Step(f"{name}_open", "POST", f"{of}/finalize", {"auto_advance": False}),
    ]


def _customer(name: str, card: str | None = _CARD, **params: Any) -> Step:
    chosen: Params = {"email": f"{name}@example.com"}
    if card:
        chosen |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
    return Step(name, "POST", "/v1/customers", chosen | params)


STEPS: tuple[Step, ...] = (
    Step("account", "GET", "/v1/account"),
    # Customers and cards.
    _customer("ada", metadata={"a": "1", "b": "2"}),
    Step("merged", "POST", "/v1/customers/{ada}", {"metadata": {"a": "", "c": "3"}}),
    Step(
        "declining",
        "POST",
        "/v1/payment_methods/pm_card_chargeDeclined/attach",
        {"customer": "{ada}"},
    ),
    _customer("bob", "pm_card_chargeCustomerFail"),
    _customer("eve", "pm_card_authenticationRequired"),
    _customer("ola", None, email=""),
    # Tax ids.
    Step("vat", "POST", _TAX_IDS, {"type": "eu_vat", "value": "DE123456789"}),
    Step(
        "vat_twice", "POST", _TAX_IDS, {"type": "eu_vat", "value": "DE123456789"}, "the same again"
    ),
    Step("vat_wrong", "POST", _TAX_IDS, {"type": "eu_vat", "value": "DE123"}),
    Step("vat_spaced", "POST", _TAX_IDS, {"type": "eu_vat", "value": "DE 987 654 321"}, "spaces"),
    Step("ein_plain", "POST", _TAX_IDS, {"type": "us_ein", "value": "123456789"}, "without a dash"),
    Step("ein", "POST", _TAX_IDS, {"type": "us_ein", "value": "12-3456789"}),
    Step("ein_again", "GET", _TAX_IDS + "/{ein}"),
    Step("tax_ids", "GET", _TAX_IDS),
    Step("ein_gone", "DELETE", _TAX_IDS + "/{ein}"),
    Step("ein_none", "GET", _TAX_IDS + "/{ein}"),
    *(
        Step(f"vat_{number}", "POST", _TAX_IDS, {"type": "eu_vat", "value": f"DE12345678{number}"})
        for number in range(4)
    ),
    Step("vat_sixth", "POST", _TAX_IDS, {"type": "eu_vat", "value": "DE123456785"}, "the sixth"),
    # A draft of which the last steps ask from when the days until it is due count.
    *_invoice("old", "ada", (1500,), **_SENT)[:2],
    # An invoice from draft to paid, and what is refused on the way.
    *_invoice("paid", "ada", (1500, -300)),
    Step("paid_again_open", "POST", "/v1/invoices/{paid}/finalize"),
    Step("paid_lines_late", "POST", "/v1/invoices/{paid}/add_lines", _lines(1)),
    Step("paid_paid", "POST", "/v1/invoices/{paid}/pay"),
    Step("paid_twice", "POST", "/v1/invoices/{paid}/pay"),
    Step("paid_void", "POST", "/v1/invoices/{paid}/void"),
    Step("payments", "GET", "/v1/invoice_payments", {"invoice": "{paid}"}),
    Step(
        "back",
        "POST",
        "/v1/credit_notes",
        {"invoice": "{paid}", "amount": 200, "credit_amount": 200},
    ),
    Step(
        "back_too_much",
        "POST",
        "/v1/credit_notes",
        {"invoice": "{paid}", "amount": 9000, "credit_amount": 9000},
    ),
    Step("ada_after", "GET", "/v1/customers/{ada}"),
    # Cards that decline or ask.
    *_invoice("declined", "bob", (1500,)),
    Step("declined_paid", "POST", "/v1/invoices/{declined}/pay"),
    Step("declined_after", "GET", "/v1/invoices/{declined}"),
    Step("declined_end", "POST", "/v1/invoices/{declined}/mark_uncollectible"),
    *_invoice("asks", "eve", (1500,)),
    Step("asks_paid", "POST", "/v1/invoices/{asks}/pay", {}, "code and status of 3-D Secure"),
    # Amounts.
    *_invoice("small", "bob", (30,)),
    *_invoice("small_sent", "bob", (30,), **_SENT),
    Step("small_sent_after", "GET", "/v1/invoices/{small_sent}", {}, "small sent invoices"),
    *_invoice("large", "bob", (100_000_000,)),
    Step(
        "dinar",
        "POST",
        "/v1/payment_intents",
        {"amount": 1001, "currency": "kwd"},
        "last digit of KWD",
    ),
    _customer("kim"),
    *_invoice("dinars", "kim", (1501,), currency="kwd"),
    Step("dinars_after", "GET", "/v1/invoices/{dinars}", {}, "last digit of KWD on an invoice"),
    Step("few", "POST", "/v1/payment_intents", {"amount": 49, "currency": "usd"}),
    # Sent invoices.
    Step("nobody", "POST", "/v1/invoices", {"customer": "{ola}", **_SENT}, "refused at create?"),
    *_invoice("sent", "ada", (1500,), **_SENT),
    Step("sent_after", "GET", "/v1/invoices/{sent}"),
    # Payments of one's own.
    Step(
        *("top_up", "POST", "/v1/payment_intents"),
        {"amount": 2500, "currency": "usd", "customer": "{ada}", "payment_method": _CARD}
        | {"confirm": True, "automatic_payment_methods": _RULED_OUT, "metadata": {"n": "1"}},
    ),
    Step("refund", "POST", "/v1/refunds", {"payment_intent": "{top_up}", "amount": 500}),
    # The account's balance, and payouts.
    Step("booked", "GET", "/v1/balance_transactions", {"type": "charge", "limit": 1}),
    Step("payouts", "GET", "/v1/payouts", {"created": {"gte": _FROZEN}}),
    Step(
        *("payout_none", "GET", "/v1/balance_transactions", {"payout": "po_none"}),
        "what a payout that does not exist contains",
    ),
    # A bank debit, which takes days.
    _customer("dee", "pm_success_de"),
    *_invoice("slow", "dee", (1500,), currency="eur"),
    Step("slow_paid", "POST", "/v1/invoices/{slow}/pay"),
    Step("slow_twice", "POST", "/v1/invoices/{slow}/pay", {}, "pay while a debit is processing"),
    Step("refunds", "GET", "/v1/refunds", {"payment_intent": "{top_up}"}),
    Step(
        "balance",
        "POST",
        "/v1/customers/{ada}/balance_transactions",
        {"amount": -700, "currency": "usd"},
    ),
    # Test clocks.
    Step("clock", "POST", "/v1/test_helpers/test_clocks", {"frozen_time": _FROZEN}),
    *(_customer(name, test_clock="{clock}") for name in ("tim", "tom", "tia")),
    Step("tam", "POST", "/v1/customers", {"test_clock": "{clock}"}, "the fourth of a clock"),
    Step("clock_customers", "GET", "/v1/customers", {"test_clock": "{clock}"}),
    Step(
        *("clock_events", "GET", "/v1/events", {"created": {"gte": _FROZEN}, "limit": 1}),
        "events of a clock: in its time, or none",
    ),
    Step("clock_advanced", "POST", _CLOCK + "/advance", {"frozen_time": _FROZEN + 3600}),
    Step(
        "clock_twice",
        "POST",
        _CLOCK + "/advance",
        {"frozen_time": _FROZEN + 7200},
        "while advancing",
    ),
    Step("old_open", "POST", "/v1/invoices/{old}/finalize", {"auto_advance": False}),
    Step("old_after", "GET", "/v1/invoices/{old}", {}, "from when days_until_due counts"),
    # What is asked wrongly.
    Step("unknown_expand", "GET", "/v1/invoices", {"expand": ["data.wishes"]}),
    Step("unknown_parameter", "POST", "/v1/customers", {"nme": "A"}),
    Step("unknown_object", "GET", "/v1/invoices/in_none"),
    Step("types", "GET", "/v1/events", {"types": ["invoice.paid"] * 21}, "21 types of events"),
)
"""In this order. What a refused step would have named is skipped with it."""
