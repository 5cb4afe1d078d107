"""The invoice plan: what a run would do to Stripe, with its causes, published before it is done.

What belongs here: the asset `invoice_plan`, and what is published and shown of any plan. What does
not: carrying one out (``sending``), and what people decide about it (``approvals``).
"""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, NamedTuple

import dagster as dg
import duckdb

from billing_pipeline.collection import payments, steps, stripe_gateway
from billing_pipeline.collection.plan.closed_books import is_closed
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan_pages import plan_markdown, plan_sentence
from billing_pipeline.collection.plan_rows import PlanNotes, change_rows, explained, plan_rows
from billing_pipeline.collection.push.apply import ApplyReport
from billing_pipeline.collection.records.approvals import approval_rows
from billing_pipeline.defs.collection import Rows, collection_asset
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.defs.turns import month_of, turn
from billing_pipeline.intake.late_usage import forget_compared
from billing_pipeline.intake.reference.load import has_account_file
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.change_evidence import (
    ChangedLine,
    Evidence,
    causes_by_invoice,
    find_evidence,
)
from billing_pipeline.published.paying_cards import cards_expiring_before
from billing_pipeline.published.publish import is_published, publish, publish_rows
from billing_pipeline.runs.locks import Turn
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_api.client import StripeGateway
from billing_pipeline.web.links import approval_url

# The plan itself says whether anything is to be sent. With a version for each run, every preview
# would mark all that was sent as "Unsynced" until the next close.
_ONE_VERSION = dg.DataVersion("plan")


@collection_asset([dg.AssetKey("invoices"), dg.AssetKey("invoice_lines")])
def invoice_plan(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], stripe: Stripe
) -> dg.MaterializeResult[None]:
    """What would bring Stripe from what it holds to what the charges say. Writes nothing there."""
    month = month_of(context, settings)
    shown = shown_plan(context, settings, stripe, steps.preview)
    if context.run.job_name != "close_month":
        # A close publishes once, after Stripe has answered, so nobody sees half a month.
        publish_month(settings, month, shown.tables(settings, month))
    return dg.MaterializeResult(metadata=shown.metadata, data_version=_ONE_VERSION)


class ShownPlan(NamedTuple):
    """A plan with its causes: what is published of it, and what the run's page says."""

    plan: InvoicePlan
    notes: PlanNotes
    changes: Rows

    def tables(self, settings: Settings, month: BillingMonth) -> dict[str, Rows]:
        return plan_tables(settings, month, plan_rows(self.plan, self.notes), self.changes)

    @property
    def metadata(self) -> dict[str, Any]:
        return _plan_metadata(self.plan, self.notes, self.changes)


def shown_plan(
    context: dg.AssetExecutionContext,
    settings: Settings,
    stripe: Stripe,
    step: Callable[..., Coroutine[Any, Any, InvoicePlan]],
    *decided: object,
    **more: float,
) -> ShownPlan:
    """The month's plan after a `step` of `collection.steps`, which gets what was `decided`."""
    month = month_of(context, settings)
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        run_id = context.run.run_id
        plan = stripe_gateway.run(
            gateway, lambda: step(gateway, settings, month, *decided, run_id=run_id, **more)
        )
        return ShownPlan(plan, *notes_of(gateway, settings, month, plan))


def publish_month(settings: Settings, month: BillingMonth, tables: dict[str, Rows]) -> None:
    """Publish the month with these tables. Of a month whose books are closed and that is published,
    only these tables: its charges and invoices stay as they were when the books were closed, and
    the plan shows what they would be today."""
    if is_closed(settings.locked_through, month) and is_published(settings, month):
        publish_rows(settings, month, tables)
    else:
        publish(settings, month, tables)
        _compare_later_months_again(settings, month)


def _compare_later_months_again(settings: Settings, month: BillingMonth) -> None:
    """Commitments of later months count this month's lines as published, so those months may come
    to something else although no file of theirs has changed."""
    if has_account_file(settings, "commitments"):
        for later in payments.billed_months(settings):
            if later > month:
                forget_compared(settings, later)


def plan_tables(
    settings: Settings, month: BillingMonth, rows: Rows, changes: Rows
) -> dict[str, Rows]:
    """The tables of a plan: its rows, its changed lines, and all decisions about the month's plans
    so far."""
    approvals = approval_rows(steps.decisions_of(settings, month))
    return {"invoice_plan": rows, "plan_changes": changes, "approvals": approvals}


def notes_of(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    plan: InvoicePlan,
    report: ApplyReport | None = None,
) -> tuple[PlanNotes, Rows]:
    """What a plan's readers are told besides its actions, and the rows of `plan_changes`."""
    lines = explained(plan, report)
    keys = [ChangedLine(line.invoice_id, line.line_id) for line in lines]
    try:
        evidence = find_evidence(settings, month, keys)
    except (duckdb.Error, OSError) as error:
        # What has been sent must be published, even without an explanation.
        evidence = {key: Evidence("other", f"cannot be read: {error}") for key in keys}
    today = datetime.fromtimestamp(gateway.clock.now(), settings.timezone).date()
    notes = PlanNotes(
        today=today,
        causes=causes_by_invoice(evidence.items()),
        cards=cards_expiring_before(settings, today),
        approval_url=approval_url(settings.ui_url, month, plan.hash),
    )
    return notes, change_rows(plan, lines, evidence)


def _plan_metadata(plan: InvoicePlan, notes: PlanNotes, changes: Rows) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        # First, because a run's page shows only two or three rows without a click.
        "in short": plan_sentence(plan),
        "plan": dg.MetadataValue.md(plan_markdown(plan, notes, changes)),
        "plan_hash": plan.hash,
        "changes": len(plan.changes),
        "needs_approval": plan.needs_approval,
    }
    if plan.needs_approval and notes.approval_url is not None:
        metadata["approve"] = dg.MetadataValue.url(notes.approval_url)
    return metadata
