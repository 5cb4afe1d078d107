"""Asking for a decision about an invoice in review.

What belongs here: checking a request for a decision against the present plan. Pure. What does not:
the decision's steps (`review.py`), and storing the request (`request_log.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.review import credited_by_hand
from billing_pipeline.collection.stripe_state.resolutions import Decision, Proposal
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice


class NotInReviewError(ValueError):
    """Nothing about the invoice waits for a decision; the message names those that do."""


class WrongDecisionError(ValueError):
    """The decision does not end the review; the message says why."""


@dataclass(frozen=True)
class ResolutionRequest:
    """Who asks for which decision about which invoice of ours, and why."""

    invoice_id: str
    decision: Decision
    reason: str
    decided_by: str


def make_proposal(
    request: ResolutionRequest, present: InvoicePlan, held: Iterable[ActualInvoice]
) -> Proposal:
    """The request, bound to the review reasons that there are now. Raises `NotInReviewError`."""
    in_review = {
        action.invoice_id: action.review_reasons
        for action in present.actions
        if action.kind in (ActionKind.REVIEW, ActionKind.RESOLVE)
    }
    review_reasons = in_review.get(request.invoice_id)
    if review_reasons is None:
        # A credit note made by hand causes a review only once the amount changes, but it can be
        # decided about before.
        billed = [i for i in held if i.is_billed and i.invoice_id == request.invoice_id]
        review_reasons = frozenset(
            review_reason.full_code
            for review_reason in credited_by_hand(billed)
            if not review_reason.is_answered
        )
    if not review_reasons:
        others = ", ".join(sorted(in_review)) or "none"
        raise NotInReviewError(
            f"{request.invoice_id} is not in review in {present.month_key[:7]} "
            f"(in review: {others})"
        )
    return Proposal(
        request.invoice_id, request.decision, request.reason, request.decided_by, review_reasons
    )


def require_resolved(plan: InvoicePlan, proposal: Proposal) -> None:
    """Raise `WrongDecisionError` unless the plan carries the proposal out."""
    actions = [item for item in plan.actions if item.invoice_id == proposal.invoice_id]
    if not any(action.kind is ActionKind.RESOLVE for action in actions):
        why = "; ".join(action.reason for action in actions)
        name = proposal.decision.value.replace("_", "-")
        raise WrongDecisionError(f"--{name} cannot end the review of {proposal.invoice_id}: {why}")
