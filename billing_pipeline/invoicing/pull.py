"""Pull: what became of the invoices, from Stripe back into the mirror.

What belongs here: reading changes by events (cheap, every few minutes) or a month in full by
listing (recovery, and beyond the 30 days that Stripe keeps events). What does not: the tables
made of it (`payment_tables.py`).

Events only tell *which* invoices changed: they arrive out of order, twice, and two may share a
second. What an invoice is now is read from Stripe, so both ways end in the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from billing_pipeline.invoicing import documents
from billing_pipeline.invoicing.actual import ActualInvoice, InvoiceStatus
from billing_pipeline.invoicing.mirror import Mirror
from billing_pipeline.invoicing.refresh import (
    each,
    list_month,
    list_stretches,
    mirrored,
    read_credit_notes,
)
from billing_pipeline.stripe_api.client import Json, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

EVENTS_CURSOR = "events_listed_until"
EVENTS_KEPT = 30 * 86_400
"""Seconds that Stripe keeps events."""
EVENTS_OVERLAP = 900
"""Events of the last minutes before the cursor are read again: they arrive late, out of order."""
READ_ONE_BY_ONE = 30
"""Up to so many changed invoices are read each by itself, more by listing their stretches."""
EVENT_TYPES = (
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_succeeded",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.updated",
    "invoice.voided",
    "invoice.marked_uncollectible",
    "invoice.overdue",
    "invoice.deleted",
    "credit_note.created",
    "credit_note.updated",
    "credit_note.voided",
)


@dataclass(frozen=True)
class Changes:
    """The months (``YYYY-MM-01``) whose invoices changed, and whether events could tell."""

    months: tuple[str, ...]
    is_complete: bool = True


async def pull_month(
    gateway: StripeGateway, mirror: Mirror, *, month_key: str, month_start: int
) -> list[ActualInvoice]:
    """The month in full, by listing."""
    await list_month(gateway, mirror, month_key, month_start)
    return await complete_month(gateway, mirror, month_key)


async def pull_events(gateway: StripeGateway, mirror: Mirror) -> Changes:
    """Read what changed since the last call, in all months.

    The first call, and one after more than Stripe's 30 days, cannot know: `is_complete` is false
    and the months that are still of interest have to be pulled in full.
    """
    cursor, now = mirror.get(EVENTS_CURSOR), int(gateway.clock.now())
    if cursor is None or now - cursor > EVENTS_KEPT - EVENTS_OVERLAP:
        await _start_cursor(gateway, mirror, now)
        return Changes((), is_complete=False)
    query = {"created": {"gte": cursor - EVENTS_OVERLAP}, "types": list(EVENT_TYPES)}
    events = [event async for event in gateway.list("/v1/events", query)]
    fresh = mirror.new_events(events)
    months = await _read_changed(gateway, mirror, fresh)
    # Remembered only now: a process that ends before reads them again.
    newest = max((int(event["created"]) for event in events), default=cursor)
    mirror.remember_events(fresh, forget_before=newest - 2 * EVENTS_OVERLAP)
    mirror.advance(EVENTS_CURSOR, newest)
    return Changes(tuple(sorted(months)))


async def complete_month(
    gateway: StripeGateway, mirror: Mirror, month_key: str
) -> list[ActualInvoice]:
    """The mirrored month with what the invoices themselves do not say: whose credit notes they
    are, and why a payment failed."""
    invoices = await read_credit_notes(gateway, mirror, mirrored(mirror, month_key))
    return await _with_errors(gateway, mirror, invoices)


async def _start_cursor(gateway: StripeGateway, mirror: Mirror, now: int) -> None:
    """Begin at the newest event, by Stripe's own clock; without any, by ours.

    The events just before it count as seen: the caller now pulls in full what they told.
    """
    page = await gateway.get("/v1/events", {"limit": 1})
    newest = [int(event["created"]) for event in page["data"]]
    cursor = newest[0] if newest else now
    created = {"gte": cursor - EVENTS_OVERLAP, "lte": cursor}
    query = {"created": created, "types": list(EVENT_TYPES)}
    seen = [event async for event in gateway.list("/v1/events", query)]
    mirror.remember_events(seen, forget_before=cursor - 2 * EVENTS_OVERLAP)
    mirror.put(EVENTS_CURSOR, cursor)


async def _read_changed(
    gateway: StripeGateway, mirror: Mirror, events: Sequence[Mapping[str, Any]]
) -> set[str]:
    """Read the invoices that events are about; gives their months."""
    changed: dict[str, int | None] = {}
    months: set[str] = set()
    for event in events:
        thing = event["data"]["object"]
        invoice_id, created = _invoice_of(thing)
        if invoice_id is None:
            continue
        month = (thing.get("metadata") or {}).get(documents.MONTH) or mirror.month_of(invoice_id)
        if month is None:
            continue  # not ours
        months.add(month)
        changed[invoice_id] = created or changed.get(invoice_id)
    dated = [created for created in changed.values() if created is not None]
    if len(changed) > READ_ONE_BY_ONE and len(dated) == len(changed):
        await list_stretches(gateway, mirror, sorted(dated))
    else:
        await each(changed, lambda invoice_id: _read_one(gateway, mirror, invoice_id))
    return months


async def _read_one(gateway: StripeGateway, mirror: Mirror, stripe_invoice_id: str) -> None:
    try:
        mirror.store([await gateway.get(f"/v1/invoices/{stripe_invoice_id}")])
    except StripeFailure as failure:
        if failure.kind is not FailureKind.NOT_FOUND:
            raise
        mirror.forget([stripe_invoice_id])


def _invoice_of(thing: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """The invoice that an event's object is or belongs to, and when it was created."""
    if thing.get("object") == "invoice":
        return str(thing["id"]), thing.get("created")
    invoice = thing.get("invoice")
    return (str(invoice) if isinstance(invoice, str) else None), None


async def _with_errors(
    gateway: StripeGateway, mirror: Mirror, invoices: Iterable[ActualInvoice]
) -> list[ActualInvoice]:
    async def read(invoice: ActualInvoice) -> ActualInvoice:
        failing = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE)
        if not failing or not invoice.attempt_count:
            return invoice
        # The tries of ours are counted on the invoice; a new one has a new reason.
        tries = f"{invoice.attempt_count}/{invoice.metadata.get(documents.TRIES, '')}"
        extra = mirror.noted(invoice.stripe_invoice_id)
        if extra.get("error_of") == tries:
            return replace(invoice, last_error=extra.get("last_error"))
        error = await _last_error(gateway, invoice.stripe_invoice_id)
        mirror.note(invoice.stripe_invoice_id, {"error_of": tries, "last_error": error})
        return replace(invoice, last_error=error)

    return await each(invoices, read)


async def _last_error(gateway: StripeGateway, stripe_invoice_id: str) -> str | None:
    """Why the newest payment of an invoice failed, as the payment intent says."""
    query = {"invoice": stripe_invoice_id, "expand": ["data.payment.payment_intent"]}
    payments = [item async for item in gateway.list("/v1/invoice_payments", query)]
    for payment in sorted(payments, key=lambda item: -int(item["created"])):
        intent: Json | str | None = (payment.get("payment") or {}).get("payment_intent")
        if isinstance(intent, str):
            intent = await gateway.get(f"/v1/payment_intents/{intent}")
        problem = (intent or {}).get("last_payment_error")
        if problem:
            return str(problem.get("message") or problem.get("code") or "declined")
    return None
