"""The running month so far: rated every day as an estimate, only for viewing and never sent.

What belongs here: rating it in a scratch home and publishing the result. What does not: the rules
(the same dbt models that bill), and when it runs (``defs``).

Nothing can be billed from it: a plan is made from the month's own warehouse in `BILLING_HOME`,
which is not touched, and the published tables have names of their own. Stripe is not called.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from billing_pipeline.months import BillingMonth, InvalidMonthError
from billing_pipeline.published.publish import publish_estimate
from billing_pipeline.rating.month import StripeMovement, WalletApplication, rate_month
from billing_pipeline.rating.scratch import scratch_home
from billing_pipeline.settings import Settings


def running_month(settings: Settings, now: datetime) -> BillingMonth:
    return BillingMonth.containing(now, settings.timezone)


def estimate_month(
    settings: Settings,
    month: BillingMonth,
    now: datetime,
    moved: Iterable[StripeMovement] = (),
    applications: Iterable[WalletApplication] = (),
) -> None:
    """Rate the running month as it stands and publish it in place of the previous estimate.

    Raises `InvalidMonthError` for any other month, `InvalidInput` and `DbtError` as a run of the
    month would.
    """
    running = running_month(settings, now)
    if month != running:
        raise InvalidMonthError(
            f"{month} is not the running month, which is {running} in {settings.timezone}: "
            f"`billing plan {month}` shows what it comes to"
        )
    with scratch_home(settings) as scratch:
        warehouse: Path = rate_month(scratch, month, applications, moved)
        publish_estimate(settings, month, warehouse, now)
