"""What is billed later for months whose books are closed: found before a month is rated.

What belongs here: which closed months have to be looked at, what later invoices have billed for
them already, and the corrections of one that was rated aside. What does not: rating it
(``defs.closed_books``), and the rule of a single line (``plan.corrections``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.closed_books import correction_id, invoice_id
from billing_pipeline.collection.plan.corrections import (
    REST,
    ClosedInvoice,
    InvoiceContent,
    InvoiceCorrections,
    Line,
    corrections_of,
)
from billing_pipeline.collection.plan.differences import billed_lines
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.witnesses import Witnesses
from billing_pipeline.collection.records.cut_over import read_cut_over
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.cache import StripeCache
from billing_pipeline.collection.stripe_state.refresh import cached_month
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.intake.late_usage import changed_inputs, compared_inputs
from billing_pipeline.money import to_major, to_minor
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.billed_corrections import (
    correcting_invoices,
    marked_sums,
    net_of,
)
from billing_pipeline.published.invoice_content import (
    content_billed,
    content_now,
    corrections_billed,
)
from billing_pipeline.rating.corrections import Correction, Corrections
from billing_pipeline.settings import Settings

_UNDECIDED = (ActionKind.REVIEW, ActionKind.RESOLVE)
"""What only a person's decision about what stands in Stripe can settle."""


@dataclass(frozen=True)
class BilledCorrections:
    """What one invoice of the month `on` has billed for closed months."""

    on: BillingMonth
    customer_id: str
    currency: str
    content: InvoiceCorrections

    def of(self, month: BillingMonth) -> InvoiceCorrections:
        lines = tuple(
            line for line in self.content.lines if line.corrected_month == month.first_day
        )
        ids = {line.line_id for line in lines}
        return InvoiceCorrections(
            lines, tuple(tax for tax in self.content.taxes if tax.line_id in ids)
        )


def billed_corrections(settings: Settings, cache: StripeCache) -> list[BilledCorrections]:
    """Of all invoices, as Stripe was last read: line by line where the version that was billed is
    saved, else one line for each closed month, of what the invoice's mark says."""
    found = []
    keys = {str(item.marks.get(metadata_keys.MONTH, "")) for item in cache.invoices.correcting()}
    for month in sorted(BillingMonth.parse(key) for key in keys if key):
        groups = correcting_invoices(cached_month(cache, month.key))
        totals = {
            name: to_major(net_of(items), items[0].currency) for name, items in groups.items()
        }
        saved = corrections_billed(settings, month, totals)
        for name, items in groups.items():
            customer_id, currency = items[0].customer_id, items[0].currency
            if customer_id is not None:
                content = saved.get(name) or _by_marks(items, customer_id, currency)
                found.append(BilledCorrections(month, customer_id, currency, content))
    return found


def _by_marks(
    items: Sequence[ActualInvoice], customer_id: str, currency: str
) -> InvoiceCorrections:
    sums: dict[BillingMonth, int] = {}
    for item in items:
        for month, amount in marked_sums(item).items():
            sums[month] = sums.get(month, 0) + amount
    return InvoiceCorrections(
        tuple(
            _coarse(month, customer_id, currency, to_major(amount, currency))
            for month, amount in sums.items()
            if amount
        )
    )


def _coarse(month: BillingMonth, customer_id: str, currency: str, amount: Decimal) -> Correction:
    name = f"{REST}_{invoice_id(customer_id, currency, month)}"
    return Correction(
        corrected_month=month.first_day,
        corrected_line_id=name,
        corrected_kind=REST,
        line_id=correction_id(name, month),
        kind="correction",
        payer_id=customer_id,
        customer_id=customer_id,
        subscription_id=None,
        charge_id=None,
        price_id=None,
        tax_rate_id=None,
        is_inclusive=False,
        description=f"Correction of {month}",
        quantity=None,
        amount=amount,
        amount_before=Decimal(0),
        amount_now=amount,
        net_amount=Decimal(0),
        currency=currency,
        period_start=None,
        period_end=None,
        calculation="as Stripe's mark says; the lines are not recorded",
    )


def months_to_look_at(
    settings: Settings, cache: StripeCache, recorded: Iterable[str], before: BillingMonth
) -> list[BillingMonth]:
    """The closed months since the first of which something was billed, by whatever witness, the
    oldest first. What was before it nobody billed from here, and it is not billed as a correction
    either."""
    ours = read_cut_over(settings.records_dir) or settings.first_month
    billed = {BillingMonth.parse(key) for key in (*recorded, *cache.invoices.months())}
    month = min((month for month in billed if month >= ours), default=before)
    months = []
    while month < before:
        months.append(month)
        month = month.shift(1)
    return months


def is_settled(settings: Settings, month: BillingMonth) -> bool:
    """What the month comes to was billed, with corrections, and its inputs are the same still."""
    known = compared_inputs(settings, month)
    return (
        known is not None
        and known.get("is_billed", False)
        and changed_inputs(settings, month, known) is None
    )


@dataclass(frozen=True)
class Found:
    """What a closed month needs on the invoices of the first open one, and what all corrections of
    it add to its lines, wherever they stand. `not_corrected`: why an invoice keeps what was billed
    of it, by its id."""

    corrections: InvoiceCorrections
    spent: tuple[Correction, ...]
    not_corrected: Mapping[str, str] = field(default_factory=dict)


def as_billed(billed: Sequence[BilledCorrections], month: BillingMonth, on: BillingMonth) -> Found:
    """Of a closed month that is settled: what was billed."""
    here = [item.of(month) for item in billed if item.on == on]
    everywhere = [item.of(month) for item in billed]
    return Found(_united(here), _united(everywhere).lines)


def corrections_on(billed: Sequence[BilledCorrections], month: BillingMonth) -> Corrections:
    """Of a month that takes no new ones: what its invoices have billed for closed months."""
    here = _united([item.content for item in billed if item.on == month])
    first = month.first_day
    spent = [line for item in billed for line in item.content.lines if line.corrected_month < first]
    return Corrections(here.lines, here.taxes, tuple(spent))


def open_corrections(
    settings: Settings,
    aside: Settings,
    plan: InvoicePlan,
    billed: Sequence[BilledCorrections],
    month: BillingMonth,
    on: BillingMonth,
    customers: Collection[str],
) -> Found:
    """Of a closed month that was rated `aside`, and planned: what its changes come to as lines of
    the month `on`. What was declined, or is in review, stays as it was billed; so does the invoice
    of a payer who is not among the `customers` of the accounts any more, for it can be corrected on
    no other. What one of these tells of (`witnesses`) is charged to nobody else: it would be billed
    twice."""
    wanted = {invoice.invoice_id: invoice for invoice in plan.desired}
    held: dict[str, list[ActualInvoice]] = {}
    for item in plan.held:
        held.setdefault(item.invoice_id or item.stripe_invoice_id, []).append(item)
    kept = {
        action.invoice_id
        for action in plan.actions
        if action.kind in _UNDECIDED or action.key in plan.declined
    }
    actions = _by_invoice(plan.actions)
    owned: dict[tuple[str, str], list[BilledCorrections]] = defaultdict(list)
    for part in billed:
        owned[part.customer_id, part.currency].append(part)
    own = {name: owned.get((a.customer_id, a.currency), []) for name, a in actions.items()}
    elsewhere = {
        name: _united([part.of(month) for part in parts if part.on != on])
        for name, parts in own.items()
    }
    changed = {
        name
        for name, action in actions.items()
        if name not in kept
        and (wanted[name].total if name in wanted else 0)
        != net_of(held.get(name, ())) + to_minor(elsewhere[name].total, action.currency)
    }
    left = {name for name in changed - kept if actions[name].customer_id not in customers}
    not_corrected = {name: _has_left(actions[name], month) for name in left}
    witnesses = Witnesses(
        [item for name in sorted(kept | left) for item in held.get(name, ())],
        {},
        {invoice.customer_id for invoice in plan.desired},
    )
    for name in sorted((changed & wanted.keys()) - kept - left):
        told = witnesses.billed_before(wanted[name])
        if told is not None and actions[name].amount_after > actions[name].amount_before:
            not_corrected[name] = _would_be_billed_twice(actions[name], month, told)
    touched = changed | {name for name in actions if elsewhere[name].lines}
    now = content_now(aside.warehouse_path(month), touched & wanted.keys())
    totals = {
        name: to_major(net_of(held.get(name, ())), actions[name].currency) for name in touched
    }
    before = content_billed(settings, month, totals)
    found: list[InvoiceCorrections] = []
    spent: list[Correction] = []
    for name, action in sorted(actions.items()):
        if name in kept or name in not_corrected:
            if action.customer_id in customers:
                found += [part.of(month) for part in own[name] if part.on == on]
            spent += _united([part.of(month) for part in own[name]]).lines
        elif name in touched:
            present, former = now.get(name, InvoiceContent()), before.get(name)
            if former is None and any(item.is_billed for item in held.get(name, ())):
                # Then nothing is known of its taxes line by line either.
                former = _by_stripe_lines(held[name], action)
                present = replace(present, taxes={})
            invoice = ClosedInvoice(
                name,
                month,
                action.customer_id,
                action.currency,
                present,
                former or InvoiceContent(),
                elsewhere[name],
                totals[name],
            )
            found.append(corrections_of(invoice))
            spent += corrections_of(replace(invoice, elsewhere=InvoiceCorrections())).lines
    return Found(_united(found), tuple(spent), not_corrected)


def _has_left(action: InvoiceAction, month: BillingMonth) -> str:
    return (
        f"{action.customer_id} is not in accounts/customers.csv any more, so what {month} would be "
        "charged otherwise cannot be billed; it stays in month_drift"
    )


def _would_be_billed_twice(action: InvoiceAction, month: BillingMonth, told: str) -> str:
    return (
        f"what {month} would charge {action.customer_id} more is not billed, for it {told}, and "
        "that invoice stays as it is; it stays in month_drift"
    )


def _by_invoice(actions: Iterable[InvoiceAction]) -> dict[str, InvoiceAction]:
    return {
        action.invoice_id: action for action in actions if action.kind is not ActionKind.WITHDRAW
    }


def _by_stripe_lines(held: Sequence[ActualInvoice], action: InvoiceAction) -> InvoiceContent:
    """Where no version is saved: the lines that Stripe has, as far as they were read. Which of them
    are taxes, only their ids can tell."""
    billed = [item for item in held if item.is_billed]
    return InvoiceContent.of(
        Line(
            line_id=name,
            kind="charge",
            customer_id=action.customer_id,
            subscription_id=None,
            charge_id=None,
            price_id=None,
            tax_rate_id=None,
            is_inclusive=False,
            description=line.description,
            quantity=None,
            amount=to_major(line.amount, action.currency),
            discount_share=Decimal(0),
            period_start=None,
            period_end=None,
            calculation=None,
        )
        for name, line in billed_lines(billed).items()
    )


def _united(parts: Iterable[InvoiceCorrections]) -> InvoiceCorrections:
    found = list(parts)
    return InvoiceCorrections(
        tuple(line for part in found for line in part.lines),
        tuple(tax for part in found for tax in part.taxes),
    )
