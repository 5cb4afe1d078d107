"""What people have approved and declined, and what follows from it for a plan.

What belongs here: which actions a decision is about, which are declined by now, and which plan is
the rest of one that was approved in part. Pure. What does not: storing the decisions
(`records/approvals.py`), and carrying actions out (`push/`).

A decision is about actions as they were: each is named by a digest of all that it would do. The
same customer's next change has another digest, so it needs a decision of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction

Declined = Mapping[str, Mapping[str, str]]
"""By invoice: the digests of declined actions, each with the sentence by whom, when and why."""

CHANGED_SINCE_DECLINED = "an earlier form of it was declined"


class Verdict(StrEnum):
    APPROVED = "approved"
    DECLINED = "declined"


@dataclass(frozen=True)
class PlanDecision:
    """One decision, made at `decided_at` (epoch seconds). `actions`: invoice id and digest of each
    action that it is about; `plan`: the digests of all changes of the plan that was read."""

    verdict: Verdict
    plan_hash: str
    decided_at: float
    decided_by: str
    reason: str
    run_id: str
    customers: tuple[str, ...]
    actions: tuple[tuple[str, str], ...]
    plan: frozenset[str]

    @property
    def sentence(self) -> str:
        day = datetime.fromtimestamp(self.decided_at, UTC).date()
        why = f": {self.reason}" if self.reason else ""
        return f"{self.verdict.value} by {self.decided_by} on {day}{why}"


class NotInPlanError(ValueError):
    """A decision names a customer for whom there is nothing to decide; the message says which."""


def chosen_actions(
    changes: Iterable[InvoiceAction],
    declined: Collection[tuple[str, str, int]],
    only: Collection[str],
) -> list[InvoiceAction]:
    """The actions that an approval is about: all that are neither in review nor declined; with
    `only`, those of these customers, whose declined actions are included. Raises
    `NotInPlanError`."""
    found = [
        action
        for action in changes
        if action.kind is not ActionKind.REVIEW
        and (action.customer_id in only if only else action.key not in declined)
    ]
    _require_all(only, found)
    return found


def refused_actions(
    changes: Iterable[InvoiceAction],
    waiting: Collection[tuple[str, str, int]],
    only: Collection[str],
) -> list[InvoiceAction]:
    """The actions that a refusal is about: what waits for approval; with `only` all that would be
    done for these customers. A review ends by a decision of its own. Raises `NotInPlanError`."""
    found = [
        action
        for action in changes
        if action.kind is not ActionKind.REVIEW
        and (action.customer_id in only if only else action.key in waiting)
    ]
    _require_all(only, found)
    if not found:
        raise NotInPlanError("nothing of the plan waits for approval, so nothing can be declined")
    return found


def _require_all(only: Collection[str], found: Sequence[InvoiceAction]) -> None:
    absent = sorted({*only} - {action.customer_id for action in found})
    if absent:
        names = ", ".join(absent)
        raise NotInPlanError(f"the plan has nothing to approve or decline for {names}")


def declined_now(decisions: Iterable[PlanDecision]) -> dict[str, dict[str, str]]:
    """What is declined after these decisions, given oldest first: approving an action of an invoice
    lifts all that was declined for that invoice before."""
    declined: dict[str, dict[str, str]] = defaultdict(dict)
    for decision in decisions:
        for invoice_id, digest in decision.actions:
            if decision.verdict is Verdict.APPROVED:
                declined.pop(invoice_id, None)
            else:
                declined[invoice_id][digest] = decision.sentence
    return dict(declined)


def with_declined(
    actions: Iterable[InvoiceAction], declined: Declined
) -> tuple[list[InvoiceAction], dict[tuple[str, str, int], str]]:
    """The actions, and which of them are declined, with the sentence that says so.

    Where one action for an invoice was declined and another one is planned now, the new one waits,
    even if it would be safe otherwise: the person who declined has to see it.
    """
    found: list[InvoiceAction] = []
    refused: dict[tuple[str, str, int], str] = {}
    for action in actions:
        known = declined.get(action.invoice_id, {})
        if not known or action.kind in (ActionKind.UNCHANGED, ActionKind.REVIEW):
            found.append(action)
            continue
        if action.digest not in known and action.is_safe:
            action = replace(
                action,
                billed_before=CHANGED_SINCE_DECLINED,
                reason=f"{CHANGED_SINCE_DECLINED}; {action.reason}",
            )
        if action.digest in known:
            refused[action.key] = known[action.digest]
        found.append(action)
    return found, refused


def rest_of(changes: Iterable[InvoiceAction], decisions: Sequence[PlanDecision]) -> str | None:
    """The hash of the plan whose rest these changes are, after parts of it were approved and
    carried out; None if they are a plan of their own. `decisions`: the month's, oldest first."""
    if not decisions:
        return None  # without computing digests: those of tens of thousands of changes take seconds
    present = {action.digest for action in changes}
    approved: dict[str, set[str]] = defaultdict(set)
    whole: dict[str, frozenset[str]] = {}
    for decision in decisions:
        if decision.verdict is Verdict.APPROVED:
            approved[decision.plan_hash].update(digest for _, digest in decision.actions)
            whole[decision.plan_hash] = decision.plan
    for plan_hash, plan in reversed(whole.items()):
        if present and present < plan and plan - present <= approved[plan_hash]:
            return plan_hash
    return None
