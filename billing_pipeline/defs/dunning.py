"""The job `collect_payments`, which a schedule runs every hour: pay open invoices from wallets,
then try again the payments that are due."""

from collections import Counter
from contextlib import suppress

import dagster as dg

from billing_pipeline.collection import payments, stripe_gateway
from billing_pipeline.collection.plan.dunning_policy import Due, DueKind, DunningPolicy
from billing_pipeline.collection.push.dunning import DunningOutcome, DunningResult
from billing_pipeline.defs.asset_metadata import markdown_table
from billing_pipeline.defs.jobs import TAGS
from billing_pipeline.defs.payments import publish_payments, set_aside_metadata
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.defs.turns import other_month, turn
from billing_pipeline.defs.wallets import paid_table, pay_from_wallets
from billing_pipeline.runs.liveness import hold
from billing_pipeline.runs.locks import Turn
from billing_pipeline.runs.process_locks import HeldError
from billing_pipeline.runs.sending import SENDS
from billing_pipeline.settings import Settings


@dg.op(
    description="Pay what is open from wallets, then try what is due by now, in all months, and "
    "publish it."
)
def due_payments(
    context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings], stripe: Stripe
) -> None:
    policy = DunningPolicy.of(settings)
    hold(settings, context.run_id)
    wallets = pay_from_wallets(context, settings, stripe)
    waiting = {customer for customer, _ in wallets.problems}
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        results = stripe_gateway.run(
            gateway,
            lambda: payments.dun(
                gateway, settings, run_id=context.run_id, policy=policy, except_for=waiting
            ),
        )
        stale = stripe_gateway.run(gateway, lambda: payments.stale_months(gateway, settings))
        problems = list(wallets.problems)
        for found in stale:
            # A month that another run works on is published by that run, or later by the run that
            # the sensor starts. One that cannot be published must not stop the others, nor hide
            # what was tried.
            try:
                with suppress(HeldError), other_month(context, settings, found.month):
                    done = publish_payments(gateway, settings, found.month, in_full=found.in_full)
                    problems += done.unread
            except Exception as error:  # whatever it is, the run fails with it at the end
                context.log.exception("%s was not published", found.month)
                problems.append((str(found.month), f"was not published: {error}"))
    counts = Counter(result.outcome.value for result in results)
    context.add_output_metadata(
        {
            **{outcome.value: counts[outcome.value] for outcome in DunningOutcome},
            "paid_from_wallets": len(wallets.paid),
            "tries": dg.MetadataValue.md(_table(results)),
            "paid from wallets": dg.MetadataValue.md(paid_table(wallets)),
            **set_aside_metadata(settings),
        }
    )
    failed = [
        (str(result.customer_id), result.message)
        for result in results
        if result.outcome is DunningOutcome.FAILED
    ] + problems
    if failed:
        who = "; ".join(dict.fromkeys(f"{customer}: {why}" for customer, why in failed))
        raise dg.Failure(
            description=f"failed in part, the others were tried: {who}", allow_retries=False
        )


def _table(results: list[DunningResult]) -> str:
    if not results:
        return "Nothing was due."
    header = ("customer", "invoice", "try", "ended", "why", "Stripe")
    rows = [
        (
            *(result.customer_id, result.invoice_id, _which(result.due), result.outcome.value),
            *(result.message, result.request_id or result.stripe_invoice_id),
        )
        for result in results
    ]
    return markdown_table(header, rows)


def _which(due: Due) -> str:
    return "another card" if due.kind is DueKind.CARD else str(due.number)


@dg.job(
    executor_def=dg.in_process_executor,
    tags=TAGS | SENDS,
    description="Pay open invoices from what wallets hold, the oldest first, and post what has "
    "expired. Then try unpaid invoices again that are due (BILLING_DUNNING_HOURS); after the last "
    "try mark them uncollectible or leave them overdue (BILLING_DUNNING_END).",
)
def collect_payments() -> None:
    due_payments()
