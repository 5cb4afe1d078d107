"""Dunning: trying failed payments again at set times, and giving up after the last.

What belongs here: the pure rule that says what is due, and carrying it out once per due time.
What does not: the first charge (it follows finalizing, `send_invoice.py`, and is not counted as a
try), notices, and who is overdue (`tables.py`).

Each try is written on the invoice in Stripe *before* the payment is asked for, and the payment
has the try's number in its key. So no rerun, however late, makes two tries for one due time; at
worst a process that ends in that very instant loses one, and then the request log, if it is still
there, tells the next run to make it after all.

Due times count from what was done, not from a calendar: a try that was made late moves those
after it by as much, so that tries which were missed are not made up for at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from billing_pipeline.collection.push.charge import Attempt, set_metadata, try_payment
from billing_pipeline.collection.push.requests import (
    NotSentError,
    RequestTarget,
    StripeSession,
    change_for_sure,
)
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.payment_status import with_payment_status
from billing_pipeline.collection.stripe_state.refresh import each
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    InvoiceStatus,
    PaymentState,
    read_invoice,
)
from billing_pipeline.settings import InvalidSettingError
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import StripeFailure
from billing_pipeline.stripe_api.retries import KEY_IS_KNOWN

HOUR = 3600
LATE = 2 * HOUR
"""A try that was made within so many seconds was on time: the schedule looks every hour."""
PROCESSING_IS_BELIEVED = 6 * HOUR
"""Seconds after which a debit that was being processed is looked at again, although no event has
told of its end: events can be lost with the records."""

NOT_DECIDED = ("connection", "rate_limited", "conflict")
"""Outcomes in the request log after which the same request may be sent again under its key."""


class AfterLastTry(StrEnum):
    """What becomes of an invoice whose last try failed."""

    UNCOLLECTIBLE = "uncollectible"
    LEAVE_OPEN = "leave_open"


@dataclass(frozen=True)
class DunningPolicy:
    """When to try again, in hours after the first failure (growing), and what then. Hours that
    were missed count from the try that was made instead."""

    try_after_hours: tuple[int, ...] = (0, 72, 144)
    after_last_try: AfterLastTry = AfterLastTry.UNCOLLECTIBLE

    def __post_init__(self) -> None:
        hours = self.try_after_hours
        if any(hour < 0 for hour in hours) or any(
            later <= earlier for earlier, later in pairwise(hours)
        ):
            raise ValueError(f"the hours of the tries must grow from 0 or more, not {hours}")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> DunningPolicy:
        """`BILLING_DUNNING_HOURS` (``0,72,144``) and `BILLING_DUNNING_END`; raises
        `InvalidSettingError`."""
        env = os.environ if environ is None else environ
        hours = env.get("BILLING_DUNNING_HOURS", "").strip() or "0,72,144"
        end = env.get("BILLING_DUNNING_END", "").strip() or AfterLastTry.UNCOLLECTIBLE.value
        try:
            return cls(tuple(int(part) for part in hours.split(",")), AfterLastTry(end))
        except ValueError as error:
            raise InvalidSettingError(
                f"BILLING_DUNNING_HOURS {hours!r} (growing hours such as 0,72,144) or "
                f"BILLING_DUNNING_END {end!r} (uncollectible or leave_open): {error}"
            ) from error


class DueKind(StrEnum):
    TRY = "try"
    GIVE_UP = "give_up"


@dataclass(frozen=True)
class Due:
    """What comes next for an unpaid invoice, and from when (epoch seconds)."""

    kind: DueKind
    number: int
    at: int


def next_due(policy: DunningPolicy, start: int, tries: int) -> Due | None:
    """What comes after `tries` tries that failed; None: nothing any more. The hours count from
    `start` (`ActualInvoice.dunning_from`). Pure."""
    if tries < len(policy.try_after_hours):
        return Due(DueKind.TRY, tries + 1, start + policy.try_after_hours[tries] * HOUR)
    if policy.after_last_try is AfterLastTry.LEAVE_OPEN:
        return None
    last = policy.try_after_hours[-1] * HOUR if policy.try_after_hours else 0
    return Due(DueKind.GIVE_UP, tries, start + last)


def start_after(start: int, due: Due, made_at: int) -> int:
    """From when the hours of the later tries count, once this one is made: a late one takes them
    along. Pure."""
    late = made_at - due.at
    return start + late if late > LATE else start


def is_in_dunning(invoice: ActualInvoice) -> bool:
    """Charged automatically, unpaid, and its first charge was tried (or could not be). While a
    bank processes a debit it is not: that is neither tried again nor given up."""
    return (
        invoice.status is InvoiceStatus.OPEN
        and invoice.payment is not PaymentState.PROCESSING
        and invoice.collection_method == "charge_automatically"
        and invoice.amount_remaining > 0
        and (invoice.attempt_count > 0 or invoice.attempted or invoice.last_error is not None)
    )


def due_of(invoice: ActualInvoice, policy: DunningPolicy) -> Due | None:
    """What comes next for this invoice, if it is in dunning at all."""
    if not is_in_dunning(invoice):
        return None
    return next_due(policy, invoice.dunning_from, invoice.dunning_tries)


class DunningOutcome(StrEnum):
    PAID = "paid"
    PROCESSING = "processing"
    """The bank was asked for the money, and has not answered yet."""
    DECLINED = "declined"
    UNCONFIRMED = "unconfirmed"
    """Only the customer can let the payment through: nothing was tried, and the time counts."""
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
        for step in [_interrupted(session, invoice) or due_of(invoice, policy)]
        if step is not None and step.at <= now
    ]
    results = await each(due, lambda pair: _one(session, pair[0], pair[1], policy))
    return [result for result in results if result is not None]


def _believed(invoice: ActualInvoice, now: float) -> ActualInvoice:
    """The invoice as last read; a payment that was under way long ago counts as unknown."""
    if now - invoice.payment_read_at <= PROCESSING_IS_BELIEVED:
        return invoice
    return replace(invoice, payment=None)


async def _one(
    session: StripeSession, known: ActualInvoice, due: Due, policy: DunningPolicy
) -> DunningResult | None:
    target = RequestTarget(known.customer_id or "", known.invoice_id or "", known.revision or 1)
    try:
        data = await session.gateway.get(f"/v1/invoices/{known.stripe_invoice_id}")
        session.cache.invoices.store([data])
        invoice = read_invoice(data)
        error = invoice.last_error or known.last_error
        invoice = replace(invoice, failed_at=known.failed_at, last_error=error)
        if (_interrupted(session, invoice) or due_of(invoice, policy)) != due:
            return None  # it was paid, or another run was faster
        invoice = await with_payment_status(session.gateway, session.cache, invoice)
        if invoice.payment is PaymentState.PROCESSING:
            return None
        if due.kind is DueKind.GIVE_UP:
            return await _give_up(session, target, invoice, due)
        return await _try(session, target, invoice, due, policy)
    except NotSentError as error:
        return _result(known, due, DunningOutcome.FAILED, str(error))
    except StripeFailure as failure:
        failure.customer_id = target.customer_id
        return _result(known, due, DunningOutcome.FAILED, str(failure), failure.request_id)


def _interrupted(session: StripeSession, invoice: ActualInvoice) -> Due | None:
    """A try that was claimed and, as the request log tells, never sent, or sent without an answer
    so recently that Stripe still knows its key. Without a request log such a try is left out."""
    number = invoice.dunning_tries
    if not number or not is_in_dunning(invoice) or invoice.invoice_id is None:
        return None
    target = RequestTarget("", invoice.invoice_id, invoice.revision or 1)
    if session.request_log.find(target.key(f"dunning-{number}", 0)) is None:
        return None
    sent = session.request_log.find(target.key(f"pay-try-{number}", 0))
    if sent is not None:
        is_open = sent["outcome"] is None or sent["outcome"] in NOT_DECIDED
        if not is_open or session.now - sent["asked_at"] > KEY_IS_KNOWN:
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
        # Not under the name of a try: nothing was interrupted here.
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


async def _claim(
    session: StripeSession,
    target: RequestTarget,
    invoice: ActualInvoice,
    step: str,
    due: Due,
    start: int,
) -> None:
    """Write on the invoice that a due time is used up, and from when the next ones count."""
    path = f"/v1/invoices/{invoice.stripe_invoice_id}"
    claim = {metadata_keys.TRIES: str(due.number), metadata_keys.FIRST_FAILURE: str(start)}
    await set_metadata(session, target, step, path, claim)


async def _give_up(
    session: StripeSession, target: RequestTarget, invoice: ActualInvoice, due: Due, why: str = ""
) -> DunningResult:
    path = f"/v1/invoices/{invoice.stripe_invoice_id}"

    async def look() -> Json | None:
        body = await session.gateway.get(path)
        return body if read_invoice(body).status is not InvoiceStatus.OPEN else None

    body = await change_for_sure(session, target, "give-up", f"{path}/mark_uncollectible", {}, look)
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
