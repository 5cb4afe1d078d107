"""Others' objects in the same Stripe account: their products, customers, invoices and payments.

No account contains only our objects, so a new sandbox already has some that others made. What
belongs here: which ones. What does not: how such objects are made (the modules of the kinds).
"""

from __future__ import annotations

from typing import Any

from billing_pipeline.stripe_sandbox import collecting, customers, invoices, lines, payments
from billing_pipeline.stripe_sandbox.context import Call
from billing_pipeline.stripe_sandbox.store import Store

Json = dict[str, Any]

DAY = 86_400
_ORIGIN = "else"

_CUSTOMERS = (
    {"name": "Somebody Else Ltd", "email": "office@else.example", "metadata": {"crm_id": "4711"}},
    {"name": "No Address", "metadata": {}},
)
_DAYS_AGO = (80, 0)
"""When others used the account: before the oldest events that Stripe still has, and now."""


def add_others(store: Store, now: float) -> None:
    """Fill an empty account. Others' ids have counters of their own."""
    for at, (customer, days) in enumerate(zip(_CUSTOMERS, _DAYS_AGO, strict=True)):
        account = _Account(store, now - days * DAY)
        if at == 0:
            account.products()
        name = account.customer(invoice_prefix=f"ELSE{at}", **customer)
        account.invoice(name, "paid")
        account.invoice(name, "open")
        account.invoice(name, "draft")
        account.payment(name)


def is_third_party(object_id: str) -> bool:
    """True if the object is one of those with which the sandbox began."""
    return f"_{_ORIGIN}0" in object_id


class _Account:
    """Others' use of the same account at one time."""

    def __init__(self, store: Store, now: float) -> None:
        self._store = store
        self._now = now

    def _call(self, **params: Any) -> Call:
        return Call(self._store, self._now, params, origin=_ORIGIN)

    def products(self) -> None:
        call = self._call()
        body = {"active": True, "name": "Consulting", "type": "service", "updated": call.now}
        product = call.new("product", body | {"images": [], "marketing_features": []} | _METADATA)
        price = {
            "active": True,
            "billing_scheme": "per_unit",
            "currency": "eur",
            "product": product["id"],
            "type": "one_time",
            "unit_amount": 9900,
            "unit_amount_decimal": "9900",
            **_METADATA,
        }
        call.new("price", price, parent=product["id"])

    def customer(self, **params: Any) -> str:
        card = "pm_card_visa"
        settings = {"invoice_settings": {"default_payment_method": card}}
        made = customers.create(self._call(payment_method=card, **settings, **params))
        return str(made["id"])

    def invoice(self, customer: str, state: str) -> None:
        made = invoices.create(self._call(customer=customer, currency="eur"))
        added: Json = {"lines": [{"amount": 9900, "description": "A day of consulting"}]}
        made = lines.add_lines(self._call(**added), made["id"])
        if state != "draft":
            made = collecting.finalize(self._call(), made)
        if state == "paid":
            collecting.pay(self._call(), made)

    def payment(self, customer: str) -> None:
        paid = {
            "payment_method": "pm_card_visa",
            "confirm": True,
            "return_url": "https://else.example",
        }
        params = {"amount": 1900, "currency": "usd", "metadata": {"order": "17"}}
        payments.create(self._call(customer=customer, **params, **paid))
        payments.create(self._call(**params))


_METADATA: Json = {"metadata": {}}
