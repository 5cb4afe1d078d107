"""The jobs of the contract, and the monthly schedule."""

from __future__ import annotations

import dagster as dg

from billing_pipeline.defs.partitions import MONTHS

RATED = dg.AssetSelection.groups("usage", "metering", "rating", "invoicing")

close_month = dg.define_asset_job(
    "close_month",
    selection=RATED | dg.AssetSelection.assets("invoice_plan", "stripe_invoices"),
    partitions_def=MONTHS,
    executor_def=dg.in_process_executor,
    description="Close a month: load, rate, plan, apply what is safe, pull.",
)
preview_month = dg.define_asset_job(
    "preview_month",
    selection=RATED | dg.AssetSelection.assets("invoice_plan"),
    partitions_def=MONTHS,
    executor_def=dg.in_process_executor,
    description="Load, rate and show the invoice plan with its hash; writes nothing to Stripe.",
)
apply_plan = dg.define_asset_job(
    "apply_plan",
    selection=dg.AssetSelection.assets("approved_changes"),
    partitions_def=MONTHS,
    executor_def=dg.in_process_executor,
    description="Carry out exactly the plan whose hash is given; refused if it is another by now.",
)
pull_payments = dg.define_asset_job(
    "pull_payments",
    selection=dg.AssetSelection.assets("invoice_payments"),
    partitions_def=MONTHS,
    executor_def=dg.in_process_executor,
    description="Refresh the payment status of a month's invoices.",
)
# Off until somebody turns it on: it sends invoices.
monthly_close = dg.build_schedule_from_partitioned_job(
    close_month, name="monthly_close", day_of_month=1, hour_of_day=2
)
