"""Drift: what closed months would be charged today, compared every day. Sends nothing."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from billing_pipeline.collection import payments, prepaid, steps, stripe_gateway
from billing_pipeline.collection.month_plan import desired_invoices
from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.drift import drift_rows
from billing_pipeline.defs.asset_metadata import rows_found
from billing_pipeline.defs.closed_books import billed_on
from billing_pipeline.defs.jobs import TAGS
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.defs.sending import has_drift
from billing_pipeline.defs.turns import turn
from billing_pipeline.defs.usage import moved_in_stripe
from billing_pipeline.intake.late_usage import (
    ChangedInputs,
    changed_inputs,
    compared_inputs,
    rated_inputs,
    record_compared,
)
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.changes_since_billed import causes_since_billed
from billing_pipeline.published.publish import publish_rows
from billing_pipeline.published.reading import open_published
from billing_pipeline.rating.month import rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.runs.liveness import hold
from billing_pipeline.runs.locks import Turn
from billing_pipeline.settings import Settings

_DRIFT = """
SELECT strftime(billing_month, '%Y-%m'), currency, billed, would_be, difference, customers, cause
FROM month_drift ORDER BY ALL
"""
_COLUMNS = ("month", "currency", "billed", "would be", "difference", "customers", "cause")


@dg.asset(group_name="estimates", kinds={"duckdb"})
def month_drift(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], stripe: Stripe
) -> dg.MaterializeResult[None]:
    """What the last closed months would be charged today, given usage, corrections, prices and
    accounts that came later. Each is rated again apart from what bills; nothing is sent. A month
    whose inputs have not changed since it was last compared is not rated."""
    hold(settings, context.run.run_id)
    rated, problems = [], []
    for month in _closed_months(settings):
        try:
            if _compare(context, settings, stripe, month):
                rated.append(str(month))
        except InvalidInput as error:
            problems.append(f"{month}: {error.message(settings.home)}")
        except Exception as error:  # the other months are compared all the same
            context.log.exception("%s was not compared", month)
            problems.append(f"{month}: {error}")
    if problems:
        raise dg.Failure(
            description=f"some months were not compared, the others were: {'; '.join(problems)}",
            allow_retries=False,
        )
    months = ", ".join(rated) or "nothing has changed"
    return dg.MaterializeResult(metadata={"months": months, "rated": len(rated)})


def _closed_months(settings: Settings) -> list[BillingMonth]:
    """The last BILLING_DRIFT_MONTHS months that were billed, oldest first."""
    return (
        payments.billed_months(settings)[-settings.drift_months :] if settings.drift_months else []
    )


def _compare(
    context: dg.AssetExecutionContext, settings: Settings, stripe: Stripe, month: BillingMonth
) -> bool:
    """Compare a month with what was billed; False where its inputs have not changed since."""
    known = compared_inputs(settings, month)
    changed = changed_inputs(settings, month, known) if known is not None else None
    if known is not None and changed is None:
        if known.get("is_billed") and has_drift(settings, month):
            # Billed since then, such as by corrections on the invoices of a later month.
            publish_rows(settings, month, {"month_drift": []})
        return False
    applications = prepaid.known_applications(settings, month)
    seen_at = datetime.now(UTC)
    with scratch_home(settings) as scratch:
        with turn(context, settings, Turn.RATING):
            moved = moved_in_stripe(settings)
            rate_month(scratch, month, applications, moved, billed_on(settings, month))
        with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
            desired = desired_invoices(scratch, month)
            plan = stripe_gateway.run(
                gateway, lambda: steps.preview(gateway, settings, month, desired=desired)
            )
        changes = [a.invoice_id for a in plan.changes if a.kind is not ActionKind.WITHDRAW]
        causes = causes_since_billed(settings, scratch, month, changes, seen_at)
        inputs = rated_inputs(scratch, month)
    rows = drift_rows(plan, causes, _cause_by_files(changed), seen_at)
    publish_rows(settings, month, {"month_drift": rows})
    if inputs is not None:
        record_compared(settings, month, inputs, is_billed=not plan.undecided)
    return True


def _cause_by_files(changed: ChangedInputs | None) -> str:
    """The cause by the changed files, for changes that no charge explains, such as of taxes and
    discounts."""
    if changed is None:
        return "other"
    if changed.is_in("catalog", but="catalog/costs"):
        return "price"
    if changed.is_in("accounts"):
        return "account"
    return "late usage"


@dg.asset_check(
    asset=month_drift,
    name="months_are_as_billed",
    description="Warns about closed months that would be charged differently today (table "
    "month_drift). Stops nothing: `billing plan MONTH` shows what would change.",
)
def months_are_as_billed(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
    rows: list[tuple[Any, ...]] = []
    if (settings.published_dir / "billing.duckdb").exists():
        with open_published(settings) as published:
            rows = published.execute(_DRIFT).fetchall()
    return dg.AssetCheckResult(
        passed=not rows,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{len(rows)} closed months, by currency, would be charged differently today."
        f"{_correction_hint(settings)}"
        if rows
        else "The closed months would be charged today as they were billed.",
        metadata=rows_found(_COLUMNS, rows),
    )


def _correction_hint(settings: Settings) -> str:
    locked = settings.locked_through
    if locked is None:
        return ""
    return (
        f" The books are closed through {locked}: the differences of these months become lines of "
        f"correction on the invoices of {locked.shift(1)}."
    )


detect_drift = dg.define_asset_job(
    "detect_drift",
    selection=dg.AssetSelection.assets(month_drift),
    executor_def=dg.in_process_executor,
    tags=TAGS,
    description="Compare the last closed months (BILLING_DRIFT_MONTHS) with what they would be "
    "charged today (table month_drift). Sends nothing.",
)
