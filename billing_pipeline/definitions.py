"""The one entry point for Dagster: everything that the UI and the schedules see."""

from __future__ import annotations

import dagster as dg

from billing_pipeline.defs import jobs, schedules, sensors
from billing_pipeline.defs.asset_specs import with_asset_specs
from billing_pipeline.defs.charges import dbt_models
from billing_pipeline.defs.checks import CHECKS
from billing_pipeline.defs.collection import (
    approved_changes,
    invoice_payments,
    invoice_plan,
    proposed_resolution,
    stripe_invoices,
)
from billing_pipeline.defs.dunning import collect_payments
from billing_pipeline.defs.estimates import estimate_month, estimated_charges
from billing_pipeline.defs.usage import intake, wallet_top_ups
from billing_pipeline.defs.verification import verify_billed
from billing_pipeline.runs.run_history import keep_connections

keep_connections()

defs = dg.Definitions(
    assets=with_asset_specs(
        [
            wallet_top_ups,
            intake,
            dbt_models,
            invoice_plan,
            stripe_invoices,
            approved_changes,
            proposed_resolution,
            invoice_payments,
            estimated_charges,
        ]
    ),
    asset_checks=CHECKS,
    # Also where somebody materializes single assets: a run is one process, which holds its month.
    executor=dg.in_process_executor,
    jobs=[
        jobs.close_month,
        jobs.preview_month,
        jobs.apply_plan,
        jobs.resolve_review,
        jobs.pull_payments,
        collect_payments,
        estimate_month,
        verify_billed,
    ],
    schedules=[
        schedules.monthly_close,
        schedules.hourly_collection,
        schedules.daily_estimate,
        schedules.daily_verification,
    ],
    sensors=[
        sensors.stripe_changes,
        sensors.dead_runs,
        sensors.late_usage_files,
        sensors.runs_that_failed,
        sensors.notices,
    ],
)
