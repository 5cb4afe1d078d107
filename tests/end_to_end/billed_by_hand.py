"""Another system's bills in the sandbox: made through its API, without our marks.

What belongs here: billing what a customer of ours owes. What does not: comparing and expectations.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import stripe

from billing_pipeline.comparison.lines import OurLine
from billing_pipeline.money import stripe_places
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import open_published
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import SANDBOX_KEY
from billing_pipeline.stripe_sandbox import Sandbox
from tests.in_process import InProcessClient

Json = dict[str, Any]


class ByHand:
    """Bills in the last minute of a month; customers are known by their e-mail."""

    def __init__(self, settings: Settings, month: BillingMonth) -> None:
        settings.sandbox_dir.mkdir(parents=True)
        at = int(month.end(settings.timezone).timestamp()) - 60
        self.now = {"start": at, "end": at}
        path = settings.sandbox_dir / "stripe.sqlite"
        # Nobody is billed who is no customer of ours: that would be extra lines.
        client = InProcessClient(Sandbox(path, clock=lambda: at, others=False))
        self.stripe = stripe.StripeClient(SANDBOX_KEY, http_client=client).v1
        self.customers: dict[str, str] = {}
        with open_published(settings) as published:
            found = published.execute("SELECT DISTINCT customer_id, email FROM customers")
            self.emails: dict[str, str] = dict(found.fetchall())

    def bill(self, lines: Sequence[OurLine]) -> str:
        """An invoice with these lines; gives Stripe's id of it."""
        made = [
            {
                "description": line.description,
                "amount": int(line.amount.scaleb(stripe_places(line.currency))),
                "period": _period(line.period_start, line.period_end) or self.now,
            }
            for line in lines
        ]
        return self.charge(lines[0].payer_id, lines[0].currency, made)

    def charge(self, customer_id: str, currency: str, lines: Sequence[Json]) -> str:
        if customer_id not in self.customers:
            customer = self.stripe.customers.create({"email": self.emails[customer_id]})
            self.customers[customer_id] = customer.id
        how: Any = {"collection_method": "send_invoice", "days_until_due": 30}
        about: Any = {"customer": self.customers[customer_id], "currency": currency.lower()}
        invoice = self.stripe.invoices.create(how | about)
        given: Any = list(lines)
        self.stripe.invoices.add_lines(invoice.id, {"lines": given})
        self.stripe.invoices.finalize_invoice(invoice.id)
        return invoice.id

    def void(self, invoice: str) -> None:
        self.stripe.invoices.void_invoice(invoice)


def _period(start: datetime | None, end: datetime | None) -> dict[str, int] | None:
    if start is None or end is None:
        return None
    return {"start": int(start.timestamp()), "end": int(end.timestamp())}
