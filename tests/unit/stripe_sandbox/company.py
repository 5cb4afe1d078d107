"""A sandbox behind the official SDK, and the little that most tests of it begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import stripe

from billing_pipeline.stripe_sandbox import Sandbox
from tests.in_process import InProcessClient
from tests.virtual_clock import VirtualClock

KEY = "sk_test_sandbox"


class Company:
    def __init__(self, path: Path | None = None, **more: Any) -> None:
        self.clock = VirtualClock()
        # Most of these tests count what is in a list.
        self.sandbox = Sandbox(path, clock=self.clock.now, **{"others": False, **more})
        self.transport = InProcessClient(self.sandbox)
        client = stripe.StripeClient(KEY, http_client=self.transport, max_network_retries=0)
        self.v1 = client.v1

    def customer(self, card: str | None = "pm_card_visa", **more: Any) -> str:
        if card:
            more |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        return self.v1.customers.create({"email": "a@example.com", **more}).id

    def draft(self, customer: str, *amounts: int, **more: Any) -> str:
        made = self.v1.invoices.create({"customer": customer, "currency": "usd", **more})
        if amounts:
            lines: Any = [{"amount": amount, "description": "x"} for amount in amounts]
            self.v1.invoices.add_lines(made.id, {"lines": lines})
        return made.id

    def raw(self, method: str, target: str, body: str = "", **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {KEY}", **headers}
        return self.sandbox.handle(method, target, sent, body)
