"""The canary as a check of every rated month: where it deviates, the run stops before Stripe.

What belongs here: the asset check. What does not: rating and comparing (``rating.canary``).
"""

from collections.abc import Sequence

import dagster as dg

from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.defs.turns import turn
from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.canary import check_canary
from billing_pipeline.rating.unchanged import set_checked
from billing_pipeline.runs.locks import Turn
from billing_pipeline.settings import Settings


@dg.asset_check(
    asset=dg.AssetKey("invoices"),
    name="canary",
    description="Fails, and nothing is sent, if the made-up customer in the folder canary/ is not "
    "billed exactly what is expected of it. Passes where there is no canary.",
    partitions_def=MONTHS,
    blocking=True,
)
def canary(
    context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    month = BillingMonth.parse(context.partition_key)
    is_as_expected = False
    try:
        with turn(context, settings, Turn.RATING):
            result = check_canary(settings, month)
        is_as_expected = result is None or not result.deviations
    except InvalidInput as error:
        raise dg.Failure(description=error.message(settings.home), allow_retries=False) from error
    finally:
        if not is_as_expected:
            # Keeps every other step and job from sending what was rated.
            set_checked(settings, month, False)
    if result is None:
        return dg.AssetCheckResult(passed=True, description="There is no canary.")
    return dg.AssetCheckResult(
        passed=is_as_expected,
        description=result.sentence,
        metadata={
            "month": str(result.month),
            "compared": result.compared,
            "deviations": _listed(result.deviations),
            "usage_set_aside": _listed(result.set_aside),
        },
    )


def _listed(texts: Sequence[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n".join(f"- {text}" for text in texts))
