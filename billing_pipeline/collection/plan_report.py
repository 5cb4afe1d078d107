"""The invoice plan for people and for tables.

What belongs here: rows of `invoice_plan`, and a page of Markdown. What does not: deciding.
Names and reasons come from the accounts and from Stripe: they are escaped here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.case import CORRECTS
from billing_pipeline.collection.plan.collecting import collection_of, obstacle_to_payment
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.line_changes import LineChange, line_changes
from billing_pipeline.collection.push.apply import ActionResult, ApplyReport
from billing_pipeline.collection.stripe_state.texts import clean_text
from billing_pipeline.money import format_amount, format_minor, to_major
from billing_pipeline.published.change_evidence import UNKNOWN, ChangedLine, Evidence

MAX_SHOWN = 200
MAX_NAMED = 3
"""How many changes a sentence names."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~!])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


@dataclass(frozen=True)
class PlanNotes:
    """What is said of a plan besides what it does: `today` in the billing time zone, why amounts
    changed (`causes`, by invoice), the last day of cards that have expired (`cards`, by customer),
    and where it can be approved."""

    today: date
    causes: Mapping[str, str] = field(default_factory=dict)
    cards: Mapping[str, date] = field(default_factory=dict)
    approval_url: str | None = None


def plan_rows(
    plan: InvoicePlan,
    notes: PlanNotes,
    states: Mapping[tuple[str, str, int], str] | None = None,
) -> list[dict[str, Any]]:
    """Rows of the table `invoice_plan`: what waits for a person first, what is unchanged last.
    `states`: how actions ended, by `InvoiceAction.key`."""
    known, names = states or {}, names_of(plan)
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
            "amount_change": to_major(action.amount_after - action.amount_before, action.currency),
            "collection": collection_of(action, held, notes.today),
            "cause": cause_of(action, notes.causes),
            "reason": clean_text(_reason(plan, action, notes)),
            "state": known.get(action.key) or _state(plan, action),
        }
        for action in _ordered(plan)
    ]


def _reason(plan: InvoicePlan, action: InvoiceAction, notes: PlanNotes) -> str:
    """Why, after who declined it, and before what will keep it from being paid."""
    obstacle = obstacle_to_payment(action, notes.cards, notes.today)
    parts = (plan.declined.get(action.key), action.reason, obstacle)
    return "; ".join(part for part in parts if part)


def names_of(plan: InvoicePlan) -> dict[str, str]:
    """The customers' names: of the accounts, and of those who left them, as Stripe has it."""
    in_stripe = {item.customer_id: item.customer_name for item in plan.held}
    in_accounts = {item.customer_id: item.payer.name for item in plan.desired}
    return {
        customer_id: clean_text(name, 256)
        for names in (in_stripe, in_accounts)
        for customer_id, name in names.items()
        if customer_id and name
    }


def explained(plan: InvoicePlan, report: ApplyReport | None = None) -> list[LineChange]:
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
                "quantity_before": line.quantity_before,
                "quantity_after": line.quantity_after,
                "amount_before": to_major(line.amount_before, line.currency),
                "amount_after": to_major(line.amount_after, line.currency),
                "cause": found.cause,
                "evidence": clean_text(found.evidence, 2000),
            }
        )
    return rows


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


def _ordered(plan: InvoicePlan) -> list[InvoiceAction]:
    """What needs a person comes first: the first invoices of a month may be thousands."""
    waiting = {action.key for action in plan.waiting}
    return sorted(
        plan.actions,
        key=lambda action: (
            action.kind is ActionKind.UNCHANGED,
            action.key not in waiting,
            action.invoice_id,
        ),
    )


def _ordered_changes(plan: InvoicePlan) -> list[InvoiceAction]:
    return [action for action in _ordered(plan) if action.kind is not ActionKind.UNCHANGED]


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
    names = names_of(report.plan)
    lines += [_receipt_line(result, names) for result in report.results[:MAX_SHOWN]]
    more = len(report.results) - MAX_SHOWN
    text = f"Plan `{report.plan.hash}`\n\n" + "\n".join(lines)
    return _and_more(text, more, "invoice_plan")


def plan_sentence(plan: InvoicePlan) -> str:
    """The plan in one sentence, for where there is room for one only."""
    if not plan.changes:
        return "nothing to do: Stripe holds what should be billed"
    waiting = {action.key for action in plan.waiting}
    counted = f"{len(waiting)} of {len(plan.changes)} changes wait for approval"
    return f"{counted}: {_named(plan, _ordered_changes(plan))}"


def receipt_sentence(report: ApplyReport) -> str:
    """What was carried out, in one sentence."""
    if not report.results:
        return "nothing was to do: nothing was sent"
    done = [result.action for result in report.done]
    text = f"{len(done)} of {len(report.results)} changes are done"
    return f"{text}: {_named(report.plan, done)}" if done else text


def _named(plan: InvoicePlan, actions: Sequence[InvoiceAction]) -> str:
    names = names_of(plan)
    texts = [
        f"{action.kind.value} for {names.get(action.customer_id) or action.customer_id} "
        f"{_signed(action.amount_after - action.amount_before, action.currency)}"
        for action in actions[:MAX_NAMED]
    ]
    more = len(actions) - MAX_NAMED
    return ", ".join([*texts, f"and {more} more"] if more > 0 else texts)


def _receipt_line(result: ActionResult, names: Mapping[str, str]) -> str:
    action = result.action
    ended = ": ".join(part for part in (result.state.value, result.message) if part)
    stripe = ", ".join(filter(None, (*result.stripe_ids, result.request_id)))
    return (
        f"| {_customer(action, names)} | {action.kind.value} "
        f"| {format_minor(action.amount_before, action.currency)} "
        f"| {format_minor(action.amount_after, action.currency)} "
        f"| {escape(ended)} | {escape(stripe)} |"
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


def plan_markdown(
    plan: InvoicePlan, notes: PlanNotes, changes: Sequence[Mapping[str, Any]] = ()
) -> str:
    """A page: what to do next, totals by action, then each change with names, amounts and why, and
    each line of it (`changes`, the rows of `change_rows`) with what shows why."""
    parts = [f"## Invoice plan {plan.month_key[:7]}", f"Hash `{plan.hash}`"]
    if plan.closed:
        parts.append(f"**{plan.closed[:1].upper()}{plan.closed[1:]}.**")
    if plan.held_by:
        parts.append("**The whole plan waits for approval:**")
        parts.append("\n".join(f"- {escape(reason)}" for reason in plan.held_by))
    elif plan.needs_approval:
        parts.append("What is marked `waits` needs the approval of this hash.")
    if plan.needs_approval:
        parts.append(_next_step(plan, notes))
    parts += [_totals(plan), _changes(plan, notes), _lines(plan, changes)]
    return "\n\n".join(part for part in parts if part)


def _next_step(plan: InvoicePlan, notes: PlanNotes) -> str:
    command = f"`billing apply {plan.month_key[:7]} --approve {plan.hash}`"
    if notes.approval_url is None:
        return f"To approve it: {command}"
    return f"To approve it: [the launchpad, filled in]({notes.approval_url}), or {command}"


def net_changes(plan: InvoicePlan) -> dict[str, int]:
    """By currency: what all changes of the plan but the declined ones come to, in minor units."""
    net: dict[str, int] = defaultdict(int)
    for action in plan.changes:
        if action.key not in plan.declined:
            net[action.currency] += action.amount_after - action.amount_before
    return dict(sorted(net.items()))


def _totals(plan: InvoicePlan) -> str:
    sums: dict[tuple[ActionKind, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for action in plan.actions:
        cell = sums[action.kind, action.currency]
        cell[0] += 1
        cell[1] += action.amount_before
        cell[2] += action.amount_after
    if not sums:
        return "Nothing is due and nothing was billed."
    lines = [
        "| action | invoices | before | after | change |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    # In the order of the kinds, what is unchanged last.
    order = sorted(ActionKind, key=lambda kind: kind is ActionKind.UNCHANGED)
    for kind, currency in sorted(sums, key=lambda key: (order.index(key[0]), key[1])):
        count, before, after = sums[kind, currency]
        amounts = f"{format_minor(before, currency)} | {format_minor(after, currency)}"
        lines.append(
            f"| {kind.value} | {count} | {amounts} | {_signed(after - before, currency)} |"
        )
    lines += [
        f"| **net** | | | | **{_signed(change, currency)}** |"
        for currency, change in net_changes(plan).items()
    ]
    return "\n".join(lines)


def _and_more(text: str, more: int, table: str) -> str:
    """With how many rows a page leaves out, and where they are."""
    return f"{text}\n\nand {more} more, in the table `{table}`" if more > 0 else text


def _signed(change: int, currency: str) -> str:
    sign = "+" if change > 0 else "−" if change < 0 else ""
    return f"{sign}{format_minor(abs(change), currency)}"


def _changes(plan: InvoicePlan, notes: PlanNotes) -> str:
    changes = _ordered_changes(plan)
    if not changes:
        return "Nothing to do: Stripe holds what should be billed."
    names, waiting = names_of(plan), {action.key for action in plan.waiting}
    held = {invoice.stripe_invoice_id: invoice for invoice in plan.held}
    lines = [
        "| | action | customer | before | after | change | money | why |",
        "| --- | --- | --- | ---: | ---: | ---: | --- | --- |",
    ]
    lines += [
        f"| {_mark(plan, action, waiting)} | {action.kind.value} "
        f"| {_customer(action, names)} | {format_minor(action.amount_before, action.currency)} "
        f"| {format_minor(action.amount_after, action.currency)} "
        f"| {_signed(action.amount_after - action.amount_before, action.currency)} "
        f"| {escape(collection_of(action, held, notes.today))} "
        f"| {escape(_reason(plan, action, notes))} |"
        for action in changes[:MAX_SHOWN]
    ]
    text = "\n".join(lines)
    more = len(changes) - MAX_SHOWN
    return _and_more(text, more, "invoice_plan")


def _lines(plan: InvoicePlan, changes: Sequence[Mapping[str, Any]]) -> str:
    """Line by line: what a person reads before approving. What a run has carried out is no part of
    the plan any more."""
    planned = {action.invoice_id for action in plan.changes}
    rows = [row for row in changes if row["invoice_id"] in planned]
    if not rows:
        return ""
    names = names_of(plan)
    lines = [
        "### Line by line",
        "",
        "| customer | line | quantity | before | after | change | cause | what shows it |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    lines += [_line(row, names.get(row["customer_id"])) for row in rows[:MAX_SHOWN]]
    more = len(rows) - MAX_SHOWN
    text = "\n".join(lines)
    return _and_more(text, more, "plan_changes")


def _line(row: Mapping[str, Any], name: str | None) -> str:
    currency, before, after = row["currency"], row["amount_before"], row["amount_after"]
    sign = "+" if after > before else "−" if after < before else ""
    return (
        f"| {escape(name or row['customer_id'])} | {escape(row['description'])} "
        f"| {quantities(row)} | {currency} {format_amount(before, currency)} "
        f"| {currency} {format_amount(after, currency)} "
        f"| {sign}{currency} {format_amount(abs(after - before), currency)} "
        f"| {escape(row['cause'])} | {escape(row['evidence'])} |"
    )


def quantities(row: Mapping[str, Any]) -> str:
    """A changed line's quantity: ``8 → 13``, or the one that stays."""
    texts = [
        "" if value is None else f"{value.normalize():f}"
        for value in (row["quantity_before"], row["quantity_after"])
    ]
    return texts[0] if texts[0] == texts[1] else " → ".join(text or "none" for text in texts)


def _mark(
    plan: InvoicePlan, action: InvoiceAction, waiting: Collection[tuple[str, str, int]]
) -> str:
    return "waits" if action.key in waiting else "declined" if action.key in plan.declined else ""


def _customer(action: InvoiceAction, names: Mapping[str, str]) -> str:
    name = names.get(action.customer_id)
    return escape(f"{name} ({action.customer_id})" if name else action.customer_id)


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no link, no tag, no formula, one line."""
    return _SPECIAL.sub(r"\\\1", clean_text(text)).translate(_ENTITIES)
