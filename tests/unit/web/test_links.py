"""Links into the Dagster UI carry all that a person would type."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import yaml

from billing_pipeline.months import BillingMonth
from billing_pipeline.web.links import approval_url


def test_the_launchpad_opens_with_month_and_hash_filled_in() -> None:
    parts = urlsplit(approval_url("https://ui.example/b", BillingMonth(2025, 1), "0123456789"))
    assert parts.path == (
        "/b/locations/billing_pipeline.definitions/jobs/apply_plan/playground/setup"
    )
    query = parse_qs(parts.query)
    [config] = query["config"]
    # a hash of digits alone stays a text
    assert yaml.safe_load(config) == {
        "ops": {"approved_changes": {"config": {"plan_hash": "0123456789"}}}
    }
    assert query["tags[0][key]"] == ["dagster/partition"]
    assert query["tags[0][value]"] == ["2025-01"]
