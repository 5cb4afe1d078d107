"""Customers, their balances and their payment methods.

What belongs here: these objects and what Stripe allows with them. What does not: how a card or a
bank answers a charge (`cards.py`, `debits.py`), and paying an invoice from the balance
(`collecting.py`).
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from billing_pipeline.stripe_sandbox.cards import (
    TEST_CARDS,
    attach_error,
    declined,
    is_test_card,
)
from billing_pipeline.stripe_sandbox.context import CLOCK, Call, json_equal, route
from billing_pipeline.stripe_sandbox.debits import account_of, is_test_debit
from billing_pipeline.stripe_sandbox.errors import ApiError, missing
from billing_pipeline.stripe_sandbox.validation import merge_metadata

Json = dict[str, Any]

_PLAIN = ("name", "email", "description", "phone", "address", "tax_exempt", "preferred_locales")
_CUSTOMER = f"{' '.join(_PLAIN)} metadata payment_method invoice_settings invoice_prefix balance"
MAX_CUSTOMERS_PER_CLOCK = 3
"""The number of customers that one test clock may have."""


@route("POST", "customers", "CustomerCreateParams", f"{_CUSTOMER} test_clock")
def create(call: Call) -> Json:
    given = call.params
    if "test_clock" in given:
        call.join(call.get(CLOCK, given["test_clock"], "test_clock"))
        if len(customers_of_clock(call, given["test_clock"])) >= MAX_CUSTOMERS_PER_CLOCK:
            text = f"A test clock can have up to {MAX_CUSTOMERS_PER_CLOCK} customers."
            raise ApiError(text, param="test_clock")
    blank = dict.fromkeys(("name", "email", "description", "phone", "address"))
    body: Json = {
        **blank,
        "balance": 0,
        "currency": None,
        "delinquent": False,
        "_balances": {},
        "invoice_prefix": given.get("invoice_prefix") or f"SB{call.store.next('prefix'):06X}",
        "invoice_settings": {"default_payment_method": None},
        "metadata": {},
        "next_invoice_sequence": 1,
        "preferred_locales": [],
        "tax_exempt": "none",
        "test_clock": given.get("test_clock"),
    }
    customer = call.new("customer", body)
    if given.get("balance"):
        move_balance(call, customer, given["balance"], "usd", "adjustment")
    call.event("customer.created", _change(call, customer))
    return customer


@route("POST", "customers/*", "CustomerUpdateParams", _CUSTOMER)
def update(call: Call, customer_id: str) -> Json:
    customer = existing_customer(call, customer_id)
    before = deepcopy(customer)
    if "balance" in call.params:
        change = call.params["balance"] - customer["balance"]
        move_balance(call, customer, change, customer["currency"] or "usd", "adjustment")
    call.event("customer.updated", _change(call, customer), before)
    return customer


def _change(call: Call, customer: Json) -> Json:
    given = call.params
    customer |= {name: given[name] or None for name in _PLAIN if name in given}
    customer["metadata"] = merge_metadata(customer["metadata"], given.get("metadata"))
    if "invoice_prefix" in given:
        customer["invoice_prefix"] = given["invoice_prefix"]
    settings = dict(given.get("invoice_settings") or {})
    chosen = settings.get("default_payment_method")
    if "payment_method" in given:
        attached = attach_card(call, given["payment_method"], customer["id"])["id"]
        # The name of a test card refers to the copy that was just attached.
        chosen = attached if chosen == given["payment_method"] else chosen
    if chosen:
        require_card(call, chosen, customer["id"], "invoice_settings[default_payment_method]")
    if "default_payment_method" in settings:
        settings["default_payment_method"] = chosen or None
    customer["invoice_settings"] = customer["invoice_settings"] | settings
    return call.save(customer)


@route("GET", "customers/*", "CustomerRetrieveParams")
def retrieve(call: Call, customer_id: str) -> Json:
    customer = call.get("customer", customer_id)
    if customer.get("deleted"):
        return {"id": customer_id, "object": "customer", "deleted": True}
    return customer


@route("DELETE", "customers/*", "CustomerDeleteParams")
def delete(call: Call, customer_id: str) -> Json:
    erase(call, existing_customer(call, customer_id))
    return {"id": customer_id, "object": "customer", "deleted": True}


def erase(call: Call, customer: Json) -> None:
    """Delete a customer and its tax ids, and detach its payment methods; its invoices stay."""
    call.event("customer.deleted", customer)
    mine = [("customer = ?", customer["id"])]
    for method in call.store.select("payment_method", mine, limit=1000):
        call.save(method | {"customer": None})
    for tax_id in call.store.select("tax_id", mine, limit=1000):
        call.store.remove("tax_id", tax_id["id"])
    customer["invoice_settings"]["default_payment_method"] = None
    call.save(customer | {"deleted": True})


@route("GET", "customers", "CustomerListParams", "email test_clock")
def list_all(call: Call) -> Json:
    """List customers; those of a test clock are only listed if the request names the clock."""
    where: list[tuple[str, Any]] = [("json_extract(body, '$.deleted') is not ?", 1)]
    where += json_equal(call.params, "email")
    where.append(("json_extract(body, '$.test_clock') is ?", call.params.get("test_clock")))
    return call.page("customer", "/v1/customers", where=where)


def customers_of_clock(call: Call, clock_id: str) -> list[Json]:
    """The customers of a test clock."""
    where = [
        ("json_extract(body, '$.test_clock') = ?", clock_id),
        ("json_extract(body, '$.deleted') is not ?", 1),
    ]
    return call.store.select("customer", where, limit=MAX_CUSTOMERS_PER_CLOCK)


def existing_customer(call: Call, customer_id: str, param: str = "id") -> Json:
    """The customer; raises `missing` if it was deleted."""
    customer = call.get("customer", customer_id, param)
    if customer.get("deleted"):
        raise missing("customer", customer_id, param)
    return customer


# The balance.
def move_balance(
    call: Call, customer: Json, amount: int, currency: str, kind: str, **more: Any
) -> Json:
    """Post a transaction to the balance in one currency; above 0, the customer owes it."""
    balances = _balances(customer)
    ending = balances.get(currency, 0) + amount
    balances[currency] = ending
    customer["currency"] = customer["currency"] or currency
    customer["balance"] = balances.get(customer["currency"], 0)
    call.save(customer)
    body = {
        "amount": amount,
        "currency": currency,
        "customer": customer["id"],
        "ending_balance": ending,
        "metadata": {},
        "type": kind,
        **more,
    }
    return call.new("customer_balance_transaction", body, customer=customer["id"])


def balance_of(customer: Json, currency: str) -> int:
    return int(_balances(customer).get(currency, 0))


def _balances(customer: Json) -> dict[str, int]:
    """The balance in each currency. Stripe shows them only if `expand` asks for them."""
    # The name under which earlier releases saved them.
    earlier: dict[str, int] = customer.pop("invoice_credit_balance", None) or {}
    balances: dict[str, int] = customer.setdefault("_balances", earlier)
    return balances


@route("POST", "customers/*/balance_transactions", "CustomerBalanceTransactionCreateParams")
def create_transaction(call: Call, customer_id: str) -> Json:
    given = call.params
    customer = existing_customer(call, customer_id)
    moved = move_balance(
        call,
        customer,
        given["amount"],
        given["currency"].lower(),
        "adjustment",
        description=given.get("description"),
        metadata=merge_metadata({}, given.get("metadata")),
    )
    call.event("customer.updated", customer)
    return moved


@route("GET", "customers/*/balance_transactions", "CustomerBalanceTransactionListParams")
def list_transactions(call: Call, customer_id: str) -> Json:
    call.get("customer", customer_id)
    url = f"/v1/customers/{customer_id}/balance_transactions"
    return call.page("customer_balance_transaction", url, customer=customer_id)


@route("GET", "customers/*/balance_transactions/*", "CustomerBalanceTransactionRetrieveParams")
def retrieve_transaction(call: Call, customer_id: str, transaction_id: str) -> Json:
    return call.get("customer_balance_transaction", transaction_id)


# Cards and bank accounts.
@route("POST", "payment_methods/*/attach", "PaymentMethodAttachParams", "customer")
def attach(call: Call, method: str) -> Json:
    if "customer" not in call.params:
        raise ApiError("Missing required param: customer.", param="customer")
    existing_customer(call, call.params["customer"], "customer")
    return attach_card(call, method, call.params["customer"])


def attach_card(call: Call, method: str, customer_id: str) -> Json:
    """Attach a copy of a test card or bank account; an attached one is returned as it is."""
    if not is_test_card(method) and not is_test_debit(method):
        card = call.get("payment_method", method, "payment_method")
        if card["customer"] != customer_id:
            raise ApiError("The payment method you provided is not of this customer.")
        return card
    error = attach_error(method)
    if error is not None:
        raise declined(error, on_record=False)
    attached = new_method(call, method, customer_id)
    call.event("payment_method.attached", attached)
    return attached


def new_method(call: Call, method: str, customer_id: str | None) -> Json:
    """A copy of a test card or bank account."""
    body: Json = {
        "allow_redisplay": "unspecified",
        "billing_details": {},
        "customer": customer_id,
        "metadata": {},
        "_test_name": method,
    }
    if is_test_debit(method):
        body |= {"type": "sepa_debit", "sepa_debit": account_of(method)}
    else:
        brand, last4 = TEST_CARDS.get(method, ("visa", "0002"))
        card = {"brand": brand, "last4": last4, "exp_month": 12, "exp_year": 2040}
        body |= {"type": "card", "card": card | {"funding": "credit"}}
    return call.new("payment_method", body, customer=customer_id)


def require_card(call: Call, method: str, customer_id: str, param: str) -> Json:
    """The card; raises an error if it is not the customer's."""
    card = call.store.get("payment_method", method)
    if card is None:
        raise missing("PaymentMethod", method, param)
    if card["customer"] != customer_id:
        text = f"The payment method {method} is not attached to the customer {customer_id}."
        raise ApiError(text, param=param)
    return card


@route("POST", "payment_methods/*/detach", "PaymentMethodDetachParams")
def detach(call: Call, method: str) -> Json:
    card = call.get("payment_method", method)
    customer = call.store.get("customer", card["customer"] or "")
    if customer and customer["invoice_settings"]["default_payment_method"] == method:
        customer["invoice_settings"]["default_payment_method"] = None
        call.save(customer)
    return call.save(card | {"customer": None})


@route("POST", "payment_methods/*", "PaymentMethodUpdateParams", "card metadata")
def update_card(call: Call, method: str) -> Json:
    """Change when the card expires. The sandbox charges expired cards, too, because the months that
    it is used with are long past."""
    found = call.get("payment_method", method)
    if "card" in call.params:
        if found["type"] != "card":
            raise ApiError(f"The payment method {method} is not a card.", param="card")
        found["card"] |= call.params["card"]
    found["metadata"] = merge_metadata(found["metadata"], call.params.get("metadata"))
    return call.save(found)


@route("GET", "payment_methods/*", "PaymentMethodRetrieveParams")
def retrieve_card(call: Call, method: str) -> Json:
    return call.get("payment_method", method)


@route("GET", "payment_methods", "PaymentMethodListParams", "customer type")
def list_cards(call: Call) -> Json:
    where = json_equal(call.params, "type", "customer")
    return call.page("payment_method", "/v1/payment_methods", where=where)


@route("GET", "customers/*/payment_methods", "CustomerPaymentMethodListParams", "type")
def list_customer_cards(call: Call, customer_id: str) -> Json:
    existing_customer(call, customer_id)
    where = [*json_equal(call.params, "type"), *json_equal({"customer": customer_id}, "customer")]
    return call.page("payment_method", f"/v1/customers/{customer_id}/payment_methods", where=where)
