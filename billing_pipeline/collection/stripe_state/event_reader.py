"""Changes in Stripe by its events: cheap, every minute.

What belongs here: which events to list, and reading what they are about. What does not: a month in
full, by listing (`refresh.py`), and what an event says (`events.py`).

Events only tell *which* invoices changed: they arrive out of order, twice, and two may share a
second. What an invoice is now is read from Stripe, so both ways end in the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.cached_invoices import Window
from billing_pipeline.collection.stripe_state.events import Told, read_told
from billing_pipeline.collection.stripe_state.refresh import (
    ONE_OBJECT,
    cached_month,
    each,
    list_windows,
    pages,
    read_credit_notes,
    read_customer,
)
from billing_pipeline.collection.stripe_state.set_aside import UnreadableError, identity
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    is_month_key,
)
from billing_pipeline.stripe_api.client import StripeGateway
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
    "charge.refunded",
    "charge.dispute.created",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "refund.updated",
    "refund.failed",
    "customer.created",
    "customer.updated",
    "customer.deleted",
    "payout.canceled",
    "payout.failed",
    "payout.paid",
    "payout.reconciliation_completed",
)


class Reading(StrEnum):
    """How far events could be read."""

    COMPLETE = "complete"
    UNFINISHED = "unfinished"
    """There was more than the time allowed for; the next call goes on."""
    BEGUN_ANEW = "begun_anew"
    """The first call, or longer ago than Stripe keeps events: they cannot tell what changed."""


async def pull_events(
    gateway: StripeGateway,
    cache: StripeCache,
    *,
    known_months: Iterable[str],
    seconds: float = math.inf,
) -> Reading:
    """Read what changed since the last call, in all months, for about so many seconds.

    Where events cannot tell, all of `known_months` (``YYYY-MM-01``) are left to be listed.
    """
    cursor, now = cache.progress.get(EVENTS_CURSOR), int(gateway.clock.now())
    if cursor is None or now - cursor > EVENTS_KEPT - EVENTS_OVERLAP:
        # Noted before the cursor begins anew: a process that ends in between loses nothing.
        cache.months.touch(known_months, in_full=True)
        await _begin_anew(gateway, cache, now)
        return Reading.BEGUN_ANEW
    deadline, has_read = gateway.clock.monotonic() + seconds, False
    newest, until = cache.progress.get(PASS_NEWEST), cache.progress.get(PASS_UNTIL)
    created = Window(cursor - EVENTS_OVERLAP, until).as_filter()
    query = {"limit": PAGE, "created": created, "types": list(EVENT_TYPES)}
    is_whole = abs(now - (cache.progress.get(WHOLE_OVERLAP_AT) or 0)) >= WHOLE_OVERLAP_EVERY
    changes = _Changes(gateway, cache)
    async for page in pages(gateway.list("/v1/events", query), PAGE):
        if has_read and gateway.clock.monotonic() > deadline:
            assert newest is not None and until is not None
            cache.progress.put(PASS_NEWEST, newest)
            cache.progress.put(PASS_UNTIL, until)
            return Reading.UNFINISHED
        events = readable(cache, page, now)
        fresh = cache.progress.new_events(events)
        await changes.read(fresh)
        # Remembered only now: a process that ends before reads them again.
        cache.progress.remember_events(fresh)
        if events:
            newest, until = newest or events[0].created, events[-1].created
            has_read = True
        if not (fresh or is_whole) and until is not None and until <= cursor:
            break
    else:
        cache.progress.put(WHOLE_OVERLAP_AT, now)
    # Where nothing happens the cursor follows our own clock, a day behind it: else a quiet month
    # would look like one in which nobody looked.
    cursor = max(newest or cursor, now - DAY)
    cache.progress.advance(EVENTS_CURSOR, cursor)
    cache.progress.drop(PASS_NEWEST, PASS_UNTIL)
    cache.progress.forget_events(before=cursor - 2 * EVENTS_OVERLAP)
    return Reading.COMPLETE


async def read_events(gateway: StripeGateway, cache: StripeCache, events: Iterable[Any]) -> None:
    """Read what these events tell of, wherever they came from; those known already are passed
    over, and those that cannot be read are set aside."""
    fresh = cache.progress.new_events(readable(cache, events, gateway.clock.now()))
    await _Changes(gateway, cache).read(fresh)
    cache.progress.remember_events(fresh)


def readable(cache: StripeCache, events: Iterable[Any], now: float) -> list[Told]:
    """What the events tell; of those that cannot be read it is remembered why."""
    told = []
    for event in events:
        try:
            told.append(read_told(event))
        except UnreadableError as error:
            cache.unreadable.add("event", identity(event), str(error), now)
    return told


async def _begin_anew(gateway: StripeGateway, cache: StripeCache, now: int) -> None:
    """Begin at the newest event, by Stripe's own clock; without a recent one, by ours.

    The events just before it count as seen: listing the months tells what they told.
    """
    newest = await gateway.newest("/v1/events")
    told = readable(cache, [newest] if newest else [], now)
    cursor = max([now - DAY, *(event.created for event in told)])
    created = Window(cursor - EVENTS_OVERLAP, cursor).as_filter()
    query = {"created": created, "types": list(EVENT_TYPES)}
    seen = [event async for event in gateway.list("/v1/events", query)]
    cache.progress.remember_events(readable(cache, seen, now))
    cache.progress.drop(PASS_NEWEST, PASS_UNTIL)
    cache.progress.put(WHOLE_OVERLAP_AT, now)
    cache.progress.put(EVENTS_CURSOR, cursor)


class _Changes:
    """Reads what events are about, each thing once for all the events of one call."""

    def __init__(self, gateway: StripeGateway, cache: StripeCache) -> None:
        self._gateway = gateway
        self._cache = cache
        self._read: set[str] = set()

    async def read(self, events: Sequence[Told]) -> None:
        about = [event for event in events if event.target is not None]
        self._doubt_money([event for event in about if event.is_about_money])
        await self._read_customers([event for event in about if event.is_about_customer])
        self._doubt_payouts([event for event in about if event.is_about_payout])
        await self._read_about_invoices([event for event in about if event.is_about_invoice])

    def _doubt_money(self, events: Sequence[Told]) -> None:
        """What was refunded or disputed is read with the payments of its month."""
        if events:
            intents = {str(event.target) for event in events}
            self._cache.months.touch(self._cache.invoices.doubt_received(intents))

    def _doubt_payouts(self, events: Sequence[Told]) -> None:
        """A payout is read with the payments that are in it, or wait for one."""
        if events:
            names, now = {str(event.target) for event in events}, int(self._gateway.clock.now())
            self._cache.months.touch(self._cache.invoices.months_of_payouts(names, now))

    async def _read_about_invoices(self, events: Sequence[Told]) -> None:
        changed: dict[str, int | None] = {}
        credited: set[str] = set()
        failed: dict[str, int] = {}
        for event in events:
            invoice_id = str(event.target)
            month = self._month_of(invoice_id, event)
            if month is None:
                continue  # not ours
            if event.type.startswith("credit_note."):
                credited.add(invoice_id)
            if event.type == "invoice.payment_failed":
                failed[invoice_id] = min(event.created, failed.get(invoice_id, event.created))
                if not event.is_ours:
                    # Nothing on the invoice may tell of a try that we did not make.
                    self._cache.invoices.note(invoice_id, {"payments_of": None, "payment": None})
                    self._cache.months.touch([month])
            if invoice_id not in self._read:
                changed[invoice_id] = event.made_at or changed.get(invoice_id)
        await self._read_invoices(changed)
        for invoice_id, at in failed.items():
            self._cache.invoices.note_failure(invoice_id, at)
        await self._read_credit_notes(credited)

    async def _read_customers(self, events: Sequence[Told]) -> None:
        """Only those that are marked as ours, or were, and of whom the event tells something
        new: a push that makes customers has it all in its answers."""
        known = self._cache.customers
        for event in events:
            self._note_card(event)
        changed = {
            str(event.target)
            for event in events
            if not known.has_marks(str(event.target), event.metadata or {})
            # The event has the marks of the time before.
            or (event.type == "customer.deleted" and known.get(str(event.target)))
        }
        await each(sorted(changed), lambda item: read_customer(self._gateway, self._cache, item))

    def _note_card(self, event: Told) -> None:
        """A payment method by default of one who is known here that is another than before."""
        name, cards = str(event.target), self._cache.cards
        before = cards.get(name)
        if event.type != "customer.updated" or not (before or self._cache.customers.get(name)):
            return
        is_new = event.is_new_card
        if is_new is None:
            is_new = before is not None and before.card != event.card
        if is_new:
            cards.note_change(name, event.card, event.created)

    def _month_of(self, invoice_id: str, event: Told) -> str | None:
        marked = (event.metadata or {}).get(metadata_keys.MONTH)
        return marked if is_month_key(marked) else self._cache.invoices.month_of(invoice_id)

    async def _read_invoices(self, changed: Mapping[str, int | None]) -> None:
        """One by one, or by listing when they were made."""
        self._read |= set(changed)
        times = sorted(created for created in changed.values() if created is not None)
        windows = _windows_around(times)
        pages = sum(1 + self._cache.invoices.count_created(window) // PAGE for window in windows)
        alone = list(changed)
        if pages < len(times):
            await list_windows(self._gateway, self._cache, windows)
            alone = [invoice_id for invoice_id in changed if changed[invoice_id] is None]
        await each(alone, self._read_one)

    async def _read_one(self, stripe_invoice_id: str) -> None:
        moment = self._cache.progress.moment()
        try:
            data = await self._gateway.get(f"/v1/invoices/{stripe_invoice_id}")
        except StripeFailure as failure:
            if failure.kind is FailureKind.NOT_FOUND:
                self._cache.invoices.forget([stripe_invoice_id])
            elif failure.kind in ONE_OBJECT:
                # The others go on. Its month is listed, which tells what became of it.
                self._cache.unreadable.add("invoice", stripe_invoice_id, str(failure))
                month = self._cache.invoices.month_of(stripe_invoice_id)
                self._cache.months.touch([month] if month else [], in_full=True)
            else:
                raise
        else:
            self._cache.invoices.store([data], moment=moment)

    async def _read_credit_notes(self, credited: set[str]) -> None:
        months = {self._cache.invoices.month_of(invoice_id) for invoice_id in credited}
        invoices = [
            invoice
            for month in sorted(month for month in months if month is not None)
            for invoice in cached_month(self._cache, month)
            if invoice.stripe_invoice_id in credited
        ]
        await read_credit_notes(self._gateway, self._cache, invoices)


def _windows_around(times: Sequence[int]) -> list[Window]:
    windows: list[Window] = []
    for time in times:
        last = windows[-1].last if windows else None
        if last is not None and time - last <= NEIGHBOURS:
            windows[-1] = Window(windows[-1].first, time)
        else:
            windows.append(Window(time, time))
    return windows
