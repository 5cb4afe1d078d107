"""The running month so far, as an estimate: an asset of its own, apart from all that bills."""

from datetime import UTC, datetime

import dagster as dg

from billing_pipeline.collection import prepaid
from billing_pipeline.defs.asset_metadata import markdown_table
from billing_pipeline.defs.jobs import TAGS
from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.defs.turns import month_of, turn
from billing_pipeline.defs.usage import moved_in_stripe
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.money import format_amount
from billing_pipeline.months import InvalidMonthError
from billing_pipeline.published.estimate import estimate_month as rate_and_publish
from billing_pipeline.published.reading import open_published
from billing_pipeline.rating.dbt_runner import DbtError
from billing_pipeline.runs.locks import Turn
from billing_pipeline.settings import Settings

_TOTALS = (
    "SELECT currency, count(*), sum(total), sum(amount_due) FROM estimated_totals"
    " GROUP BY 1 ORDER BY 1"
)


@dg.asset(
    partitions_def=MONTHS,
    group_name="estimates",
    kinds={"duckdb"},
    backfill_policy=dg.BackfillPolicy.multi_run(),
)
def estimated_charges(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult[None]:
    """The running month so far: usage that has arrived, fees as for the whole month. An estimate,
    rated apart from what bills: it can be neither planned nor sent. Only for the running month."""
    month = month_of(context, settings)
    # The first call to Stripe creates the records; an estimate must not.
    has_records = settings.records_dir.exists()
    top_ups = moved_in_stripe(settings) if has_records else []
    applications = prepaid.known_applications(settings, month) if has_records else ()
    try:
        with turn(context, settings, Turn.RATING):
            rate_and_publish(settings, month, datetime.now(UTC), top_ups, applications)
    except InvalidInput as error:
        raise dg.Failure(description=error.message(settings.home), allow_retries=False) from error
    except (InvalidMonthError, DbtError) as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    with open_published(settings) as published:
        totals = published.execute(_TOTALS).fetchall()
        [[rows, until]] = published.execute(
            "SELECT count(*), max(usage_until)::VARCHAR FROM estimated_charges"
        ).fetchall()
    shown = [
        (code, count, format_amount(total, code), format_amount(due, code))
        for code, count, total, due in totals
    ]
    table = markdown_table(("currency", "customers", "total so far", "due so far"), shown)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": rows,
            "customers_estimated": sum(count for _, count, _, _ in totals),
            "usage until": until or "no usage yet",
            **{f"estimated {code}": float(total) for code, _, total, _ in totals},
            "totals": dg.MetadataValue.md(table),
        }
    )


estimate_month = dg.define_asset_job(
    "estimate_month",
    selection=dg.AssetSelection.assets(estimated_charges),
    executor_def=dg.in_process_executor,
    tags=TAGS,
    description="Rate the running month so far as an estimate (tables estimated_charges, "
    "estimated_totals and more). Reads no Stripe, sends nothing.",
)
