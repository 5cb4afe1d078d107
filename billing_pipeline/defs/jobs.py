"""The jobs that people run for a month: close, preview, apply, pull, and resolve a review."""

from __future__ import annotations

from typing import Any

import dagster as dg

from billing_pipeline.runs.sending import SENDS

RATED = dg.AssetSelection.groups("usage", "metering", "rating", "invoicing", "audit")
# Without a limit, a run that was killed stays "started" in Dagster for ever. A month of 100 million
# events takes minutes, so four hours are enough for any run.
TAGS = {"dagster/max_runtime": str(4 * 3600)}


def _job(name: str, selection: dg.AssetSelection, description: str, *, sends: bool = False) -> Any:
    # In-process: a process for each step would import everything again and double a month's time.
    return dg.define_asset_job(
        name,
        selection=selection,
        executor_def=dg.in_process_executor,
        tags=TAGS | SENDS if sends else TAGS,
        description=description,
    )


close_month = _job(
    "close_month",
    RATED | dg.AssetSelection.assets("invoice_plan", "stripe_invoices"),
    "Close a month: load, rate, plan, apply what is safe, pull. Refused before the month is over.",
    sends=True,
)
preview_month = _job(
    "preview_month",
    RATED | dg.AssetSelection.assets("invoice_plan"),
    "Load, rate and show the invoice plan with its hash. Writes nothing to Stripe.",
)
apply_plan = _job(
    "apply_plan",
    dg.AssetSelection.assets("approved_changes"),
    "Carry out exactly the plan whose hash is given. Refused if the plan has changed since.",
    sends=True,
)
pull_payments = _job(
    "pull_payments",
    dg.AssetSelection.assets("invoice_payments"),
    "Refresh the payment status of a month's invoices.",
)
resolve_review = _job(
    "resolve_review",
    dg.AssetSelection.assets("proposed_resolution"),
    "Propose a decision about an invoice that was changed in Stripe by hand, and show the plan "
    "with it; approving that plan carries it out. Writes nothing to Stripe.",
)
