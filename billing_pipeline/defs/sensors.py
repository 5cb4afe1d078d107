"""What looks around by itself: what happened in Stripe, which runs died. Nothing here sends money:
all is on by default."""

import time
from collections.abc import Iterator

import dagster as dg

from billing_pipeline.defs.jobs import pull_payments
from billing_pipeline.defs.partitions import MONTHS, SETTINGS
from billing_pipeline.invoicing import collection
from billing_pipeline.run_liveness import bury_dead_runs

# Each look costs two requests where nothing happened. Less often only makes the tables later.
LOOK_EVERY_SECONDS = 60
# Dagster ends a tick after 60 seconds; what could not be read until then, the next one reads.
READ_FOR_SECONDS = 30.0
# A run that failed is asked for again after this long: Stripe may have been away.
AGAIN_AFTER_SECONDS = 3600


@dg.sensor(
    job=pull_payments,
    minimum_interval_seconds=LOOK_EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks Stripe for its events since the last look, and pulls the months whose "
    "invoices changed.",
)
def stripe_changes(
    context: dg.SensorEvaluationContext,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run for each month whose published rows are behind. What is behind is remembered with
    the records, not in the cursor of the sensor, so a run that was lost is asked for again."""
    if not SETTINGS.records_dir.exists():
        yield dg.SkipReason("Nothing was ever billed from here.")
        return
    with collection.open_gateway(SETTINGS) as gateway:
        stale = collection.run(
            gateway,
            lambda: collection.stale_months(gateway, SETTINGS, seconds=READ_FOR_SECONDS),
        )
    if not stale:
        yield dg.SkipReason("Nothing changed in Stripe.")
    hour = int(time.time() // AGAIN_AFTER_SECONDS)
    for found in stale:
        if not MONTHS.has_partition_key(found.month.key):
            continue
        yield dg.RunRequest(
            run_key=f"pull {found.month} change {found.version} {found.in_full} {hour}",
            partition_key=found.month.key,
            run_config={"ops": {"invoice_payments": {"config": {"in_full": found.in_full}}}},
        )


@dg.sensor(
    # A sensor has to name a job; this one never asks for a run.
    job=pull_payments,
    minimum_interval_seconds=LOOK_EVERY_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process was killed, and frees what they held in pools.",
)
def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Dagster itself would leave such a run "started", and the next one waiting for it."""
    buried = bury_dead_runs(SETTINGS, context.instance)
    if buried:
        return dg.SkipReason(f"Ended runs whose process is gone: {', '.join(buried)}.")
    return dg.SkipReason("Every run that is started has its process.")
