"""Credit notes: taking back, once, what was billed too much.

What belongs here: issuing one credit note on one Stripe invoice, and finding out whether it is
there already. What does not: how much on which invoice (`plan/case.py`).
"""

from __future__ import annotations

from billing_pipeline.collection.plan.actions import CreditPart, InvoiceAction
from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    ensure_change,
)
from billing_pipeline.collection.records.billed import credit_note
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.stripe_invoice import read_invoice_strictly
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import unreadable_answer


async def issue_credit(
    session: StripeSession, action: InvoiceAction, part: CreditPart, month_key: str
) -> Json:
    """Make sure that the credit note is in Stripe, record it, and return it as Stripe has it.

    Raises `NotSentError` where Stripe has it with another amount, or voided, and `StripeFailure`.
    """
    target = RequestTarget(action.customer_id, action.invoice_id, part.revision)
    path = f"/v1/invoices/{part.stripe_invoice_id}"
    # Read anew: how much goes to the balance depends on what was paid since the plan.
    invoice = read_invoice_strictly(await session.gateway.get(path))
    is_customer_gone = False
    if part.amount > invoice.amount_remaining:
        customer = await session.gateway.get(f"/v1/customers/{invoice.stripe_customer_id}")
        is_customer_gone = bool(customer.get("deleted"))
    request = stripe_requests.credit(
        part.stripe_invoice_id,
        part.amount,
        invoice.amount_remaining,
        _metadata(action, part, month_key),
        is_customer_gone=is_customer_gone,
    )

    async def look() -> Json | None:
        return await _find(session, part, action.invoice_id)

    step = f"credit-{part.number}"
    note = await ensure_change(session, target, step, request, look)
    _total(note)
    session.billed.add(month_key, note["id"], credit_note(invoice, note, session.now))
    session.cache.invoices.store([await session.gateway.get(path)])
    return note


async def _find(session: StripeSession, part: CreditPart, invoice_id: str) -> Json | None:
    """Our credit note of that number, by listing."""
    query = {"invoice": part.stripe_invoice_id}
    async for note in session.gateway.list("/v1/credit_notes", query):
        metadata = note.get("metadata") or {}
        ours = metadata.get(metadata_keys.INVOICE_ID) == invoice_id
        if ours and metadata.get(metadata_keys.CREDIT_NUMBER) == str(part.number):
            if note["status"] == "void":
                raise NotSentError(f"credit note {note['id']} was voided in Stripe")
            if _total(note) != part.amount:
                raise NotSentError(
                    f"credit note {note['id']} is there with another amount: plan the month again"
                )
            return note
    return None


def _total(note: Json) -> int:
    """The note's total in minor units. Raises `StripeFailure` where it cannot be read: the next run
    looks again."""
    total = note.get("total")
    if type(total) is not int:
        raise unreadable_answer(f"the total of credit note {note['id']} is {total!a:.60}")
    return total


def _metadata(action: InvoiceAction, part: CreditPart, month_key: str) -> dict[str, str]:
    return {
        metadata_keys.INVOICE_ID: action.invoice_id,
        metadata_keys.MONTH: month_key,
        metadata_keys.REVISION: str(part.revision),
        metadata_keys.CREDIT_NUMBER: str(part.number),
    }
