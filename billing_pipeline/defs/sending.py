"""Carrying out an invoice plan: what is sent, what is read back, and what is published of both.

What belongs here: the asset `stripe_invoices`, and the same for an approved plan. What does not:
which plan is carried out (``plans``, ``approvals``).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import dagster as dg

from billing_pipeline.collection import payments, prepaid, steps, stripe_gateway
from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.drift import drift_rows
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan_pages import (
    plan_markdown,
    receipt_markdown,
    receipt_sentence,
)
from billing_pipeline.collection.plan_rows import PlanNotes, outcome_rows
from billing_pipeline.collection.push.apply import ApplyReport
from billing_pipeline.collection.stripe_state.cached_tax_ids import tax_ids_summary
from billing_pipeline.defs.collection import (
    Rows,
    collection_asset,
    failed_in_part,
    payment_metadata,
)
from billing_pipeline.defs.partitions import refuse_unfinished
from billing_pipeline.defs.payments import wallets_now
from billing_pipeline.defs.plans import invoice_plan, notes_of, plan_tables, publish_month
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.defs.turns import month_of, turn
from billing_pipeline.intake.late_usage import forget_compared, rated_inputs, record_compared
from billing_pipeline.money import to_major
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import SentDocument, save_versions
from billing_pipeline.published.manifest import PublishError
from billing_pipeline.published.reading import NotPublishedError, open_published
from billing_pipeline.runs.locks import Turn
from billing_pipeline.settings import Settings

DASHBOARD = "https://dashboard.stripe.com/invoices"
"""Shows test mode or live mode, whichever the reader has chosen in the dashboard."""
_BILLS_NOTHING = (ActionKind.WITHDRAW, ActionKind.REVIEW)


@collection_asset([invoice_plan])
def stripe_invoices(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], stripe: Stripe
) -> dg.MaterializeResult[None]:
    """Carry out what is safe of the invoice plan, then pull back and publish what Stripe holds."""
    return apply(context, settings, stripe)


def apply(
    context: dg.AssetExecutionContext,
    settings: Settings,
    stripe: Stripe,
    approval: steps.Approval | None = None,
) -> dg.MaterializeResult[None]:
    """Carry out what is safe of the month's plan, or what the approval names, and publish what
    Stripe then holds. Raises `dagster.Failure` where a part failed; the rest is published."""
    month = month_of(context, settings)
    refuse_unfinished(settings, month)
    actor = "unattended" if approval is None else f"approved by {approval.decided_by}"
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        outcome = stripe_gateway.run(
            gateway,
            lambda: steps.apply_plan(
                gateway,
                settings,
                month,
                run_id=context.run.run_id,
                actor=actor,
                approval=approval,
                timeout=60.0,
                before_sending=partial(_save_billed, settings, month, context.run.run_id),
            ),
        )
        # The month was read from Stripe a moment ago, so it is not listed again.
        pulled = stripe_gateway.run(
            gateway, lambda: payments.pull(gateway, settings, month, full=False)
        )
        notes, changes = notes_of(gateway, settings, month, outcome.remaining, outcome.report)
        rows = outcome_rows(outcome.report, outcome.remaining, notes)
        tables = plan_tables(settings, month, rows, changes) | pulled.tables
        wallets = None
        # Even if this run sent nothing: an earlier one may have ended before it could publish.
        if not prepaid.wallets_are_published(settings, month):
            wallets = wallets_now(gateway, settings, month)
            tables |= wallets.tables
    publish_month(settings, month, tables | drift_after(settings, month, outcome.remaining, rows))
    record_inputs(settings, month, outcome.remaining)
    for corrected in _corrected_months(outcome.report):
        forget_compared(settings, corrected)
    payments.record_published(settings, pulled)
    if wallets is not None:
        prepaid.record_published(settings, month, wallets)
    metadata = _metadata(settings, outcome, notes, changes)
    metadata |= payment_metadata(pulled.invoice_payments)
    if without_tax_id := tax_ids_summary(outcome.report.tax_id_problems):
        # The invoices are right without a tax id, so the run does not fail.
        context.log.warning(without_tax_id)
        metadata["tax ids"] = without_tax_id
    failed = outcome.problems + (wallets.unread if wallets is not None else [])
    if failed:
        raise failed_in_part(failed, metadata)
    return dg.MaterializeResult(metadata=metadata)


def _save_billed(
    settings: Settings,
    month: BillingMonth,
    run_id: str,
    plan: InvoicePlan,
    sent: Sequence[InvoiceAction],
) -> None:
    """Save the version that is billed of each invoice that is sent or stands as it is. A month
    whose books are closed was saved when it was billed."""
    if plan.closed is not None:
        return
    stands = [action for action in plan.actions if action.kind is ActionKind.UNCHANGED]
    billed = {a.invoice_id for a in [*sent, *stands] if a.kind not in _BILLS_NOTHING}
    sends = [document for action in sent for document in sent_documents(action)]
    save_versions(settings, month, billed, run_id, datetime.now(UTC), sends)


def _metadata(
    settings: Settings,
    outcome: steps.ApplyOutcome,
    notes: PlanNotes,
    changes: Rows,
) -> dict[str, Any]:
    """What the run's page in Dagster shows of what was done and what is left."""
    metadata: dict[str, Any] = {
        "in short": receipt_sentence(outcome.report),
        "receipt": dg.MetadataValue.md(receipt_markdown(outcome.report)),
        "done": len(outcome.report.done),
        "failed": len(outcome.report.failed),
        "needs_approval": outcome.needs_approval,
        "plan_hash": outcome.remaining.hash,
        "remaining": dg.MetadataValue.md(plan_markdown(outcome.remaining, notes, changes)),
    }
    if outcome.needs_approval and notes.approval_url is not None:
        metadata["approve"] = dg.MetadataValue.url(notes.approval_url)
    if not settings.uses_sandbox and settings.stripe_api_base is None:
        metadata["in Stripe"] = dg.MetadataValue.url(DASHBOARD)
    return metadata


def sent_documents(action: InvoiceAction) -> list[SentDocument]:
    """The invoice and the credit notes that the action sends."""
    name, currency = action.invoice_id, action.currency
    found = [
        SentDocument(name, part.revision, part.number, -to_major(part.amount, currency))
        for part in action.credits
    ]
    if action.send is not None:
        total = to_major(action.send.total, currency)
        found.append(SentDocument(name, action.send.revision, None, total))
    return found


def _corrected_months(report: ApplyReport) -> set[BillingMonth]:
    """The closed months of which the run has billed or credited corrections: what is left of their
    drift is no longer known."""
    return {
        month
        for result in report.done
        if result.action.send is not None
        for month in result.action.send.corrections
    } | {
        month
        for result in report.done
        if result.action.kind is ActionKind.CREDIT
        for invoice in report.plan.desired
        if invoice.invoice_id == result.action.invoice_id
        for month in invoice.corrections
    }


def drift_after(
    settings: Settings, month: BillingMonth, plan: InvoicePlan, planned: Rows
) -> dict[str, Rows]:
    """What is left of the month's drift: no rows where all is billed or declined, else those of the
    remaining plan (`planned`: its rows, which name the causes). The table is left alone for a month
    without drift so far: what waits there may be first invoices."""
    if not plan.undecided:
        return {"month_drift": []}
    if not has_drift(settings, month):
        return {}
    causes = {row["invoice_id"]: [row["cause"]] for row in planned if row["cause"]}
    return {"month_drift": drift_rows(plan, causes, "other", datetime.now(UTC))}


def has_drift(settings: Settings, month: BillingMonth) -> bool:
    """True if the month is published as one that would be charged differently today."""
    try:
        with open_published(settings) as published:
            [(found,)] = published.execute(
                "SELECT count(*) FROM month_drift WHERE billing_month = $1", [month.first_day]
            ).fetchall()
    except (NotPublishedError, PublishError):
        return False  # a damaged database is rebuilt by this publication
    return bool(found)


def record_inputs(settings: Settings, month: BillingMonth, plan: InvoicePlan) -> None:
    """Note the inputs that the month was rated from, if all is billed or declined: only a change of
    them is drift. If something is left, the next comparison has to rate the month."""
    inputs = rated_inputs(settings, month)
    if inputs is not None and not plan.undecided:
        record_compared(settings, month, inputs, is_billed=True)
    else:
        forget_compared(settings, month)
