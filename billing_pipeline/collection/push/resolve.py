"""Carrying out what a person decided about an invoice: marks, drafts as they stand, drafts deleted.

What belongs here: the requests, in an order in which every interruption leaves either a review or a
state from which the next plan goes on, and the entry in the request log. What does not: which
requests (`review.py`), and sending what is billed again (`send_invoice.py`).
"""

from __future__ import annotations

from dataclasses import replace

from billing_pipeline.collection.plan.actions import InvoiceAction, Marking, ResolutionStep
from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.push.charge import set_metadata
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    ensure_change,
    remove,
)
from billing_pipeline.collection.push.send_invoice import finish_finalized
from billing_pipeline.collection.push.wallets import WalletBook
from billing_pipeline.collection.records.billed import finalized_invoice
from billing_pipeline.collection.records.request_log import CarriedOut
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.resolutions import Decision, Proposal, Resolution
from billing_pipeline.collection.stripe_state.stripe_invoice import read_invoice_strictly
from billing_pipeline.collection.stripe_state.texts import short_hash
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure


async def resolve(
    session: StripeSession,
    wallets: WalletBook,
    action: InvoiceAction,
    step: ResolutionStep,
    month_key: str,
) -> None:
    """Carry out a decision, except for sending what is billed again.

    Raises `NotSentError` where it cannot be carried out, and `StripeFailure`.
    """
    session = replace(
        session,
        author=replace(
            session.author, actor=f"{step.decision.value} by {step.decided_by}: {step.reason}"
        ),
    )
    if step.finalize and wallets.has_wallet(action.customer_id, action.currency):
        raise NotSentError(
            f"{step.finalize[0]} cannot be finalized as it stands, since the customer has a "
            "prepaid wallet: bill it again with --reissue"
        )
    for stripe_invoice_id in step.delete:
        await delete_draft(session, action, stripe_invoice_id, "resolve-delete")
        is_gone = Resolution(Decision.REISSUE, 0, frozenset(["gone"])).mark
        _note(session, action, step, month_key, stripe_invoice_id, is_gone)
    for marking in step.markings:
        await _mark(session, action, marking)
        mark = dict(marking.metadata)[metadata_keys.RESOLVED]
        _note(session, action, step, month_key, marking.stripe_invoice_id, mark)
    for name in step.finalize:
        await _finalize(session, wallets, action, name, month_key)


async def delete_draft(
    session: StripeSession, action: InvoiceAction, stripe_invoice_id: str, step: str
) -> None:
    """Delete a draft of ours; one that is already gone is no failure."""
    target = RequestTarget(action.customer_id, action.invoice_id, action.revision)
    try:
        await remove(session, target, step, f"/v1/invoices/{stripe_invoice_id}")
    except StripeFailure as failure:
        if failure.kind is not FailureKind.NOT_FOUND:
            raise
    session.cache.invoices.forget([stripe_invoice_id])


async def _mark(session: StripeSession, action: InvoiceAction, marking: Marking) -> None:
    if marking.is_gone:
        return  # Stripe has nothing to mark: only the request log keeps the decision
    metadata = dict(marking.metadata)
    target = RequestTarget(action.customer_id, action.invoice_id, marking.revision)
    name = f"resolve-{short_hash([marking.stripe_invoice_id, metadata])[:12]}"
    body = await set_metadata(session, target, name, marking.stripe_invoice_id, metadata)
    session.cache.invoices.store([body])


def _note(
    session: StripeSession,
    action: InvoiceAction,
    step: ResolutionStep,
    month_key: str,
    stripe_invoice_id: str,
    mark: str,
) -> None:
    proposal = Proposal(
        action.invoice_id, step.decision, step.reason, step.decided_by, action.review_reasons
    )
    done = CarriedOut(
        stripe_invoice_id, action.invoice_id, action.customer_id, action.currency, mark
    )
    session.request_log.carried_out(session.author, month_key, proposal, done, session.now)


async def _finalize(
    session: StripeSession,
    wallets: WalletBook,
    action: InvoiceAction,
    stripe_invoice_id: str,
    month_key: str,
) -> None:
    """Finalize a draft with whatever stands on it, and collect it."""
    path = f"/v1/invoices/{stripe_invoice_id}"
    invoice = read_invoice_strictly(await session.gateway.get(path))
    target = RequestTarget(action.customer_id, action.invoice_id, invoice.revision or 1)
    if invoice.is_draft:

        async def look() -> Json | None:
            body = await session.gateway.get(path)
            return None if read_invoice_strictly(body).is_draft else body

        request = stripe_requests.finalize(stripe_invoice_id, invoice.collection_method)
        body = await ensure_change(session, target, "adopt-finalize", request, look)
        if read_invoice_strictly(body).total != invoice.total:
            # A finalized invoice has its draft's total. Read again before recording another one.
            body = await look() or body
        invoice = read_invoice_strictly(body)
        session.cache.invoices.store([body])
    session.billed.add(month_key, stripe_invoice_id, finalized_invoice(invoice, session.now))
    await finish_finalized(session, wallets, target, invoice)
