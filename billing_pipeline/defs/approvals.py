"""What people decide about an invoice plan: approved, declined, or how a review is to end.

What belongs here: the assets `approved_changes` and `proposed_resolution`. What does not: what a
plan says (``plans``), and how it is carried out (``sending``).
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from billing_pipeline.collection import steps
from billing_pipeline.collection.approval_answers import Answer, first_answer
from billing_pipeline.collection.plan.approval import NotInPlanError
from billing_pipeline.collection.plan.proposal import ResolutionRequest
from billing_pipeline.collection.steps import PlanChangedError
from billing_pipeline.collection.stripe_state.resolutions import Decision
from billing_pipeline.defs.collection import collection_asset
from billing_pipeline.defs.plans import shown_plan
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.defs.sending import apply, drift_after, record_inputs
from billing_pipeline.defs.turns import month_of
from billing_pipeline.published.publish import publish_rows
from billing_pipeline.settings import Settings

ANSWER = "answer"
"""Metadata of an observation: why an approval carried nothing out."""


class Approval(dg.Config):
    """The plan that a person has read, and what is decided about it."""

    plan_hash: str = Field(description="The plan's hash, as `preview_month` shows it.")
    only: list[str] = Field(
        default=[], description="Only these customers; the rest keeps waiting under this hash."
    )
    decline: bool = Field(
        default=False,
        description="Decline instead of approving: the change is not proposed again until it "
        "differs.",
    )
    reason: str = Field(default="", description="Reason; required to decline.")
    decided_by: str = Field(default="somebody in the Dagster UI", description="Who decides.")


@collection_asset(is_optional=True)
def approved_changes(
    context: dg.AssetExecutionContext,
    config: Approval,
    settings: dg.ResourceParam[Settings],
    stripe: Stripe,
) -> Iterator[dg.MaterializeResult[None]]:
    """Carry out exactly the plan whose hash was approved, or the part of some customers, or record
    that it was declined. A hash that is not the present plan's is answered in one sentence, and
    the month stays as it was."""
    month = month_of(context, settings)
    answer = first_answer(settings, month, config.plan_hash)
    if config.decline and not config.reason.strip():
        answer = Answer("a reason is needed to decline a change")
    approval = steps.Approval(
        config.plan_hash, frozenset(config.only), config.decided_by, config.reason.strip()
    )
    result = None
    if answer is None:
        try:
            carry_out = _decline if config.decline else apply
            result = carry_out(context, settings, stripe, approval)
        except (PlanChangedError, NotInPlanError) as error:
            answer = Answer(str(error))
    if answer is not None:
        context.log.warning(answer.sentence)
        context.log_event(
            dg.AssetObservation(
                context.asset_key,
                partition=str(month),
                metadata={ANSWER: answer.sentence, "is_harmless": answer.is_harmless},
            )
        )
    if result is not None:
        yield result


def _decline(
    context: dg.AssetExecutionContext, settings: Settings, stripe: Stripe, refusal: steps.Approval
) -> dg.MaterializeResult[None]:
    month = month_of(context, settings)
    shown = shown_plan(context, settings, stripe, steps.decline, refusal, timeout=60.0)
    tables = shown.tables(settings, month)
    left = drift_after(settings, month, shown.plan, tables["invoice_plan"])
    publish_rows(settings, month, tables | left)
    record_inputs(settings, month, shown.plan)
    return dg.MaterializeResult(metadata=shown.metadata)


class Resolution(dg.Config):
    """How to end the review of an invoice, and why. The decision waits for approval."""

    invoice_id: str = Field(description="As `invoice_plan` names it, with the action `review`.")
    decision: str = Field(
        description="adopt: accept the invoice as it is in Stripe. reissue: bill again what was "
        "voided or deleted there. write_off: accept the difference, never bill it."
    )
    reason: str
    decided_by: str


@collection_asset()
def proposed_resolution(
    context: dg.AssetExecutionContext,
    config: Resolution,
    settings: dg.ResourceParam[Settings],
    stripe: Stripe,
) -> dg.MaterializeResult[None]:
    """The invoice plan with a decision that ends a review, to be approved by its hash. Writes
    nothing to Stripe."""
    month = month_of(context, settings)
    request = ResolutionRequest(
        config.invoice_id, Decision(config.decision), config.reason, config.decided_by
    )
    shown = shown_plan(context, settings, stripe, steps.propose, request)
    publish_rows(settings, month, shown.tables(settings, month))
    return dg.MaterializeResult(metadata=shown.metadata)
