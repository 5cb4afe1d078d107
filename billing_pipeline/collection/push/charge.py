"""Trying to collect a finalized invoice, once per key.

What belongs here: one try (a declined card is an outcome of it, not an error), and the note on an
invoice that could not even be tried. What does not: when to try (at once after finalizing:
`send_invoice.py`; later: `dunning.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    change,
    ensure_change,
    generations_of,
    leaves_state_unknown,
)
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.payment_status import with_payment_status
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
    PaymentState,
    needs_payment,
    read_invoice_strictly,
)
from billing_pipeline.collection.stripe_state.texts import clean_text
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure

DECLINED = (FailureKind.CARD, FailureKind.REFUSED)


@dataclass(frozen=True)
class Attempt:
    """The invoice after the try. `problem`: why it was not paid; None if it was, or if its
    `payment` is being processed."""

    invoice: ActualInvoice
    problem: str | None = None
    request_id: str | None = None

    @property
    def is_processing(self) -> bool:
        return self.invoice.payment is PaymentState.PROCESSING


async def try_payment(
    session: StripeSession,
    target: RequestTarget,
    invoice: ActualInvoice,
    *,
    step: str = "pay",
    generations: int = 3,
) -> Attempt:
    """Ask Stripe to collect the invoice with the customer's default payment method.

    After an answer that does not tell what happened (a 500, an answer that Stripe repeats) the
    invoice is read. It is tried again, under the next of at most `generations` keys, only if it
    shows no attempt. Raises `StripeFailure` or `NotSentError` where it is not known whether or why
    the payment failed.
    """
    attempt = await _try_payment(session, target, invoice, step, generations)
    if attempt.problem is not None:
        session.cache.invoices.record_failure(invoice.stripe_invoice_id, int(session.now))
    return attempt


async def _try_payment(
    session: StripeSession,
    target: RequestTarget,
    invoice: ActualInvoice,
    step: str,
    generations: int,
) -> Attempt:
    path = f"/v1/invoices/{invoice.stripe_invoice_id}"
    request = stripe_requests.pay(invoice.stripe_invoice_id)
    failure: StripeFailure | None = None
    for generation in (
        generations_of(session, target, step, generations) if generations > 1 else [0]
    ):
        failure = None
        try:
            answer = await change(session, target, step, generation, request)
            if not answer.replayed:
                now = await _with_payments(session, _store(session, answer.body))
                return Attempt(now, _problem(now, None), answer.request_id)
        except StripeFailure as error:
            failure = error
            if error.kind in DECLINED and not error.replayed:
                break
            if not leaves_state_unknown(error):
                raise
            await session.settle()
        now = await _with_payments(session, _store(session, await session.gateway.get(path)))
        if _was_tried(invoice, now):
            return Attempt(now, _problem(now, failure))
    if failure is None or failure.kind not in DECLINED:
        # Why there is no payment is not known: a failure, so that a later run tries again.
        raise failure or NotSentError(f"Stripe did not try to collect {invoice.stripe_invoice_id}")
    now = _store(session, await session.gateway.get(path))
    if failure.kind is FailureKind.REFUSED:
        # Stripe itself refused, not the card's issuer; the reason may be a debit under way.
        now = await _with_payments(session, now)
    problem = _problem(now, failure)
    if problem and needs_payment(now):
        now = await _write_note(session, target, now, problem)
    return Attempt(now, problem, failure.request_id)


async def _with_payments(session: StripeSession, now: ActualInvoice) -> ActualInvoice:
    """The invoice, with the state of its payments if it is still open."""
    if now.status is not InvoiceStatus.OPEN or now.amount_remaining <= 0:
        return now
    return await with_payment_status(session.gateway, session.cache, now)


def _was_tried(before: ActualInvoice, now: ActualInvoice) -> bool:
    return (
        now.status is not InvoiceStatus.OPEN
        or now.payment is not None
        or now.attempt_count > before.attempt_count
        or (now.attempted and not before.attempted)
    )


def _problem(now: ActualInvoice, failure: StripeFailure | None) -> str | None:
    if now.status is not InvoiceStatus.OPEN or now.amount_remaining <= 0:
        return None
    if now.payment is PaymentState.PROCESSING:
        return None
    if failure is not None and failure.kind in DECLINED:
        return failure.message
    return now.last_error or "the payment did not succeed; Stripe has the details"


async def _write_note(
    session: StripeSession, target: RequestTarget, invoice: ActualInvoice, problem: str
) -> ActualInvoice:
    """Write on the invoice why its payment could not be tried (there is no card): without the note,
    a later run would take the payment for one that was forgotten."""
    note = clean_text(problem)
    marks = {metadata_keys.PAYMENT_NOTE: note}
    body = await set_metadata(session, target, "payment-note", invoice.stripe_invoice_id, marks)
    return _store(session, body)


async def set_metadata(
    session: StripeSession,
    target: RequestTarget,
    step: str,
    stripe_invoice_id: str,
    metadata: dict[str, str],
) -> Json:
    """Write metadata on an invoice, and make sure that Stripe has it. Returns the invoice."""
    request = stripe_requests.write_metadata(stripe_invoice_id, metadata)

    async def look() -> Json | None:
        body = await session.gateway.get(request.path)
        held = body.get("metadata") or {}
        return body if all(held.get(name) == metadata[name] for name in metadata) else None

    return await ensure_change(session, target, step, request, look)


def _store(session: StripeSession, data: Json) -> ActualInvoice:
    invoice = read_invoice_strictly(data)
    session.cache.invoices.store([data])
    return invoice
