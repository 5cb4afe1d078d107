"""The invoice plan: what would bring Stripe from what it holds to what should be billed.

What belongs here: one pure function that decides everything, for the preview and for the real
run alike, and the plan's hash. What does not: what a single invoice needs (`case.py`), reading
either side, sending anything, or showing the plan (``plan_rows``, ``plan_pages``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.approval import (
    PlanDecision,
    declined_now,
    rest_of,
    with_declined,
)
from billing_pipeline.collection.plan.case import CORRECTS, Case, Corrected
from billing_pipeline.collection.plan.desired import DesiredInvoice
from billing_pipeline.collection.plan.limits import Limits, MonthTotal, broken_limits
from billing_pipeline.collection.plan.witnesses import StripeCustomers, Witnesses
from billing_pipeline.collection.stripe_state.resolutions import Proposal
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.collection.stripe_state.texts import short_hash


@dataclass(frozen=True)
class InvoicePlan:
    """The whole plan of a month. `held_by`: the limits that make all of it wait. `declined`: the
    declined actions by key, each with the sentence that says so. `known_as`: the hash of the
    approved plan of which this is the rest. `closed`: the sentence about a month whose books are
    closed, for which nothing is sent any more. `desired` and `held`: what was compared, to explain
    the plan from."""

    month_key: str
    account_id: str
    actions: tuple[InvoiceAction, ...]
    held_by: tuple[str, ...] = ()
    declined: Mapping[tuple[str, str, int], str] = field(default_factory=dict)
    known_as: str | None = None
    closed: str | None = None
    desired: tuple[DesiredInvoice, ...] = field(default=(), repr=False, compare=False)
    held: tuple[ActualInvoice, ...] = field(default=(), repr=False, compare=False)
    hash: str = field(init=False)

    def __post_init__(self) -> None:
        # Unchanged invoices are left out: they need nobody's approval.
        content = [action.canonical() for action in self.changes]
        own_hash = short_hash([self.month_key, self.account_id, content])
        object.__setattr__(self, "hash", self.known_as or own_hash)

    @cached_property
    def changes(self) -> tuple[InvoiceAction, ...]:
        return tuple(a for a in self.actions if a.kind is not ActionKind.UNCHANGED)

    @cached_property
    def safe(self) -> tuple[InvoiceAction, ...]:
        """What may be applied unattended: nothing at all where a limit holds the plan, and never
        what was declined."""
        return () if self.held_by else tuple(a for a in self._open if a.is_safe)

    @cached_property
    def waiting(self) -> tuple[InvoiceAction, ...]:
        """What waits for a person."""
        return self._open if self.held_by else tuple(a for a in self._open if not a.is_safe)

    @cached_property
    def undecided(self) -> tuple[InvoiceAction, ...]:
        """The changes that nobody has declined."""
        return tuple(action for action in self.changes if action.key not in self.declined)

    @cached_property
    def _open(self) -> tuple[InvoiceAction, ...]:
        return tuple(action for action in self.undecided if not self.is_closed_to(action))

    def is_closed_to(self, action: InvoiceAction) -> bool:
        """True where closed books forbid the action: a new amount for the month is billed with a
        later month instead. What changes no amount, such as completing an interrupted payment, is
        still carried out."""
        return self.closed is not None and (
            action.send is not None or action.kind in (ActionKind.SUPPLEMENT, ActionKind.CREDIT)
        )

    @property
    def needs_approval(self) -> bool:
        return bool(self.waiting)


def plan(
    desired: Iterable[DesiredInvoice],
    actual: Iterable[ActualInvoice],
    *,
    month_key: str,
    account_id: str = "",
    limits: Limits | None = None,
    previous_totals: Mapping[str, MonthTotal] | None = None,
    stripe_customers: StripeCustomers | None = None,
    proposals: Mapping[str, Proposal] | None = None,
    decisions: Sequence[PlanDecision] = (),
    corrected: Mapping[str, Corrected] | None = None,
    closed: str | None = None,
) -> InvoicePlan:
    """Compare what should be billed for a month with what Stripe holds.

    Pure: the same input gives the same plan and hash. `actual` are the invoices of this month,
    including those that only our records know; lines must have been read for drafts and wherever
    the amounts differ. `previous_totals`: what the month before was billed, by currency, for the
    limits. `proposals`: decisions that somebody proposes to end a review, by invoice. `decisions`:
    what was approved and declined of the month's plans, oldest first. `corrected`: what later
    invoices have billed for the month, by the month's invoice; `closed`: why nothing is sent for
    the month any more.
    """
    wanted = {invoice.invoice_id: invoice for invoice in _together(desired)}
    held: dict[str, list[ActualInvoice]] = defaultdict(list)
    for invoice in sorted(actual, key=lambda item: (item.created, item.stripe_invoice_id)):
        held[invoice.invoice_id or invoice.stripe_invoice_id].append(invoice)
    actions: list[InvoiceAction] = []
    later = corrected or {}
    for invoice_id in sorted({*wanted, *held, *later}):
        case = Case(
            invoice_id,
            month_key,
            wanted.get(invoice_id),
            tuple(held[invoice_id]),
            (proposals or {}).get(invoice_id),
            later.get(invoice_id),
        )
        actions += case.actions()
    witnesses = Witnesses(
        [invoice for invoices in held.values() for invoice in invoices],
        stripe_customers or {},
        {invoice.customer_id for invoice in wanted.values()},
    )
    actions, declined = with_declined(_with_evidence(actions, witnesses), declined_now(decisions))
    sent = [_left_out(action) if action.key in declined else action for action in actions]
    held_by = broken_limits(sent, limits or Limits(), previous_totals or {}) if not closed else ()
    return InvoicePlan(
        month_key,
        account_id,
        tuple(actions),
        held_by,
        declined,
        rest_of((a for a in actions if a.kind is not ActionKind.UNCHANGED), decisions),
        closed,
        tuple(wanted.values()),
        tuple(invoice for invoices in held.values() for invoice in invoices),
    )


def _left_out(action: InvoiceAction) -> InvoiceAction:
    """A declined action as the limits count it: it leaves the month's total as it is."""
    return replace(action, kind=ActionKind.UNCHANGED, send=None, amount_after=action.amount_before)


def _together(desired: Iterable[DesiredInvoice]) -> list[DesiredInvoice]:
    """Each invoice with the others of its customer: one in each currency."""
    of_customer: dict[str, list[DesiredInvoice]] = defaultdict(list)
    for invoice in desired:
        of_customer[invoice.customer_id].append(invoice)
    return [
        replace(
            invoice,
            together=tuple(sorted(other.reference for other in others if other is not invoice)),
        )
        if len(others) > 1
        else invoice
        for others in of_customer.values()
        for invoice in others
    ]


def _with_evidence(actions: Iterable[InvoiceAction], witnesses: Witnesses) -> list[InvoiceAction]:
    """Make first invoices wait for which there is evidence that the customer was billed before.
    Evidence in one currency counts for all of a customer's currencies."""
    actions = list(actions)
    before: dict[str, str] = {}
    for action in actions:
        if _is_first(action) and action.send is not None:
            found = witnesses.billed_before(action.send)
            if found is not None:
                before.setdefault(action.customer_id, found)
    # Where one invoice waits because it corrects closed months, the customer's others wait too.
    for action in actions:
        if action.billed_before is not None and action.billed_before.startswith(CORRECTS):
            before.setdefault(action.customer_id, action.billed_before)
    return [
        replace(action, billed_before=reason, reason=_reasons(reason, action))
        if _is_first(action) and reason is not None
        else action
        for action in actions
        for reason in [before.get(action.customer_id)]
    ]


def _is_first(action: InvoiceAction) -> bool:
    is_new = action.kind in (ActionKind.CREATE, ActionKind.RESUME) and action.send is not None
    corrects = (action.billed_before or CORRECTS).startswith(CORRECTS)
    return is_new and action.amount_before == 0 and corrects


def _reasons(reason: str, action: InvoiceAction) -> str:
    parts = dict.fromkeys([reason, action.billed_before, action.reason])
    return "; ".join(part for part in parts if part)
