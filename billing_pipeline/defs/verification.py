"""Verifying the records of what was billed: the job that does it for all months every day, and the
text of the result.

A month's own run verifies that month only. Records grow with every month, and verifying all of them
would make each run slower than the one before.
"""

from typing import Any

import dagster as dg

from billing_pipeline.collection import payments
from billing_pipeline.collection.records.billed import RecordProblem
from billing_pipeline.defs.asset_metadata import rows_found
from billing_pipeline.defs.jobs import TAGS
from billing_pipeline.runs.liveness import hold
from billing_pipeline.settings import Settings


def verdict(problems: list[RecordProblem]) -> tuple[str, dict[str, Any]]:
    """The text about the records of what was billed, and the metadata."""
    rows = [(problem.month_key[:7], problem.stripe_id, problem.problem) for problem in problems]
    text = "What was billed is as it was recorded, and as Stripe has it."
    if rows:
        text = (
            f"{len(rows)} records of what was billed are not valid; the first: {' '.join(rows[0])}"
            ". Restore records/billed.db from its backup, or the value in Stripe where that was "
            "changed, and find out who changed it."
        )
    return text, rows_found(("month", "invoice or credit note", "problem"), rows)


@dg.op(description="Compare the records of what was billed, of all months, with their hashes.")
def every_record(context: dg.OpExecutionContext, settings: dg.ResourceParam[Settings]) -> None:
    hold(settings, context.run_id)
    problems = payments.verify_billed(settings)
    if problems:
        text, metadata = verdict(problems)
        raise dg.Failure(description=text, metadata=metadata, allow_retries=False)


@dg.job(
    executor_def=dg.in_process_executor,
    tags=TAGS,
    description="Verify that what was billed, in all months, is as it was recorded and as Stripe "
    "had it when it was last read. Fails where it is not. Asks nothing of Stripe, changes nothing.",
)
def verify_billed() -> None:
    every_record()
