"""The invoice plan, and what a run did of it, for people: Markdown pages and single sentences.

What belongs here: wording and layout. What does not: the rows of tables (``plan_rows``).
Names and reasons come from the accounts and from Stripe: they are escaped here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.collecting import collection_of
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan_rows import (
    PlanNotes,
    customer_text,
    names_of,
    obstacle_of,
    reason_of,
)
from billing_pipeline.collection.push.apply import ActionResult, ApplyReport
from billing_pipeline.collection.stripe_state.texts import clean_text
from billing_pipeline.money import format_amount, format_minor, format_minor_change, plain_number
from billing_pipeline.text import counted, first_few

MAX_SHOWN = 200
MAX_NAMED = 3
"""How many changes a sentence names."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]#|~!])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


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
        parts.append("Changes marked `waits` need approval of this hash.")
    if plan.needs_approval:
        parts.append(_next_step(plan, notes))
    parts += [_totals(plan), _changes(plan, notes), _lines(plan, changes)]
    return "\n\n".join(part for part in parts if part)


def receipt_markdown(report: ApplyReport) -> str:
    """A page: what was carried out, how each change ended, and what Stripe calls it."""
    if not report.results:
        return "There was nothing to do: nothing was sent."
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
    verb = "waits" if len(waiting) == 1 else "wait"
    count = f"{len(waiting)} of {counted(len(plan.changes), 'change')} {verb} for approval"
    return f"{count}: {_named(plan, _ordered_changes(plan))}"


def receipt_sentence(report: ApplyReport) -> str:
    """What was carried out, in one sentence."""
    if not report.results:
        return "there was nothing to do: nothing was sent"
    done = [result.action for result in report.done]
    verb = "is" if len(done) == 1 else "are"
    text = f"{len(done)} of {counted(len(report.results), 'change')} {verb} done"
    return f"{text}: {_named(report.plan, done)}" if done else text


def _named(plan: InvoicePlan, actions: Sequence[InvoiceAction]) -> str:
    names = names_of(plan)
    texts = [
        f"{action.kind.value} for {names.get(action.customer_id) or action.customer_id} "
        f"{format_minor_change(action.change, action.currency)}"
        for action in actions
    ]
    return ", ".join(first_few(texts, MAX_NAMED))


def net_changes(plan: InvoicePlan) -> dict[str, int]:
    """The sum of all changes that are not declined, by currency, in minor units."""
    net: dict[str, int] = defaultdict(int)
    for action in plan.changes:
        if action.key not in plan.declined:
            net[action.currency] += action.change
    return dict(sorted(net.items()))


def _next_step(plan: InvoicePlan, notes: PlanNotes) -> str:
    command = f"`billing apply {plan.month_key[:7]} --approve {plan.hash}`"
    if notes.approval_url is None:
        return f"To approve it: {command}"
    return f"To approve it: [the launchpad, filled in]({notes.approval_url}), or {command}"


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
        changed = format_minor_change(after - before, currency)
        lines.append(f"| {kind.value} | {count} | {amounts} | {changed} |")
    lines += [
        f"| **net** | | | | **{format_minor_change(change, currency)}** |"
        for currency, change in net_changes(plan).items()
    ]
    return "\n".join(lines)


def _ordered_changes(plan: InvoicePlan) -> list[InvoiceAction]:
    """What waits comes first, then the largest change of each currency: a page shows only some."""
    waiting = {action.key for action in plan.waiting}
    return sorted(
        plan.changes,
        key=lambda action: (
            action.key not in waiting,
            action.currency,
            -abs(action.change),
            action.invoice_id,
        ),
    )


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
        f"| {format_minor_change(action.change, action.currency)} "
        f"| {escape(collection_of(action, held, notes.today))} "
        f"| {escape(reason_of(plan, action, obstacle_of(action, notes)))} |"
        for action in changes[:MAX_SHOWN]
    ]
    text = "\n".join(lines)
    more = len(changes) - MAX_SHOWN
    return _and_more(text, more, "invoice_plan")


def _lines(plan: InvoicePlan, changes: Sequence[Mapping[str, Any]]) -> str:
    """The table of changed lines, which a person reads before approving. Changes that a run has
    carried out are no longer in the plan, and left out."""
    places = {action.invoice_id: place for place, action in enumerate(_ordered_changes(plan))}
    rows = [row for row in changes if row["invoice_id"] in places]
    rows.sort(key=lambda row: places[row["invoice_id"]])
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
        "" if value is None else plain_number(value)
        for value in (row["quantity_before"], row["quantity_after"])
    ]
    return texts[0] if texts[0] == texts[1] else " → ".join(text or "none" for text in texts)


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


def _mark(
    plan: InvoicePlan, action: InvoiceAction, waiting: Collection[tuple[str, str, int]]
) -> str:
    return "waits" if action.key in waiting else "declined" if action.key in plan.declined else ""


def _customer(action: InvoiceAction, names: Mapping[str, str]) -> str:
    return escape(customer_text(action.customer_id, names.get(action.customer_id)))


def _and_more(text: str, more: int, table: str) -> str:
    """The text, with a note of how many rows the page leaves out and which table has them."""
    return f"{text}\n\nand {more} more, in the table `{table}`" if more > 0 else text


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no link, no tag, no formula, one line."""
    return _SPECIAL.sub(r"\\\1", clean_text(text)).translate(_ENTITIES)
