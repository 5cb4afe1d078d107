"""The monthly partitions: billing months in the billing time zone, the running one included.

Dagster needs their first key and their zone where they are defined, so these two settings are read
at import, and no others. A key is the month as people write it, `2024-01`; in old histories it is
`2024-01-01`, which `BillingMonth.parse` reads as well.
"""

from datetime import UTC, datetime

import dagster as dg

from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings, first_month_from_env, timezone_from_env

TIMEZONE = timezone_from_env()
MONTHS = dg.MonthlyPartitionsDefinition(
    start_date=str(first_month_from_env()), fmt="%Y-%m", timezone=str(TIMEZONE), end_offset=1
)


def refuse_unfinished(settings: Settings, month: BillingMonth, now: datetime | None = None) -> None:
    """Raise `dagster.Failure` for a month that is not over: less would be billed than will be used.
    Such a month can only be previewed."""
    end = month.end(settings.timezone)
    if (now or datetime.now(UTC)) < end:
        local = end.astimezone(settings.timezone).isoformat()
        raise dg.Failure(
            description=f"{month} is not over before {local}: nothing was sent. "
            f"`billing plan {month}` shows what it comes to so far.",
            allow_retries=False,
        )
