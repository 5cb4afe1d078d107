"""Sending one invoice: create → lines → compare → finalize → pay.

What belongs here: the next step as a pure function of what Stripe holds, and taking steps until
none is left. What does not: which invoices (`invoice_plan.py`) and in what order (`apply.py`).

The order of the calls makes every interruption harmless: the draft carries our id from the start,
its lines and their mark come in one call, and a draft is finalized only if Stripe computes the same
total as we do. Whenever an answer is missing or was only repeated, we list what Stripe has, and go
on from there.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.plan.review import draft_review_reason
from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.push.charge import try_payment
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    change,
    generations_of,
    leaves_state_unknown,
)
from billing_pipeline.collection.push.wallets import WalletBook
from billing_pipeline.collection.records.billed import sent_invoice
from billing_pipeline.collection.stripe_state.refresh import read_draft
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
    needs_payment,
    read_invoice,
    read_invoice_strictly,
)
from billing_pipeline.money import format_minor
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import FailureKind, StripeFailure, unreadable_answer

MAX_STEPS = 24
"""More than any sequence of steps needs, with all detours: the bound that ends an endless loop."""


class Step(StrEnum):
    """The calls, by the name that stands in their idempotency keys."""

    CREATE = "create"
    COLLECTION = "collection"
    REMOVE_LINES = "remove-lines"
    LINES = "lines"
    FINALIZE = "finalize"
    RELEASE = "release"
    PAY = "pay"
    NOTHING = "nothing"


def next_step(send: DesiredInvoice, held: ActualInvoice | None) -> Step:
    """The next call. Depends only on what Stripe holds, so that a run after a crash continues where
    the last one ended. Pure.

    Raises `NotSentError` where a person has to look.
    """
    if held is None:
        return Step.CREATE
    if held.unreadable is not None:
        raise NotSentError(f"{held.stripe_invoice_id} cannot be read: {held.unreadable}")
    if held.status is InvoiceStatus.VOID:
        raise NotSentError(f"{held.stripe_invoice_id} was voided in Stripe")
    if not held.is_draft:
        if held.content_hash != send.content_hash:
            raise NotSentError(f"{held.stripe_invoice_id} was finalized with other content")
        if held.is_wallet_held:
            return Step.RELEASE
        return Step.PAY if needs_payment(held) else Step.NOTHING
    review_reason = draft_review_reason(held, send) if held.lines is not None else None
    if review_reason:
        raise NotSentError(review_reason.sentence)
    if not _has_same_collection(send, held):
        return Step.COLLECTION
    if held.lines_hash != send.content_hash or held.lines == ():
        return Step.REMOVE_LINES if held.lines else Step.LINES
    # The lines' call writes all marks too; a mark that differs was changed afterwards.
    return Step.FINALIZE if _has_same_marks(send, held) else Step.COLLECTION


def _has_same_marks(send: DesiredInvoice, held: ActualInvoice) -> bool:
    marks = stripe_requests.invoice_metadata(send, held.metadata)
    return all(held.metadata.get(name, "").strip() == marks[name].strip() for name in marks)


def _has_same_collection(send: DesiredInvoice, held: ActualInvoice) -> bool:
    if send.collection_method != held.collection_method:
        return False
    # Stripe may answer with the due date alone.
    return held.days_until_due is None or send.days_until_due == held.days_until_due


class Sender:
    """Takes one invoice through its steps."""

    def __init__(
        self,
        session: StripeSession,
        send: DesiredInvoice,
        stripe_customer_id: str,
        wallets: WalletBook,
    ) -> None:
        self._session = session
        self._wallets = wallets
        self._send = send
        self._stripe_customer_id = stripe_customer_id
        self._target = RequestTarget(send.customer_id, send.invoice_id, send.revision)
        self._generations: dict[Step, list[int]] = {}

    async def run(self, held: ActualInvoice | None) -> str:
        """Go on from `held` (None: nothing is there yet) until nothing is left to do. Returns
        Stripe's id of the invoice.

        Raises `NotSentError` where a person has to look, and `StripeFailure`. The next run finds
        what was done until then, and continues from there.
        """
        for _ in range(MAX_STEPS):
            step = next_step(self._send, held)
            if held is not None and step in (Step.NOTHING, Step.RELEASE, Step.PAY):
                await self._end(held)
                return held.stripe_invoice_id
            held = await self._take(step, held)
        raise NotSentError("the invoice could not be completed; look at it in Stripe")

    async def _end(self, held: ActualInvoice) -> None:
        """Record what was billed with the finalized invoice, then collect it.

        If the process ends before the record is written, the pull adds it.
        """
        body = sent_invoice(self._send, held, self._session.now)
        self._session.billed.add(self._send.month_key, held.stripe_invoice_id, body)
        await finish_finalized(self._session, self._wallets, self._target, held)

    async def _take(self, step: Step, held: ActualInvoice | None) -> ActualInvoice | None:
        """Take one step; returns what Stripe holds after it."""
        try:
            after, replayed = await self._call(step, held)
        except StripeFailure as failure:
            return await self._after_failure(step, failure)
        if not replayed:
            return after
        # A repeated answer tells how things were, not how they are: the draft may be gone by now.
        return await self._reread_or_retry(step, named=after.stripe_invoice_id)

    async def _call(self, step: Step, held: ActualInvoice | None) -> tuple[ActualInvoice, bool]:
        if step is Step.FINALIZE:
            assert held is not None
            self._compare_totals(held)
            if self._wallets.concerns(self._send):
                await self._wallets.prepare(self._send, held)
        generation = self._generations_left(step)[0]
        request = self._request(step, held)
        answer = await change(self._session, self._target, step.value, generation, request)
        after = read_invoice_strictly(answer.body)
        is_another = held is not None and after.stripe_invoice_id != held.stripe_invoice_id
        if is_another and not answer.replayed:
            # Recorded under an id that Stripe does not have, it would need a person's review.
            raise unreadable_answer(f"{after.stripe_invoice_id} is not what was asked for")
        if not _has_same_marks(self._send, after):
            # Cached, the difference would be taken for a change by hand, and need a review.
            raise unreadable_answer(f"{after.stripe_invoice_id} is not marked as it was asked for")
        if step is Step.FINALIZE and not self._has_our_total(after):
            # The draft's total was ours a moment ago: read it again before it is recorded.
            raise unreadable_answer(f"{after.stripe_invoice_id} has another total than its draft")
        self._session.cache.invoices.store([answer.body])
        if step is Step.CREATE:
            after = replace(after, lines=())
        elif step is Step.COLLECTION and held is not None:
            after = replace(after, lines=held.lines)
        elif step is Step.REMOVE_LINES:
            after = replace(after, lines=())
        return after, answer.replayed

    def _request(self, step: Step, held: ActualInvoice | None) -> stripe_requests.Request:
        if step is Step.CREATE:
            return stripe_requests.create_invoice(self._send, self._stripe_customer_id)
        assert held is not None
        name = held.stripe_invoice_id
        if step is Step.COLLECTION:
            return stripe_requests.rewrite_draft(name, self._send, held.metadata)
        if step is Step.LINES:
            return stripe_requests.add_lines(name, self._send, held.metadata)
        if step is Step.REMOVE_LINES:
            on_it = [line.stripe_line_id for line in held.lines or ()]
            return stripe_requests.remove_lines(name, on_it)
        assert step is Step.FINALIZE, f"{step} is not a request of this module"
        return stripe_requests.finalize(name, self._send.collection_method)

    def _compare_totals(self, held: ActualInvoice) -> None:
        """Raise `NotSentError` unless Stripe's total is ours, to the last minor unit."""
        if not self._has_our_total(held):
            raise NotSentError(
                f"Stripe's total is {format_minor(held.total, held.currency)} and ours is "
                f"{format_minor(self._send.total, self._send.currency)}: left as a draft "
                f"({held.stripe_invoice_id})"
            )

    def _has_our_total(self, held: ActualInvoice) -> bool:
        return (held.total, held.currency) == (self._send.total, self._send.currency)

    async def _after_failure(self, step: Step, failure: StripeFailure) -> ActualInvoice | None:
        if failure.kind in (
            FailureKind.CONNECTION,
            FailureKind.CREDENTIALS,
            FailureKind.RATE_LIMITED,
            FailureKind.CONFLICT,
        ):
            # The next run asks again under the same key, which is what makes that safe.
            raise failure
        await self._session.settle()
        # Stripe repeats a refusal for a day, even when its cause is gone: then a new key is needed.
        if leaves_state_unknown(failure):
            return await self._reread_or_retry(step, failure)
        found = await self._look()
        if next_step(self._send, found) == step:
            raise failure
        return found

    async def _reread_or_retry(
        self, step: Step, failure: StripeFailure | None = None, named: str | None = None
    ) -> ActualInvoice | None:
        """What Stripe holds now. If the step is still to be taken, it gets a new key; raises when
        none is left. `named`: the invoice that a repeated answer was about."""
        found = await self._look(named)
        if next_step(self._send, found) == step:
            left = self._generations_left(step)
            left.pop(0)
            if not left:
                raise failure or NotSentError(f"Stripe did not carry out the step {step.value!r}")
        return found

    def _generations_left(self, step: Step) -> list[int]:
        if step not in self._generations:
            self._generations[step] = list(generations_of(self._session, self._target, step.value))
        return self._generations[step]

    async def _look(self, named: str | None = None) -> ActualInvoice | None:
        """The invoice as found in the list of its customer's invoices. If the list lacks it, an
        invoice that we know of (`named`) is read by its id, since a list may lag behind."""
        held: list[ActualInvoice] = []
        query = {"customer": self._stripe_customer_id}
        async for data in self._session.gateway.list("/v1/invoices", query):
            held += self._ours(data)
        if not held and named is not None:
            held += self._ours(await self._existing(named))
        if not held:
            return None
        # A finalized invoice comes first, else the oldest draft, as in the plan.
        best = min(held, key=lambda i: (i.is_draft, i.created, i.stripe_invoice_id))
        if best.is_draft:
            return await read_draft(self._session.gateway, self._session.cache, best)
        return best

    def _ours(self, data: Json) -> list[ActualInvoice]:
        if not data:
            return []
        found = read_invoice(data)
        if (found.invoice_id, found.revision) != (self._send.invoice_id, self._send.revision):
            return []
        self._session.cache.invoices.store([data])
        return [read_invoice_strictly(data)]

    async def _existing(self, stripe_invoice_id: str) -> Json:
        """The invoice as Stripe has it; empty where it was deleted."""
        try:
            data = await self._session.gateway.get(f"/v1/invoices/{stripe_invoice_id}")
        except StripeFailure as failure:
            if failure.kind is not FailureKind.NOT_FOUND:
                raise
            return {}
        return {} if data.get("deleted") else data


async def finish_finalized(
    session: StripeSession, wallets: WalletBook, target: RequestTarget, held: ActualInvoice
) -> None:
    """What follows finalizing: give back what was held back of a wallet, then try to collect."""
    if held.is_wallet_held:
        held = await wallets.release(held)
    if needs_payment(held):
        await try_payment(session, target, held)
