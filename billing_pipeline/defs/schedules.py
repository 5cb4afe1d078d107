"""The schedules. Those that send invoices or charge cards are off until somebody turns them on."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from billing_pipeline.defs.drift import detect_drift
from billing_pipeline.defs.dunning import collect_payments
from billing_pipeline.defs.estimates import estimate_month
from billing_pipeline.defs.history import closed_months, is_closing
from billing_pipeline.defs.jobs import close_month
from billing_pipeline.defs.partitions import TIMEZONE
from billing_pipeline.defs.verification import verify_billed
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.estimate import running_month
from billing_pipeline.settings import Settings

# With more missed months than this, the machine was not just off: a person has to look first.
MAX_MISSED_MONTHS = 3


class MonthsNotClosedError(RuntimeError):
    """Too many months were never closed for the schedule to close them; the message lists them."""


def close_time(settings: Settings, month: BillingMonth) -> datetime:
    """The moment from which the schedule may close the month, in UTC."""
    following = month.shift(1)
    begins = datetime(following.year, following.month, settings.close_day, tzinfo=settings.timezone)
    return begins.astimezone(UTC) + settings.close_grace


def months_to_close(
    settings: Settings, now: datetime, closed: set[BillingMonth]
) -> list[BillingMonth]:
    """The months since the first closed one that are due and not closed, oldest first: a month that
    failed stays due even after a later one is closed. Before the first close only the newest month
    is due, so turning the schedule on bills no history."""
    newest = running_month(settings, now).shift(-1)
    while close_time(settings, newest) > now:
        newest = newest.shift(-1)
    month = max(min(closed, default=newest), settings.first_month)
    months = []
    while month <= newest:
        if month not in closed:
            months.append(month)
        month = month.shift(1)
    return months


@dg.schedule(
    job=close_month,
    cron_schedule="0 * * * *",
    execution_timezone=str(TIMEZONE),
    description="Closes a month that is over, BILLING_CLOSE_GRACE_HOURS (2) after the day "
    "BILLING_CLOSE_DAY (1) of the next month begins. Looks every hour, so that a machine that was "
    "off catches up; what failed is tried again the next day. Sends invoices: off until turned on.",
)
def monthly_close(
    context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """At most one run a day for each month, by the run key."""
    now = context.scheduled_execution_time
    months = months_to_close(settings, now, closed_months(context.instance))
    if not months:
        yield dg.SkipReason("Every month that is due is closed.")
        return
    if len(months) > MAX_MISSED_MONTHS:
        raise MonthsNotClosedError(
            f"{len(months)} months are not closed, {months[0]} to {months[-1]}: more than a missed "
            "tick explains, so the schedule closes none. Close them by `billing run MONTH`, the "
            "oldest first, or set BILLING_FIRST_MONTH to a month after those not to be billed"
        )
    today = now.astimezone(settings.timezone).date()
    for month in months:
        if is_closing(context.instance, month):
            continue
        yield dg.RunRequest(run_key=f"close_month {month} {today}", partition_key=str(month))


# Attempts are due a whole number of hours after the first failure.
dunning = dg.ScheduleDefinition(
    name="dunning",
    job=collect_payments,
    cron_schedule="0 * * * *",
    execution_timezone=str(TIMEZONE),
    description="Every hour, charges unpaid invoices again whose next attempt is due.",
)


@dg.schedule(
    job=estimate_month,
    cron_schedule="30 3 * * *",
    execution_timezone=str(TIMEZONE),
    # It sends nothing and touches no month.
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 03:30, rates the running month so far as an estimate. Sends nothing.",
)
def daily_estimate(settings: dg.ResourceParam[Settings]) -> dg.RunRequest:
    """Uses today's date, so that ticks caught up later estimate today, once."""
    return estimate_request(settings, datetime.now(UTC))


def estimate_request(settings: Settings, now: datetime) -> dg.RunRequest:
    """The run that estimates the month running at `now`, once a day."""
    today = now.astimezone(settings.timezone).date()
    return dg.RunRequest(
        run_key=f"estimate_month {today}", partition_key=str(running_month(settings, now))
    )


daily_drift = dg.ScheduleDefinition(
    name="daily_drift",
    job=detect_drift,
    cron_schedule="0 5 * * *",
    execution_timezone=str(TIMEZONE),
    # It sends nothing.
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 05:00, compares the last closed months with what they would be "
    "charged today. A month whose inputs have not changed is not rated. Sends nothing.",
)


daily_verification = dg.ScheduleDefinition(
    name="daily_verification",
    job=verify_billed,
    cron_schedule="0 4 * * *",
    execution_timezone=str(TIMEZONE),
    # It only reads.
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every day at 04:00, verifies that what was billed in all months is as it was "
    "recorded. If not, the run fails and a notice says so.",
)
