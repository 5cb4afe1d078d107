"""Reading changes in Stripe by its events, which is cheap enough for every minute.

What belongs here: which events to list, and reading the objects that they are about. What does not:
reading a month in full, by listing (`refresh.py`), and the content of an event (`events.py`).

Events only tell *which* invoices changed: they arrive out of order, twice, and two may share a
second. The invoices themselves are read from Stripe, so events and listing end in the same rows.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Container, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.cached_invoices import Window
from billing_pipeline.collection.stripe_state.events import StripeEvent, parse_event
from billing_pipeline.collection.stripe_state.received import read_paid
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
    is_time,
)
from billing_pipeline.stripe_api.client import Json, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

EVENTS_CURSOR = "events_listed_until"
PASS_NEWEST = "events_pass_newest"
PASS_UNTIL = "events_pass_until"
"""Events are listed newest first. If one call cannot read them all, the next one goes on from
`PASS_UNTIL` down to the cursor, which then becomes `PASS_NEWEST`."""

DAY = 86_400
EVENT_RETENTION = 30 * DAY
"""Seconds that Stripe keeps events."""
EVENTS_OVERLAP = 900
"""Seconds before the cursor whose events are read again: events arrive late and out of order."""
FULL_OVERLAP_SECONDS = 600
"""Seconds after which the whole overlap is read again. In between, reading stops at the first page
with nothing new; otherwise every call after a big month would list its events again. Must be less
than the overlap."""
FULL_OVERLAP_CURSOR = "events_overlap_read_at"
PAGE = 100
MAX_GAP = 600
"""Seconds: invoices that were created closer together than this are read by one listing."""

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
    "charge.dispute.updated",
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
MAX_TYPES = 20
"""The most types by which Stripe filters one list of events; it refuses more."""


class Reading(StrEnum):
    """How far events could be read."""

    COMPLETE = "complete"
    UNFINISHED = "unfinished"
    """The time was not enough for all of them; the next call goes on."""
    RESTARTED = "begun_anew"
    """This is the first call, or the last one was longer ago than Stripe keeps events: events
    cannot tell what changed."""


async def pull_events(
    gateway: StripeGateway,
    cache: StripeCache,
    *,
    known_months: Iterable[str],
    seconds: float = math.inf,
) -> Reading:
    """Read what changed since the last call, in all months, for about `seconds`.

    Where events cannot tell what changed, all of `known_months` (``YYYY-MM-01``) are marked to be
    listed.
    """
    cursor, now = cache.progress.get(EVENTS_CURSOR), int(gateway.clock.now())
    if cursor is None or now - cursor > EVENT_RETENTION - EVENTS_OVERLAP:
        # Noted before the cursor is set: a process that ends in between loses nothing.
        cache.months.touch(known_months, in_full=True)
        await _restart(gateway, cache, now)
        return Reading.RESTARTED
    deadline, has_read = gateway.clock.monotonic() + seconds, False
    newest, until = cache.progress.get(PASS_NEWEST), cache.progress.get(PASS_UNTIL)
    created = Window(cursor - EVENTS_OVERLAP, until).as_filter()
    query = {"limit": PAGE, "created": created}
    is_whole = abs(now - (cache.progress.get(FULL_OVERLAP_CURSOR) or 0)) >= FULL_OVERLAP_SECONDS
    changes = _Changes(gateway, cache)
    async for page in pages(listed(gateway, query), PAGE):
        if has_read and gateway.clock.monotonic() > deadline:
            assert newest is not None and until is not None
            cache.progress.put(PASS_NEWEST, newest)
            cache.progress.put(PASS_UNTIL, until)
            return Reading.UNFINISHED
        events = readable(cache, page, now)
        fresh = cache.progress.new_events(events)
        await changes.read(fresh)
        # Remembered only now: if the process ends earlier, the next one reads them again.
        cache.progress.remember_events(fresh)
        if events:
            newest, until = newest or events[0].created, events[-1].created
            has_read = True
        if not (fresh or is_whole) and until is not None and until <= cursor:
            break
    else:
        cache.progress.put(FULL_OVERLAP_CURSOR, now)
    # Without events the cursor follows our own clock, a day behind: otherwise a quiet month would
    # look like a month without a call.
    cursor = max(newest or cursor, now - DAY)
    cache.progress.advance(EVENTS_CURSOR, cursor)
    cache.progress.drop(PASS_NEWEST, PASS_UNTIL)
    cache.progress.forget_events(before=cursor - 2 * EVENTS_OVERLAP)
    return Reading.COMPLETE


async def read_events(gateway: StripeGateway, cache: StripeCache, events: Iterable[Any]) -> None:
    """Read the objects that these events are about, wherever the events came from. Known events are
    passed over, unreadable ones are set aside."""
    fresh = cache.progress.new_events(readable(cache, events, gateway.clock.now()))
    await _Changes(gateway, cache).read(fresh)
    cache.progress.remember_events(fresh)


def readable(cache: StripeCache, events: Iterable[Any], now: float) -> list[StripeEvent]:
    """The events that can be read; the others are set aside with the reason."""
    found = []
    for event in events:
        try:
            found.append(parse_event(event))
        except UnreadableError as error:
            cache.unreadable.add("event", identity(event), str(error), now)
    return found


async def listed(gateway: StripeGateway, query: Mapping[str, Any]) -> AsyncIterator[Json]:
    """The events of our types, newest first, from as many lists as so many types take."""
    parts = [EVENT_TYPES[at : at + MAX_TYPES] for at in range(0, len(EVENT_TYPES), MAX_TYPES)]
    lists = [gateway.list("/v1/events", {**query, "types": list(part)}) for part in parts]
    heads = {at: head for at, one in enumerate(lists) if (head := await anext(one, None))}
    while heads:
        newest = max(heads, key=lambda at: _created(heads[at]))
        yield heads.pop(newest)
        if (head := await anext(lists[newest], None)) is not None:
            heads[newest] = head


def _created(event: Json) -> float:
    at = event.get("created")
    # One that cannot be read holds up nothing behind it.
    return at if is_time(at) else math.inf


async def _restart(gateway: StripeGateway, cache: StripeCache, now: int) -> None:
    """Begin at the newest event, by Stripe's own clock; without a recent one, by ours.

    The events just before it count as seen: the months are listed, which shows the same changes.
    """
    newest = await gateway.newest("/v1/events")
    newest_events = readable(cache, [newest] if newest else [], now)
    cursor = max([now - DAY, *(event.created for event in newest_events)])
    created = Window(cursor - EVENTS_OVERLAP, cursor).as_filter()
    seen = [event async for event in listed(gateway, {"created": created})]
    cache.progress.remember_events(readable(cache, seen, now))
    cache.progress.drop(PASS_NEWEST, PASS_UNTIL)
    cache.progress.put(FULL_OVERLAP_CURSOR, now)
    cache.progress.put(EVENTS_CURSOR, cursor)


class _Changes:
    """Reads the objects that events are about, each one once for all events of one call."""

    def __init__(self, gateway: StripeGateway, cache: StripeCache) -> None:
        self._gateway = gateway
        self._cache = cache
        self._read: set[str] = set()

    async def read(self, events: Sequence[StripeEvent]) -> None:
        about = [event for event in events if event.target is not None]
        self._touch_refunded([event for event in about if event.is_about_money])
        await self._read_customers([event for event in about if event.is_about_customer])
        self._touch_paid_out([event for event in about if event.is_about_payout])
        await self._read_about_invoices([event for event in about if event.is_about_invoice])

    def _touch_refunded(self, events: Sequence[StripeEvent]) -> None:
        """Count the months of refunded and disputed payments as changed: their next pull reads
        them."""
        if events:
            intents = {str(event.target) for event in events}
            self._cache.months.touch(self._cache.invoices.mark_received_stale(intents))

    def _touch_paid_out(self, events: Sequence[StripeEvent]) -> None:
        """Count the months as changed whose payments are in these payouts or wait for one: their
        next pull reads them."""
        if events:
            names, now = {str(event.target) for event in events}, int(self._gateway.clock.now())
            self._cache.months.touch(self._cache.invoices.months_of_payouts(names, now))

    async def _read_about_invoices(self, events: Sequence[StripeEvent]) -> None:
        changed: dict[str, int | None] = {}
        credited: set[str] = set()
        paid = {str(event.target) for event in events if event.type == "invoice.paid"}
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
                    # The invoice itself may not show a try that we did not make: read its payments.
                    self._cache.invoices.note(invoice_id, {"payments_of": None, "payment": None})
                    self._cache.months.touch([month])
            if invoice_id not in self._read:
                changed[invoice_id] = event.made_at or changed.get(invoice_id)
        await self._read_invoices(changed, paid)
        for invoice_id, at in failed.items():
            self._cache.invoices.record_failure(invoice_id, at)
        await self._read_credit_notes(credited)

    async def _read_customers(self, events: Sequence[StripeEvent]) -> None:
        """Read customers that are or were marked as ours, if the event has something new: a push
        that creates customers has it all from its answers already."""
        known = self._cache.customers
        for event in events:
            self._record_card(event)
        changed = {
            str(event.target)
            for event in events
            if not known.is_unchanged(str(event.target), event.metadata or {})
            # A deletion's event still has the same marks.
            or (event.type == "customer.deleted" and known.get(str(event.target)))
        }
        await each(sorted(changed), lambda item: read_customer(self._gateway, self._cache, item))

    def _record_card(self, event: StripeEvent) -> None:
        """Note a changed default payment method of a known customer."""
        name, cards = str(event.target), self._cache.cards
        before = cards.get(name)
        if event.type != "customer.updated" or not (before or self._cache.customers.get(name)):
            return
        is_new = event.is_new_card
        if is_new is None:
            is_new = before is not None and before.card != event.card
        if is_new:
            cards.record_change(name, event.card, event.created)

    def _month_of(self, invoice_id: str, event: StripeEvent) -> str | None:
        marked = (event.metadata or {}).get(metadata_keys.MONTH)
        return marked if is_month_key(marked) else self._cache.invoices.month_of(invoice_id)

    async def _read_invoices(self, changed: Mapping[str, int | None], paid: Container[str]) -> None:
        """Read invoices one by one, or by listing those created at about the same time, whichever
        takes fewer requests. `changed`: by Stripe's id, when the invoice was created, if known;
        `paid`: those that were paid, which come with their payments if read one by one."""
        self._read |= set(changed)
        times = sorted(created for created in changed.values() if created is not None)
        windows = _windows_around(times)
        pages = sum(1 + self._cache.invoices.count_created(window) // PAGE for window in windows)
        alone = list(changed)
        if pages < len(times):
            await list_windows(self._gateway, self._cache, windows)
            alone = [invoice_id for invoice_id in changed if changed[invoice_id] is None]
        await each(alone, lambda name: self._read_one(name, is_paid=name in paid))

    async def _read_one(self, stripe_invoice_id: str, *, is_paid: bool) -> None:
        if is_paid and await read_paid(self._gateway, self._cache, stripe_invoice_id):
            return
        moment = self._cache.progress.moment()
        try:
            data = await self._gateway.get(f"/v1/invoices/{stripe_invoice_id}")
        except StripeFailure as failure:
            if failure.kind is FailureKind.NOT_FOUND:
                self._cache.invoices.forget([stripe_invoice_id])
            elif failure.kind in ONE_OBJECT:
                # The others go on. Its month will be listed, which shows what happened to it.
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
        if last is not None and time - last <= MAX_GAP:
            windows[-1] = Window(windows[-1].first, time)
        else:
            windows.append(Window(time, time))
    return windows
