"""Addresses in the Dagster UI that our texts point to.

What belongs here: building them. What does not: where the UI is (`settings.ui_url`).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from billing_pipeline.months import BillingMonth
from billing_pipeline.runs.code_location import CODE_LOCATION

_APPROVAL = 'ops:\n  approved_changes:\n    config:\n      plan_hash: "{}"\n'


def approval_url(ui_url: str, month: BillingMonth, plan_hash: str) -> str:
    """The launchpad of `apply_plan`, with month and hash filled in: a look and one click."""
    return _launchpad(ui_url, "apply_plan", month, {"config": _APPROVAL.format(plan_hash)})


def close_url(ui_url: str, month: BillingMonth) -> str:
    """The launchpad of `close_month`, with the month filled in."""
    return _launchpad(ui_url, "close_month", month, {})


def plan_url(ui_url: str, month: BillingMonth) -> str:
    """Where a month's invoice plan can be read."""
    return f"{ui_url}/assets/invoice_plan?view=partitions&partition={month}"


def _launchpad(ui_url: str, job: str, month: BillingMonth, filled: Mapping[str, str]) -> str:
    partition = {"tags[0][key]": "dagster/partition", "tags[0][value]": str(month)}
    query = urlencode({**filled, **partition}, quote_via=quote)
    return f"{ui_url}/locations/{CODE_LOCATION}/jobs/{job}/playground/setup?{query}"
