"""Closed books: the corrections of the months that `BILLING_LOCKED_THROUGH` has closed, with which
a month is rated.

What belongs here: rating closed months again, each in a scratch home. What does not: which of their
lines become corrections (``collection.closed_months``).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

import dagster as dg
import duckdb

from billing_pipeline.collection import prepaid, steps, stripe_gateway
from billing_pipeline.collection.closed_months import (
    BilledCorrections,
    ClosedMonthCorrections,
    already_billed,
    billed_corrections,
    corrections_on,
    is_settled,
    months_to_compare,
    open_corrections,
)
from billing_pipeline.collection.month_plan import desired_invoices
from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.closed_books import invoice_id
from billing_pipeline.collection.records.account import require_account
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.stripe_state.refresh import list_new
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.defs.turns import turn
from billing_pipeline.intake.late_usage import rated_inputs, record_compared
from billing_pipeline.intake.reference.load import has_account_file
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.change_evidence import ChangedLine, find_evidence
from billing_pipeline.rating.corrections import Correction, Corrections, CorrectionTax
from billing_pipeline.rating.month import StripeMovement, rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.runs.locks import Turn
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway

_CUSTOMERS = "SELECT customer_id FROM raw.customers"


def corrections_for(
    context: dg.AssetExecutionContext,
    settings: Settings,
    stripe: Stripe,
    month: BillingMonth,
    moved: Sequence[StripeMovement],
) -> Corrections:
    """The corrections of closed months that belong on this month's invoices. The first open month
    takes the difference between what the closed months would be charged today and what was billed;
    any other month keeps the corrections that its invoices have billed."""
    locked = settings.locked_through
    if locked is None:
        return billed_on(settings, month)
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        stripe_gateway.run(gateway, lambda: _list_all(gateway, settings))
    billed = _billed(settings)
    if month != locked.shift(1):
        return corrections_on(billed, month)
    return _ClosedMonths(context, settings, stripe, month, billed, moved).corrections()


def billed_on(settings: Settings, month: BillingMonth) -> Corrections:
    """The corrections that the month's invoices have billed; asks nothing of Stripe."""
    return corrections_on(_billed(settings), month)


def _billed(settings: Settings) -> list[BilledCorrections]:
    if not settings.records_dir.exists():
        return []
    with open_records(settings.records_dir) as records:
        return billed_corrections(settings, records.cache)


async def _list_all(gateway: StripeGateway, settings: Settings) -> None:
    """Learn what other runs, or a home that was lost, have billed, so that no correction is billed
    twice."""
    start = settings.first_month.start(settings.timezone)
    with open_records(settings.records_dir) as records:
        await require_account(gateway, records.folder)
        await list_new(gateway, records.cache, int(start.timestamp()))


class _ClosedMonths:
    """Finds the corrections of all closed months, for the first open one (`month`)."""

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        settings: Settings,
        stripe: Stripe,
        month: BillingMonth,
        billed: Sequence[BilledCorrections],
        moved: Sequence[StripeMovement],
    ) -> None:
        self._context = context
        self._settings = settings
        self._stripe = stripe
        self._month = month
        self._billed = billed
        self._moved = moved

    def corrections(self) -> Corrections:
        with open_records(self._settings.records_dir) as records:
            recorded = records.billed.months()
            months = months_to_compare(self._settings, records.cache, recorded, self._month)
        lines: list[Correction] = []
        taxes: list[CorrectionTax] = []
        spent: list[Correction] = []
        # A correction in one month changes what is spent of a commitment, and so what later months
        # charge beyond it.
        has_commitments = has_account_file(self._settings, "commitments")
        for month in months:
            if is_settled(self._settings, month) and not (spent and has_commitments):
                found = already_billed(self._billed, month, self._month)
            else:
                found = self._compare_month(month, tuple(spent))
            lines += found.corrections.lines
            taxes += found.corrections.taxes
            spent += found.spent
        return Corrections(tuple(lines), tuple(taxes), tuple(spent))

    def _compare_month(
        self, month: BillingMonth, spent: tuple[Correction, ...]
    ) -> ClosedMonthCorrections:
        """Rate a closed month again in a scratch home, and compare it with what was billed."""
        settings = self._settings
        own = corrections_on(self._billed, month)
        applications = prepaid.known_applications(settings, month)
        with ExitStack() as opened:
            scratch = opened.enter_context(scratch_home(settings))
            with turn(self._context, settings, Turn.RATING):
                rate_month(
                    scratch,
                    month,
                    applications,
                    self._moved,
                    Corrections(own.lines, own.taxes, spent),
                )
            with turn(self._context, settings, Turn.STRIPE), self._stripe.open() as gateway:
                desired = desired_invoices(scratch, month)
                plan = stripe_gateway.run(
                    gateway, lambda: steps.preview(gateway, settings, month, desired=desired)
                )
            customers = _customers(scratch, month)
            found = open_corrections(
                settings, scratch, plan, self._billed, month, self._month, customers
            )
            lines = self._explained(scratch, month, found)
            inputs = rated_inputs(scratch, month)
        is_billed = all(action.kind is ActionKind.UNCHANGED for action in plan.actions)
        if inputs is not None and is_billed:
            record_compared(settings, month, inputs, is_billed=True)
        self._context.log.info(
            f"{month} was rated again: {len(lines)} lines of correction for {self._month}"
        )
        for why in found.not_corrected.values():
            self._context.log.warning(why)
        return replace(found, corrections=replace(found.corrections, lines=lines))

    def _explained(
        self, scratch: Settings, month: BillingMonth, found: ClosedMonthCorrections
    ) -> tuple[Correction, ...]:
        """The lines, each with its cause and the evidence of it."""
        lines = found.corrections.lines
        saved = self._settings.records_dir / "versions" / str(month)
        if saved.exists():
            shutil.copytree(saved, scratch.records_dir / "versions" / str(month))
        keys = {line.line_id: _changed_line(line, month) for line in lines}
        evidence = find_evidence(scratch, month, list(keys.values()))
        return tuple(
            line._replace(
                cause=evidence[keys[line.line_id]].cause,
                evidence=evidence[keys[line.line_id]].evidence,
            )
            for line in lines
        )


def _customers(scratch: Settings, month: BillingMonth) -> set[str]:
    with duckdb.connect(str(scratch.warehouse_path(month)), read_only=True) as warehouse:
        return {row[0] for row in warehouse.execute(_CUSTOMERS).fetchall()}


def _changed_line(line: Correction, month: BillingMonth) -> ChangedLine:
    return ChangedLine(invoice_id(line.payer_id, line.currency, month), line.corrected_line_id)
