"""Dunning: trying failed payments again at set times, and giving up after the last.

What belongs here: the pure rule that says what is due, and carrying it out once per due time.
What does not: the first charge (it follows finalizing, `sending.py`, and is not counted as a
try), notices, and who is overdue (`payment_tables.py`).

Each try is written on the invoice in Stripe *before* the payment is asked for, and the payment
has the try's number in its key. So no rerun, however late, makes two tries for one due time; at
worst a process that ends in that very instant loses one, and then the journal, if it is still
there, tells the next run to make it after all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from billing_pipeline.invoicing import documents
from billing_pipeline.invoicing.actual import ActualInvoice, InvoiceStatus, read_invoice
from billing_pipeline.invoicing.payments import set_metadata, try_payment
from billing_pipeline.invoicing.refresh import each
from billing_pipeline.invoicing.requests import Desk, NotSentError, Subject, change_for_sure
from billing_pipeline.settings import InvalidSettingError
from billing_pipeline.stripe_api.client import Json
from billing_pipeline.stripe_api.errors import StripeFailure
from billing_pipeline.stripe_api.retries import KEY_IS_KNOWN

HOUR = 3600

NOT_DECIDED = ("connection", "rate_limited", "conflict")
"""Outcomes in the journal after which the same request may be sent again under its key."""


class AfterLastTry(StrEnum):
    """What becomes of an invoice whose last try failed."""

    UNCOLLECTIBLE = "uncollectible"
    LEAVE_OPEN = "leave_open"


@dataclass(frozen=True)
class DunningPolicy:
    """When to try again, in hours after the first failure (growing), and what then."""

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


def next_due(policy: DunningPolicy, first_failure_at: int, tries: int) -> Due | None:
    """What comes after `tries` tries that failed; None: nothing any more. Pure."""
    if tries < len(policy.try_after_hours):
        at = first_failure_at + policy.try_after_hours[tries] * HOUR
        return Due(DueKind.TRY, tries + 1, at)
    if policy.after_last_try is AfterLastTry.LEAVE_OPEN:
        return None
    last = policy.try_after_hours[-1] * HOUR if policy.try_after_hours else 0
    return Due(DueKind.GIVE_UP, tries, first_failure_at + last)


def is_in_dunning(invoice: ActualInvoice) -> bool:
    """Charged automatically, unpaid, and its first charge was tried (or could not be)."""
    return (
        invoice.status is InvoiceStatus.OPEN
        and invoice.collection_method == "charge_automatically"
        and invoice.amount_remaining > 0
        and (invoice.attempt_count > 0 or invoice.attempted or invoice.last_error is not None)
    )


def due_of(invoice: ActualInvoice, policy: DunningPolicy) -> Due | None:
    """What comes next for this invoice, if it is in dunning at all."""
    if not is_in_dunning(invoice):
        return None
    return next_due(policy, invoice.first_failure_at, invoice.dunning_tries)


class DunningOutcome(StrEnum):
    PAID = "paid"
    DECLINED = "declined"
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
    desk: Desk, invoices: Iterable[ActualInvoice], policy: DunningPolicy
) -> list[DunningResult]:
    """Do what is due by now for these invoices; those with nothing due are left out.

    After a pause the tries that were missed are not made up for in one go: one a run, so that a
    card is not charged several times within a minute.
    """
    now = desk.now
    due = [
        (invoice, step)
        for invoice in invoices
        for step in [_interrupted(desk, invoice) or due_of(invoice, policy)]
        if step is not None and step.at <= now
    ]
    results = await each(due, lambda pair: _one(desk, pair[0], pair[1], policy))
    return [result for result in results if result is not None]


async def _one(
    desk: Desk, known: ActualInvoice, due: Due, policy: DunningPolicy
) -> DunningResult | None:
    subject = Subject(known.customer_id or "", known.invoice_id or "", known.revision or 1)
    try:
        data = await desk.gateway.get(f"/v1/invoices/{known.stripe_invoice_id}")
        desk.mirror.store([data])
        invoice = read_invoice(data)
        if (_interrupted(desk, invoice) or due_of(invoice, policy)) != due:
            return None  # it was paid, or another run was faster
        if due.kind is DueKind.GIVE_UP:
            return await _give_up(desk, subject, invoice, due)
        return await _try(desk, subject, invoice, due, policy)
    except NotSentError as error:
        return _result(known, due, DunningOutcome.FAILED, str(error))
    except StripeFailure as failure:
        failure.customer_id = subject.customer_id
        return _result(known, due, DunningOutcome.FAILED, str(failure), failure.request_id)


def _interrupted(desk: Desk, invoice: ActualInvoice) -> Due | None:
    """A try that was claimed and, as the journal tells, never sent, or sent without an answer
    so recently that Stripe still knows its key. Without a journal such a try is left out."""
    number = invoice.dunning_tries
    if not number or not is_in_dunning(invoice) or invoice.invoice_id is None:
        return None
    subject = Subject("", invoice.invoice_id, invoice.revision or 1)
    if desk.journal.find(subject.key(f"dunning-{number}", 0)) is None:
        return None
    sent = desk.journal.find(subject.key(f"pay-try-{number}", 0))
    if sent is not None:
        is_open = sent["outcome"] is None or sent["outcome"] in NOT_DECIDED
        if not is_open or desk.now - sent["asked_at"] > KEY_IS_KNOWN:
            return None
    return Due(DueKind.TRY, number, invoice.first_failure_at)


async def _try(
    desk: Desk, subject: Subject, invoice: ActualInvoice, due: Due, policy: DunningPolicy
) -> DunningResult:
    path = f"/v1/invoices/{invoice.stripe_invoice_id}"
    claim = {
        documents.TRIES: str(due.number),
        documents.FIRST_FAILURE: str(invoice.first_failure_at),
    }
    await set_metadata(desk, subject, f"dunning-{due.number}", path, claim)
    attempt = await try_payment(desk, subject, invoice, step=f"pay-try-{due.number}", epochs=1)
    if attempt.problem is None:
        return _result(invoice, due, DunningOutcome.PAID, request_id=attempt.request_id)
    following = next_due(policy, invoice.first_failure_at, due.number)
    if following is not None and following.kind is DueKind.GIVE_UP:
        return await _give_up(desk, subject, invoice, following, attempt.problem)
    outcome = DunningOutcome.DECLINED
    return _result(invoice, due, outcome, attempt.problem, attempt.request_id)


async def _give_up(
    desk: Desk, subject: Subject, invoice: ActualInvoice, due: Due, why: str = ""
) -> DunningResult:
    path = f"/v1/invoices/{invoice.stripe_invoice_id}"

    async def look() -> Json | None:
        body = await desk.gateway.get(path)
        return body if read_invoice(body).status is not InvoiceStatus.OPEN else None

    body = await change_for_sure(desk, subject, "give-up", f"{path}/mark_uncollectible", {}, look)
    desk.mirror.store([body])
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
