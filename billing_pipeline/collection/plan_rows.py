"""The invoice plan as rows of the tables `invoice_plan` and `plan_changes`, and a run's results.

What belongs here: the cells of these tables. What does not: deciding (``plan.invoice_plan``), and
pages for people (``plan_pages``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.case import CORRECTS
from billing_pipeline.collection.plan.collecting import collection_of, obstacle_to_payment
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.line_changes import LineChange, line_changes
from billing_pipeline.collection.plan.stripe_limits import beyond_stripe
from billing_pipeline.collection.push.apply import ApplyReport
from billing_pipeline.collection.stripe_state.texts import clean_text
from billing_pipeline.money import to_major
from billing_pipeline.published.change_evidence import UNKNOWN, ChangedLine, Evidence


@dataclass(frozen=True)
class PlanNotes:
    """What a plan's readers are told besides its actions: `today` in the billing time zone, why
    amounts changed (`causes`, by invoice), the last day of cards that have expired (`cards`, by
    customer), and where the plan can be approved."""

    today: date
    causes: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, date] = field(default_factory=dict)
    approval_url: str | None = None


def plan_rows(plan: InvoicePlan, notes: PlanNotes) -> list[dict[str, Any]]:
    """Rows of the table `invoice_plan`: what waits for a person first, what is unchanged last."""
    names = names_of(plan)
    held = {invoice.stripe_invoice_id: invoice for invoice in plan.held}
    return [
        {
            "billing_month": date.fromisoformat(plan.month_key),
            "plan_hash": plan.hash,
            "action": action.kind.value,
            "invoice_id": action.invoice_id,
            "revision": action.revision,
            "customer_id": action.customer_id,
            "customer_name": names.get(action.customer_id),
            "currency": action.currency,
            "amount_before": to_major(action.amount_before, action.currency),
            "amount_after": to_major(action.amount_after, action.currency),
            "amount_change": to_major(action.change, action.currency),
            "collection": collection_of(action, held, notes.today),
            "cause": cause_of(action, notes.causes),
            "reason": clean_text(reason_of(plan, action, obstacle)),
            "obstacle": obstacle,
            "state": _state(plan, action),
        }
        for action in ordered(plan)
        for obstacle in [obstacle_of(action, notes)]
    ]


def outcome_rows(
    report: ApplyReport, remaining: InvoicePlan, notes: PlanNotes
) -> list[dict[str, Any]]:
    """Rows of `invoice_plan` after an apply: what it did, and the plan that remains.

    The hash is that of what remains: the one to approve. What was done stands there as the action
    that did it, not as the `unchanged` that it is by now; what failed says so and why.
    """
    planned = {row["invoice_id"]: row for row in plan_rows(report.plan, notes)}
    done = {result.action.invoice_id for result in report.done}
    failed = {result.action.invoice_id: result.message for result in report.failed}
    rows = plan_rows(remaining, notes)
    for row in rows:
        invoice_id, is_unchanged = row["invoice_id"], row["action"] == ActionKind.UNCHANGED.value
        if is_unchanged and invoice_id in done:
            row |= {**planned[invoice_id], "plan_hash": remaining.hash, "state": "done"}
        elif invoice_id in failed and not is_unchanged:
            row |= {"state": "failed", "reason": clean_text(failed[invoice_id])}
    return rows


def explained(plan: InvoicePlan, report: ApplyReport | None) -> list[LineChange]:
    """The changed lines that are worth explaining: those of the plan, and those that a run has
    just carried out."""
    done = {result.action.invoice_id for result in report.done} if report else set()
    carried_out = line_changes(report.plan) if report and done else []
    return [*line_changes(plan), *(line for line in carried_out if line.invoice_id in done)]


def change_rows(
    plan: InvoicePlan,
    changes: Iterable[LineChange],
    evidence: Mapping[ChangedLine, Evidence],
) -> list[dict[str, Any]]:
    """Rows of the table `plan_changes`."""
    rows = []
    for line in changes:
        found = evidence.get(ChangedLine(line.invoice_id, line.line_id), UNKNOWN)
        before, after = line.quantity_before, line.quantity_after
        rows.append(
            {
                "billing_month": date.fromisoformat(plan.month_key),
                "plan_hash": plan.hash,
                "invoice_id": line.invoice_id,
                "customer_id": found.customer_id or line.payer_id,
                "line_id": line.line_id,
                "kind": line.kind or found.kind,
                "charge_id": found.charge_id,
                "description": clean_text(line.description),
                "currency": line.currency,
                "quantity_before": found.quantity_before if before is None else before,
                "quantity_after": found.quantity_after if after is None else after,
                "amount_before": to_major(line.amount_before, line.currency),
                "amount_after": to_major(line.amount_after, line.currency),
                "cause": found.cause,
                "evidence": clean_text(found.evidence, 2000),
            }
        )
    return rows


def names_of(plan: InvoicePlan) -> dict[str, str]:
    """Customers' names, by id: as in the accounts or, for those who have left them, in Stripe."""
    in_stripe = {item.customer_id: item.customer_name for item in plan.held}
    in_accounts = {item.customer_id: item.payer.name for item in plan.desired}
    return {
        customer_id: clean_text(name, 256)
        for names in (in_stripe, in_accounts)
        for customer_id, name in names.items()
        if customer_id and name
    }


def customer_text(customer_id: str, name: str | None) -> str:
    """``Ada Ltd (ada)``, or the id alone where there is no name."""
    return f"{name} ({customer_id})" if name else customer_id


_CAUSES = {
    ActionKind.CREATE: "first invoice",
    ActionKind.RESUME: "interrupted run",
    ActionKind.WITHDRAW: "draft left over",
    ActionKind.REVIEW: "changed in Stripe by hand",
    ActionKind.RESOLVE: "decision about a review",
}


def cause_of(action: InvoiceAction, causes: Mapping[str, str]) -> str | None:
    """Why there is something to do, in a few words; None where there is nothing."""
    if action.kind is ActionKind.UNCHANGED:
        return None
    if (action.billed_before or "").startswith(CORRECTS):
        return "closed month corrected"
    if action.billed_before is not None:
        return "billed before"
    return _CAUSES.get(action.kind) or causes.get(action.invoice_id, "other")


def obstacle_of(action: InvoiceAction, notes: PlanNotes) -> str | None:
    """What will keep the action from being carried out, or else its invoice from being paid."""
    beyond = beyond_stripe(action.send) if action.send is not None else None
    return beyond or obstacle_to_payment(action, notes.cards, notes.today)


def reason_of(plan: InvoicePlan, action: InvoiceAction, obstacle: str | None) -> str:
    """In this order: who declined the action, why it is planned, what will hinder it or its
    payment."""
    parts = (plan.declined.get(action.key), action.reason, obstacle)
    return "; ".join(part for part in parts if part)


def ordered(plan: InvoicePlan) -> list[InvoiceAction]:
    """What needs a person comes first, since a month may have thousands of first invoices."""
    waiting = {action.key for action in plan.waiting}
    return sorted(
        plan.actions,
        key=lambda action: (
            action.kind is ActionKind.UNCHANGED,
            action.key not in waiting,
            action.invoice_id,
        ),
    )


def _state(plan: InvoicePlan, action: InvoiceAction) -> str:
    """Before anything is applied."""
    if action.kind is ActionKind.UNCHANGED:
        return "done"
    if action.key in plan.declined:
        return "declined"
    if plan.is_closed_to(action):
        return "closed"
    return "ready" if action.is_safe and not plan.held_by else "waiting"
