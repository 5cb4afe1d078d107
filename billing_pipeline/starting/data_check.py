"""Checking a data directory without closing anything: every problem, and what would be charged.

What belongs here: rating a month in a scratch home and counting what came out; hints about rows
that are allowed and look forgotten. What does not: the checks of files and cells (``intake``).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from billing_pipeline.intake.reference import load_reference
from billing_pipeline.months import BillingMonth
from billing_pipeline.querying import Row, rows
from billing_pipeline.rating import open_warehouse, rate_month
from billing_pipeline.scratch import scratch_home
from billing_pipeline.settings import Settings

# Rows are named one by one as far as these; the rest of a reason is counted.
ROWS_NAMED = 5

_HINTS = {
    "plans that no price names: subscriptions to them are charged nothing": (
        "SELECT plan_id FROM raw.plans WHERE plan_id NOT IN (SELECT plan_id FROM raw.prices)"
    ),
    "meters that no price and no entitlement reads": (
        "SELECT meter_id FROM raw.meters"
        " WHERE meter_id NOT IN (SELECT meter_id FROM raw.prices WHERE meter_id IS NOT NULL)"
        " AND meter_id NOT IN (SELECT meter_id FROM raw.entitlements WHERE meter_id IS NOT NULL)"
    ),
    "customers without a subscription": (
        "SELECT customer_id FROM raw.customers"
        " WHERE customer_id NOT IN (SELECT customer_id FROM raw.subscriptions)"
    ),
    "customers who are sent their invoices and have no e-mail: Stripe refuses to finalize them": (
        "SELECT DISTINCT customer_id FROM raw.customers"
        " WHERE collection_method = 'send_invoice' AND is_payer IS DISTINCT FROM false"
        " AND nullif(trim(email), '') IS NULL"
    ),
    "coupons that no subscription has": (
        "SELECT coupon_id FROM raw.coupons WHERE coupon_id NOT IN"
        " (SELECT coupon_id FROM raw.subscriptions WHERE coupon_id IS NOT NULL)"
    ),
}
_FILES = """
SELECT source_file, rows_read, accepted_rows, rejected_rows, duplicate_rows
FROM usage_files ORDER BY source_file
"""
_PROBLEMS = f"""
SELECT source_file, reason, count(*) AS rows, list(source_row ORDER BY source_row)[:{ROWS_NAMED}]
    AS first_rows, NULL AS meter_id
FROM usage_rejections GROUP BY ALL
UNION ALL BY NAME
SELECT source_file, reason, count(*) AS rows, list(source_row ORDER BY source_row)[:{ROWS_NAMED}]
    AS first_rows, meter_id
FROM usage_issues GROUP BY ALL
ORDER BY source_file, reason, meter_id
"""
_CHARGES = """
SELECT currency, count(*) AS charges, count(DISTINCT customer_id) AS customers,
    sum(amount) AS amount, sum(event_count)::BIGINT AS events
FROM charges GROUP BY currency ORDER BY currency
"""


@dataclass(frozen=True)
class MonthCheck:
    """What a month's usage is worth: `files` with their rows, `problems` by file and reason, and
    the `charges` by currency, before discounts and tax."""

    month: BillingMonth
    files: list[Row]
    problems: list[Row]
    charges: list[Row]


def check_reference(settings: Settings) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Rows per table of catalog/ and accounts/, and ids that look forgotten, by what is odd.

    Raises `InvalidInput` with every problem of every file.
    """
    with duckdb.connect() as connection:
        found = load_reference(connection, settings)
        hints = {
            hint: [str(row[0]) for row in connection.execute(f"{query} ORDER BY 1").fetchall()]
            for hint, query in _HINTS.items()
        }
    return found, {hint: ids for hint, ids in hints.items() if ids}


def check_month(settings: Settings, month: BillingMonth) -> MonthCheck:
    """Rate the month aside. Nothing is published and nothing planned."""
    with scratch_home(settings) as scratch:
        warehouse = rate_month(scratch, month)
        with open_warehouse(warehouse, read_only=True) as connection:
            files, problems, charges = (
                rows(connection, query) for query in (_FILES, _PROBLEMS, _CHARGES)
            )
    return MonthCheck(month, files, problems, charges)
