"""The inputs: price book, accounts and the month's usage. The first step of a month."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from billing_pipeline.collection import payments, prepaid, stripe_gateway
from billing_pipeline.collection.pull.top_ups import TopUp
from billing_pipeline.defs.asset_metadata import markdown_table
from billing_pipeline.defs.closed_books import corrections_for
from billing_pipeline.defs.partitions import MONTHS, refuse_unfinished
from billing_pipeline.defs.resources import Stripe
from billing_pipeline.defs.turns import month_of, turn
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.intake.reference.load import has_account_file
from billing_pipeline.intake.reference.schemas import TABLES
from billing_pipeline.intake.sources import missing_sources, sources
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.month import IntakeReport, StripeMovement, build_raw, open_warehouse
from billing_pipeline.runs.locks import Turn
from billing_pipeline.settings import Settings

DESCRIPTIONS = {
    "catalog": "The price book: meters, plans, prices, tiers, costs, entitlements, coupons and tax "
    "rates, checked and typed. A single wrong row stops the month, and every problem is listed.",
    "accounts": "Customers, subscriptions, wallets and corrections, checked and typed, and what "
    "invoices took from each wallet.",
    "usage_events": "Every row of the month's usage files, good or bad, and the rows of earlier "
    "months that carried gauges need. Bad rows are set aside later, each with its reason.",
}
# Which tables of the warehouse's schema `raw` each asset stands for.
RAW_TABLES = {
    "catalog": (
        *(table.name for table in TABLES if table.folder != "accounts"),
        *("plan_prices", "plan_entitlements"),
        "filters",
        "currencies",
    ),
    "accounts": (
        *(table.name for table in TABLES if table.folder == "accounts"),
        "anniversary_periods",
        "calendar_weeks",
        *("wallet_applications", "published_lines", "published_months"),
        *("corrections", "correction_taxes"),
    ),
    "usage_events": ("usage_events", "usage_file_sources", "run", "months", "calendar_periods"),
}
ASSET_OF_RAW_TABLE = {table: asset for asset, tables in RAW_TABLES.items() for table in tables}


@dg.asset(
    partitions_def=MONTHS,
    group_name="usage",
    kinds={"stripe"},
    backfill_policy=dg.BackfillPolicy.multi_run(),
)
def wallet_top_ups(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], stripe: Stripe
) -> dg.MaterializeResult[None]:
    """Top-ups that customers paid in Stripe (payment intents with the metadata `billing_top_up`),
    in all months: each is credited to its wallet once, and what was refunded or disputed is taken
    back. Also what invoices took from wallets."""
    month_of(context, settings)
    with turn(context, settings, Turn.STRIPE), stripe.open() as gateway:
        found = stripe_gateway.run(gateway, lambda: prepaid.pull_top_ups(gateway, settings))
        if found or has_account_file(settings, "wallet_transactions"):
            stripe_gateway.run(gateway, lambda: prepaid.pull_applications(gateway, settings))
    return dg.MaterializeResult(metadata={"dagster/row_count": len(found)})


def moved_in_stripe(settings: Settings) -> list[StripeMovement]:
    """What moved wallets in Stripe, as last read: top-ups, and payments of open invoices. Sends no
    request to Stripe."""
    top_ups = [_row(top_up) for top_up in prepaid.known_top_ups(settings)]
    return top_ups + prepaid.known_payments(settings)


def _row(top_up: TopUp) -> StripeMovement:
    return StripeMovement(
        *(top_up.transaction_id, top_up.customer_id, top_up.amount, top_up.currency),
        *(top_up.occurred_at, top_up.reference, top_up.kind),
    )


class UsageToWaitFor(dg.Config):
    """Which expected sources of usage a close does without."""

    without: list[str] = Field(
        default=[],
        description="Sources of catalog/sources.csv that are not waited for: the month is closed "
        "without their usage.",
    )


@dg.multi_asset(
    name="intake",
    partitions_def=MONTHS,
    backfill_policy=dg.BackfillPolicy.multi_run(),
    specs=[
        dg.AssetSpec(
            name,
            group_name="usage",
            kinds={"duckdb"},
            description=description,
            deps=["wallet_top_ups"] if name == "accounts" else [],
        )
        for name, description in DESCRIPTIONS.items()
    ],
)
def intake(
    context: dg.AssetExecutionContext,
    config: UsageToWaitFor,
    settings: dg.ResourceParam[Settings],
    stripe: Stripe,
) -> Iterator[Any]:
    """Read and check the month's inputs into a new warehouse."""
    month = month_of(context, settings)
    if context.run.job_name == "close_month":
        refuse_unfinished(settings, month)
    try:
        moved = moved_in_stripe(settings)
        corrections = corrections_for(context, settings, stripe, month, moved)
        with turn(context, settings, Turn.RATING):
            applications = prepaid.known_applications(settings, month)
            report = build_raw(settings, month, applications, moved, corrections)
    except InvalidInput as error:
        raise dg.Failure(description=error.message(settings.home), allow_retries=False) from error
    if context.run.job_name == "close_month":
        _wait_for_sources(settings, month, config.without)
    for name in RAW_TABLES:
        yield dg.MaterializeResult(asset_key=name, metadata=_metadata(name, report))


def _wait_for_sources(settings: Settings, month: BillingMonth, without: list[str]) -> None:
    """Raise `dagster.Failure` for an expected source that has not delivered. A month that was
    billed before is not held back: late usage waits for approval there."""
    with open_warehouse(settings.warehouse_path(month), read_only=True) as warehouse:
        known = {source.name for source in sources(warehouse)}
        missing = [one for one in missing_sources(warehouse) if one.name not in without]
    unknown = sorted(set(without) - known)
    if unknown:
        raise dg.Failure(
            description=f"catalog/sources.csv has no source {', '.join(unknown)}",
            allow_retries=False,
        )
    if missing and not payments.is_billed(settings, month):
        waits = ", ".join(f"{one.name} (usage/{month}/{one.file_pattern})" for one in missing)
        without_them = " ".join(f"--without {one.name}" for one in missing)
        raise dg.Failure(
            description=f"{month} waits for usage of {waits}. Once a file has arrived, run again; "
            f"`billing run {month} {without_them}` closes without it",
            allow_retries=False,
        )


def _metadata(name: str, report: IntakeReport) -> dict[str, Any]:
    if name == "usage_events":
        return {"dagster/row_count": report.usage_rows}
    rows = [
        (f"{name}/{table}", report.reference_rows[table])
        for table in RAW_TABLES[name]
        if table in report.reference_rows
    ]
    return {
        "dagster/row_count": sum(count for _, count in rows),
        "rows": dg.MetadataValue.md(markdown_table(("input", "rows"), rows)),
    }
