"""Collection: what the jobs and the command line call. Preview, apply, pull.

What belongs here: putting the steps together in their one order: account → lock → desired →
refresh → plan → (approval) → apply → pull. What does not: any step itself, wallets
(`prepaid.py`), and Dagster.

Coroutines take a gateway; `run` gives them an event loop of their own.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TypeVar

from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.desired import DesiredInvoice, NotComputedError, read_desired
from billing_pipeline.collection.plan.dunning_policy import DunningPolicy
from billing_pipeline.collection.plan.empty_plan import REUSED_FOR, empty_plan_mark
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan, plan
from billing_pipeline.collection.plan.limits import Limits, MonthTotal
from billing_pipeline.collection.plan.proposal import ResolutionRequest, proposed, require_resolved
from billing_pipeline.collection.plan.wallet_ledger import Movements
from billing_pipeline.collection.prepaid import movements_of
from billing_pipeline.collection.pull.inbox import Inbox
from billing_pipeline.collection.pull.read_payments import complete_month, pull_month
from billing_pipeline.collection.pull.tables import (
    ExpectedInvoice,
    Row,
    payment_rows,
    reconciliation_rows,
    stripe_invoice_rows,
)
from billing_pipeline.collection.push.apply import ApplyReport, Progress, apply_actions
from billing_pipeline.collection.push.dunning import DunningResult, carry_out
from billing_pipeline.collection.records.account import require_account
from billing_pipeline.collection.records.billed import BilledInvoice, RecordProblem
from billing_pipeline.collection.records.lock import month_lock
from billing_pipeline.collection.records.opening import Records, open_records
from billing_pipeline.collection.records.recorded import (
    differing,
    find_recorded,
    record_missing,
    with_lost,
    with_records,
)
from billing_pipeline.collection.records.request_log import Author
from billing_pipeline.collection.stripe_state.balances import unexplained
from billing_pipeline.collection.stripe_state.event_reader import Reading, pull_events, read_events
from billing_pipeline.collection.stripe_state.payment_status import see_payments_under_way
from billing_pipeline.collection.stripe_state.refresh import (
    cached_month,
    cached_of,
    list_month,
    read_credit_notes,
    read_lines_of,
)
from billing_pipeline.collection.stripe_state.resolutions import Proposal
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.months import BillingMonth, InvalidMonthError
from billing_pipeline.rating.month import is_checked
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import (
    SANDBOX_KEY,
    STRIPE_API,
    GatewayConfig,
    StripeGateway,
    run_closing,
)
from billing_pipeline.stripe_api.rate_limit import RateLimits

T = TypeVar("T")
Desired = tuple[DesiredInvoice, ...]
Held = tuple[ActualInvoice, ...]


class PlanChangedError(RuntimeError):
    """The approved hash is not the present plan's; `plan` is the present one."""

    def __init__(self, approved: str, present: InvoicePlan) -> None:
        super().__init__(
            f"the plan {approved} that was approved is not the present one any more, which is "
            f"{present.hash}: read it, and approve that"
        )
        self.plan = present


@dataclass(frozen=True)
class ApplyOutcome:
    """A run of apply. `remaining` is the plan after it: what is still to be done or approved."""

    report: ApplyReport
    remaining: InvoicePlan

    @property
    def is_failed(self) -> bool:
        return bool(self.problems)

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Customer and reason of all that failed, the others went on."""
        report = self.report
        failed = [(result.action.customer_id, result.message) for result in report.failed]
        wallets = [(problem.customer_id, problem.message) for problem in report.wallet_problems]
        return failed + wallets + list(report.customer_problems)

    @property
    def needs_approval(self) -> bool:
        return self.remaining.needs_approval


@dataclass(frozen=True)
class PullResult:
    """The published rows of a month, and what was noticed. Money as `Decimal`, major units."""

    month: BillingMonth
    stripe_invoices: list[Row]
    invoice_payments: list[Row]
    reconciliation: list[Row]
    requests: int
    version: int = 0
    read_at: float = 0.0
    is_full: bool = True

    @property
    def tables(self) -> dict[str, list[Row]]:
        """What is to be published; afterwards `note_published`."""
        return {
            "stripe_invoices": self.stripe_invoices,
            "invoice_payments": self.invoice_payments,
            "reconciliation": self.reconciliation,
        }


@dataclass(frozen=True)
class StaleMonth:
    """A month whose published rows are not what they should be. `version` names the change;
    `in_full`: it has to be listed, events cannot tell."""

    month: BillingMonth
    version: int
    in_full: bool


@contextmanager
def open_gateway(
    settings: Settings, *, workers: int = 16, limits: RateLimits | None = None
) -> Iterator[StripeGateway]:
    """A gateway to where the settings point: Stripe, another address, or the embedded sandbox,
    which runs as long as the block does."""
    where: AbstractContextManager[str]
    if settings.uses_sandbox:
        # Imported here: nobody who talks to Stripe itself needs a server.
        from billing_pipeline.stripe_sandbox import running_sandbox

        where = running_sandbox(settings.sandbox_dir)
    else:
        where = nullcontext(settings.stripe_api_base or STRIPE_API)
    with where as base:
        yield StripeGateway(
            GatewayConfig(
                api_key=settings.stripe_api_key or SANDBOX_KEY,
                api_base=base,
                limits=limits or RateLimits.for_key(settings.stripe_api_key),
                workers=workers,
            )
        )


def run(gateway: StripeGateway, work: Callable[[], Awaitable[T]]) -> T:
    """Wait for a coroutine of this module: ``run(gateway, lambda: preview(gateway, ...))``."""
    return run_closing(gateway, work)


async def preview(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    *,
    limits: Limits | None = None,
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
        room = _MonthContext(gateway, settings, records, month, account_id, wanted, limits)
        began, entry = gateway.clock.now(), records.request_log.last_entry()
        held, present = await room.plan()
        if run_id is not None and not present.changes:
            mark = empty_plan_mark(run_id, entry, wanted, held)
            records.cache.months.note_empty_plan(month.key, mark, began)
        return present


async def apply_plan(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    *,
    run_id: str,
    actor: str = "unattended",
    approved_hash: str | None = None,
    limits: Limits | None = None,
    timeout: float = 0.0,
    progress: Callable[[Progress], None] | None = None,
    desired: Desired | None = None,
    movements: Movements | None = None,
    before_sending: Callable[[InvoicePlan], None] = lambda plan: None,
) -> ApplyOutcome:
    """Plan anew and carry out what may be: the safe actions, or with `approved_hash` all of that
    plan except what needs a person's look (`review`). Where this run's `preview` has just found
    nothing to do and nothing has moved since, Stripe is not asked again.

    `before_sending` sees the present plan once it is approved, before anything is sent. Raises
    `PlanChangedError` for a hash that is not the present plan's, and `MonthLockedError` where
    another run holds the month for longer than `timeout` seconds.
    """
    async with _holding(gateway, settings, month, run_id, timeout) as (records, account_id):
        # Read under the lock: the run that held it may have been building these very tables.
        wanted = _checked(settings, month) if desired is None else desired
        if movements is None:
            movements = movements_of(settings, month)
        room = _MonthContext(gateway, settings, records, month, account_id, wanted, limits)
        held, present = room.empty_plan_of(run_id) or await room.plan()
        if approved_hash is not None and approved_hash != present.hash:
            raise PlanChangedError(approved_hash, present)
        chosen = present.safe if approved_hash is None else present.changes
        before_sending(present)
        session = records.session(gateway, Author(run_id, actor, present.hash))
        report = await apply_actions(
            session,
            present,
            [action for action in chosen if action.kind is not ActionKind.REVIEW],
            held,
            workers=gateway.config.workers,
            progress=progress,
            movements=movements,
            movements_until=month.end(settings.timezone).timestamp(),
            payers=[invoice.payer for invoice in wanted],
        )
        if not report.done and not report.failed:
            return ApplyOutcome(report, present)
        # What is left is read from Stripe, not from what we believe to have done.
        _, remaining = await room.plan()
        return ApplyOutcome(report, remaining)


async def propose(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    request: ResolutionRequest,
    *,
    run_id: str,
    limits: Limits | None = None,
    desired: Desired | None = None,
) -> InvoicePlan:
    """Ask for a decision that ends the review of an invoice: the plan with it, whose approval
    carries it out. Writes nothing to Stripe.

    Raises `NotInReviewError` where nothing about that invoice is in question, and
    `WrongDecisionError` where the decision does not end the review.
    """
    wanted = _checked(settings, month) if desired is None else desired
    with open_records(settings.records_dir) as records:
        account_id = await require_account(gateway, records.folder)
        room = _MonthContext(gateway, settings, records, month, account_id, wanted, limits)
        held, present = await room.plan()
        proposal = proposed(request, present, held)
        with_it = replace(room, proposals={request.invoice_id: proposal})._compare(held)
        require_resolved(with_it, proposal)
        author = Author(run_id, request.decided_by, with_it.hash)
        records.request_log.propose(author, month.key, proposal, gateway.clock.now())
        return with_it


async def pull(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    *,
    full: bool = True,
    desired: Desired | None = None,
    policy: DunningPolicy | None = None,
) -> PullResult:
    """Refresh the payment status of a month; in full by listing, or as last read by events.

    What was billed and is not in our records is added from Stripe. The rows are the same either
    way.
    """
    before = gateway.requests_sent
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        # Taken before reading: what changes from now on makes the month stale again.
        version, now = records.cache.months.version(month.key), gateway.clock.now()
        recorded = records.billed.invoices(month.key)
        if full:
            start = int(month.start(settings.timezone).timestamp())
            invoices = await pull_month(
                gateway, records.cache, month_key=month.key, month_start=start
            )
        else:
            invoices = await complete_month(gateway, records.cache, month.key)
        await record_missing(gateway, records.billed, month.key, invoices)
        readable = [invoice for invoice in invoices if invoice.unreadable is None]
        decided = records.request_log.decided(month.key)
        known = with_records(readable, recorded, decided, month.key)
        by_balance = {i.stripe_customer_id for i in readable if i.settled_besides_wallet}
        not_ours = unexplained(cached_of(records.cache, by_balance))
    wanted = _desired(settings, month) if desired is None else desired
    expected = {
        i.invoice_id: ExpectedInvoice(i.customer_id, i.currency, i.total, i.wallet_applied)
        for i in wanted
    }
    return PullResult(
        month=month,
        stripe_invoices=stripe_invoice_rows(readable),
        invoice_payments=payment_rows(readable, now, policy or DunningPolicy.of(settings)),
        reconciliation=reconciliation_rows(month.key, expected, known, not_ours),
        requests=gateway.requests_sent - before,
        version=version,
        read_at=now,
        is_full=full,
    )


def note_published(settings: Settings, pulled: PullResult) -> None:
    """Say that these rows are the published ones now."""
    with open_records(settings.records_dir) as records:
        records.cache.months.note_published(
            pulled.month.key, pulled.version, pulled.read_at, in_full=pulled.is_full
        )


async def stale_months(
    gateway: StripeGateway, settings: Settings, *, seconds: float = math.inf
) -> list[StaleMonth]:
    """By Stripe's events since the last call, and those that came by webhook: the months that are
    worth a pull, oldest first.

    A month is told again until its rows are published, so nothing is lost where a process ends.
    Reads for about `seconds`; what is left over, the next call reads.
    """
    rated = _rated_months(settings)
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        deadline = gateway.clock.monotonic() + seconds
        await _take_in(gateway, records, deadline)
        left = max(0.0, deadline - gateway.clock.monotonic())
        await pull_events(gateway, records.cache, known_months=rated, seconds=left)
        return [
            StaleMonth(BillingMonth.parse(key), version, in_full)
            for key, version, in_full in records.cache.months.stale(gateway.clock.now())
            # Of one that was never rated here nobody knows what it should be.
            if key in rated
        ]


async def _take_in(gateway: StripeGateway, records: Records, deadline: float) -> None:
    """Read what the events tell of that came by webhook."""
    inbox = Inbox(records.folder)
    try:
        while events := inbox.pending():
            await read_events(gateway, records.cache, events.values())
            inbox.note_handled(events, gateway.clock.now())
            if gateway.clock.monotonic() > deadline:
                return
    finally:
        inbox.close()


def _rated_months(settings: Settings) -> set[str]:
    """Months (``YYYY-MM-01``) that have a warehouse."""
    found = settings.home.glob("months/*/warehouse.duckdb")
    months = (_month_named(path.parent.name) for path in found)
    return {month.key for month in months if month is not None}


def _month_named(name: str) -> BillingMonth | None:
    try:
        return BillingMonth.parse(name)
    except InvalidMonthError:
        return None  # a copy that somebody made


async def dun(
    gateway: StripeGateway,
    settings: Settings,
    *,
    run_id: str,
    policy: DunningPolicy | None = None,
    actor: str = "unattended",
) -> list[DunningResult]:
    """Try again what is due to be tried, in all months; brings the cache up to date first.

    May run at the same time as anything else: a try is claimed on the invoice, by number.
    """
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        rated = _rated_months(settings)
        reading = await pull_events(gateway, records.cache, known_months=rated)
        if reading is Reading.BEGUN_ANEW:
            await _list_open_months(gateway, settings, records)
        unpaid = [
            invoice
            for month_key in records.cache.invoices.months_with_open()
            for invoice in cached_month(records.cache, month_key)
        ]
        session = records.session(gateway, Author(run_id, actor))
        return await carry_out(session, unpaid, policy or DunningPolicy.of(settings))


async def _list_open_months(gateway: StripeGateway, settings: Settings, records: Records) -> None:
    months = [BillingMonth.parse(key) for key in records.cache.invoices.months_with_open()]
    # An empty cache knows of no month: all that were ever billed, from the first.
    for month in months or [settings.first_month]:
        start = int(month.start(settings.timezone).timestamp())
        await list_month(gateway, records.cache, month.key, start)


def verify_billed(settings: Settings, month: BillingMonth | None = None) -> list[RecordProblem]:
    """What is wrong with the records of what was billed in a month, or in all. Asks nothing of
    Stripe: what it holds is taken as last read."""
    # Records are begun by whoever asks Stripe for the first time: that is not for a check to do.
    if not settings.records_dir.exists():
        return []
    with open_records(settings.records_dir) as records:
        billed, only = records.billed, month.key if month else None
        problems = billed.problems(only)
        for key in [only] if only else billed.months():
            problems += differing(billed.invoices(key), records.cache, key)
        return problems


@asynccontextmanager
async def _holding(
    gateway: StripeGateway, settings: Settings, month: BillingMonth, run_id: str, timeout: float
) -> AsyncIterator[tuple[Records, str]]:
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


@dataclass(frozen=True)
class _MonthContext:
    """One month's planning, with all that it needs."""

    gateway: StripeGateway
    settings: Settings
    records: Records
    month: BillingMonth
    account_id: str
    desired: Desired
    limits: Limits | None
    proposals: Mapping[str, Proposal] = field(default_factory=dict)

    async def plan(self) -> tuple[Held, InvoicePlan]:
        """What Stripe holds now, by whatever witness, and the plan that follows from it."""
        gateway, cache, key = self.gateway, self.records.cache, self.month.key
        start, end = (
            int(instant.timestamp())
            for instant in (
                self.month.start(self.settings.timezone),
                self.month.end(self.settings.timezone),
            )
        )
        # Read first: what another run bills from here on is not missing in Stripe.
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
        seen = await see_payments_under_way(gateway, cache, complete)
        held = self._with_records(seen, recorded)
        return held, self._compare(held)

    def empty_plan_of(self, run_id: str) -> tuple[Held, InvoicePlan] | None:
        """The empty plan that this run's preview has noted, if it is still the plan."""
        noted = self.records.cache.months.empty_plan(self.month.key)
        if noted is None:
            return None
        mark, at = noted
        recorded = self.records.billed.invoices(self.month.key)
        held = self._with_records(cached_month(self.records.cache, self.month.key), recorded)
        # Read last: what is sent from here on was not sent when `held` was read either.
        entry = self.records.request_log.last_entry()
        age = self.gateway.clock.now() - at
        if not 0 <= age <= REUSED_FOR or mark != empty_plan_mark(run_id, entry, self.desired, held):
            return None
        return held, self._compare(held)

    def _with_records(
        self, held: Sequence[ActualInvoice], recorded: Sequence[BilledInvoice]
    ) -> Held:
        decided = self.records.request_log.decided(self.month.key)
        return tuple(with_records(held, recorded, decided, self.month.key))

    def _stripe_customers(self) -> dict[str, frozenset[str]]:
        customers = {invoice.customer_id for invoice in self.desired}
        return self.records.cache.customers.stripe_ids_of(customers)

    def _compare(self, held: Held) -> InvoicePlan:
        before = cached_month(self.records.cache, self.month.shift(-1).key)
        return plan(
            self.desired,
            held,
            month_key=self.month.key,
            account_id=self.account_id,
            limits=self.limits,
            previous_totals=_billed_totals(before),
            stripe_customers=self._stripe_customers(),
            proposals={**self.records.request_log.proposals(self.month.key), **self.proposals},
        )


def _checked(settings: Settings, month: BillingMonth) -> Desired:
    """As `_desired`, and only if every check of the month passed since it was computed: a step of
    a job may be launched without the ones before it."""
    desired = _desired(settings, month)
    if not is_checked(settings, month):
        raise NotComputedError(
            f"the checks of {month} have not passed since it was computed last: "
            f"run `billing plan {month}` first"
        )
    return desired


def _desired(settings: Settings, month: BillingMonth) -> Desired:
    return read_desired(settings.warehouse_path(month), month.key)


def _billed_totals(invoices: list[ActualInvoice]) -> dict[str, MonthTotal]:
    totals: dict[str, MonthTotal] = {}
    for item in invoices:
        if item.is_billed:
            before = totals.get(item.currency, MonthTotal(0, 0))
            totals[item.currency] = MonthTotal(before.amount + item.net, before.invoices + 1)
    return totals
