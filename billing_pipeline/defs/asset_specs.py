"""Owners, stage tags and freshness policies of all assets, as the Dagster UI shows them.

What belongs here: these, in one place. What does not: what an asset does, and the metadata of its
materializations (``asset_metadata``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import dagster as dg

from billing_pipeline.runs.sending import SENDING_ASSETS, SENDS

# Whom to ask about the assets of a group.
OWNERS = {
    "usage": "team:data",
    "metering": "team:data",
    "rating": "team:billing",
    "invoicing": "team:billing",
    "collection": "team:finance",
    "audit": "team:analysts",
    "estimates": "team:billing",
}

# A month is closed every month: after 32 days somebody should look, after 35 something is wrong.
MONTHLY = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(days=32), fail_window=timedelta(days=35)
)
# The estimate follows the usage that arrives, every day.
DAILY = dg.FreshnessPolicy.time_window(
    warn_window=timedelta(hours=30), fail_window=timedelta(hours=54)
)
FRESHNESS = {
    "usage_events": MONTHLY,
    "stripe_invoices": MONTHLY,
    "invoice_payments": MONTHLY,
    "estimated_charges": DAILY,
}


def with_asset_specs(assets: Iterable[dg.AssetsDefinition]) -> Sequence[dg.AssetsDefinition]:
    """The same assets with owners, tags and freshness policies."""
    return dg.map_asset_specs(_presented, list(assets))


def _presented(spec: dg.AssetSpec) -> dg.AssetSpec:
    name = spec.key.path[-1]
    group = spec.group_name or ""
    tags = {"billing/stage": group} | (SENDS if name in SENDING_ASSETS else {})
    return spec.replace_attributes(
        owners=[OWNERS[group]],
        tags={**spec.tags, **tags},
        freshness_policy=FRESHNESS.get(name),
    )
