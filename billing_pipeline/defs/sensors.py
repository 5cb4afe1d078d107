"""The sensors: changes in Stripe, dead and failed runs, late usage, notices, and approvals that
were given under another month than their plan's. They send nothing that nobody has approved, so all
of them are on by default."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from billing_pipeline.collection import payments, stripe_gateway
from billing_pipeline.collection.plan.closed_books import closed_sentence, is_closed
from billing_pipeline.collection.stripe_state.set_aside import read_set_aside, summary
from billing_pipeline.defs.history import closed_months
from billing_pipeline.defs.jobs import apply_plan, preview_month, pull_payments
from billing_pipeline.defs.notifications import (
    delivery_summary,
    note,
    notify,
    record_failed_runs,
)
from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.intake.late_usage import ChangedInputs, is_rated_as_compared, late_usage
from billing_pipeline.months import BillingMonth
from billing_pipeline.notices.notice import Kind, Notice
from billing_pipeline.published.plans import month_of_plan
from billing_pipeline.published.reading import NotPublishedError, open_published
from billing_pipeline.runs.liveness import reap_dead_runs
from billing_pipeline.settings import Settings

# A tick costs two requests where nothing happened. A longer interval only makes the tables later.
POLL_STRIPE_SECONDS = 60
# Dagster ends a tick after 60 seconds; the next tick reads what is left.
MAX_READ_SECONDS = 30.0
# A tick lists the folders of every closed month, which an object store charges for.
POLL_USAGE_SECONDS = 300
# A failed run is requested again after this time, since Stripe may have been unavailable.
RETRY_AFTER_SECONDS = 3600
# Short, because somebody waits for the approval to be carried out.
POLL_APPROVALS_SECONDS = 15


@dg.sensor(
    job=pull_payments,
    minimum_interval_seconds=POLL_STRIPE_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks Stripe for its events since the last look, and pulls the months whose "
    "invoices changed.",
)
def stripe_changes(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings], stripe: Stripe
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run for each month whose published rows are stale. That is stored in ``records/``, not in
    the sensor's cursor, so a run that was lost is requested again."""
    if not settings.records_dir.exists():
        yield dg.SkipReason("Nothing was ever billed from here.")
        return
    with stripe.open() as gateway:
        stale = stripe_gateway.run(
            gateway,
            lambda: payments.stale_months(gateway, settings, seconds=MAX_READ_SECONDS),
        )
    odd = summary(read_set_aside(settings.records_dir))
    if odd:
        context.log.warning(odd)
    if not stale:
        yield dg.SkipReason(" ".join(filter(None, ["Nothing changed in Stripe.", odd])))
    hour = int(time.time() // RETRY_AFTER_SECONDS)
    for found in stale:
        if not MONTHS.has_partition_key(str(found.month)):
            continue
        yield dg.RunRequest(
            run_key=f"pull {found.month} change {found.version} {found.in_full} {hour}",
            partition_key=str(found.month),
            run_config={"ops": {"invoice_payments": {"config": {"in_full": found.in_full}}}},
        )


@dg.sensor(
    minimum_interval_seconds=POLL_STRIPE_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process was killed.",
)
def dead_runs(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.SkipReason:
    """Dagster itself would leave such a run "started", and the queue would wait for it."""
    ended = reap_dead_runs(settings, context.instance)
    if ended:
        return dg.SkipReason(f"Ended runs whose process is gone: {', '.join(ended)}.")
    return dg.SkipReason("Every run that is started has its process.")


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitored_jobs=[apply_plan],
    request_job=apply_plan,
    minimum_interval_seconds=POLL_APPROVALS_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="The month follows from the hash: an approval that was given under another month "
    "than that of its plan is carried out there.",
)
def approvals_of_other_months(
    context: dg.RunStatusSensorContext, settings: dg.ResourceParam[Settings]
) -> dg.RunRequest | dg.SkipReason:
    """The finished run itself has sent nothing, because its month has no such plan."""
    run = context.dagster_run
    config: Mapping[str, Any] = run.run_config
    month = month_of_plan(settings, config["ops"]["approved_changes"]["config"]["plan_hash"])
    is_there = month == run.tags.get("dagster/partition")
    if month is None or is_there or not MONTHS.has_partition_key(month):
        return dg.SkipReason(f"{run.run_id} was under the month of its plan.")
    return dg.RunRequest(
        run_key=f"approval {run.run_id}", partition_key=month, run_config=run.run_config
    )


_DRIFTED = """
SELECT strftime(billing_month, '%Y-%m'),
    string_agg(concat_ws(' ', currency, billed, would_be, cause), ', ' ORDER BY currency)
FROM month_drift GROUP BY billing_month
"""


@dg.sensor(
    job=preview_month,
    minimum_interval_seconds=POLL_USAGE_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts a preview of each closed month whose usage files changed, or that would be "
    "charged differently today (table month_drift). What would change waits for approval; nothing "
    "is sent.",
)
def drifted_months(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One preview for each state of a month's inputs: the run key names the usage files or, where
    the last rating has read other inputs than the comparison for drift, the difference."""
    locked, asked, unread = settings.locked_through, dict[BillingMonth, str](), []
    # By the records too: Dagster's history may be lost, or another machine's.
    for month in {*payments.billed_months(settings), *closed_months(context.instance)}:
        try:
            late = late_usage(settings, month)
        except (OSError, ValueError, KeyError) as error:
            # The other months are compared all the same.
            context.log.warning("the usage of %s cannot be compared: %s", month, error)
            unread.append(f"{month}: {error}")
            continue
        if late is not None:
            _record_late(settings, month, late)
            # For a month whose books are closed, a plan shows no more than `month_drift` does.
            if not is_closed(locked, month):
                asked[month] = f"late usage {month} {late.fingerprint}"
    for month, difference in _differences(settings).items():
        is_shown = not is_closed(locked, month) and is_rated_as_compared(settings, month)
        if month not in asked and not is_shown:
            asked[month] = f"drift {month} {difference}"
    for month, keys in _run_keys_by_month(locked, asked).items():
        if MONTHS.has_partition_key(str(month)):
            yield dg.RunRequest(run_key=", ".join(keys), partition_key=str(month))
    if unread and not asked:
        yield dg.SkipReason(f"The usage of some months cannot be compared: {'; '.join(unread)}")
    elif not asked:
        yield dg.SkipReason("Every closed month's plan is up to date with its inputs.")


def _record_late(settings: Settings, month: BillingMonth, late: ChangedInputs) -> None:
    if settings.records_dir.exists():
        closed = closed_sentence(settings.locked_through, month)
        key = f"late_usage:{month}:{late.fingerprint}"
        text = f"{late}\n{closed or 'a preview is asked for'}"
        note(settings, Notice(Kind.LATE_USAGE, key, str(month), text))


def _differences(settings: Settings) -> dict[BillingMonth, str]:
    """The differences of closed months in `month_drift`, as text, by month."""
    try:
        with open_published(settings) as published:
            found = published.execute(_DRIFTED).fetchall()
    except NotPublishedError:
        return {}
    return {BillingMonth.parse(month): difference for month, difference in found}


def _run_keys_by_month(
    locked: BillingMonth | None, asked: Mapping[BillingMonth, str]
) -> dict[BillingMonth, list[str]]:
    """The run keys by the month whose plan shows the change. For all months whose books are closed,
    that is the first open month."""
    keys: dict[BillingMonth, list[str]] = defaultdict(list)
    for month, key in sorted(asked.items()):
        shown = locked.shift(1) if locked is not None and is_closed(locked, month) else month
        keys[shown].append(key)
    return keys


@dg.sensor(
    minimum_interval_seconds=POLL_STRIPE_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Records failed runs, including those of the command line, for the next notices.",
)
def runs_that_failed(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.SkipReason:
    """Starts no run, so that no failure leads to another. Dagster's own run failure sensor ignores
    runs of the command line."""
    if not settings.records_dir.exists():
        return dg.SkipReason("Nothing was ever billed from here.")
    failed = record_failed_runs(settings, context.instance, datetime.now(UTC))
    return dg.SkipReason(f"{failed} runs failed in the last seven days.")


@dg.sensor(
    minimum_interval_seconds=POLL_STRIPE_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Sends each notice once to BILLING_NOTIFY_URLS. What cannot be delivered is tried "
    "again; billing does not wait for it.",
)
def notices(
    context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
) -> dg.SkipReason:
    """A tick that cannot deliver everything fails."""
    if not settings.notify_urls:
        return dg.SkipReason("BILLING_NOTIFY_URLS is not set.")
    if not settings.records_dir.exists():
        return dg.SkipReason("Nothing was ever billed from here.")
    now = datetime.now(UTC)
    return dg.SkipReason(
        delivery_summary(notify(settings, context.instance, now, MAX_READ_SECONDS))
    )
