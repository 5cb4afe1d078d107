"""A month's invoices with the state of their payments.

What belongs here: reading a month in full by listing, or as events have last updated it, with
payments that are under way or failed. Both ways end in the same rows. What does not: reading events
(`event_reader.py`), and the tables made of a month (`tables.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.payment_status import with_payment_status
from billing_pipeline.collection.stripe_state.refresh import (
    ONE_OBJECT,
    UNREADABLE,
    cached_month,
    each,
    list_month,
    read_credit_notes,
)
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
)
from billing_pipeline.stripe_api.client import StripeGateway
from billing_pipeline.stripe_api.errors import StripeFailure


async def pull_month(
    gateway: StripeGateway, cache: StripeCache, *, month_key: str, month_start: int
) -> list[ActualInvoice]:
    """The month in full, by listing, whatever is in the cache."""
    await list_month(gateway, cache, month_key, month_start)
    invoices = await read_credit_notes(gateway, cache, cached_month(cache, month_key))
    return await _with_payments(gateway, cache, invoices, again=True)


async def complete_month(
    gateway: StripeGateway, cache: StripeCache, month_key: str
) -> list[ActualInvoice]:
    """The month as in the cache, with payments: whether one is under way, and why one failed."""
    return await _with_payments(gateway, cache, cached_month(cache, month_key), again=False)


async def _with_payments(
    gateway: StripeGateway, cache: StripeCache, invoices: Iterable[ActualInvoice], *, again: bool
) -> list[ActualInvoice]:
    async def read(invoice: ActualInvoice) -> ActualInvoice:
        failing = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE)
        tried = invoice.attempt_count or invoice.attempted or invoice.payment is not None
        if not failing or not tried:
            return invoice
        # Our own tries are counted on the invoice. A new try may have changed everything.
        tries = f"{invoice.attempt_count}/{invoice.metadata.get(metadata_keys.TRIES, '')}"
        extra = cache.invoices.noted(invoice.stripe_invoice_id)
        if extra.get("payments_of") == tries and not again:
            return invoice
        try:
            invoice = await with_payment_status(gateway, cache, invoice)
        except UNREADABLE as error:
            if isinstance(error, StripeFailure) and error.kind not in ONE_OBJECT:
                raise
            return replace(invoice, last_error=f"its payments could not be read: {error}")
        cache.invoices.note(invoice.stripe_invoice_id, {"payments_of": tries})
        return invoice

    return await each(invoices, read)
