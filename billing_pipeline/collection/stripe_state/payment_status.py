"""The state of an invoice's payments: under way, waiting for the customer, or declined and why.

What belongs here: reading `/v1/invoice_payments`, since an invoice itself does not say it, and the
pure rule that sums it up. What does not: asking for a payment (`charge.py`) and when
(`dunning.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from billing_pipeline.collection.stripe_state import metadata_keys, statuses
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.refresh import each
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    PaymentState,
    needs_payment,
)
from billing_pipeline.stripe_api.client import StripeGateway

CONFIRMATION_NEEDED = "the customer has to confirm the payment (3-D Secure)"


@dataclass(frozen=True)
class PaymentStatus:
    """`state` while a payment is under way, `error` where the newest one was declined."""

    state: PaymentState | None = None
    error: str | None = None


def sum_up(intents: Sequence[Mapping[str, Any]]) -> PaymentStatus:
    """The state of all payment intents of an invoice, given newest first. Pure.

    A processing intent decides, whatever came before or after it: its money may be on the way. So
    does an intent with a status that we do not know.
    """
    odd = [item for item in intents if item.get("status") not in (None, *statuses.PAYMENT_INTENT)]
    if odd:
        return PaymentStatus(
            PaymentState.PROCESSING, f"{statuses.unknown(odd[0])}: it is waited for"
        )
    held = [intent.get("status") for intent in intents]
    if PaymentState.PROCESSING.value in held:
        return PaymentStatus(PaymentState.PROCESSING)
    if held and held[0] == PaymentState.REQUIRES_ACTION.value:
        return PaymentStatus(PaymentState.REQUIRES_ACTION, CONFIRMATION_NEEDED)
    problems = [intent.get("last_payment_error") for intent in intents]
    for problem in problems:
        if isinstance(problem, Mapping):
            error = problem.get("message") or problem.get("code") or "declined"
            return PaymentStatus(error=str(error))
    return PaymentStatus()


async def read_payment_status(gateway: StripeGateway, stripe_invoice_id: str) -> PaymentStatus:
    """Sum up the payments of one invoice: one request."""
    query = {"invoice": stripe_invoice_id, "expand": ["data.payment.payment_intent"]}
    payments = [item async for item in gateway.list("/v1/invoice_payments", query)]
    intents = []
    for payment in sorted(payments, key=lambda item: -int(item["created"])):
        intent = (payment.get("payment") or {}).get("payment_intent")
        if isinstance(intent, str):
            intent = await gateway.get(f"/v1/payment_intents/{intent}")
        if isinstance(intent, Mapping):
            intents.append(intent)
    return sum_up(intents)


async def with_payment_status(
    gateway: StripeGateway, cache: StripeCache, invoice: ActualInvoice
) -> ActualInvoice:
    """The invoice with the state of its payments, which is also stored in the cache."""
    at = int(gateway.clock.now())
    status = await read_payment_status(gateway, invoice.stripe_invoice_id)
    cache.invoices.note(
        invoice.stripe_invoice_id,
        {"payment": status.state, "payment_read_at": at, "last_error": status.error},
    )
    error = status.error or invoice.metadata.get(metadata_keys.PAYMENT_NOTE)
    return replace(invoice, payment=status.state, payment_read_at=at, last_error=error)


async def with_payments_under_way(
    gateway: StripeGateway, cache: StripeCache, invoices: Iterable[ActualInvoice]
) -> list[ActualInvoice]:
    """The invoices, where those that look as if their charge was never tried have the state of
    their payments: they may be being paid all the same, by a bank debit or by the customer. Asks
    Stripe about no others."""

    async def read(invoice: ActualInvoice) -> ActualInvoice:
        # A payment that was under way when it was noted may have ended by now.
        if not needs_payment(replace(invoice, payment=None)):
            return invoice
        return await with_payment_status(gateway, cache, invoice)

    return await each(invoices, read)
