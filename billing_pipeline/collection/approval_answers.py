"""Answers to an approval or a refusal that need neither a new plan nor a question to Stripe.

What belongs here: whether a hash is worth planning the month again for and, if not, the sentence
that says why. What does not: the decision itself, which is compared with the present plan
(`steps.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from billing_pipeline.collection.plan.approval import PlanDecision, Verdict
from billing_pipeline.collection.steps import decisions_of
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.plans import PublishedPlan, month_of_plan, published_plan
from billing_pipeline.settings import Settings
from billing_pipeline.web.links import approval_url


@dataclass(frozen=True)
class Answer:
    """A sentence in place of a run. `is_harmless`: the request has been carried out already."""

    sentence: str
    is_harmless: bool = False


def month_of(settings: Settings, plan_hash: str) -> BillingMonth | Answer:
    """The month whose plan has that hash, or had it."""
    found = month_of_plan(settings, plan_hash)
    if found is not None:
        return BillingMonth.parse(found)
    return Answer(f"no plan has the hash {plan_hash}: `billing status` shows what waits")


def first_answer(settings: Settings, month: BillingMonth, plan_hash: str) -> Answer | None:
    """Why a run with this hash would be in vain; None where it may be the present plan's."""
    decisions = decisions_of(settings, month)
    answer = answer_to(month, plan_hash, published_plan(settings, month), decisions)
    if answer is None or any(decision.plan_hash == plan_hash for decision in decisions):
        return answer
    other = month_of_plan(settings, plan_hash)
    if other is None or other == str(month):
        return answer
    link = approval_url(settings.ui_url, BillingMonth.parse(other), plan_hash)
    return Answer(f"{plan_hash} is a plan of {other}, not of {month}; there: {link}")


def answer_to(
    month: BillingMonth,
    plan_hash: str,
    present: PublishedPlan | None,
    decisions: Sequence[PlanDecision],
) -> Answer | None:
    """As `first_answer`, of what is known: `present` is the month's published plan, `decisions`
    are the month's, oldest first. Pure."""
    if present is not None and present.plan_hash == plan_hash:
        return None
    approved = [
        decision
        for decision in decisions
        if decision.plan_hash == plan_hash and decision.verdict is Verdict.APPROVED
    ]
    if present is None and not approved:
        return Answer(f"{month} has no plan yet: `billing plan {month}` makes one")
    if approved and (present is None or not present.left):
        done = approved[-1].sentence
        return Answer(f"the plan {plan_hash} of {month} was {done}; nothing is left to do", True)
    assert present is not None
    read = f"`billing plan {month}` shows it"
    if approved:
        return Answer(
            f"the plan {plan_hash} of {month} was {approved[-1].sentence}; the plan now is "
            f"{present.plan_hash}: {read}"
        )
    return Answer(f"{plan_hash} is not the plan of {month}, which is {present.plan_hash}: {read}")
