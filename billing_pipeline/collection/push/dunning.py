"""Dunning: trying failed payments again when they are due, and giving up after the last attempt.

What belongs here: carrying out what is due, once for each due time. What does not: when that is
(`dunning_policy.py`), the first charge (it follows finalizing, `send_invoice.py`, and is not
counted as a try), and notices.

Each try is written on the invoice in Stripe *before* the payment is asked for, and the payment
has the try's number in its key. So no rerun, however late, makes two tries for one due time. A
process that ends between the two loses a try at worst, and the request log, if it is still there,
tells the next run to make it after all.

When a customer gives another card, that card is tried at once, and only once, without waiting for
the next due time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from billing_pipeline.collection.plan.dunning_policy import (
    HOUR,
    Due,
    DueKind,
    DunningPolicy,
    due_of,
    is_in_dunning,
    next_due,
    start_after,
)
from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.push.charge import Attempt, set_metadata, try_payment
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    ensure_change,
)
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.payment_status import with_payment_status
from billing_pipeline.collection.stripe_state.refresh import each
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
    PaymentState,
    read_invoice_strictly,
)
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import StripeFailure
from billing_pipeline.stripe_api.retries import KEY_REUSE_SECONDS

MAX_PROCESSING_SECONDS = 6 * HOUR
"""Seconds after which a debit that was being processed is read again, although no event has
reported its end: events can be lost with the records."""

RESENDABLE_OUTCOMES = ("connection", "rate_limited", "conflict")
"""Outcomes in the request log after which the same request may be sent again under its key."""


class DunningOutcome(StrEnum):
    PAID = "paid"
    PROCESSING = "processing"
    """The bank was asked for the money and has not answered yet."""
    DECLINED = "declined"
    UNCONFIRMED = "unconfirmed"
    """Only the customer can confirm the payment: nothing was tried, but the due time is used up."""
    GIVEN_UP = "given_up"
    FAILED = "failed"
    """Stripe could not be asked, or answered with an error of its own. The next run asks again
    under the same key where that is safe; else the next due time follows."""


@dataclass(frozen=True)
class DunningResult:
    """One try or giving up, as it ended."""

    invoice_id: str
    stripe_invoice_id: str
    customer_id: str
    due: Due
    outcome: DunningOutcome
    message: str = ""
    request_id: str | None = None


async def carry_out(
    session: StripeSession, invoices: Iterable[ActualInvoice], policy: DunningPolicy
) -> list[DunningResult]:
    """Do what is due by now for these invoices; those with nothing due are left out."""
    now = session.now
    due = [
        (invoice, step)
        for known in invoices
        for invoice in [_believed(known, now)]
        for step in [_next_step(session, invoice, policy)]
        if step is not None and step.at <= now
    ]
    results = await each(due, lambda pair: _one(session, pair[0], pair[1], policy))
    return [result for result in results if result is not None]


def _believed(invoice: ActualInvoice, now: float) -> ActualInvoice:
    """The invoice as last read, where a payment that was under way too long ago is unknown."""
    if now - invoice.payment_read_at <= MAX_PROCESSING_SECONDS:
        return invoice
    return replace(invoice, payment=None)


async def _one(
    session: StripeSession, known: ActualInvoice, due: Due, policy: DunningPolicy
) -> DunningResult | None:
    target = RequestTarget(known.customer_id or "", known.invoice_id or "", known.revision or 1)
    try:
        data = await session.gateway.get(f"/v1/invoices/{known.stripe_invoice_id}")
        invoice = read_invoice_strictly(data)
        session.cache.invoices.store([data])
        error = invoice.last_error or known.last_error
        invoice = replace(invoice, failed_at=known.failed_at, last_error=error)
        if _next_step(session, invoice, policy) != due:
            return None  # it was paid, or another run was faster
        invoice = await with_payment_status(session.gateway, session.cache, invoice)
        if invoice.payment is PaymentState.PROCESSING:
            return None
        if due.kind is DueKind.GIVE_UP:
            return await _give_up(session, target, invoice, due)
        if due.kind is DueKind.CARD:
            return await _try_card(session, target, invoice, due)
        return await _try(session, target, invoice, due, policy)
    except NotSentError as error:
        return _result(known, due, DunningOutcome.FAILED, str(error))
    except StripeFailure as failure:
        failure.customer_id = target.customer_id
        return _result(known, due, DunningOutcome.FAILED, str(failure), failure.request_id)


def _next_step(session: StripeSession, invoice: ActualInvoice, policy: DunningPolicy) -> Due | None:
    """What comes next. If the customer has another card by now and no try is due yet, it is a try
    with that card, even if the invoice would be given up otherwise."""
    due = _interrupted(session, invoice) or due_of(invoice, policy)
    is_try_due = due is not None and due.kind is DueKind.TRY and due.at <= session.now
    card = session.cache.cards.get(invoice.stripe_customer_id)
    if is_try_due or not is_in_dunning(invoice) or card is None or not card.card:
        return due
    if card.changed_at <= (invoice.failed_at or invoice.finalized_at or 0):
        return due
    if invoice.metadata.get(metadata_keys.CARD_TRIED) == card.digest:
        return due
    return Due(DueKind.CARD, invoice.dunning_tries, card.changed_at)


def _interrupted(session: StripeSession, invoice: ActualInvoice) -> Due | None:
    """A try to be made after all: it was claimed but, by the request log, either never sent or sent
    without an answer so recently that Stripe still knows its key. None without a request log."""
    number = invoice.dunning_tries
    if not number or not is_in_dunning(invoice) or invoice.invoice_id is None:
        return None
    target = RequestTarget("", invoice.invoice_id, invoice.revision or 1)
    if session.request_log.find(target.key(f"dunning-{number}", 0)) is None:
        return None
    sent = session.request_log.find(target.key(f"pay-try-{number}", 0))
    if sent is not None:
        is_open = sent["outcome"] is None or sent["outcome"] in RESENDABLE_OUTCOMES
        if not is_open or session.now - sent["asked_at"] > KEY_REUSE_SECONDS:
            return None
    return Due(DueKind.TRY, number, invoice.dunning_from)


async def _try(
    session: StripeSession,
    target: RequestTarget,
    invoice: ActualInvoice,
    due: Due,
    policy: DunningPolicy,
) -> DunningResult:
    start = invoice.dunning_from
    if due.number > invoice.dunning_tries:  # else it is claimed already
        start = start_after(start, due, int(session.now))
    if invoice.payment is PaymentState.REQUIRES_ACTION:
        # Not under a try's name, which `_interrupted` would take for a try that was never sent.
        await _claim(session, target, invoice, f"unconfirmed-{due.number}", due, start)
        outcome, attempt = DunningOutcome.UNCONFIRMED, Attempt(invoice, invoice.last_error)
    else:
        await _claim(session, target, invoice, f"dunning-{due.number}", due, start)
        step = f"pay-try-{due.number}"
        attempt = await try_payment(session, target, invoice, step=step, generations=1)
        outcome = DunningOutcome.DECLINED
        if attempt.problem is None:
            outcome = DunningOutcome.PAID
            if attempt.is_processing:
                outcome = DunningOutcome.PROCESSING
            return _result(invoice, due, outcome, request_id=attempt.request_id)
    following = next_due(policy, start, due.number)
    if following is not None and following.kind is DueKind.GIVE_UP:
        return await _give_up(session, target, invoice, following, attempt.problem or "")
    return _result(invoice, due, outcome, attempt.problem or "", attempt.request_id)


async def _try_card(
    session: StripeSession, target: RequestTarget, invoice: ActualInvoice, due: Due
) -> DunningResult:
    marks = _card_mark(session, invoice)
    name = marks[metadata_keys.CARD_TRIED]
    await set_metadata(session, target, f"card-{name}", invoice.stripe_invoice_id, marks)
    attempt = await try_payment(session, target, invoice, step=f"pay-card-{name}", generations=1)
    outcome = DunningOutcome.PAID if attempt.problem is None else DunningOutcome.DECLINED
    if attempt.is_processing:
        outcome = DunningOutcome.PROCESSING
    return _result(invoice, due, outcome, attempt.problem or "", attempt.request_id)


def _card_mark(session: StripeSession, invoice: ActualInvoice) -> dict[str, str]:
    card = session.cache.cards.get(invoice.stripe_customer_id)
    return {metadata_keys.CARD_TRIED: card.digest} if card is not None else {}


async def _claim(
    session: StripeSession,
    target: RequestTarget,
    invoice: ActualInvoice,
    step: str,
    due: Due,
    start: int,
) -> None:
    """Write on the invoice that a due time is used up, and the time `start` (epoch seconds) from
    which the next ones count."""
    claim = {metadata_keys.TRIES: str(due.number), metadata_keys.FIRST_FAILURE: str(start)}
    claim |= _card_mark(session, invoice)
    await set_metadata(session, target, step, invoice.stripe_invoice_id, claim)


async def _give_up(
    session: StripeSession, target: RequestTarget, invoice: ActualInvoice, due: Due, why: str = ""
) -> DunningResult:
    request = stripe_requests.mark_uncollectible(invoice.stripe_invoice_id)

    async def look() -> Json | None:
        body = await session.gateway.get(f"/v1/invoices/{invoice.stripe_invoice_id}")
        return body if read_invoice_strictly(body).status is not InvoiceStatus.OPEN else None

    body = await ensure_change(session, target, "give-up", request, look)
    session.cache.invoices.store([body])
    return _result(invoice, due, DunningOutcome.GIVEN_UP, why)


def _result(
    invoice: ActualInvoice,
    due: Due,
    outcome: DunningOutcome,
    message: str = "",
    request_id: str | None = None,
) -> DunningResult:
    return DunningResult(
        invoice.invoice_id or "",
        invoice.stripe_invoice_id,
        invoice.customer_id or "",
        due,
        outcome,
        message,
        request_id,
    )
