"""Top-ups of wallets that were paid in Stripe: payment intents with our metadata.

What belongs here: finding them, by listing once and by events from then on, and saying which
payment of a top-up counts. What does not: what a wallet pays (dbt), and the customer's balance in
Stripe (`wallets.py`), to which a top-up is posted like every other movement.

A payment intent is one of ours by the metadata `billing_top_up` (the top-up's name, which becomes
its `transaction_id`) and `billing_customer_id`. A top-up is credited once, by its first payment,
however often it is reported or paid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from billing_pipeline.invoicing import documents
from billing_pipeline.invoicing.mirror import Mirror, PaidTopUp
from billing_pipeline.invoicing.money import to_major
from billing_pipeline.invoicing.pull import DAY, EVENTS_KEPT, EVENTS_OVERLAP
from billing_pipeline.invoicing.refresh import each
from billing_pipeline.stripe_api.client import Json, StripeGateway

CURSOR = "top_ups_read_until"
_EXPANDED = "latest_charge"


@dataclass(frozen=True)
class TopUp:
    """A movement of a wallet, major units; `doubles` are further payments under its name, which
    somebody has to refund."""

    transaction_id: str
    customer_id: str
    amount: Decimal
    currency: str
    occurred_at: datetime
    payment_intent: str
    doubles: tuple[str, ...] = ()


async def read_top_ups(gateway: StripeGateway, mirror: Mirror, created_from: int) -> None:
    """Bring the mirror's top-ups up to date: by events, or all payments since `created_from`."""
    cursor, now = mirror.get(CURSOR), int(gateway.clock.now())
    if cursor is None or now - cursor > EVENTS_KEPT - EVENTS_OVERLAP:
        query: Json = {"created": {"gte": created_from}, "expand": [f"data.{_EXPANDED}"]}
        intents = [item async for item in gateway.list("/v1/payment_intents", query)]
        newest = now - DAY
    else:
        query = {"created": {"gte": cursor - EVENTS_OVERLAP}, "type": "payment_intent.succeeded"}
        events = [item async for item in gateway.list("/v1/events", query)]
        # The event says which one; when it was charged is read from the payment, as in the list.
        told = {e["data"]["object"]["id"] for e in events if _is_top_up(e["data"]["object"])}
        fresh = sorted(told - mirror.known_payments(told))
        intents = await each(fresh, lambda intent: _read(gateway, intent))
        newest = max([now - DAY, *(int(event["created"]) for event in events)])
    mirror.store_top_ups(paid for item in intents for paid in [_paid(item)] if paid is not None)
    mirror.advance(CURSOR, newest)


def credited(payments: Iterable[PaidTopUp]) -> list[TopUp]:
    """Each top-up once, by its name. Pure."""
    by_name: dict[str, list[PaidTopUp]] = {}
    for paid in sorted(payments, key=lambda paid: (paid.occurred_at, paid.payment_intent)):
        by_name.setdefault(paid.transaction_id, []).append(paid)
    return [
        TopUp(
            name,
            first.customer_id,
            to_major(first.amount, first.currency),
            first.currency,
            datetime.fromtimestamp(first.occurred_at, UTC),
            first.payment_intent,
            tuple(paid.payment_intent for paid in later),
        )
        for name, (first, *later) in sorted(by_name.items())
    ]


async def _read(gateway: StripeGateway, intent: str) -> Json:
    return await gateway.get(f"/v1/payment_intents/{intent}", {"expand": [_EXPANDED]})


def _is_top_up(intent: Json) -> bool:
    metadata = intent.get("metadata") or {}
    return bool(metadata.get(documents.TOP_UP) and metadata.get(documents.CUSTOMER_ID))


def _paid(intent: Json) -> PaidTopUp | None:
    if not _is_top_up(intent) or intent["status"] != "succeeded":
        return None
    charge = intent.get(_EXPANDED)
    # When the money was taken: the intent may have waited for days for its customer.
    at = charge["created"] if isinstance(charge, dict) else intent["created"]
    return PaidTopUp(
        payment_intent=str(intent["id"]),
        transaction_id=str(intent["metadata"][documents.TOP_UP]),
        customer_id=str(intent["metadata"][documents.CUSTOMER_ID]),
        currency=str(intent["currency"]).upper(),
        amount=int(intent.get("amount_received") or intent["amount"]),
        occurred_at=int(at),
    )
