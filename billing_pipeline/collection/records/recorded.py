"""What was billed in a month by our own records, compared with what Stripe lists.

What belongs here: finding invoices that no longer say in Stripe whose they are, finding out which
ones Stripe no longer has, recording what has no record, and comparing content hashes. What does
not: what follows from it (`case.py`, `witnesses.py`).

Records are evidence and nothing else: where they are lost, Stripe's marks decide alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.plan.witnesses import StripeCustomers, attribute_lost
from billing_pipeline.collection.records.billed import (
    BilledInvoice,
    BilledRecords,
    RecordProblem,
    credit_note,
    finalized_invoice,
)
from billing_pipeline.collection.records.request_log import CarriedOut
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.cached_invoices import UNKNOWN_MONTH
from billing_pipeline.collection.stripe_state.refresh import (
    ONE_OBJECT,
    each,
    from_cache,
    read_customer,
)
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice, missing_invoice
from billing_pipeline.stripe_api.client import StripeGateway
from billing_pipeline.stripe_api.errors import StripeFailure


def recorded_marks(
    billed: BilledRecords, stripe_invoice_ids: Iterable[str]
) -> dict[str, dict[str, str]]:
    """The marks that our records have of these invoices, of any month. A record that was altered is
    ignored: Stripe's own marks decide then, as if the record were lost."""
    found = billed.find(stripe_invoice_ids)
    return {item.stripe_invoice_id: item.marks for item in found if not item.is_altered}


async def find_recorded(
    gateway: StripeGateway, cache: StripeCache, recorded: Sequence[BilledInvoice], month_key: str
) -> None:
    """Give the month's invoices in the cache the marks that our records have of them.

    Marks may have been removed or changed in Stripe while the cache was lost. Recorded invoices
    that are no longer listed under the month are read one by one.
    """
    listed = {cached.body["id"]: cached.marks for cached in cache.invoices.of_month(month_key)}
    missing = []

    def mark(item: BilledInvoice) -> None:
        if not item.is_altered:
            cache.invoices.mark(item.stripe_invoice_id, item.marks)

    for billed in recorded:
        marks = listed.get(billed.stripe_invoice_id)
        if marks is None:
            missing.append(billed)
        elif any(marks.get(name) != value for name, value in billed.marks.items()):
            mark(billed)

    async def read(item: BilledInvoice) -> None:
        try:
            data = await gateway.get(f"/v1/invoices/{item.stripe_invoice_id}")
        except StripeFailure as failure:
            # An invoice that cannot be read is known from the records only: its customer waits.
            if failure.kind not in ONE_OBJECT:
                raise
        else:
            cache.invoices.store([data])
            mark(item)

    await each(missing, read)


def with_records(
    held: Sequence[ActualInvoice],
    recorded: Sequence[BilledInvoice],
    carried_out: Sequence[CarriedOut],
    month_key: str,
) -> list[ActualInvoice]:
    """The month's invoices with what our records know of them, and those that Stripe lacks. Pure.

    `recorded` must have been read before `held`: otherwise what is billed in between would look
    missing in Stripe.
    """
    billed = {item.stripe_invoice_id: item for item in recorded}
    known = {item.stripe_invoice_id for item in held}
    completed = [
        replace(
            item,
            recorded_total=billed[item.stripe_invoice_id].total,
            is_record_altered=billed[item.stripe_invoice_id].is_altered,
        )
        if item.stripe_invoice_id in billed
        else item
        for item in held
    ]
    decided = {item.stripe_invoice_id: item for item in carried_out}
    for name, record in billed.items():
        if name not in known:
            decision = decided.pop(name, None)
            marks = record.marks
            if decision is not None:
                marks[metadata_keys.RESOLVED] = decision.mark
            completed.append(missing_invoice(name, marks, record.currency, record.total))
    for name, decision in decided.items():
        if name not in known:  # a draft: deleted by the decision, or by somebody later
            marks = {
                metadata_keys.INVOICE_ID: decision.invoice_id,
                metadata_keys.MONTH: month_key,
                metadata_keys.REVISION: "1",
                metadata_keys.CUSTOMER_ID: decision.customer_id,
                metadata_keys.RESOLVED: decision.mark,
            }
            completed.append(missing_invoice(name, marks, decision.currency, None))
    return completed


async def record_missing(
    gateway: StripeGateway, billed: BilledRecords, month_key: str, invoices: Sequence[ActualInvoice]
) -> None:
    """Record what was billed and has no record, because the process ended between Stripe's answer
    and the record, or because records were lost."""
    known = {item.stripe_invoice_id for item in billed.invoices(month_key)}
    credited = billed.credited(month_key)
    for item in invoices:
        if not item.is_billed or item.unreadable is not None:
            continue
        if item.stripe_invoice_id not in known:
            body = finalized_invoice(item, gateway.clock.now())
            billed.add(month_key, item.stripe_invoice_id, body)
        if item.credited > credited.get(item.stripe_invoice_id, 0):
            query = {"invoice": item.stripe_invoice_id}
            async for note in gateway.list("/v1/credit_notes", query):
                ours = (note.get("metadata") or {}).get(metadata_keys.INVOICE_ID)
                if ours == item.invoice_id and note["status"] != "void":
                    body = credit_note(item, note, gateway.clock.now())
                    billed.add(month_key, note["id"], body)


def differing(
    recorded: Iterable[BilledInvoice], cache: StripeCache, month_key: str
) -> Iterator[RecordProblem]:
    """The month's records whose content hash differs from the one in the invoice's metadata in
    Stripe, as last read. It was written there before the invoice was finalized.

    Leaves out invoices whose other marks were changed in Stripe, since they are in review for that,
    and those that a person has decided about.
    """
    hashes = cache.invoices.metadata(month_key, metadata_keys.CONTENT_HASH)
    for record in recorded:
        found = hashes.get(record.stripe_invoice_id, record.content_hash)
        if found == record.content_hash:
            continue
        cached = cache.invoices.get(record.stripe_invoice_id)
        item = None if cached is None else from_cache(cached)
        if item is None or item.unreadable or item.altered_marks or item.resolution:
            continue
        name = metadata_keys.CONTENT_HASH
        problem = f"its {name} was {record.content_hash} and is {found} in Stripe"
        yield RecordProblem(month_key, record.stripe_invoice_id, problem)


async def with_lost(
    gateway: StripeGateway,
    cache: StripeCache,
    listed: Sequence[ActualInvoice],
    desired: Sequence[DesiredInvoice],
    known: StripeCustomers,
    *,
    month_key: str,
    month_end: int,
) -> list[ActualInvoice]:
    """The month's invoices, including those that carry a mark of ours but no month and may belong
    to this one. Those that no longer say whose they are get the marks that they most likely had
    (`attributed`)."""
    without_month = [from_cache(cached) for cached in cache.invoices.of_month(UNKNOWN_MONTH)]
    lost = [*without_month, *(item for item in listed if item.invoice_id is None)]
    if not lost:
        return list(listed)
    found = {name: set(ids) for name, ids in known.items()}

    async def owner(stripe_customer_id: str) -> None:
        await read_customer(gateway, cache, stripe_customer_id)
        customer = cache.customers.get(stripe_customer_id)
        if customer is not None:
            found.setdefault(customer.customer_id, set()).add(stripe_customer_id)

    await each(
        sorted({item.stripe_customer_id for item in lost if item.customer_id is None}), owner
    )
    owned = attribute_lost(lost, desired, found, month_key=month_key, month_end=month_end)
    names = {item.stripe_invoice_id for item in owned}
    return [*(item for item in listed if item.stripe_invoice_id not in names), *owned]
