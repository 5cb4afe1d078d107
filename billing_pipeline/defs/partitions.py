"""The monthly partitions: billing months in the billing time zone, the running one included."""

import dagster as dg

from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

SETTINGS = Settings.from_env()
MONTHS = dg.MonthlyPartitionsDefinition(
    start_date=SETTINGS.first_month.key, timezone=str(SETTINGS.timezone), end_offset=1
)


def month_of(context: dg.AssetExecutionContext) -> BillingMonth:
    return BillingMonth.parse(context.partition_key)
