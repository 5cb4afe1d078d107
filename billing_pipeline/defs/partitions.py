"""The monthly partitions: billing months in the billing time zone, the running one included."""

from datetime import UTC, datetime

import dagster as dg

from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

SETTINGS = Settings.from_env()
MONTHS = dg.MonthlyPartitionsDefinition(
    start_date=SETTINGS.first_month.key, timezone=str(SETTINGS.timezone), end_offset=1
)


def refuse_unfinished(month: BillingMonth, now: datetime | None = None) -> None:
    """Raise `dagster.Failure` for a month that is not over: what is billed of it would be less
    than what is used of it. It can be previewed at any time."""
    end = month.end(SETTINGS.timezone)
    if (now or datetime.now(UTC)) < end:
        local = end.astimezone(SETTINGS.timezone).isoformat()
        raise dg.Failure(
            description=f"{month} is not over before {local}: nothing was sent. "
            f"`billing plan {month}` shows what it comes to so far.",
            allow_retries=False,
        )
