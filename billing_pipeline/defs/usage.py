"""Usage and price book in: the first asset of a month."""

import dagster as dg

from billing_pipeline.defs.partitions import MONTHS, SETTINGS, month_of, refuse_unfinished
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.rating import build_raw
from billing_pipeline.warehouse import published_wallet_applications

RAW_TABLES = (
    "run", "meters", "plans", "prices", "price_tiers", "entitlements", "coupons", "tax_rates",
    "customers", "subscriptions", "wallet_transactions", "usage_corrections", "currencies",
    "usage_events", "gauge_values", "wallet_applications",
)  # fmt: skip


@dg.multi_asset(
    name="intake",
    partitions_def=MONTHS,
    pool="warehouse",
    backfill_policy=dg.BackfillPolicy.multi_run(),
    specs=[
        dg.AssetSpec(
            ["raw", name],
            group_name="usage",
            kinds={"duckdb"},
            description=f"`raw.{name}` of the month's warehouse: checked and typed input.",
        )
        for name in RAW_TABLES
    ],
)
def intake(context: dg.AssetExecutionContext) -> object:
    """Read the catalog, the accounts and the month's usage files; every problem stops it here."""
    month = month_of(context)
    if context.run.job_name == "close_month":
        refuse_unfinished(month)
    try:
        report = build_raw(SETTINGS, month, published_wallet_applications(SETTINGS, month))
    except InvalidInput as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    rows = {**report.reference_rows, "usage_events": report.usage_rows}
    for name in RAW_TABLES:
        metadata = {"dagster/row_count": rows[name]} if name in rows else {}
        yield dg.MaterializeResult(asset_key=["raw", name], metadata=metadata)
