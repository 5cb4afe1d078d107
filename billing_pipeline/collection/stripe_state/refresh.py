"""Refresh: what Stripe holds for a month, read by listing.

What belongs here: which parts of Stripe's lists to read, and reading them. What does not: Stripe's
search, which lags by up to an hour and is never used to decide anything, and comparing
(`invoice_plan.py`).

The work does not grow with history. With the cache, two things are listed: all that was created
since the last listing (with an overlap), and the spans of time in which this month's invoices were
created. Without the cache, everything since the month's start.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from billing_pipeline.collection.stripe_state import metadata_keys, set_aside, statuses
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.cached_invoices import CachedInvoice, Window
from billing_pipeline.collection.stripe_state.statuses import known_status
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    ActualLine,
    InvoiceStatus,
    PaymentState,
    is_time,
    read_invoice,
    read_line,
)
from billing_pipeline.stripe_api.client import Json, StripeGateway
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure
from billing_pipeline.stripe_api.tasks import task_group

ONE_OBJECT = (FailureKind.SERVER, FailureKind.REFUSED, FailureKind.NOT_FOUND)
"""Failures that concern only the object that was asked for: others can still be read."""
UNREADABLE = (StripeFailure, KeyError, TypeError, ValueError, AttributeError)
"""What reading an object raises where Stripe does not give it, or gives it in another shape."""

T = TypeVar("T")
R = TypeVar("R")

OVERLAP = 3600
"""Seconds before the cursor that are read again: clocks differ, and commits take time."""
MONTH_MARGIN_SECONDS = 86_400
"""Seconds before a month's start from which it is listed. Its invoices are created after its start;
this allows for clocks and time zones."""
_AT_ONCE = 16
MAX_SPAN_GAP = 86_400
"""Seconds: creation times further apart than this are listed as two spans."""

CREDIT_NOTES_READ = "credit_notes_read"
"""The sum of an invoice's credit notes when they were last read, minor units."""
_CREDIT_NOTE_FIELDS = (
    "id",
    "number",
    "created",
    "effective_at",
    "total",
    "total_excluding_tax",
    "reason",
    "memo",
    "post_payment_amount",
    "out_of_band_amount",
    "refunds",
)
CURSOR = "invoices_listed_until"
COVERED_FROM = "invoices_listed_from"


def cached_month(cache: StripeCache, month_key: str) -> list[ActualInvoice]:
    """The month as it was last read."""
    return [from_cache(cached) for cached in cache.invoices.of_month(month_key)]


def paid_by_wallets(cache: StripeCache, customer_id: str | None = None) -> list[ActualInvoice]:
    """The invoices of all months, as they were last read, of which a wallet was to pay a part."""
    return [from_cache(item) for item in cache.invoices.paid_by_wallets(customer_id)]


def paid_later_by_wallets(cache: StripeCache) -> list[ActualInvoice]:
    """The invoices of all months, as they were last read, of which a wallet paid something while
    they were open."""
    return [from_cache(item) for item in cache.invoices.paid_later_by_wallets()]


async def refresh_wallet_payments(
    gateway: StripeGateway, cache: StripeCache, created_from: int
) -> None:
    """Bring the cache up to date with what invoices took from wallets, in all months."""
    await list_new(gateway, cache, created_from)
    unread = [
        from_cache(cached)
        for cached in cache.invoices.paid_by_wallets()
        if read_invoice(cached.body).credit_notes != cached.extra.get(CREDIT_NOTES_READ, 0)
    ]
    await read_credit_notes(gateway, cache, unread)


def cached_invoices_of(
    cache: StripeCache, stripe_customer_ids: Iterable[str]
) -> list[ActualInvoice]:
    """The invoices of these customers in all months, as they were last read."""
    ids = set(stripe_customer_ids)
    return [from_cache(item) for item in cache.invoices.of_customers(ids)] if ids else []


def from_cache(cached: CachedInvoice) -> ActualInvoice:
    """An invoice as it was last read, with the marks of ours that somebody has removed since."""
    body, extra, marks = cached
    invoice = read_invoice(body)
    marked = replace(
        invoice,
        metadata={**invoice.metadata, **marks},
        altered_marks=tuple(
            name for name, value in marks.items() if invoice.metadata.get(name) != value
        ),
        line_ids=frozenset(extra.get("line_ids", ())),
    )
    return with_notes(marked, extra)


def with_notes(invoice: ActualInvoice, extra: Mapping[str, Any]) -> ActualInvoice:
    """The invoice with what `CachedInvoices.note` has stored about it."""
    state = extra.get("payment")
    return replace(
        invoice,
        credited_by_hand=extra.get("credited_by_hand", 0),
        last_credit_number=extra.get("last_credit_number", 0),
        last_error=extra.get("last_error") or invoice.last_error,
        payment=PaymentState(state) if state else None,
        payment_read_at=extra.get("payment_read_at", 0),
        failed_at=extra.get("failed_at"),
    )


async def list_month(
    gateway: StripeGateway, cache: StripeCache, month_key: str, month_start: int
) -> None:
    """Bring the cache up to date for one month."""
    earliest = month_start - MONTH_MARGIN_SECONDS
    windows = _windows(cache, month_key, earliest)
    for window in windows:
        # Taken before the list: what other processes store from here on may be newer than it.
        known = cache.invoices.known(month_key, window)
        found, newest = await _list_window(gateway, cache, window)
        # Not in the list any more: deleted drafts, of this month only.
        cache.invoices.forget(known - found)
        if window.last is None:
            cache.progress.advance(CURSOR, newest)
    _cover(cache, earliest)


async def list_new(gateway: StripeGateway, cache: StripeCache, earliest: int) -> None:
    """Bring the cache up to date with what was created since the last listing, in all months. A new
    cache is filled with everything since `earliest` (epoch seconds)."""
    for window in _unlisted(cache, earliest):
        _, newest = await _list_window(gateway, cache, window)
        if window.last is None:
            cache.progress.advance(CURSOR, newest)
    _cover(cache, earliest)


async def pages(items: AsyncIterator[Json], size: int = 100) -> AsyncIterator[list[Json]]:
    """A list of Stripe's in pages, so that it never has to be in memory as a whole."""
    page: list[Json] = []
    async for item in items:
        page.append(item)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


async def list_windows(
    gateway: StripeGateway, cache: StripeCache, windows: Iterable[Window]
) -> None:
    """Read again all invoices that were created in these windows."""
    for window in windows:
        await _list_window(gateway, cache, window)


async def _list_window(
    gateway: StripeGateway, cache: StripeCache, window: Window
) -> tuple[set[str], int]:
    """Read again what was created in a window. Returns the ids, and when the newest was created.

    Reads page by page: a busy account has many invoices that are not ours.
    """
    found, newest = set[str](), window.first
    moment, query = cache.progress.moment(), {"created": window.as_filter()}
    async for page in pages(gateway.list("/v1/invoices", query)):
        cache.invoices.store(page, moment=moment)
        found |= {set_aside.identity(item) for item in page if isinstance(item, Mapping)}
        newest = max([newest, *_times(page)])
    return found, newest


def _cover(cache: StripeCache, earliest: int) -> None:
    """Note that all invoices created since `earliest` have been listed."""
    covered = cache.progress.get(COVERED_FROM)
    cache.progress.put(COVERED_FROM, earliest if covered is None else min(covered, earliest))


def _times(invoices: Iterable[Any]) -> list[int]:
    """When they were created, as far as that can be read."""
    times = [item.get("created") for item in invoices if isinstance(item, Mapping)]
    return [at for at in times if is_time(at)]


def _unlisted(cache: StripeCache, earliest: int) -> list[Window]:
    """The windows since `earliest` that were not listed yet, the open-ended one first."""
    cursor, covered_from = cache.progress.get(CURSOR), cache.progress.get(COVERED_FROM)
    if cursor is None or covered_from is None:
        return [Window(earliest)]
    windows = [Window(cursor - OVERLAP)]
    if earliest < covered_from:
        windows.append(Window(earliest, covered_from))
    return windows


def _windows(cache: StripeCache, month_key: str, earliest: int) -> list[Window]:
    """The windows to list for a month: those not listed yet, and those in which its known invoices
    were created."""
    windows = _unlisted(cache, earliest)
    since = windows[0].first
    for first, last in _spans(cache.invoices.created_times(month_key)):
        if first < since:
            windows.append(Window(first, min(last, since)))
    return windows


def _spans(times: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted times as spans (first, last) without a gap longer than `MAX_SPAN_GAP`."""
    spans: list[tuple[int, int]] = []
    for time in times:
        if spans and time - spans[-1][1] <= MAX_SPAN_GAP:
            spans[-1] = (spans[-1][0], time)
        else:
            spans.append((time, time))
    return spans


async def read_credit_notes(
    gateway: StripeGateway, cache: StripeCache, invoices: Sequence[ActualInvoice]
) -> list[ActualInvoice]:
    """The invoices, with our credit notes told from those made by hand. Asks Stripe only about
    invoices that have any."""

    async def read(invoice: ActualInvoice) -> ActualInvoice:
        if not invoice.credit_notes and not invoice.last_credit_number:
            return invoice
        ours, number, standing = 0, 0, []
        async for note in gateway.list("/v1/credit_notes", {"invoice": invoice.stripe_invoice_id}):
            metadata = note.get("metadata") or {}
            status = known_status(note, statuses.CREDIT_NOTE)
            if status != "void":
                kept = {name: note.get(name) for name in _CREDIT_NOTE_FIELDS}
                kept["refunded"] = sum(
                    item["amount_refunded"] for item in note.get("refunds") or ()
                )
                is_ours = metadata.get(metadata_keys.INVOICE_ID) == invoice.invoice_id
                mark = metadata.get(metadata_keys.CREDIT_NUMBER, "") if is_ours else ""
                standing.append(kept | {"our_number": int(mark) if mark.isdigit() else None})
            if metadata.get(metadata_keys.INVOICE_ID) != invoice.invoice_id:
                continue
            if status != "void":
                ours += int(note["total"])
            # Void ones included: a number is never used twice.
            text = metadata.get(metadata_keys.CREDIT_NUMBER, "")
            number = max(number, int(text) if text.isdigit() else 0)
        by_hand = invoice.credit_notes - ours
        cache.invoices.note(
            invoice.stripe_invoice_id,
            {
                "credited_by_hand": by_hand,
                "last_credit_number": number,
                CREDIT_NOTES_READ: invoice.credit_notes,
                "credit_notes": standing,
            },
        )
        return replace(invoice, credited_by_hand=by_hand, last_credit_number=number)

    return await read_each(invoices, read)


async def invoices_of(
    gateway: StripeGateway, cache: StripeCache, customer: str, currency: str
) -> list[ActualInvoice]:
    """The invoices of ours that a customer has in Stripe in a currency, by the marks that they had
    when they were billed. Of those that a wallet paid, credit notes made by hand are told apart:
    what they give back does not belong to the wallet."""
    moment, query = cache.progress.moment(), {"customer": customer}
    listed = [data async for data in gateway.list("/v1/invoices", query)]
    cache.invoices.store(listed, moment=moment)
    cached = [cache.invoices.get(set_aside.identity(data)) for data in listed]
    known = [from_cache(item) for item in cached if item is not None]
    ours = [item for item in known if item.currency == currency and item.invoice_id]
    from_wallet = [item for item in ours if item.wallet_declared]
    others = [item for item in ours if not item.wallet_declared]
    return others + await read_credit_notes(gateway, cache, from_wallet)


async def read_each(
    invoices: Iterable[ActualInvoice], read: Callable[[ActualInvoice], Awaitable[ActualInvoice]]
) -> list[ActualInvoice]:
    """The results of `read` for all invoices. One that cannot be read gets `unreadable`, waits for
    a person, and stops none of the others."""

    async def one(invoice: ActualInvoice) -> ActualInvoice:
        if invoice.unreadable is not None:
            return invoice
        try:
            return await read(invoice)
        except UNREADABLE as error:
            if isinstance(error, StripeFailure) and error.kind not in ONE_OBJECT:
                raise
            return replace(invoice, unreadable=f"{type(error).__name__}: {error}")

    return await each(invoices, one)


async def read_customer(
    gateway: StripeGateway, cache: StripeCache, stripe_customer_id: str
) -> None:
    """Read one customer into the cache; forget it if it was deleted or is not ours."""
    try:
        data = await gateway.get(f"/v1/customers/{stripe_customer_id}")
    except StripeFailure as failure:
        if failure.kind is FailureKind.NOT_FOUND:
            cache.customers.forget(stripe_customer_id)
        elif failure.kind in ONE_OBJECT:
            cache.unreadable.add("customer", stripe_customer_id, str(failure))
        else:
            raise
    else:
        cache.customers.store([data])


async def read_lines_of(
    gateway: StripeGateway,
    cache: StripeCache,
    invoices: Sequence[ActualInvoice],
    desired: Mapping[str, int],
) -> list[ActualInvoice]:
    """The invoices with the lines that a plan needs: those of drafts; of billed invoices, and of
    void ones that a decision left so, where another amount is due; and of void invoices that are
    not due any more, whose charges may be due under another id. `desired`: what is due by invoice,
    in minor units."""
    counted: dict[str | None, int] = {}
    for item in invoices:
        adjusted = item.resolution.adjustment if item.resolution else 0
        counted[item.invoice_id] = counted.get(item.invoice_id, 0) + item.net + adjusted

    async def read(invoice: ActualInvoice) -> ActualInvoice:
        if invoice.is_draft:
            return await read_draft(gateway, cache, invoice)
        counts = invoice.is_billed or invoice.resolution is not None
        has_left = invoice.invoice_id not in desired
        if has_left and invoice.status is InvoiceStatus.VOID:
            return replace(invoice, lines=await read_lines(gateway, invoice.stripe_invoice_id))
        if counts and counted[invoice.invoice_id] != desired.get(invoice.invoice_id or "", 0):
            lines = await read_lines(gateway, invoice.stripe_invoice_id)
            return replace(invoice, lines=lines)
        return invoice

    return await read_each(invoices, read)


async def read_draft(
    gateway: StripeGateway, cache: StripeCache, draft: ActualInvoice
) -> ActualInvoice:
    """A draft and its lines, in a consistent state.

    The last request of a killed run can take effect between reading the draft and its lines. So if
    there are lines without the mark that comes with them, the draft is read again: if it has the
    mark now, the lines were not added by hand.
    """
    lines = await read_lines(gateway, draft.stripe_invoice_id)
    if lines and draft.lines_hash is None:
        body = await gateway.get(f"/v1/invoices/{draft.stripe_invoice_id}")
        cache.invoices.store([body])
        cached = cache.invoices.get(draft.stripe_invoice_id)
        draft = from_cache(cached) if cached is not None else read_invoice(body)
    return replace(draft, lines=lines)


async def read_lines(gateway: StripeGateway, stripe_invoice_id: str) -> tuple[ActualLine, ...]:
    """All lines of an invoice: Stripe's invoice object has only the first ten."""
    path = f"/v1/invoices/{stripe_invoice_id}/lines"
    return tuple([read_line(line) async for line in gateway.list(path)])


async def each(items: Iterable[T], work: Callable[[T], Awaitable[R]]) -> list[R]:
    """`work` on every item, some of them at a time; results in the items' order."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: T) -> R:
        async with gate:
            return await work(item)

    async with task_group() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]
