"""Whether what was billed is still as it was sealed: what is said of it, and the job that verifies
all months every day.

A month's own run verifies that month alone. Seals grow with every month, and verifying all of them
would make each run slower than the one before.
"""

from typing import Any

import dagster as dg

from billing_pipeline.collection import steps
from billing_pipeline.collection.records.sealed import SealProblem
from billing_pipeline.defs.asset_metadata import rows_found
from billing_pipeline.defs.jobs import TAGS
from billing_pipeline.runs.liveness import hold
from billing_pipeline.settings import Settings


def broken_seals(problems: list[SealProblem]) -> tuple[str, dict[str, Any]]:
    """What a run says of seals that do not hold, and its metadata."""
    rows = [(problem.month_key[:7], problem.target, problem.problem) for problem in problems]
    text = "What was billed is as it was sealed: the chain is unbroken."
    if rows:
        text = (
            f"{len(rows)} records of what was billed do not hold, the first: {' '.join(rows[0])}. "
            "Restore records/billed.db from its backup, and find out who changed it or Stripe."
        )
    return text, rows_found(("month", "invoice or credit note", "problem"), rows)


@dg.op(description="Recompute the hash chains of what was billed, of all months.")
def every_seal(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    hold(settings, context.run_id)
    seals, problems = steps.verify_all_seals(settings)
    text, metadata = broken_seals(problems)
    context.add_output_metadata({"verified": seals, **metadata})
    if problems:
        raise dg.Failure(description=text, metadata=metadata, allow_retries=False)


@dg.job(
    executor_def=dg.in_process_executor,
    tags=TAGS,
    description="Verify that what was billed, in all months, is as it was sealed. Fails where it "
    "is not. Reads no Stripe, changes nothing.",
)
def verify_seals() -> None:
    every_seal()
