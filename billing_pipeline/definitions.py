"""The one entry point for Dagster: everything that the UI and the schedules see.

What belongs here: naming it all, once. What does not: what any of it does (``defs``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from billing_pipeline.defs import jobs, schedules, sensors
from billing_pipeline.defs.approvals import approved_changes, proposed_resolution
from billing_pipeline.defs.asset_specs import with_asset_specs
from billing_pipeline.defs.canary import canary
from billing_pipeline.defs.charges import dbt_models
from billing_pipeline.defs.checks import CHECKS
from billing_pipeline.defs.drift import detect_drift, month_drift, months_are_as_billed
from billing_pipeline.defs.dunning import collect_payments
from billing_pipeline.defs.estimates import estimate_month, estimated_charges
from billing_pipeline.defs.payments import invoice_payments
from billing_pipeline.defs.plans import invoice_plan
from billing_pipeline.defs.resources import resources
from billing_pipeline.defs.sending import stripe_invoices
from billing_pipeline.defs.usage import intake, wallet_top_ups
from billing_pipeline.defs.verification import verify_billed


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Everything, with other `settings` or another `stripe` where they are given."""
    return dg.Definitions(
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
                month_drift,
            ]
        ),
        asset_checks=[canary, *CHECKS, months_are_as_billed],
        # Also where somebody materializes single assets: one process holds the month of a run.
        executor=dg.in_process_executor,
        jobs=[
            jobs.close_month,
            jobs.preview_month,
            jobs.apply_plan,
            jobs.resolve_review,
            jobs.pull_payments,
            collect_payments,
            estimate_month,
            detect_drift,
            verify_billed,
        ],
        schedules=[
            schedules.monthly_close,
            schedules.dunning,
            schedules.daily_estimate,
            schedules.daily_drift,
            schedules.daily_verification,
        ],
        sensors=[
            sensors.stripe_changes,
            sensors.dead_runs,
            sensors.approvals_of_other_months,
            sensors.drifted_months,
            sensors.runs_that_failed,
            sensors.notices,
        ],
        resources=resources(resource_overrides),
    )


defs = build_defs()
