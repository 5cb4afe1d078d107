"""What runs by the clock. Everything that sends money is off until somebody turns it on."""

import os
from datetime import UTC, datetime

import dagster as dg

from billing_pipeline.defs.dunning import collect_payments
from billing_pipeline.defs.estimates import estimate_month
from billing_pipeline.defs.jobs import close_month
from billing_pipeline.defs.partitions import SETTINGS
from billing_pipeline.estimate import running_month
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import InvalidSettingError


def close_day(text: str) -> int:
    """`BILLING_CLOSE_DAY`: the day of the next month on which a month is closed; 1 to 28, so that
    every month has it. Later days leave late usage more time to arrive."""
    if not text.isdecimal() or not 1 <= int(text) <= 28:
        raise InvalidSettingError(f"BILLING_CLOSE_DAY {text!r} is no day from 1 to 28")
    return int(text)


def month_to_close(tick: datetime) -> BillingMonth:
    """The month before the one that the tick falls in: the last one that is over."""
    return BillingMonth.containing(tick, SETTINGS.timezone).shift(-1)


@dg.schedule(
    job=close_month,
    cron_schedule=f"0 2 {close_day(os.environ.get('BILLING_CLOSE_DAY') or '1')} * *",
    execution_timezone=str(SETTINGS.timezone),
    description="Closes last month at 02:00 on the day `BILLING_CLOSE_DAY`, 1 by default.",
)
def monthly_close(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """One run for the month that has ended; the run key keeps a repeated tick from a second."""
    month = month_to_close(context.scheduled_execution_time)
    if month < SETTINGS.first_month:
        return dg.SkipReason(f"{month} is before the first month, {SETTINGS.first_month}.")
    return dg.RunRequest(run_key=f"close_month {month}", partition_key=month.key)


# A try is due at an hour after the first failure; more often would not try more often.
hourly_collection = dg.ScheduleDefinition(
    name="hourly_collection",
    job=collect_payments,
    cron_schedule="0 * * * *",
    execution_timezone=str(SETTINGS.timezone),
    description="Tries unpaid invoices again, every hour those that are due.",
)


@dg.schedule(
    job=estimate_month,
    cron_schedule="30 3 * * *",
    execution_timezone=str(SETTINGS.timezone),
    # It sends nothing and touches no month.
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Rates the running month so far as an estimate, every day at 03:30. Sends nothing.",
)
def daily_estimate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """By the clock of now: ticks that were missed and are caught up estimate today, once."""
    now = _now()
    today = now.astimezone(SETTINGS.timezone).date()
    return dg.RunRequest(
        run_key=f"estimate_month {today}", partition_key=running_month(SETTINGS, now).key
    )


def _now() -> datetime:
    return datetime.now(UTC)
