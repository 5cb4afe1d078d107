"""What runs by the clock. Everything that sends money is off until somebody turns it on."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from billing_pipeline.defs.dunning import collect_payments
from billing_pipeline.defs.estimates import estimate_month
from billing_pipeline.defs.history import closed_months, is_closing
from billing_pipeline.defs.jobs import close_month
from billing_pipeline.defs.partitions import SETTINGS
from billing_pipeline.defs.verification import verify_billed
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.estimate import running_month
from billing_pipeline.settings import InvalidSettingError

# More months than these were not missed by a machine that was off: somebody has to look first.
MAX_MISSED_MONTHS = 3


class MonthsNotClosedError(RuntimeError):
    """Too many months were never closed to close them by the clock; the message lists them."""


def close_day(text: str) -> int:
    """`BILLING_CLOSE_DAY`: the day of the next month on which a month is closed; 1 to 28, so that
    every month has it. Later days leave late usage more time to arrive."""
    if not text.isdecimal() or not 1 <= int(text) <= 28:
        raise InvalidSettingError(f"BILLING_CLOSE_DAY {text!r} is no day from 1 to 28")
    return int(text)


def close_grace(text: str) -> timedelta:
    """`BILLING_CLOSE_GRACE_HOURS`: how long after that day has begun; the last files of a month
    take their time. At most 14 days."""
    if not text.isdecimal() or int(text) > 14 * 24:
        raise InvalidSettingError(f"BILLING_CLOSE_GRACE_HOURS {text!r} is no number up to 336")
    return timedelta(hours=int(text))


DAY = close_day(os.environ.get("BILLING_CLOSE_DAY") or "1")
GRACE = close_grace(os.environ.get("BILLING_CLOSE_GRACE_HOURS") or "2")


def close_time(month: BillingMonth, day: int = DAY, grace: timedelta = GRACE) -> datetime:
    """The moment from which on the month may be closed by the clock, in UTC."""
    following = month.shift(1)
    begins = datetime(following.year, following.month, day, tzinfo=SETTINGS.timezone)
    return begins.astimezone(UTC) + grace


def months_to_close(now: datetime, closed: set[BillingMonth]) -> list[BillingMonth]:
    """The months that are due and not closed, the oldest first, since the first that was closed:
    a month that failed stays due, also once a later one is closed. Before the first close only
    the newest: turning the schedule on bills no history."""
    newest = running_month(SETTINGS, now).shift(-1)
    while close_time(newest) > now:
        newest = newest.shift(-1)
    month = max(min(closed, default=newest), SETTINGS.first_month)
    months = []
    while month <= newest:
        if month not in closed:
            months.append(month)
        month = month.shift(1)
    return months


@dg.schedule(
    job=close_month,
    cron_schedule="0 * * * *",
    execution_timezone=str(SETTINGS.timezone),
    description="Closes a month that is over, from the day BILLING_CLOSE_DAY (1) of the next one "
    "and BILLING_CLOSE_GRACE_HOURS (2) later on. Looks every hour, so that a machine that was off "
    "catches up; what failed is tried again the next day. Sends invoices: off until turned on.",
)
def monthly_close(
    context: dg.ScheduleEvaluationContext,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """At most one run a day for each month: the run key keeps the next hour from a second."""
    now = context.scheduled_execution_time
    months = months_to_close(now, closed_months(context.instance))
    if not months:
        yield dg.SkipReason("Every month that is due is closed.")
        return
    if len(months) > MAX_MISSED_MONTHS:
        raise MonthsNotClosedError(
            f"{len(months)} months are not closed, {months[0]} to {months[-1]}: that is no missed "
            "tick, so none is closed by the clock. Close them by `billing run MONTH`, the oldest "
            "first, or let BILLING_FIRST_MONTH begin after those that are not to be billed"
        )
    today = now.astimezone(SETTINGS.timezone).date()
    for month in months:
        if is_closing(context.instance, month):
            continue
        yield dg.RunRequest(run_key=f"close_month {month} {today}", partition_key=month.key)


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


daily_verification = dg.ScheduleDefinition(
    name="daily_verification",
    job=verify_billed,
    cron_schedule="0 4 * * *",
    execution_timezone=str(SETTINGS.timezone),
    # It only reads.
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Verifies every day at 04:00 that what was billed, in all months, is as it was "
    "recorded. Where it is not, the run fails, and a notice says so.",
)


def _now() -> datetime:
    return datetime.now(UTC)
