"""What only a person can judge about an invoice, and what follows from the judgement.

What belongs here: the reasons to review what Stripe holds, each with the decisions that end it, and
the steps of a decision. Pure. What does not: amounts that differ without such a reason (`case.py`),
and how a decision is written down (`resolutions.py`).

A review reason has a code. A decision answers codes, so an answered reason does not come up again,
and a new one does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from billing_pipeline.collection.plan.actions import Marking, ResolutionStep
from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.resolutions import Decision, Proposal, Resolution
from billing_pipeline.collection.stripe_state.stripe_invoice import (
    ActualInvoice,
    ActualLine,
    InvoiceStatus,
)
from billing_pipeline.collection.stripe_state.texts import short_hash
from billing_pipeline.money import format_minor

ANY_DECISION = frozenset(Decision)
ADOPT_OR_WRITE_OFF = frozenset([Decision.ADOPT, Decision.WRITE_OFF])
ADOPT_ONLY = frozenset([Decision.ADOPT])


@dataclass(frozen=True)
class ReviewReason:
    """One reason for a review, and the decisions that can end it."""

    code: str
    text: str
    item: ActualInvoice
    decisions: frozenset[Decision] = ADOPT_OR_WRITE_OFF

    @property
    def sentence(self) -> str:
        return f"{self.item.stripe_invoice_id}: {self.text}"

    @property
    def full_code(self) -> str:
        """Names the review reason among those about all invoices of a month."""
        return f"{self.item.stripe_invoice_id} {self.code}"

    @property
    def is_answered(self) -> bool:
        decided = self.item.resolution
        return decided is not None and self.code in decided.answers


def review_reasons_for(
    held: Sequence[ActualInvoice], desired: DesiredInvoice | None
) -> Iterator[ReviewReason]:
    """All reasons to review what Stripe holds of one invoice of ours, including answered ones. Not
    those about a draft that is to be finished (`draft_review_reason`), nor credit notes made by
    hand (`credited_by_hand`)."""
    for item in held:
        yield from _about_one(item, desired)
    yield from _billed_twice(held)
    billed = [item for item in held if item.is_billed]
    revisions = {item.revision for item in held if not item.is_draft}
    if billed and 1 not in revisions:
        yield ReviewReason(
            "no-original", "there is a supplementary invoice and no original", billed[0]
        )


def _about_one(item: ActualInvoice, desired: DesiredInvoice | None) -> Iterator[ReviewReason]:
    if item.is_gone:
        text = "a decision about it was carried out, and Stripe does not have the draft any more"
        if item.recorded_total is not None:
            amount = format_minor(item.recorded_total, item.currency)
            text = f"our records say that {amount} was billed, and Stripe does not have the invoice"
        yield ReviewReason("gone", text, item, ANY_DECISION)
        return
    if item.unreadable is not None:
        code = f"unreadable:{short_hash(item.unreadable)[:8]}"
        yield ReviewReason(code, f"cannot be read: {item.unreadable}", item)
        return
    lost = [name for name in metadata_keys.IDENTITY if name not in item.metadata]
    if altered := dict.fromkeys([*item.altered_marks, *lost]):
        names = ", ".join(altered)
        text = f"marked as ours, but its metadata was removed or changed in Stripe: {names}"
        decisions = ANY_DECISION if item.is_draft else ADOPT_ONLY
        yield ReviewReason(f"marks:{short_hash(names)[:8]}", text, item, decisions)
    if item.is_record_altered:
        text = "our record of it in records/billed.db was changed after it was written"
        yield ReviewReason("record", text, item)
    if item.recorded_total is not None and item.is_billed and item.total != item.recorded_total:
        before, now = (
            format_minor(amount, item.currency) for amount in (item.recorded_total, item.total)
        )
        text = f"was billed as {before} by our records and is {now} in Stripe"
        yield ReviewReason(f"total:{item.total}", text, item)
    if item.is_revised:
        yield ReviewReason("revised", "was revised by hand in Stripe", item)
    if desired is not None and item.currency != desired.currency:
        text = f"is in {item.currency}, not in {desired.currency}"
        yield ReviewReason("currency", text, item)
    if desired is not None and item.status is InvoiceStatus.VOID:
        yield ReviewReason("void", "was voided in Stripe", item, ANY_DECISION)


def _billed_twice(held: Iterable[ActualInvoice]) -> Iterator[ReviewReason]:
    first: dict[int | None, ActualInvoice] = {}
    for item in held:
        if not item.is_billed:
            continue
        other = first.setdefault(item.revision, item)
        if other is not item:
            text = (
                "billed more than once under one revision: "
                f"{other.stripe_invoice_id}, {item.stripe_invoice_id}"
            )
            yield ReviewReason("twice", text, item)


def credited_by_hand(billed: Iterable[ActualInvoice]) -> Iterator[ReviewReason]:
    """Credits that somebody gave in Stripe: to be reviewed only once the month's amount changes."""
    for item in billed:
        if item.credited_by_hand:
            amount = format_minor(item.credited_by_hand, item.currency)
            text = f"{amount} was credited by hand in Stripe, and the month's amount has changed"
            yield ReviewReason(f"credited:{item.credited_by_hand}", text, item)


def draft_review_reason(draft: ActualInvoice, send: DesiredInvoice) -> ReviewReason | None:
    """Why a draft must not be finished without a person, or None.

    We write lines and their mark in one call. So lines without a mark, lines that are not ours, and
    lines that do not match the mark were made by someone else.
    """
    lines = draft.lines or ()
    if draft.payer_differs(send.payer.stripe_customer_id):
        return ReviewReason(
            "payer", "the draft belongs to another Stripe customer", draft, ANY_DECISION
        )
    if lines and draft.lines_hash is None:
        return ReviewReason("lines", "lines were added to the draft by hand", draft, ANY_DECISION)
    if any(line.line_id is None for line in lines):
        return ReviewReason("lines", "the draft has lines that are not ours", draft, ANY_DECISION)
    if draft.lines_hash == send.content_hash and not same_lines(lines, send):
        return ReviewReason("lines", "the draft's lines were edited by hand", draft, ANY_DECISION)
    return None


def same_lines(lines: Sequence[ActualLine], send: DesiredInvoice) -> bool:
    """True where the lines in Stripe are exactly ours, whatever their order."""
    theirs = sorted((line.line_id or "", line.amount) for line in lines)
    return theirs == sorted((line.line_id, line.amount) for line in send.lines)


def applies(proposal: Proposal | None, review_reasons: Collection[ReviewReason]) -> bool:
    """True where the proposal is about exactly these review reasons, and can end each of them."""
    return (
        proposal is not None
        and proposal.review_reasons == {review_reason.full_code for review_reason in review_reasons}
        and all(proposal.decision in review_reason.decisions for review_reason in review_reasons)
    )


def resolution_step(
    proposal: Proposal,
    review_reasons: Sequence[ReviewReason],
    identity: dict[str, str],
    adjustment: int,
) -> ResolutionStep:
    """What carries the decision out. `identity`: the marks by which the invoices are found, which
    are restored where they are missing; `adjustment`: what counts as billed from now on beyond what
    Stripe has, in minor units."""
    answers: dict[str, set[str]] = {}
    items = {
        review_reason.item.stripe_invoice_id: review_reason.item for review_reason in review_reasons
    }
    for review_reason in review_reasons:
        answers.setdefault(review_reason.item.stripe_invoice_id, set()).add(review_reason.code)
    deleted = tuple(
        name
        for name, item in items.items()
        if item.is_draft and proposal.decision is Decision.REISSUE
    )
    kept = [item for name, item in items.items() if name not in deleted]
    # The amount comes last: until it is there, an interruption leaves the invoice in review.
    kept.sort(key=lambda item: (not item.is_gone, item.created))
    markings = []
    for item in kept:
        extra = adjustment if item is kept[-1] else 0
        markings.append(
            _marking(item, proposal.decision, answers[item.stripe_invoice_id], identity, extra)
        )
    return ResolutionStep(
        proposal.decision,
        proposal.reason,
        proposal.decided_by,
        tuple(markings),
        finalize=tuple(
            item.stripe_invoice_id
            for item in kept
            if item.is_draft and proposal.decision is Decision.ADOPT
        ),
        delete=deleted,
    )


def _marking(
    item: ActualInvoice,
    decision: Decision,
    answers: set[str],
    identity: dict[str, str],
    adjustment: int,
) -> Marking:
    before = item.resolution
    resolution = Resolution(
        decision,
        adjustment + (before.adjustment if before else 0),
        frozenset(answers) | (before.answers if before else frozenset()),
    )
    revision = item.revision or 1
    marks = {metadata_keys.RESOLVED: resolution.mark}
    if item.altered_marks or not all(name in item.metadata for name in metadata_keys.IDENTITY):
        names = {*metadata_keys.IDENTITY, *item.altered_marks}
        known = {name: item.metadata[name] for name in sorted(names) if name in item.metadata}
        marks |= identity | {metadata_keys.REVISION: str(revision)} | known
    return Marking(item.stripe_invoice_id, revision, tuple(sorted(marks.items())), item.is_gone)
