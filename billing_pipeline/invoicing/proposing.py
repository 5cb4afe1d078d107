"""Asking for a decision about an invoice in review.

What belongs here: what a request for a decision is held against: the present plan. Pure. What does
not: the decision's steps (`review.py`), and writing the request down (`journal.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from billing_pipeline.invoicing.actions import ActionKind
from billing_pipeline.invoicing.actual import ActualInvoice
from billing_pipeline.invoicing.plan import InvoicePlan
from billing_pipeline.invoicing.resolutions import Decision, Proposal
from billing_pipeline.invoicing.review import credited_by_hand


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


def proposed(
    request: ResolutionRequest, present: InvoicePlan, held: Iterable[ActualInvoice]
) -> Proposal:
    """The request, bound to the doubts that there are now. Raises `NotInReviewError`."""
    in_review = {
        action.invoice_id: action.doubts
        for action in present.actions
        if action.kind in (ActionKind.REVIEW, ActionKind.RESOLVE)
    }
    doubts = in_review.get(request.invoice_id)
    if doubts is None:
        # A credit note by hand is no doubt until the amount changes, and can be accepted before.
        billed = [i for i in held if i.is_billed and i.invoice_id == request.invoice_id]
        doubts = frozenset(
            doubt.full_code for doubt in credited_by_hand(billed) if not doubt.is_answered
        )
    if not doubts:
        others = ", ".join(sorted(in_review)) or "none"
        raise NotInReviewError(
            f"{request.invoice_id} is not in review in {present.month_key[:7]} "
            f"(in review: {others})"
        )
    return Proposal(
        request.invoice_id, request.decision, request.reason, request.decided_by, doubts
    )


def require_resolved(plan: InvoicePlan, proposal: Proposal) -> None:
    """Raise `WrongDecisionError` unless the plan carries the proposal out."""
    actions = [item for item in plan.actions if item.invoice_id == proposal.invoice_id]
    if not any(action.kind is ActionKind.RESOLVE for action in actions):
        why = "; ".join(action.reason for action in actions)
        name = proposal.decision.value.replace("_", "-")
        raise WrongDecisionError(f"--{name} is no way out for {proposal.invoice_id}: {why}")
