"""The lines that a plan changes, before and after.

What belongs here: comparing what was billed line by line with what should be, for every invoice
whose billed amount the plan changes. Pure. What does not: why a line changed
(``published.change_evidence``), and the lines of a supplement (`differences.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from billing_pipeline.collection.plan.actions import InvoiceAction
from billing_pipeline.collection.plan.closed_books import sums_by_month
from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.plan.differences import BALANCING, billed_lines
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice

CREDITED_EARLIER = "Credited or decided earlier, and counted in the lines"


@dataclass(frozen=True)
class LineChange:
    """One line; amounts in minor units. `kind` is None where only Stripe has the line."""

    invoice_id: str
    payer_id: str
    currency: str
    line_id: str | None
    kind: str | None
    description: str
    amount_before: int
    amount_after: int
    quantity_before: Decimal | None = None
    quantity_after: Decimal | None = None


def line_changes(plan: InvoicePlan) -> list[LineChange]:
    """All lines that the plan changes. A first invoice changes no billed line: its lines are in
    `invoice_lines`, and only those that correct closed months are here. The changes of any other
    invoice add up to the amount by which the plan changes it."""
    desired = {invoice.invoice_id: invoice for invoice in plan.desired}
    held: dict[str, list[ActualInvoice]] = defaultdict(list)
    for item in plan.held:
        held[item.invoice_id or item.stripe_invoice_id].append(item)
    by_invoice: dict[str, list[InvoiceAction]] = defaultdict(list)
    for action in plan.changes:
        by_invoice[action.invoice_id].append(action)
    return [
        change
        for invoice_id, actions in sorted(by_invoice.items())
        for change in _invoice_changes(actions, desired.get(invoice_id), held[invoice_id])
    ]


def _invoice_changes(
    actions: Sequence[InvoiceAction], desired: DesiredInvoice | None, held: Sequence[ActualInvoice]
) -> Iterator[LineChange]:
    last = actions[-1]
    change = last.amount_after - actions[0].amount_before
    is_first = all(action.kind.is_safe and action.billed_before is None for action in actions)
    billed = [item for item in held if item.is_billed]
    if not billed and last.send is not None and last.send.corrections:
        yield from _corrections(last, last.send)
        return
    if not change or (is_first and not billed):
        return
    found = list(_compared(last, desired, billed))
    yield from found
    rest = change - sum(line.amount_after - line.amount_before for line in found)
    if rest:
        names = (last.invoice_id, last.customer_id, last.currency)
        yield LineChange(*names, None, None, CREDITED_EARLIER, -rest, 0)


def _corrections(action: InvoiceAction, send: DesiredInvoice) -> Iterator[LineChange]:
    """The lines of a first invoice that correct months whose books are closed."""
    names = (action.invoice_id, action.customer_id, action.currency)
    for line in send.lines:
        if sums_by_month([(line.line_id, line.amount)]):
            what = (line.line_id, line.kind, line.description)
            yield LineChange(*names, *what, 0, line.amount, None, _number(line.quantity))


def _compared(
    action: InvoiceAction, desired: DesiredInvoice | None, billed: Sequence[ActualInvoice]
) -> Iterator[LineChange]:
    before = {name: line for name, line in billed_lines(billed).items() if name not in BALANCING}
    names = (action.invoice_id, action.customer_id, action.currency)
    for line in desired.lines if desired else ():
        old = before.pop(line.line_id, None)
        if old is None or old.amount != line.amount:
            yield LineChange(
                *(*names, line.line_id, line.kind, line.description),
                *(old.amount if old else 0, line.amount),
                *(_number(old.quantity) if old else None, _number(line.quantity)),
            )
    for line_id, old in sorted(before.items()):
        if old.amount:
            quantity = _number(old.quantity)
            yield LineChange(
                *names, line_id, None, old.description, old.amount, 0, quantity_before=quantity
            )


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None  # somebody edited the quantity in Stripe
