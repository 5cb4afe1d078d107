"""Planning one month: reading what Stripe and our records hold of it, and making the plan.

What belongs here: reading all that a plan needs, in the order that makes it safe. What does not:
deciding (``plan``), and carrying the plan out (``steps``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.case import Corrected
from billing_pipeline.collection.plan.closed_books import closed_sentence, invoice_id
from billing_pipeline.collection.plan.desired import DesiredInvoice, read_desired
from billing_pipeline.collection.plan.empty_plan import REUSE_SECONDS, empty_plan_mark
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan, plan
from billing_pipeline.collection.plan.limits import Limits, MonthTotal
from billing_pipeline.collection.records.billed import BilledInvoice
from billing_pipeline.collection.records.opening import Records
from billing_pipeline.collection.records.recorded import (
    find_recorded,
    with_lost,
    with_records,
)
from billing_pipeline.collection.stripe_state.payment_status import with_payments_under_way
from billing_pipeline.collection.stripe_state.refresh import (
    cached_month,
    list_month,
    read_credit_notes,
    read_lines_of,
)
from billing_pipeline.collection.stripe_state.resolutions import Proposal
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.billed_corrections import billed_sums
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway

Desired = tuple[DesiredInvoice, ...]
Held = tuple[ActualInvoice, ...]


@dataclass(frozen=True)
class MonthContext:
    """One month's planning, with all that it needs."""

    gateway: StripeGateway
    settings: Settings
    records: Records
    month: BillingMonth
    account_id: str
    desired: Desired
    proposals: Mapping[str, Proposal] = field(default_factory=dict)

    async def plan(self) -> tuple[Held, InvoicePlan]:
        """What Stripe holds now, with what only our records know, and the plan made from it."""
        gateway, cache, key = self.gateway, self.records.cache, self.month.key
        start, end = (
            int(instant.timestamp())
            for instant in (
                self.month.start(self.settings.timezone),
                self.month.end(self.settings.timezone),
            )
        )
        # Read before Stripe: what another run bills in between must not look missing in Stripe.
        recorded = self.records.billed.invoices(key)
        await list_month(gateway, cache, key, start)
        await find_recorded(gateway, cache, recorded, key)
        listed = await read_credit_notes(gateway, cache, cached_month(cache, key))
        owned = await with_lost(
            gateway,
            cache,
            listed,
            self.desired,
            self._stripe_customers(),
            month_key=key,
            month_end=end,
        )
        totals = {invoice.invoice_id: invoice.total for invoice in self.desired}
        complete = await read_lines_of(gateway, cache, owned, totals)
        seen = await with_payments_under_way(gateway, cache, complete)
        held = self._with_records(seen, recorded)
        return held, self.compare(held)

    def empty_plan_of(self, run_id: str) -> tuple[Held, InvoicePlan] | None:
        """The empty plan that this run's preview noted, if nothing has changed since; else None."""
        noted = self.records.cache.months.empty_plan(self.month.key)
        if noted is None:
            return None
        mark, at = noted
        recorded = self.records.billed.invoices(self.month.key)
        held = self._with_records(cached_month(self.records.cache, self.month.key), recorded)
        # Read after `held`: a request that is sent in between then changes the mark.
        entry = self.records.request_log.last_entry()
        age = self.gateway.clock.now() - at
        if not 0 <= age <= REUSE_SECONDS or mark != empty_plan_mark(
            run_id, entry, self.desired, held
        ):
            return None
        return held, self.compare(held)

    def _with_records(
        self, held: Sequence[ActualInvoice], recorded: Sequence[BilledInvoice]
    ) -> Held:
        decided = self.records.request_log.decided(self.month.key)
        return tuple(with_records(held, recorded, decided, self.month.key))

    def _stripe_customers(self) -> dict[str, frozenset[str]]:
        customers = {invoice.customer_id for invoice in self.desired}
        return self.records.cache.customers.stripe_ids_of(customers)

    def compare(self, held: Held) -> InvoicePlan:
        """The plan for what Stripe holds, with the decisions known so far. Asks Stripe nothing."""
        present = self._compare(held, self.proposals)
        # Where a proposed decision was declined, its review is back in the plan.
        declined = {
            action.invoice_id
            for action in present.changes
            if action.kind is ActionKind.RESOLVE and action.key in present.declined
        }
        return self._compare(held, self.proposals, without=declined) if declined else present

    def _compare(
        self, held: Held, proposals: Mapping[str, Proposal], without: Collection[str] = ()
    ) -> InvoicePlan:
        before = cached_month(self.records.cache, self.month.shift(-1).key)
        asked = {**self.records.request_log.proposals(self.month.key), **proposals}
        return plan(
            self.desired,
            held,
            month_key=self.month.key,
            account_id=self.account_id,
            limits=Limits.of(self.settings),
            previous_totals=_billed_totals(before),
            stripe_customers=self._stripe_customers(),
            proposals={name: item for name, item in asked.items() if name not in without},
            decisions=self.records.approvals.of_month(self.month.key),
            corrected=self._corrected(),
            closed=closed_sentence(self.settings.locked_through, self.month),
        )

    def _corrected(self) -> dict[str, Corrected]:
        """What later invoices have billed for the month, by the id of the month's own invoice."""
        found: dict[str, Corrected] = {}
        for item in billed_sums(self.settings, self.records.cache):
            if item.month == self.month:
                name = invoice_id(item.customer_id, item.currency, self.month)
                before = found[name].amount if name in found else 0
                amount = before + item.amount
                found[name] = Corrected(item.customer_id, item.currency, amount)
        return found


def desired_invoices(settings: Settings, month: BillingMonth) -> Desired:
    """The invoices in the month's warehouse. Raises as `read_desired`."""
    return read_desired(settings.warehouse_path(month), month.key)


def _billed_totals(invoices: list[ActualInvoice]) -> dict[str, MonthTotal]:
    totals: dict[str, MonthTotal] = {}
    for item in invoices:
        if item.is_billed:
            before = totals.get(item.currency, MonthTotal(0, 0))
            totals[item.currency] = MonthTotal(before.amount + item.net, before.invoices + 1)
    return totals
