"""From a computed month to Stripe, as jobs and commands call it: preview, apply, propose.

What belongs here: the steps in their one order: account → lock → desired → refresh → plan →
(approval) → apply. What does not: any step itself, payments (`payments.py`), wallets
(`prepaid.py`), and Dagster. Coroutines take a gateway; `stripe_gateway.run` gives them a loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from billing_pipeline.collection.month_plan import Desired, MonthContext, desired_invoices
from billing_pipeline.collection.plan.actions import InvoiceAction
from billing_pipeline.collection.plan.approval import (
    NotInPlanError,
    PlanDecision,
    Verdict,
    chosen_actions,
    refused_actions,
)
from billing_pipeline.collection.plan.desired import NotComputedError
from billing_pipeline.collection.plan.empty_plan import empty_plan_mark
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.proposal import (
    ResolutionRequest,
    make_proposal,
    require_resolved,
)
from billing_pipeline.collection.plan.wallet_ledger import Movements
from billing_pipeline.collection.prepaid import movements_of
from billing_pipeline.collection.push.apply import ApplyReport, apply_actions
from billing_pipeline.collection.push.requests import StripeSession
from billing_pipeline.collection.records.account import require_account
from billing_pipeline.collection.records.cut_over import require_ours
from billing_pipeline.collection.records.lock import month_lock
from billing_pipeline.collection.records.opening import Records, open_records
from billing_pipeline.collection.records.request_log import Author
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.unchanged import is_checked
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway


class PlanChangedError(RuntimeError):
    """The approved hash is not the present plan's; `plan` is the present one."""

    def __init__(self, approved: str, present: InvoicePlan) -> None:
        super().__init__(
            f"the approved plan {approved} is no longer the present one, which is {present.hash}: "
            "read that, and approve it"
        )
        self.plan = present


@dataclass(frozen=True)
class Approval:
    """Who approves or declines which plan: all of it, or only the part of the customers in
    `only`."""

    plan_hash: str
    only: frozenset[str] = frozenset()
    decided_by: str = "unattended"
    reason: str = ""


@dataclass(frozen=True)
class ApplyOutcome:
    """A run of apply. `remaining` is the plan after it: what is still to be done or approved."""

    report: ApplyReport
    remaining: InvoicePlan

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Customer and reason of each failure; the other customers went on."""
        report = self.report
        failed = [(result.action.customer_id, result.message) for result in report.failed]
        wallets = [(problem.customer_id, problem.message) for problem in report.wallet_problems]
        return failed + wallets + list(report.customer_problems)

    @property
    def needs_approval(self) -> bool:
        return self.remaining.needs_approval


async def preview(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    *,
    desired: Desired | None = None,
    run_id: str | None = None,
) -> InvoicePlan:
    """The present invoice plan. Writes nothing to Stripe, and takes no lock.

    With a `run_id`, an empty plan is noted for the `apply_plan` of the same run. `desired` stands
    in for the month's warehouse, here and below.
    """
    wanted = _checked(settings, month) if desired is None else desired
    with open_records(settings.records_dir) as records:
        account_id = await require_account(gateway, records.folder)
        context = MonthContext(gateway, settings, records, month, account_id, wanted)
        began, entry = gateway.clock.now(), records.request_log.last_entry()
        held, present = await context.plan()
        if run_id is not None and not present.changes:
            mark = empty_plan_mark(run_id, entry, wanted, held)
            records.cache.months.record_empty_plan(month.key, mark, began)
        return present


async def apply_plan(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    *,
    run_id: str,
    actor: str = "unattended",
    approval: Approval | None = None,
    timeout: float = 0.0,
    desired: Desired | None = None,
    movements: Movements | None = None,
    before_sending: Callable[[InvoicePlan, Sequence[InvoiceAction]], None] = lambda *sent: None,
) -> ApplyOutcome:
    """Plan again and carry out the safe actions or, with an `approval`, the part of the plan that
    it covers, except what is in `review`. Where this run's `preview` has just found nothing to do
    and nothing has moved since, Stripe is not asked again.

    `before_sending` gets the present plan and the actions that will be sent, after the approval is
    on the disk and before anything is sent. Raises `PlanChangedError` for a hash that is not the
    present plan's, `NotInPlanError` for a customer for whom there is nothing to approve,
    `MonthLockedError` where another run holds the month for longer than `timeout` seconds, and
    `NotOurMonthError` where another system billed the month.
    """
    require_ours(settings.records_dir, month)
    async with _locked_month(gateway, settings, month, run_id, timeout) as (records, account_id):
        # Read under the lock: the run that held it may have been building these very tables.
        wanted = _checked(settings, month) if desired is None else desired
        if movements is None:
            movements = movements_of(settings, month)
        context = MonthContext(gateway, settings, records, month, account_id, wanted)
        held, present = context.empty_plan_of(run_id) or await context.plan()
        chosen: Sequence[InvoiceAction] = present.safe
        if approval is not None:
            _require_hash(approval, present)
            chosen = chosen_actions(present.changes, present.declined, approval.only)
            chosen = _without_closed(present, chosen)
            _record(records, month, present, approval, Verdict.APPROVED, chosen, run_id, gateway)
        before_sending(present, chosen)
        session = StripeSession.open(gateway, records, Author(run_id, actor, present.hash))
        report = await apply_actions(
            session,
            present,
            chosen,
            held,
            movements=movements,
            movements_until=month.end(settings.timezone).timestamp(),
            payers=[invoice.payer for invoice in wanted],
        )
        if not report.done and not report.failed:
            return ApplyOutcome(report, present)
        # What remains is planned from what Stripe holds, not from what we believe we did.
        _, remaining = await context.plan()
        return ApplyOutcome(report, remaining)


async def decline(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    refusal: Approval,
    *,
    run_id: str,
    timeout: float = 0.0,
    desired: Desired | None = None,
) -> InvoicePlan:
    """Decline a part of the present plan; returns the plan with the refusal in it. Writes nothing
    to Stripe.

    Raises `PlanChangedError`, `NotInPlanError` and `MonthLockedError`, as `apply_plan` does.
    """
    async with _locked_month(gateway, settings, month, run_id, timeout) as (records, account_id):
        wanted = _checked(settings, month) if desired is None else desired
        context = MonthContext(gateway, settings, records, month, account_id, wanted)
        held, present = await context.plan()
        _require_hash(refusal, present)
        # Changes that a closed month leaves to later invoices can be declined as well.
        closed = {action.key for action in present.changes if present.is_closed_to(action)}
        waiting = {action.key for action in present.waiting} | closed
        refused = refused_actions(present.changes, waiting, refusal.only)
        _record(records, month, present, refusal, Verdict.DECLINED, refused, run_id, gateway)
        return context.compare(held)


def decisions_of(settings: Settings, month: BillingMonth) -> list[PlanDecision]:
    """What was approved and declined of the month's plans, oldest first."""
    with open_records(settings.records_dir) as records:
        return records.approvals.of_month(month.key)


def _require_hash(approval: Approval, present: InvoicePlan) -> None:
    if approval.plan_hash != present.hash:
        raise PlanChangedError(approval.plan_hash, present)


def _without_closed(present: InvoicePlan, chosen: Sequence[InvoiceAction]) -> list[InvoiceAction]:
    """The actions that closed books do not forbid. Raises `NotInPlanError` if they forbid all."""
    found = [action for action in chosen if not present.is_closed_to(action)]
    if present.closed is not None and not found:
        raise NotInPlanError(f"nothing of this plan can be approved: {present.closed}")
    return found


def _record(
    records: Records,
    month: BillingMonth,
    present: InvoicePlan,
    approval: Approval,
    verdict: Verdict,
    actions: Sequence[InvoiceAction],
    run_id: str,
    gateway: StripeGateway,
) -> None:
    if not actions:
        return
    decided = PlanDecision(
        verdict,
        present.hash,
        gateway.clock.now(),
        approval.decided_by,
        approval.reason,
        run_id,
        tuple(sorted({action.customer_id for action in actions})),
        tuple((action.invoice_id, action.digest) for action in actions),
        _whole_plan(records, month, present),
    )
    records.approvals.add(month.key, decided)


def _whole_plan(records: Records, month: BillingMonth, present: InvoicePlan) -> frozenset[str]:
    """The digests of the plan that the person has read: `present`, or the approved plan of which
    `present` is the rest."""
    if present.known_as is not None:
        for decision in records.approvals.of_month(month.key):
            if decision.plan_hash == present.known_as and decision.verdict is Verdict.APPROVED:
                return decision.plan
    return frozenset(action.digest for action in present.changes)


async def propose(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    request: ResolutionRequest,
    *,
    run_id: str,
    desired: Desired | None = None,
) -> InvoicePlan:
    """Propose a decision that ends the review of an invoice. Returns the plan with that decision,
    which is carried out when the plan is approved. Writes nothing to Stripe.

    Raises `NotInReviewError` where nothing about that invoice is in question, and
    `WrongDecisionError` where the decision does not end the review.
    """
    wanted = _checked(settings, month) if desired is None else desired
    with open_records(settings.records_dir) as records:
        account_id = await require_account(gateway, records.folder)
        context = MonthContext(gateway, settings, records, month, account_id, wanted)
        held, present = await context.plan()
        proposal = make_proposal(request, present, held)
        with_it = replace(context, proposals={request.invoice_id: proposal}).compare(held)
        require_resolved(with_it, proposal)
        author = Author(run_id, request.decided_by, with_it.hash)
        records.request_log.propose(author, month.key, proposal, gateway.clock.now())
        return with_it


@asynccontextmanager
async def _locked_month(
    gateway: StripeGateway, settings: Settings, month: BillingMonth, run_id: str, timeout: float
) -> AsyncIterator[tuple[Records, str]]:
    """The open records and the Stripe account's id, with the month locked for this run."""
    with open_records(settings.records_dir) as records:
        account_id = await require_account(gateway, records.folder)
        async with month_lock(
            records.locks_dir,
            account_id=account_id,
            month_key=month.key,
            run_id=run_id,
            clock=gateway.clock,
            timeout=timeout,
        ):
            yield records, account_id


def _checked(settings: Settings, month: BillingMonth) -> Desired:
    """The month's invoices. Raises `NotComputedError` unless every check has passed since they were
    computed and nobody has written to them since: a job's step may be launched without the ones
    before it."""
    desired = desired_invoices(settings, month)
    if not is_checked(settings, month):
        raise NotComputedError(
            f"the checks of {month} have not passed since it was last computed, or its tables or "
            f"the dbt models have changed since: run `billing plan {month}` first"
        )
    return desired
