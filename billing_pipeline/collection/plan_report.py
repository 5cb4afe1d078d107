"""The invoice plan for people and for tables.

What belongs here: rows of `invoice_plan`, and a page of Markdown. What does not: deciding.
Names and reasons come from the accounts and from Stripe: they are escaped here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.push.apply import ActionResult, ApplyReport
from billing_pipeline.collection.stripe_state.texts import clean_text
from billing_pipeline.money import format_minor, to_major

MAX_SHOWN = 200
_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~!])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def plan_rows(
    plan: InvoicePlan, states: Mapping[tuple[str, str, int], str] | None = None
) -> list[dict[str, Any]]:
    """Rows of the table `invoice_plan`. `states`: how actions ended, by `InvoiceAction.key`."""
    known = states or {}
    return [
        {
            "billing_month": date.fromisoformat(plan.month_key),
            "plan_hash": plan.hash,
            "action": action.kind.value,
            "invoice_id": action.invoice_id,
            "revision": action.revision,
            "customer_id": action.customer_id,
            "currency": action.currency,
            "amount_before": to_major(action.amount_before, action.currency),
            "amount_after": to_major(action.amount_after, action.currency),
            "reason": clean_text(action.reason),
            "state": known.get(action.key) or _state(plan, action),
        }
        for action in plan.actions
    ]


def outcome_rows(report: ApplyReport, remaining: InvoicePlan) -> list[dict[str, Any]]:
    """Rows of `invoice_plan` after an apply: what it did, and the plan that remains.

    The hash is that of what remains: the one to approve. What was done stands there as the action
    that did it, not as the `unchanged` that it is by now; what failed says so and why.
    """
    planned = {row["invoice_id"]: row for row in plan_rows(report.plan)}
    done = {result.action.invoice_id for result in report.done}
    failed = {result.action.invoice_id: result.message for result in report.failed}
    rows = plan_rows(remaining)
    for row in rows:
        invoice_id, is_unchanged = row["invoice_id"], row["action"] == ActionKind.UNCHANGED.value
        if is_unchanged and invoice_id in done:
            row |= {**planned[invoice_id], "plan_hash": remaining.hash, "state": "done"}
        elif invoice_id in failed and not is_unchanged:
            row |= {"state": "failed", "reason": clean_text(failed[invoice_id])}
    return rows


def result_rows(report: ApplyReport) -> list[dict[str, Any]]:
    """The run's table: each change of the plan, how it ended and, for a failure, why."""
    return [
        {
            "action": result.action.kind.value,
            "invoice_id": result.action.invoice_id,
            "revision": result.action.revision,
            "customer_id": result.action.customer_id,
            "currency": result.action.currency,
            "amount_before": to_major(result.action.amount_before, result.action.currency),
            "amount_after": to_major(result.action.amount_after, result.action.currency),
            "state": result.state.value,
            "message": clean_text(result.message),
            "payment_problem": result.payment_problem,
            "request_id": result.request_id,
            "stripe_ids": ", ".join(result.stripe_ids),
        }
        for result in report.results
    ]


def receipt_markdown(report: ApplyReport) -> str:
    """A page: what was carried out, how each change ended, and what Stripe calls it."""
    if not report.results:
        return "Nothing was to do: nothing was sent."
    lines = [
        "| customer | action | before | after | ended | Stripe |",
        "| --- | --- | ---: | ---: | --- | --- |",
    ]
    lines += [_receipt_line(result) for result in report.results[:MAX_SHOWN]]
    more = len(report.results) - MAX_SHOWN
    text = f"Plan `{report.plan.hash}`\n\n" + "\n".join(lines)
    return f"{text}\n\nand {more} more, in the table `invoice_plan`" if more > 0 else text


def _receipt_line(result: ActionResult) -> str:
    action = result.action
    ended = ": ".join(part for part in (result.state.value, result.message) if part)
    stripe = ", ".join(filter(None, (*result.stripe_ids, result.request_id)))
    return (
        f"| {escape(action.customer_id)} | {action.kind.value} "
        f"| {format_minor(action.amount_before, action.currency)} "
        f"| {format_minor(action.amount_after, action.currency)} "
        f"| {escape(ended)} | {escape(stripe)} |"
    )


def _state(plan: InvoicePlan, action: InvoiceAction) -> str:
    """Before anything is applied."""
    if action.kind is ActionKind.UNCHANGED:
        return "done"
    return "ready" if action.is_safe and not plan.held_by else "waiting"


def plan_markdown(plan: InvoicePlan) -> str:
    """A page: totals by action, then each change with before, after and why."""
    parts = [f"## Invoice plan {plan.month_key[:7]}", f"Hash `{plan.hash}`"]
    if plan.held_by:
        parts.append("**The whole plan waits for approval:**")
        parts.append("\n".join(f"- {escape(reason)}" for reason in plan.held_by))
    elif plan.needs_approval:
        parts.append("Actions marked ⏸ wait for approval of this hash.")
    parts += [_totals(plan), _changes(plan)]
    return "\n\n".join(part for part in parts if part)


def _totals(plan: InvoicePlan) -> str:
    sums: dict[tuple[ActionKind, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for action in plan.actions:
        cell = sums[action.kind, action.currency]
        cell[0] += 1
        cell[1] += action.amount_before
        cell[2] += action.amount_after
    lines = ["| action | invoices | before | after |", "| --- | ---: | ---: | ---: |"]
    order = list(ActionKind)
    for kind, currency in sorted(sums, key=lambda key: (order.index(key[0]), key[1])):
        count, before, after = sums[kind, currency]
        amounts = f"{format_minor(before, currency)} | {format_minor(after, currency)}"
        lines.append(f"| {kind.value} | {count} | {amounts} |")
    return "\n".join(lines) if sums else "Nothing is due and nothing was billed."


def _changes(plan: InvoicePlan) -> str:
    changes = plan.changes
    if not changes:
        return "Nothing to do: Stripe holds what should be billed."
    # What needs a person comes first; the first invoices of a month may be thousands.
    ordered = sorted(changes, key=lambda action: (action.is_safe, action.invoice_id))
    lines = [
        "| | action | customer | before | after | why |",
        "| --- | --- | --- | ---: | ---: | --- |",
    ]
    lines += [
        f"| {'' if action.is_safe and not plan.held_by else '⏸'} | {action.kind.value} "
        f"| {escape(action.customer_id)} | {format_minor(action.amount_before, action.currency)} "
        f"| {format_minor(action.amount_after, action.currency)} | {escape(action.reason)} |"
        for action in ordered[:MAX_SHOWN]
    ]
    text = "\n".join(lines)
    more = len(ordered) - MAX_SHOWN
    return f"{text}\n\nand {more} more, in the table `invoice_plan`" if more > 0 else text


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no link, no tag, no formula, one line."""
    return _SPECIAL.sub(r"\\\1", clean_text(text)).translate(_ENTITIES)
