"""Corrections of months whose books are closed, found before the month that bills them is rated.

What belongs here: which closed months have to be compared, what later invoices have billed for
them already, and the corrections of one that was rated again. What does not: rating it
(``defs.closed_books``), and the rule for a single line (``plan.corrections``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.closed_books import invoice_id
from billing_pipeline.collection.plan.corrections import (
    ClosedInvoice,
    InvoiceContent,
    InvoiceCorrections,
    Line,
    corrections_of,
    rest_line,
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
"""Actions that wait for a person's decision about what Stripe holds."""


@dataclass(frozen=True)
class BilledCorrections:
    """What the invoices of one customer and currency in the month `on` have billed for closed
    months."""

    on: BillingMonth
    customer_id: str
    currency: str
    content: InvoiceCorrections

    def of(self, month: BillingMonth) -> InvoiceCorrections:
        """The part of them that corrects this closed month."""
        lines = tuple(
            line for line in self.content.lines if line.corrected_month == month.first_day
        )
        ids = {line.line_id for line in lines}
        return InvoiceCorrections(
            lines, tuple(tax for tax in self.content.taxes if tax.line_id in ids)
        )


def billed_corrections(settings: Settings, cache: StripeCache) -> list[BilledCorrections]:
    """The corrections on all invoices, as last read from Stripe: line by line where the version
    that was billed is saved, else one line for each closed month, with the amount in the invoice's
    mark."""
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
                content = saved.get(name) or _content_of_marks(items, customer_id, currency)
                found.append(BilledCorrections(month, customer_id, currency, content))
    return found


def _content_of_marks(
    items: Sequence[ActualInvoice], customer_id: str, currency: str
) -> InvoiceCorrections:
    sums: dict[BillingMonth, int] = {}
    for item in items:
        for month, amount in marked_sums(item).items():
            sums[month] = sums.get(month, 0) + amount
    return InvoiceCorrections(
        tuple(
            _whole_month(month, customer_id, currency, to_major(amount, currency))
            for month, amount in sums.items()
            if amount
        )
    )


def _whole_month(
    month: BillingMonth, customer_id: str, currency: str, amount: Decimal
) -> Correction:
    """One line for all that an invoice corrects of a month."""
    return rest_line(
        invoice_id(customer_id, currency, month),
        *(month, customer_id, currency, amount),
        amount_before=Decimal(0),
        description=f"Correction of {month}",
        calculation="as Stripe's mark says; the lines are not recorded",
    )


def months_to_compare(
    settings: Settings, cache: StripeCache, recorded: Iterable[str], before: BillingMonth
) -> list[BillingMonth]:
    """The months to compare, oldest first: all those before `before` since the first one that was
    billed, by our records (`recorded`) or in Stripe. Earlier months were not billed from here, so
    nothing is corrected of them."""
    ours = read_cut_over(settings.records_dir) or settings.first_month
    billed = {BillingMonth.parse(key) for key in (*recorded, *cache.invoices.months())}
    month = min((month for month in billed if month >= ours), default=before)
    months = []
    while month < before:
        months.append(month)
        month = month.shift(1)
    return months


def is_settled(settings: Settings, month: BillingMonth) -> bool:
    """True where everything that is due for the month has been billed, corrections included, and
    its inputs have not changed since."""
    known = compared_inputs(settings, month)
    return (
        known is not None
        and known.get("is_billed", False)
        and changed_inputs(settings, month, known) is None
    )


@dataclass(frozen=True)
class ClosedMonthCorrections:
    """What is to be corrected of a closed month. `corrections` belong on the invoices of the first
    open month; `spent` are the corrections of the month's lines on all invoices, these included.
    `not_corrected`: by invoice id, why an invoice stays as it was billed."""

    corrections: InvoiceCorrections
    spent: tuple[Correction, ...]
    not_corrected: Mapping[str, str] = field(default_factory=dict)


def already_billed(
    billed: Sequence[BilledCorrections], month: BillingMonth, on: BillingMonth
) -> ClosedMonthCorrections:
    """For a closed month that is settled: the corrections that were billed already."""
    here = [item.of(month) for item in billed if item.on == on]
    everywhere = [item.of(month) for item in billed]
    return ClosedMonthCorrections(_merged(here), _merged(everywhere).lines)


def corrections_on(billed: Sequence[BilledCorrections], month: BillingMonth) -> Corrections:
    """For a month that takes no new corrections: those that its invoices have billed."""
    here = _merged([item.content for item in billed if item.on == month])
    first = month.first_day
    spent = [line for item in billed for line in item.content.lines if line.corrected_month < first]
    return Corrections(here.lines, here.taxes, tuple(spent))


def open_corrections(
    settings: Settings,
    scratch: Settings,
    plan: InvoicePlan,
    billed: Sequence[BilledCorrections],
    month: BillingMonth,
    on: BillingMonth,
    customers: Collection[str],
) -> ClosedMonthCorrections:
    """The changes of a closed month, as correction lines on invoices of the month `on`. `scratch`:
    the settings under which the closed month was rated again, and `plan` its plan.

    An invoice stays as it was billed if its change was declined or is in review, or if its payer is
    no longer among the `customers` of the accounts and so gets no invoice to correct it on."""
    wanted = {invoice.invoice_id: invoice for invoice in plan.desired}
    actions = _by_invoice(plan.actions)
    held = _held_by_invoice(plan)
    net = {name: net_of(held.get(name, ())) for name in actions}
    own = _billed_by_invoice(actions, billed)
    elsewhere = {
        name: _merged([part.of(month) for part in parts if part.on != on])
        for name, parts in own.items()
    }
    kept = {
        action.invoice_id
        for action in plan.actions
        if action.kind in _UNDECIDED or action.key in plan.declined
    }
    changed = {
        name: action
        for name, action in actions.items()
        if name not in kept
        and (wanted[name].total if name in wanted else 0)
        != net[name] + to_minor(elsewhere[name].total, action.currency)
    }
    not_corrected = _not_corrected(plan, held, kept, changed, month, customers)
    stays = kept | not_corrected.keys()
    touched = (changed.keys() | {name for name in actions if elsewhere[name].lines}) - stays
    now = content_now(scratch.warehouse_path(month), touched & wanted.keys())
    totals = {name: to_major(net[name], actions[name].currency) for name in touched}
    before = content_billed(settings, month, totals)
    contents = {
        name: _contents(now.get(name), before.get(name), held.get(name, ()), actions[name])
        for name in touched
    }
    moved = _moved_lines(contents, elsewhere)
    found: list[InvoiceCorrections] = []
    spent: list[Correction] = []
    for name, action in sorted(actions.items()):
        if name in stays:
            if action.customer_id in customers:
                found += [part.of(month) for part in own[name] if part.on == on]
            spent += _merged([part.of(month) for part in own[name]]).lines
        elif name in touched:
            payer = (action.customer_id, action.currency)
            invoice = ClosedInvoice(
                *(name, month, *payer, *contents[name]), elsewhere[name], totals[name], moved[name]
            )
            found.append(corrections_of(invoice))
            spent += corrections_of(replace(invoice, elsewhere=InvoiceCorrections())).lines
    return ClosedMonthCorrections(_merged(found), tuple(spent), not_corrected)


def _held_by_invoice(plan: InvoicePlan) -> dict[str, list[ActualInvoice]]:
    """What Stripe holds of each invoice of ours."""
    held: dict[str, list[ActualInvoice]] = {}
    for item in plan.held:
        held.setdefault(item.invoice_id or item.stripe_invoice_id, []).append(item)
    return held


def _billed_by_invoice(
    actions: Mapping[str, InvoiceAction], billed: Sequence[BilledCorrections]
) -> dict[str, list[BilledCorrections]]:
    """The corrections that were billed to each invoice's customer in its currency."""
    owned: dict[tuple[str, str], list[BilledCorrections]] = defaultdict(list)
    for part in billed:
        owned[part.customer_id, part.currency].append(part)
    return {name: owned.get((a.customer_id, a.currency), []) for name, a in actions.items()}


def _contents(
    now: InvoiceContent | None,
    saved: InvoiceContent | None,
    held: Sequence[ActualInvoice],
    action: InvoiceAction,
) -> tuple[InvoiceContent, InvoiceContent]:
    """An invoice as it would be billed `now`, and as it was billed: as `saved` then, else by the
    lines that Stripe holds. Without the saved version its taxes line by line are not known either,
    so neither side has them."""
    present = now or InvoiceContent()
    if saved is None and any(item.is_billed for item in held):
        return replace(present, taxes={}), _content_of_stripe_lines(held, action)
    return present, saved or InvoiceContent()


def _moved_lines(
    contents: Mapping[str, tuple[InvoiceContent, InvoiceContent]],
    elsewhere: Mapping[str, InvoiceCorrections],
) -> dict[str, set[str]]:
    """By invoice: its lines that were billed on another one of these invoices, because the payer
    or the currency was another, or corrected with another one."""
    billed_on: dict[str, set[str]] = defaultdict(set)
    for name, (_, billed) in contents.items():
        for line_id in (*billed.lines, *(line.corrected_line_id for line in elsewhere[name].lines)):
            billed_on[line_id].add(name)
    return {
        name: {line_id for line_id in now.lines if billed_on.get(line_id, set()) - {name}}
        for name, (now, _) in contents.items()
    }


def _not_corrected(
    plan: InvoicePlan,
    held: Mapping[str, Sequence[ActualInvoice]],
    kept: Collection[str],
    changed: Mapping[str, InvoiceAction],
    month: BillingMonth,
    customers: Collection[str],
) -> dict[str, str]:
    """Why some invoices stay as they were billed although they `changed`, by id: the payer has left
    the accounts, or the invoice would charge again for something that an invoice of such a payer,
    or one that is `kept`, has charged already (`witnesses`)."""
    found = {
        name: _has_left(action, month)
        for name, action in changed.items()
        if action.customer_id not in customers
    }
    witnesses = Witnesses(
        [item for name in sorted({*kept, *found}) for item in held.get(name, ())],
        {},
        {invoice.customer_id for invoice in plan.desired},
    )
    for invoice in plan.desired:
        action = changed.get(invoice.invoice_id)
        if action is None or invoice.invoice_id in found:
            continue
        evidence = witnesses.billed_before(invoice)
        if evidence is not None and action.amount_after > action.amount_before:
            found[invoice.invoice_id] = _would_bill_twice(action, month, evidence)
    return found


def _has_left(action: InvoiceAction, month: BillingMonth) -> str:
    return (
        f"{action.customer_id} is not in accounts/customers.csv any more, so the change to {month} "
        "cannot be billed; it stays in month_drift"
    )


def _would_bill_twice(action: InvoiceAction, month: BillingMonth, evidence: str) -> str:
    return (
        f"the increase of {month} for {action.customer_id} is not billed: the customer {evidence}, "
        "and that invoice stays as it is. The increase stays in month_drift"
    )


def _by_invoice(actions: Iterable[InvoiceAction]) -> dict[str, InvoiceAction]:
    return {
        action.invoice_id: action for action in actions if action.kind is not ActionKind.WITHDRAW
    }


def _content_of_stripe_lines(
    held: Sequence[ActualInvoice], action: InvoiceAction
) -> InvoiceContent:
    """Where no version is saved: Stripe's lines, as far as they were read. Stripe does not say
    which of them are taxes, so all are taken for charges."""
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


def _merged(parts: Iterable[InvoiceCorrections]) -> InvoiceCorrections:
    found = list(parts)
    return InvoiceCorrections(
        tuple(line for part in found for line in part.lines),
        tuple(tax for part in found for tax in part.taxes),
    )
