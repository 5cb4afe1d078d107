"""From invoices to money: the invoice plan, what is applied of it, and what was paid."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import dagster as dg
import duckdb
from pydantic import Field

from billing_pipeline.collection import payments, prepaid, steps, stripe_gateway
from billing_pipeline.collection.approval_answers import Answer, first_answer
from billing_pipeline.collection.payments import PullResult
from billing_pipeline.collection.plan.actions import ActionKind, InvoiceAction
from billing_pipeline.collection.plan.approval import NotInPlanError
from billing_pipeline.collection.plan.closed_books import is_closed
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.limits import Limits
from billing_pipeline.collection.plan.proposal import ResolutionRequest
from billing_pipeline.collection.plan_pages import (
    plan_markdown,
    plan_sentence,
    receipt_markdown,
    receipt_sentence,
)
from billing_pipeline.collection.plan_rows import (
    PlanNotes,
    change_rows,
    explained,
    outcome_rows,
    plan_rows,
)
from billing_pipeline.collection.prepaid import WalletTables
from billing_pipeline.collection.push.apply import ApplyReport
from billing_pipeline.collection.records.approvals import approval_rows
from billing_pipeline.collection.steps import PlanChangedError
from billing_pipeline.collection.stripe_state.resolutions import Decision
from billing_pipeline.collection.stripe_state.set_aside import read_set_aside, summary
from billing_pipeline.collection.stripe_state.texts import clean_text
from billing_pipeline.defs.partitions import MONTHS, refuse_unfinished
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.defs.turns import month_of, turn
from billing_pipeline.intake.late_usage import forget_compared, note_compared, rated_inputs
from billing_pipeline.money import to_major
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_billed import SentDocument, save_versions
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

DASHBOARD = "https://dashboard.stripe.com/invoices"
"""Shows test mode or live mode, whichever the reader has chosen there."""
ANSWER = "answer"
"""Metadata of an observation: why an approval carried nothing out."""
# Whether anything is to be sent is said by the plan itself. With a version for each run, a preview
# would mark all that was sent as "Unsynced" until the next close, whatever it found.
_ONE_VERSION = dg.DataVersion("plan")
_BILLS_NOTHING = (ActionKind.WITHDRAW, ActionKind.REVIEW)
UPSTREAM = [dg.AssetKey("invoices"), dg.AssetKey("invoice_lines")]


def _collection_asset(
    deps: Sequence[dg.AssetKey | dg.AssetsDefinition] = (), *, is_optional: bool = False
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    return dg.asset(
        partitions_def=MONTHS,
        group_name="collection",
        kinds={"stripe"},
        backfill_policy=dg.BackfillPolicy.multi_run(),
        deps=deps,
        # A step that gives nothing leaves its partition as it was.
        output_required=not is_optional,
    )


class Approval(dg.Config):
    """The plan that a person has read, and what is decided about it."""

    plan_hash: str = Field(description="The plan's hash, as `preview_month` shows it.")
    only: list[str] = Field(
        default=[], description="Customers: just their part; the rest waits on under this hash."
    )
    decline: bool = Field(
        default=False,
        description="Decline instead of approving: it is not asked for again until it is another.",
    )
    reason: str = Field(default="", description="Why; needed to decline.")
    decided_by: str = Field(default="somebody in the Dagster UI", description="Who decides.")


@_collection_asset(UPSTREAM)
def invoice_plan(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], stripe: Stripe
) -> dg.MaterializeResult[None]:
    """What would bring Stripe from what it holds to what the charges say. Writes nothing there."""
    month = month_of(context, settings)
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        plan = stripe_gateway.run(
            gateway,
            lambda: steps.preview(
                gateway, settings, month, limits=Limits.of(settings), run_id=context.run.run_id
            ),
        )
        notes, changes = _notes(gateway, settings, month, plan)
    if context.run.job_name != "close_month":
        # A close publishes once, after Stripe has answered, so nobody sees half a month.
        tables = _plan_tables(settings, month, plan_rows(plan, notes), changes)
        _publish(settings, month, tables)
    return dg.MaterializeResult(
        metadata=_plan_metadata(plan, notes, changes), data_version=_ONE_VERSION
    )


_Rows = list[dict[str, Any]]


def _publish(settings: Settings, month: BillingMonth, tables: dict[str, _Rows]) -> None:
    """The month with these tables. Of a closed month that was published, only these: its charges
    and invoices stay as they were closed, and what they would be is in the plan."""
    if is_closed(settings.locked_through, month) and is_published(settings, month):
        publish_rows(settings, month, tables)
    else:
        publish(settings, month, tables)


def _plan_tables(
    settings: Settings, month: BillingMonth, rows: _Rows, changes: _Rows
) -> dict[str, _Rows]:
    """The plan, line by line, and what was decided about the month's plans so far."""
    approvals = approval_rows(steps.decisions_of(settings, month))
    return {"invoice_plan": rows, "plan_changes": changes, "approvals": approvals}


def _notes(
    gateway: StripeGateway,
    settings: Settings,
    month: BillingMonth,
    plan: InvoicePlan,
    report: ApplyReport | None = None,
) -> tuple[PlanNotes, _Rows]:
    """What is said of a plan besides what it does, and the rows of `plan_changes`."""
    lines = explained(plan, report)
    keys = [ChangedLine(line.invoice_id, line.line_id) for line in lines]
    try:
        evidence = find_evidence(settings, month, keys)
    except (duckdb.Error, OSError) as error:
        # What has been sent must be published, explained or not.
        evidence = {key: Evidence("other", f"cannot be read: {error}") for key in keys}
    today = datetime.fromtimestamp(gateway.clock.now(), settings.timezone).date()
    notes = PlanNotes(
        today=today,
        causes=causes_by_invoice(evidence.items()),
        cards=cards_expiring_before(settings, today),
        approval_url=approval_url(settings.ui_url, month, plan.hash),
    )
    return notes, change_rows(plan, lines, evidence)


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


def _plan_metadata(plan: InvoicePlan, notes: PlanNotes, changes: _Rows) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        # The page of a run shows two or three rows, and the others on a click.
        "in short": plan_sentence(plan),
        "plan": dg.MetadataValue.md(plan_markdown(plan, notes, changes)),
        "plan_hash": plan.hash,
        "changes": len(plan.changes),
        "needs_approval": plan.needs_approval,
    }
    if plan.needs_approval and notes.approval_url is not None:
        metadata["approve"] = dg.MetadataValue.url(notes.approval_url)
    return metadata


def _apply(
    context: dg.AssetExecutionContext,
    settings: Settings,
    stripe: Stripe,
    approval: steps.Approval | None = None,
) -> dg.MaterializeResult[None]:
    month = month_of(context, settings)
    refuse_unfinished(settings, month)

    def save_what_is_billed(plan: InvoicePlan, sent: Sequence[InvoiceAction]) -> None:
        stands = [action for action in plan.actions if action.kind is ActionKind.UNCHANGED]
        billed = {a.invoice_id for a in [*sent, *stands] if a.kind not in _BILLS_NOTHING}
        if plan.closed is not None:
            return
        sends = [document for action in sent for document in sent_documents(action)]
        save_versions(settings, month, billed, context.run.run_id, datetime.now(UTC), sends)

    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        outcome = stripe_gateway.run(
            gateway,
            lambda: steps.apply_plan(
                gateway,
                settings,
                month,
                run_id=context.run.run_id,
                actor="unattended" if approval is None else f"approved by {approval.decided_by}",
                approval=approval,
                limits=Limits.of(settings),
                timeout=60.0,
                before_sending=save_what_is_billed,
            ),
        )
        # The month was read from Stripe a moment ago, so it need not be listed again.
        pulled = stripe_gateway.run(
            gateway, lambda: payments.pull(gateway, settings, month, full=False)
        )
        notes, changes = _notes(gateway, settings, month, outcome.remaining, outcome.report)
        rows = outcome_rows(outcome.report, outcome.remaining, notes)
        tables = _plan_tables(settings, month, rows, changes) | pulled.tables
        wallets = None
        # Whatever this run did: an earlier one may have ended between sending and publishing.
        if not prepaid.wallets_are_published(settings, month):
            wallets = wallets_now(gateway, settings, month)
            tables |= wallets.tables
    _publish(settings, month, tables | _drift_after(outcome.remaining))
    _note_inputs(settings, month, outcome.remaining)
    for corrected in _corrected_months(outcome.report):
        forget_compared(settings, corrected)
    payments.note_published(settings, pulled)
    if wallets is not None:
        prepaid.note_published(settings, month, wallets)
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
    metadata |= _payment_metadata(pulled.invoice_payments)
    if not settings.uses_sandbox and settings.stripe_api_base is None:
        metadata["in Stripe"] = dg.MetadataValue.url(DASHBOARD)
    failed = outcome.problems + (wallets.unread if wallets is not None else [])
    if failed:
        raise _failed_in_part(failed, metadata)
    return dg.MaterializeResult(metadata=metadata)


def _payment_metadata(rows: _Rows) -> dict[str, float]:
    """Invoices by status, and what was billed, paid and is outstanding in each currency: numbers
    that the UI plots over the months. The exact amounts are in `invoice_payments`."""
    counts = Counter(row["status"] for row in rows)
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        for amount in ("billed", "paid", "outstanding"):
            sums[f"{amount} {row['currency']}"] += row[amount]
    return {
        **{f"invoices_{status}": count for status, count in counts.items()},
        **{name: float(amount) for name, amount in sums.items()},
    }


def _corrected_months(report: ApplyReport) -> set[BillingMonth]:
    """The closed months of which something was billed now: of these it is not known any more what
    is left."""
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


def _drift_after(plan: InvoicePlan) -> dict[str, _Rows]:
    """Where all is billed or declined, the month has no drift. What is left of it, the next look
    has to tell."""
    return {} if plan.undecided else {"month_drift": []}


def _note_inputs(settings: Settings, month: BillingMonth, plan: InvoicePlan) -> None:
    """Where all is billed or declined, drift is what changes in these inputs later. Where something
    is left, the next look for drift has to rate the month."""
    inputs = rated_inputs(settings, month)
    if inputs is not None and not plan.undecided:
        note_compared(settings, month, inputs, is_billed=True)
    else:
        forget_compared(settings, month)


def _failed_in_part(
    problems: Iterable[tuple[str, str]], metadata: Mapping[str, Any] | None = None
) -> dg.Failure:
    """What failed, each customer once: one cause may stop several steps."""
    first: dict[str, str] = {}
    for customer, why in problems:
        first.setdefault(customer, why)
    who = "; ".join(f"{customer}: {clean_text(why)}" for customer, why in first.items())
    return dg.Failure(
        description=f"failed in part, the others went on: {who}",
        metadata=metadata,
        allow_retries=False,
    )


@_collection_asset([invoice_plan])
def stripe_invoices(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], stripe: Stripe
) -> dg.MaterializeResult[None]:
    """Carry out what is safe of the invoice plan, then pull back and publish what Stripe holds."""
    return _apply(context, settings, stripe)


@_collection_asset(is_optional=True)
def approved_changes(
    context: dg.AssetExecutionContext,
    config: Approval,
    settings: dg.ResourceParam[Settings],
    stripe: Stripe,
) -> Iterator[dg.MaterializeResult[None]]:
    """Carry out exactly the plan whose hash was approved, or the part of some customers, or keep
    that it was declined. A hash that is not the present plan's is answered in one sentence, and
    the month stays as it was."""
    month = month_of(context, settings)
    answer = first_answer(settings, month, config.plan_hash)
    if config.decline and not config.reason.strip():
        answer = Answer("a reason is needed to decline a change")
    approval = steps.Approval(
        config.plan_hash, frozenset(config.only), config.decided_by, config.reason.strip()
    )
    result = None
    if answer is None:
        try:
            carry_out = _decline if config.decline else _apply
            result = carry_out(context, settings, stripe, approval)
        except (PlanChangedError, NotInPlanError) as error:
            answer = Answer(str(error))
    if answer is not None:
        context.log.warning(answer.sentence)
        context.log_event(
            dg.AssetObservation(
                context.asset_key,
                partition=str(month),
                metadata={ANSWER: answer.sentence, "is_harmless": answer.is_harmless},
            )
        )
    if result is not None:
        yield result


def _decline(
    context: dg.AssetExecutionContext, settings: Settings, stripe: Stripe, refusal: steps.Approval
) -> dg.MaterializeResult[None]:
    month = month_of(context, settings)
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        plan = stripe_gateway.run(
            gateway,
            lambda: steps.decline(
                gateway,
                settings,
                month,
                refusal,
                run_id=context.run.run_id,
                limits=Limits.of(settings),
                timeout=60.0,
            ),
        )
        notes, changes = _notes(gateway, settings, month, plan)
    tables = _plan_tables(settings, month, plan_rows(plan, notes), changes)
    publish_rows(settings, month, tables | _drift_after(plan))
    _note_inputs(settings, month, plan)
    return dg.MaterializeResult(metadata=_plan_metadata(plan, notes, changes))


class Resolution(dg.Config):
    """How to end the review of an invoice, and why. Like every change, it waits for approval."""

    invoice_id: str = Field(description="As `invoice_plan` names it, with the action `review`.")
    decision: str = Field(
        description="adopt: what stands in Stripe is right. reissue: bill again what was voided or "
        "deleted there. write_off: leave the difference."
    )
    reason: str
    decided_by: str


@_collection_asset()
def proposed_resolution(
    context: dg.AssetExecutionContext,
    config: Resolution,
    settings: dg.ResourceParam[Settings],
    stripe: Stripe,
) -> dg.MaterializeResult[None]:
    """The invoice plan with a decision that ends a review, to be approved by its hash. Writes
    nothing to Stripe."""
    month = month_of(context, settings)
    request = ResolutionRequest(
        config.invoice_id, Decision(config.decision), config.reason, config.decided_by
    )
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        plan = stripe_gateway.run(
            gateway,
            lambda: steps.propose(
                gateway,
                settings,
                month,
                request,
                run_id=context.run.run_id,
                limits=Limits.of(settings),
            ),
        )
        notes, changes = _notes(gateway, settings, month, plan)
    rows = plan_rows(plan, notes)
    publish_rows(settings, month, _plan_tables(settings, month, rows, changes))
    return dg.MaterializeResult(metadata=_plan_metadata(plan, notes, changes))


class Pull(dg.Config):
    """How to read the month."""

    in_full: bool = Field(
        default=True,
        description="List the whole month in Stripe. If false, the month is read as Stripe's "
        "events have left it: what the sensor `stripe_changes` asks for.",
    )


def set_aside_metadata(settings: Settings) -> dict[str, int | str]:
    """Which of Stripe's answers cannot be read, for the metadata of a run."""
    found = read_set_aside(settings.records_dir)
    return {"set_aside": len(found), "set aside": summary(found)} if found else {"set_aside": 0}


def wallets_now(gateway: StripeGateway, settings: Settings, month: BillingMonth) -> WalletTables:
    """The wallets against the balances in Stripe, to be published."""
    return stripe_gateway.run(gateway, lambda: prepaid.wallet_tables(gateway, settings, month))


class Published(NamedTuple):
    """What a pull found, and customer and reason of the wallets that could not be read."""

    pulled: PullResult
    unread: list[tuple[str, str]]


def publish_payments(
    gateway: StripeGateway, settings: Settings, month: BillingMonth, *, in_full: bool
) -> Published:
    """Pull a month and publish what came of it."""
    pulled = stripe_gateway.run(
        gateway, lambda: payments.pull(gateway, settings, month, full=in_full)
    )
    # Each wallet takes two requests, so only if the whole month is listed anyway.
    wallets = wallets_now(gateway, settings, month) if in_full else None
    publish_rows(settings, month, pulled.tables | (wallets.tables if wallets else {}))
    payments.note_published(settings, pulled)
    if wallets is not None:
        prepaid.note_published(settings, month, wallets)
    return Published(pulled, wallets.unread if wallets else [])


@_collection_asset()
def invoice_payments(
    context: dg.AssetExecutionContext,
    config: Pull,
    settings: dg.ResourceParam[Settings],
    stripe: Stripe,
) -> dg.MaterializeResult[None]:
    """Refresh the payment status of the month's invoices."""
    month = month_of(context, settings)
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        pulled, unread = publish_payments(gateway, settings, month, in_full=config.in_full)
    metadata = {
        "dagster/row_count": len(pulled.invoice_payments),
        "requests": pulled.requests,
        **set_aside_metadata(settings),
        **_payment_metadata(pulled.invoice_payments),
    }
    if unread:
        raise _failed_in_part(unread, metadata)
    return dg.MaterializeResult(metadata=metadata)
