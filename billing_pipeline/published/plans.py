"""The published invoice plan of a month, as far as approvals need it.

What belongs here: reading it. What does not: the answer to an approval
(``collection.approval_answers``).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.manifest import PublishError
from billing_pipeline.published.reading import NotPublishedError, open_published
from billing_pipeline.settings import Settings

_PLAN = """
SELECT any_value(plan_hash), count(*) FILTER (WHERE state IN ('waiting', 'failed', 'ready'))
FROM invoice_plan WHERE billing_month = $1::DATE
"""
# The present plans first, then plans that were decided on or have been replaced.
_MONTH = """
SELECT strftime(billing_month, '%Y-%m') FROM (
    SELECT billing_month, plan_hash FROM invoice_plan
    UNION ALL SELECT billing_month, plan_hash FROM approvals
    UNION ALL SELECT billing_month, plan_hash FROM invoice_plan_known
)
WHERE plan_hash = $1 LIMIT 1
"""


@dataclass(frozen=True)
class PublishedPlan:
    """A plan's hash, and how many of its changes are neither carried out nor declined."""

    plan_hash: str
    left: int


def published_plan(settings: Settings, month: BillingMonth) -> PublishedPlan | None:
    """The month's published plan; None if there is none."""
    try:
        with open_published(settings) as published:
            [(plan_hash, left)] = published.execute(_PLAN, [month.key]).fetchall()
    except (NotPublishedError, PublishError, duckdb.CatalogException):
        return None
    return PublishedPlan(plan_hash, left) if plan_hash is not None else None


def month_of_plan(settings: Settings, plan_hash: str) -> str | None:
    """The month, ``YYYY-MM``, for which a plan with this hash is or was published."""
    try:
        with open_published(settings) as published:
            found = published.execute(_MONTH, [plan_hash]).fetchall()
    except (NotPublishedError, PublishError, duckdb.CatalogException):
        return None
    return str(found[0][0]) if found else None
