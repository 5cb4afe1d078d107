"""Payments, as the jobs call them: pull, stale months, dunning, and checking the records.

What belongs here: putting the steps together: account → read Stripe → tables; account → events →
attempts that are due. What does not: any step itself, and Dagster. Coroutines take a gateway.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from billing_pipeline.collection.month_plan import Desired, desired_invoices
from billing_pipeline.collection.plan.dunning_policy import DunningPolicy
from billing_pipeline.collection.pull.inbox import Inbox
from billing_pipeline.collection.pull.money_tables import (
    ByInvoice,
    credit_note_rows,
    payout_rows,
    received_rows,
    returned,
)
from billing_pipeline.collection.pull.read_payments import complete_month, pull_month
from billing_pipeline.collection.pull.tables import (
    ExpectedInvoice,
    payment_rows,
    reconciliation_rows,
    stripe_invoice_rows,
    unknown_rows,
)
from billing_pipeline.collection.push.dunning import DunningResult, carry_out
from billing_pipeline.collection.push.requests import StripeSession
from billing_pipeline.collection.records.account import require_account
from billing_pipeline.collection.records.billed import BilledInvoice, RecordProblem
from billing_pipeline.collection.records.opening import Records, open_records
from billing_pipeline.collection.records.recorded import (
    differing,
    record_missing,
    with_records,
)
from billing_pipeline.collection.records.request_log import Author
from billing_pipeline.collection.stripe_state.balances import unexplained
from billing_pipeline.collection.stripe_state.cached_payouts import Payout
from billing_pipeline.collection.stripe_state.event_reader import Reading, pull_events, read_events
from billing_pipeline.collection.stripe_state.payouts import read_payouts
from billing_pipeline.collection.stripe_state.received import read_received
from billing_pipeline.collection.stripe_state.refresh import (
    cached_invoices_of,
    cached_month,
    from_cache,
    list_month,
)
from billing_pipeline.collection.stripe_state.stripe_invoice import ActualInvoice
from billing_pipeline.duckdb_sql import Row
from billing_pipeline.months import BillingMonth, InvalidMonthError
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway


@dataclass(frozen=True)
class PullResult:
    """The published rows of a month, and what was noticed. Money as `Decimal`, major units."""

    month: BillingMonth
    stripe_invoices: list[Row]
    invoice_payments: list[Row]
    payments: list[Row]
    payouts: list[Row]
    unknown_invoices: list[Row]
    credit_notes: list[Row]
    reconciliation: list[Row]
    stripe_reads: list[Row]
    requests: int
    version: int = 0
    read_at: float = 0.0
    is_full: bool = True

    @property
    def tables(self) -> dict[str, list[Row]]:
        """What is to be published; afterwards `record_published`."""
        return {
            "stripe_invoices": self.stripe_invoices,
            "invoice_payments": self.invoice_payments,
            "reconciliation": self.reconciliation,
            "payments": self.payments,
            "payouts": self.payouts,
            "unknown_invoices": self.unknown_invoices,
            "credit_notes": self.credit_notes,
            "stripe_reads": self.stripe_reads,
        }


@dataclass(frozen=True)
class StaleMonth:
    """A month whose published rows are out of date. `version` names the change; `in_full`: the
    month has to be listed in Stripe, because events cannot tell what changed."""

    month: BillingMonth
    version: int
    in_full: bool


async def pull(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    *,
    full: bool = True,
    desired: Desired | None = None,
    policy: DunningPolicy | None = None,
) -> PullResult:
    """Read the payment status of a month: `full` lists its invoices in Stripe, otherwise the cache
    is used as events have updated it. The rows are the same either way.

    Billed invoices that are missing in our records are added from Stripe.
    """
    before = gateway.requests_sent
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        # Taken before reading: what changes from now on makes the month stale again.
        version, now = records.cache.months.version(month.key), gateway.clock.now()
        recorded = records.billed.invoices(month.key)
        invoices = await _read_month(gateway, records, settings, month, full=full)
        held = _held(records, settings, month, invoices, recorded)
    wanted = desired_invoices(settings, month) if desired is None else desired
    expected = {
        i.invoice_id: ExpectedInvoice(i.customer_id, i.currency, i.total, i.wallet_applied)
        for i in wanted
    }
    policy = policy or DunningPolicy.of(settings)
    return PullResult(
        month=month,
        stripe_invoices=stripe_invoice_rows(held.invoices),
        invoice_payments=payment_rows(held.invoices, now, policy, returned(held.received)),
        payments=received_rows(held.invoices, held.received),
        payouts=payout_rows(month.first_day, held.received, held.payouts),
        unknown_invoices=unknown_rows(month.first_day, held.unknown),
        credit_notes=credit_note_rows(held.invoices, held.credit_notes),
        reconciliation=reconciliation_rows(month.key, expected, held.known, held.not_ours),
        stripe_reads=[
            {
                "read_at": datetime.fromtimestamp(now, UTC),
                "suspend_days": settings.suspend_days,
            }
        ],
        requests=gateway.requests_sent - before,
        version=version,
        read_at=now,
        is_full=full,
    )


async def _read_month(
    gateway: StripeGateway,
    records: Records,
    settings: Settings,
    month: BillingMonth,
    *,
    full: bool,
) -> list[ActualInvoice]:
    """Bring the cache and the records of a month up to date; returns its invoices."""
    if full:
        start = int(month.start(settings.timezone).timestamp())
        invoices = await pull_month(gateway, records.cache, month_key=month.key, month_start=start)
    else:
        invoices = await complete_month(gateway, records.cache, month.key)
    await read_received(gateway, records.cache, invoices, again=full)
    await read_payouts(gateway, records.cache, [item.stripe_invoice_id for item in invoices])
    await record_missing(gateway, records.billed, month.key, invoices)
    return invoices


@dataclass(frozen=True)
class _Held:
    """What Stripe holds of a month, as the cache has it. `invoices` can be read, `known` are these
    and the ones that only our records know. By Stripe's invoice id: what was `received`, the
    `credit_notes`, and in minor units what of the balance is `not_ours`. `unknown`: invoices with
    our marks, of no month that is known here."""

    invoices: list[ActualInvoice]
    known: list[ActualInvoice]
    received: ByInvoice
    credit_notes: ByInvoice
    payouts: Mapping[str, Payout]
    not_ours: dict[str, int]
    unknown: list[ActualInvoice]


def _held(
    records: Records,
    settings: Settings,
    month: BillingMonth,
    invoices: Sequence[ActualInvoice],
    recorded: Sequence[BilledInvoice],
) -> _Held:
    readable = [invoice for invoice in invoices if invoice.unreadable is None]
    names = [item.stripe_invoice_id for item in readable]
    by_balance = {i.stripe_customer_id for i in readable if i.settled_outside_wallet}
    received = {name: moves for name, (_, moves) in records.cache.invoices.received(names).items()}
    in_payouts = {
        move["payout"] for moves in received.values() for move in moves if "payout" in move
    }
    known_months = {month.key, *_rated_months(settings), *records.billed.months()}
    return _Held(
        invoices=readable,
        known=with_records(readable, recorded, records.request_log.decided(month.key), month.key),
        received=received,
        credit_notes=records.cache.invoices.credit_notes(names),
        payouts=records.cache.payouts.named(in_payouts),
        not_ours=unexplained(cached_invoices_of(records.cache, by_balance)),
        unknown=[from_cache(item) for item in records.cache.invoices.unknown(known_months)],
    )


def record_published(settings: Settings, pulled: PullResult) -> None:
    """Record that these rows are published."""
    with open_records(settings.records_dir) as records:
        records.cache.months.record_published(
            pulled.month.key, pulled.version, pulled.read_at, in_full=pulled.is_full
        )


async def stale_months(
    gateway: StripeGateway, settings: Settings, *, seconds: float = math.inf
) -> list[StaleMonth]:
    """The months to pull, oldest first, by Stripe's events since the last call and those that came
    by webhook.

    A month is returned again until its rows are published, so nothing is lost when a process ends
    early. Reads for about `seconds`; the next call reads the rest.
    """
    rated = _rated_months(settings)
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        deadline = gateway.clock.monotonic() + seconds
        await _read_inbox(gateway, records, deadline)
        left = max(0.0, deadline - gateway.clock.monotonic())
        await pull_events(gateway, records.cache, known_months=rated, seconds=left)
        return [
            StaleMonth(BillingMonth.parse(key), version, in_full)
            for key, version, in_full in records.cache.months.stale(gateway.clock.now())
            # For a month that was never rated here, nothing says what should have been billed.
            if key in rated
        ]


async def _read_inbox(gateway: StripeGateway, records: Records, deadline: float) -> None:
    """Bring the cache up to date by the events that came by webhook."""
    inbox = Inbox(records.folder)
    try:
        while events := inbox.pending():
            await read_events(gateway, records.cache, events.values())
            inbox.mark_handled(events, gateway.clock.now())
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
    except_for: Collection[str] = (),
) -> list[DunningResult]:
    """Try the payments again that are due in any month, except for the customers in `except_for`.
    Brings the cache up to date first.

    May run at the same time as anything else: each try is claimed on the invoice, by its number.
    """
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        await refresh_open_invoices(gateway, settings, records)
        unpaid = [
            invoice
            for month_key in records.cache.invoices.months_with_open()
            for invoice in cached_month(records.cache, month_key)
            if invoice.customer_id not in except_for
        ]
        session = StripeSession.open(gateway, records, Author(run_id))
        return await carry_out(session, unpaid, policy or DunningPolicy.of(settings))


async def refresh_open_invoices(
    gateway: StripeGateway, settings: Settings, records: Records
) -> None:
    """Bring the cache up to date with what is still to be paid."""
    rated = _rated_months(settings)
    reading = await pull_events(gateway, records.cache, known_months=rated)
    if reading is Reading.RESTARTED:
        await _list_open_months(gateway, settings, records)


async def _list_open_months(gateway: StripeGateway, settings: Settings, records: Records) -> None:
    months = [BillingMonth.parse(key) for key in records.cache.invoices.months_with_open()]
    # An empty cache knows no month: list everything since the first.
    for month in months or [settings.first_month]:
        start = int(month.start(settings.timezone).timestamp())
        await list_month(gateway, records.cache, month.key, start)


def billed_months(settings: Settings) -> list[BillingMonth]:
    """The months that were billed from here, by our records, oldest first."""
    if not settings.records_dir.exists():
        return []
    with open_records(settings.records_dir) as records:
        return sorted(BillingMonth.parse(key) for key in records.billed.months())


def is_billed(settings: Settings, month: BillingMonth) -> bool:
    """Whether any invoice of the month was ever finalized, by our records."""
    if not settings.records_dir.exists():
        return False
    with open_records(settings.records_dir) as records:
        return bool(records.billed.invoices(month.key))


def verify_billed(settings: Settings, month: BillingMonth | None = None) -> list[RecordProblem]:
    """What is wrong with the records of what was billed in a month, or in all months. Asks nothing
    of Stripe: they are compared with what was last read from it."""
    # The first call to Stripe creates the records; a check must not.
    if not settings.records_dir.exists():
        return []
    with open_records(settings.records_dir) as records:
        billed, only = records.billed, month.key if month else None
        problems = billed.problems(only)
        for key in [only] if only else billed.months():
            problems += differing(billed.invoices(key), records.cache, key)
        return problems
