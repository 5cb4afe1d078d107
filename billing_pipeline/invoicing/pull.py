"""Pull: what became of the invoices, from Stripe back into the mirror.

What belongs here: reading changes by events (cheap, every minute) or a month in full by listing
(recovery, and beyond the 30 days that Stripe keeps events). What does not: the tables made of it
(`payment_tables.py`).

Events only tell *which* invoices changed: they arrive out of order, twice, and two may share a
second. What an invoice is now is read from Stripe, so both ways end in the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from billing_pipeline.invoicing import documents
from billing_pipeline.invoicing.actual import ActualInvoice, InvoiceStatus
from billing_pipeline.invoicing.mirror import Mirror, Window
from billing_pipeline.invoicing.refresh import (
    each,
    list_month,
    list_windows,
    mirrored,
    pages,
    read_credit_notes,
)
from billing_pipeline.stripe_api.client import Json, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

EVENTS_CURSOR = "events_listed_until"
PASS_NEWEST = "events_pass_newest"
PASS_UNTIL = "events_pass_until"
"""Events are listed newest first. Where there are more than one call may read, the next goes on
from `PASS_UNTIL` down to the cursor, which then becomes `PASS_NEWEST`."""
DAY = 86_400
EVENTS_KEPT = 30 * DAY
"""Seconds that Stripe keeps events."""
EVENTS_OVERLAP = 900
"""Events of the last minutes before the cursor are read again: they arrive late, out of order."""
WHOLE_OVERLAP_EVERY = 600
"""Seconds after which the whole overlap is read again; in between only until a page brings nothing
new, or each look after a big month would list its events once more. Less than the overlap."""
WHOLE_OVERLAP_AT = "events_overlap_read_at"
PAGE = 100
NEIGHBOURS = 600
"""Invoices created within so many seconds of each other are worth one listing."""
EVENT_TYPES = (
    "invoice.finalized",
    "invoice.paid",
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


class Reading(StrEnum):
    """How far events could be read."""

    COMPLETE = "complete"
    UNFINISHED = "unfinished"
    """There was more than the time allowed for; the next call goes on."""
    BEGUN_ANEW = "begun_anew"
    """The first call, or longer ago than Stripe keeps events: they cannot tell what changed."""


async def pull_month(
    gateway: StripeGateway, mirror: Mirror, *, month_key: str, month_start: int
) -> list[ActualInvoice]:
    """The month in full, by listing, whatever was known of it."""
    await list_month(gateway, mirror, month_key, month_start)
    invoices = await read_credit_notes(gateway, mirror, mirrored(mirror, month_key))
    return await _with_errors(gateway, mirror, invoices, again=True)


async def complete_month(
    gateway: StripeGateway, mirror: Mirror, month_key: str
) -> list[ActualInvoice]:
    """The mirrored month with what the invoices themselves do not say: why a payment failed."""
    return await _with_errors(gateway, mirror, mirrored(mirror, month_key), again=False)


async def pull_events(
    gateway: StripeGateway,
    mirror: Mirror,
    *,
    known_months: Iterable[str],
    seconds: float = math.inf,
) -> Reading:
    """Read what changed since the last call, in all months, for about so many seconds.

    Where events cannot tell, all of `known_months` (``YYYY-MM-01``) are left to be listed.
    """
    cursor, now = mirror.get(EVENTS_CURSOR), int(gateway.clock.now())
    if cursor is None or now - cursor > EVENTS_KEPT - EVENTS_OVERLAP:
        # Noted before the cursor begins anew: a process that ends in between loses nothing.
        mirror.touch(known_months, in_full=True)
        await _begin_anew(gateway, mirror, now)
        return Reading.BEGUN_ANEW
    deadline, has_read = gateway.clock.monotonic() + seconds, False
    newest, until = mirror.get(PASS_NEWEST), mirror.get(PASS_UNTIL)
    created = Window(cursor - EVENTS_OVERLAP, until).as_filter()
    query = {"limit": PAGE, "created": created, "types": list(EVENT_TYPES)}
    is_whole = abs(now - (mirror.get(WHOLE_OVERLAP_AT) or 0)) >= WHOLE_OVERLAP_EVERY
    changes = _Changes(gateway, mirror)
    async for events in pages(gateway.list("/v1/events", query), PAGE):
        if has_read and gateway.clock.monotonic() > deadline:
            assert newest is not None and until is not None
            mirror.put(PASS_NEWEST, newest)
            mirror.put(PASS_UNTIL, until)
            return Reading.UNFINISHED
        fresh = mirror.new_events(events)
        await changes.read(fresh)
        # Remembered only now: a process that ends before reads them again.
        mirror.remember_events(fresh)
        newest, until = newest or int(events[0]["created"]), int(events[-1]["created"])
        has_read = True
        if not (fresh or is_whole) and until <= cursor:
            break
    else:
        mirror.put(WHOLE_OVERLAP_AT, now)
    # Where nothing happens the cursor follows our own clock, a day behind it: else a quiet month
    # would look like one in which nobody looked.
    cursor = max(newest or cursor, now - DAY)
    mirror.advance(EVENTS_CURSOR, cursor)
    mirror.drop(PASS_NEWEST, PASS_UNTIL)
    mirror.forget_events(before=cursor - 2 * EVENTS_OVERLAP)
    return Reading.COMPLETE


async def read_events(
    gateway: StripeGateway, mirror: Mirror, events: Iterable[Mapping[str, Any]]
) -> None:
    """Read what these events tell of, wherever they came from; those known already are passed
    over."""
    fresh = mirror.new_events(events)
    await _Changes(gateway, mirror).read(fresh)
    mirror.remember_events(fresh)


async def _begin_anew(gateway: StripeGateway, mirror: Mirror, now: int) -> None:
    """Begin at the newest event, by Stripe's own clock; without a recent one, by ours.

    The events just before it count as seen: listing the months tells what they told.
    """
    page = await gateway.get("/v1/events", {"limit": 1})
    cursor = max([now - DAY, *(int(event["created"]) for event in page["data"])])
    created = Window(cursor - EVENTS_OVERLAP, cursor).as_filter()
    query = {"created": created, "types": list(EVENT_TYPES)}
    seen = [event async for event in gateway.list("/v1/events", query)]
    mirror.remember_events(seen)
    mirror.drop(PASS_NEWEST, PASS_UNTIL)
    mirror.put(WHOLE_OVERLAP_AT, now)
    mirror.put(EVENTS_CURSOR, cursor)


class _Changes:
    """Reads the invoices that events are about, each once for all the events of one call."""

    def __init__(self, gateway: StripeGateway, mirror: Mirror) -> None:
        self._gateway = gateway
        self._mirror = mirror
        self._read: set[str] = set()

    async def read(self, events: Sequence[Mapping[str, Any]]) -> None:
        changed: dict[str, int | None] = {}
        credited: set[str] = set()
        for event in events:
            thing = event["data"]["object"]
            invoice_id, created = _invoice_of(thing)
            if invoice_id is None or self._month_of(invoice_id, thing) is None:
                continue  # not ours
            if event["type"].startswith("credit_note."):
                credited.add(invoice_id)
            if event["type"] == "invoice.payment_failed" and not _is_ours(event):
                # A try that we did not make: nothing on the invoice may tell of it.
                self._mirror.note(invoice_id, {"error_of": None})
                self._mirror.touch([str(self._month_of(invoice_id, thing))])
            if invoice_id not in self._read:
                changed[invoice_id] = created or changed.get(invoice_id)
        await self._read_invoices(changed)
        await self._read_credit_notes(credited)

    def _month_of(self, invoice_id: str, thing: Mapping[str, Any]) -> str | None:
        marked = (thing.get("metadata") or {}).get(documents.MONTH)
        return marked or self._mirror.month_of(invoice_id)

    async def _read_invoices(self, changed: Mapping[str, int | None]) -> None:
        """One by one, or by listing when they were made."""
        self._read |= set(changed)
        times = sorted(created for created in changed.values() if created is not None)
        windows = _windows_around(times)
        pages = sum(1 + self._mirror.count_created(window) // PAGE for window in windows)
        alone = list(changed)
        if pages < len(times):
            await list_windows(self._gateway, self._mirror, windows)
            alone = [invoice_id for invoice_id in changed if changed[invoice_id] is None]
        await each(alone, self._read_one)

    async def _read_one(self, stripe_invoice_id: str) -> None:
        try:
            data = await self._gateway.get(f"/v1/invoices/{stripe_invoice_id}")
        except StripeFailure as failure:
            if failure.kind is not FailureKind.NOT_FOUND:
                raise
            self._mirror.forget([stripe_invoice_id])
        else:
            self._mirror.store([data])

    async def _read_credit_notes(self, credited: set[str]) -> None:
        months = {self._mirror.month_of(invoice_id) for invoice_id in credited}
        invoices = [
            invoice
            for month in sorted(month for month in months if month is not None)
            for invoice in mirrored(self._mirror, month)
            if invoice.stripe_invoice_id in credited
        ]
        await read_credit_notes(self._gateway, self._mirror, invoices)


def _windows_around(times: Sequence[int]) -> list[Window]:
    windows: list[Window] = []
    for time in times:
        last = windows[-1].last if windows else None
        if last is not None and time - last <= NEIGHBOURS:
            windows[-1] = Window(windows[-1].first, time)
        else:
            windows.append(Window(time, time))
    return windows


def _is_ours(event: Mapping[str, Any]) -> bool:
    """True where a request of ours made it happen, whose answer is in the mirror."""
    key = (event.get("request") or {}).get("idempotency_key") or ""
    invoice_id = (event["data"]["object"].get("metadata") or {}).get(documents.INVOICE_ID)
    return invoice_id is not None and key.startswith(f"{invoice_id}:")


def _invoice_of(thing: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """The invoice that an event's object is or belongs to, and when it was created."""
    if thing.get("object") == "invoice":
        return str(thing["id"]), thing.get("created")
    invoice = thing.get("invoice")
    return (str(invoice) if isinstance(invoice, str) else None), None


async def _with_errors(
    gateway: StripeGateway, mirror: Mirror, invoices: Iterable[ActualInvoice], *, again: bool
) -> list[ActualInvoice]:
    async def read(invoice: ActualInvoice) -> ActualInvoice:
        failing = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE)
        if not failing or not invoice.attempt_count:
            return invoice
        # The tries of ours are counted on the invoice; a new one has a new reason.
        tries = f"{invoice.attempt_count}/{invoice.metadata.get(documents.TRIES, '')}"
        extra = mirror.noted(invoice.stripe_invoice_id)
        if extra.get("error_of") == tries and not again:
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
