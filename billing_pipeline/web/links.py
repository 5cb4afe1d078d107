"""Addresses in the Dagster UI that our texts point to.

What belongs here: building them. What does not: where the UI is (`settings.ui_url`).
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from billing_pipeline.months import BillingMonth
from billing_pipeline.runs.code_location import CODE_LOCATION

_APPROVAL = 'ops:\n  approved_changes:\n    config:\n      plan_hash: "{}"\n'


def approval_url(ui_url: str, month: BillingMonth, plan_hash: str) -> str:
    """The launchpad of `apply_plan`, with month and hash filled in: a look and one click."""
    query = urlencode(
        {
            "config": _APPROVAL.format(plan_hash),
            "tags[0][key]": "dagster/partition",
            "tags[0][value]": str(month),
        },
        quote_via=quote,
    )
    return f"{ui_url}/locations/{CODE_LOCATION}/jobs/apply_plan/playground/setup?{query}"
