"""What customers and banks do in Stripe in the year, and Stripe's webhooks.

What belongs here: those acts, by the requests that a page of Stripe's makes, and handing each event
to the receiver's store twice and out of order. What does not: the inputs (`company.py`).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlencode

from billing_pipeline.collection.pull.inbox import Inbox, read_event
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_sandbox import Sandbox
from billing_pipeline.stripe_sandbox.server import FILE_NAME
from tests.year.company import YEAR

Json = dict[str, Any]
_HEADERS = {"Authorization": "Bearer sk_test_customer"}


class Stripe:
    """The sandbox's own books, and requests of others than the pipeline."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._seen: set[str] = set()
        self._rng = random.Random(11)

    def all(self, kind: str) -> list[Json]:
        sandbox = self._sandbox()
        try:
            with sandbox._store.transaction(write=False):
                return sandbox._store.select(kind, [], limit=100_000, oldest_first=True)
        finally:
            sandbox.close()

    def post(self, path: str, **params: Any) -> Json:
        sandbox = self._sandbox()
        try:
            body = urlencode(sorted(params.items()))
            answer = sandbox.handle("POST", f"/v1/{path}", _HEADERS, body)
        finally:
            sandbox.close()
        found: Json = json.loads(answer.body)
        assert answer.status == 200, found
        return found

    def _sandbox(self) -> Sandbox:
        return Sandbox(self.settings.sandbox_dir / FILE_NAME)

    def customer(self, customer_id: str) -> str:
        return next(
            str(item["id"])
            for item in self.all("customer")
            if item["metadata"].get("billing_customer_id") == customer_id
        )

    def open_invoices(self, customer_id: str) -> list[Json]:
        stripe_id = self.customer(customer_id)
        return [
            item
            for item in self.all("invoice")
            if item["customer"] == stripe_id and item["status"] == "open"
        ]

    def send_webhooks(self) -> int:
        """Every event since the last time: in any order, and each twice."""
        if not self.settings.records_dir.exists():
            return 0
        new = [event for event in self.all("event") if event["id"] not in self._seen]
        self._seen |= {event["id"] for event in new}
        twice = new * 2
        self._rng.shuffle(twice)
        inbox = Inbox(self.settings.records_dir)
        try:
            for event in twice:
                inbox.put(read_event(json.dumps(event).encode()), time.time())
        finally:
            inbox.close()
        return len(new)


def _put_in_card(stripe: Stripe, who: str, method: str) -> None:
    customer = stripe.customer(who)
    card = stripe.post(f"payment_methods/{method}/attach", customer=customer)["id"]
    stripe.post(f"customers/{customer}", **{"invoice_settings[default_payment_method]": card})


def change_card(stripe: Stripe) -> str:
    _put_in_card(stripe, "fails", "pm_card_visa")
    return "fails puts in another card, on Stripe's page"


def break_card(stripe: Stripe) -> str:
    _put_in_card(stripe, "gate", "pm_card_chargeCustomerFail")
    return "gate puts in a card that will be declined"


def mend_card(stripe: Stripe) -> str:
    _put_in_card(stripe, "gate", "pm_card_mastercard")
    return "gate puts in a card that works"


def transfer(stripe: Stripe) -> str:
    found = stripe.open_invoices("maps")
    for item in found:
        stripe.post(f"invoices/{item['id']}/pay", paid_out_of_band="true")
    return f"maps has paid {len(found)} invoices by bank transfer"


_TRANSFERS = {
    # The day of the month; in May maps pays late.
    date(YEAR + month // 12, month % 12 + 1, 24 if month == 4 else 10): transfer
    for month in range(1, 13)
}
ACTS: Mapping[date, Callable[[Stripe], str]] = _TRANSFERS | {
    date(YEAR, 2, 3): change_card,
    date(YEAR, 9, 28): break_card,
    date(YEAR, 10, 3): mend_card,
}
