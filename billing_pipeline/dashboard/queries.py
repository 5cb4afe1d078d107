"""The dashboard's queries on the published database.

What does not belong here: how the rows look. `published` opens the database for one reading, so
that the dashboard never delays a publication.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.published.reading import open_published
from billing_pipeline.settings import Settings

# The names of customers and plans, as of the newest month that has them.
NAMES = """
CREATE TEMP VIEW names AS SELECT customer_id, arg_max(name, billing_month) AS customer_name
FROM customers GROUP BY customer_id;
CREATE TEMP VIEW plan_names AS SELECT plan_id, arg_max(name, billing_month) AS plan_name
FROM plans GROUP BY plan_id
"""


@contextmanager
def published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published database, read-only. Raises `NotPublishedError` if there is none yet."""
    with open_published(settings) as connection:
        connection.execute(NAMES)
        yield connection


@dataclass(frozen=True)
class MonthSoFar:
    """The newest month: the running one as an estimate, or else the last computed one."""

    month: date | None
    is_estimate: bool
    usage_until: datetime | None
    customers: list[Row]
    daily_usage: list[Row]
    usage: list[Row]


def month_so_far(connection: duckdb.DuckDBPyConnection) -> MonthSoFar:
    """Each customer's total by currency and usage by meter, and the usage of each day."""
    (found,) = rows(
        connection,
        "SELECT (SELECT max(billing_month) FROM estimated_charges) AS estimated,"
        " (SELECT max(usage_until) FROM estimated_charges) AS until,"
        " (SELECT max(billing_month) FROM usage_files) AS computed",
    )
    is_estimate = found["estimated"] is not None
    month = found["estimated"] if is_estimate else found["computed"]
    totals, usage, metered = "invoices", "daily_usage", "metered_usage"
    if is_estimate:
        totals, usage, metered = "estimated_totals", "estimated_daily_usage", "estimated_charges"
    return MonthSoFar(
        month,
        is_estimate,
        found["until"],
        rows(
            connection,
            f"SELECT customer_id, coalesce(customer_name, customer_id) AS name, currency, total"
            f" FROM {totals} LEFT JOIN names USING (customer_id) WHERE billing_month = $1"
            " ORDER BY currency, total DESC, customer_id",
            month,
        ),
        rows(
            connection,
            f"SELECT meter_id, usage_date, event_count, quantity FROM {usage}"
            " WHERE billing_month = $1 ORDER BY meter_id, usage_date",
            month,
        ),
        rows(
            connection,
            "SELECT customer_id, coalesce(customer_name, customer_id) AS name, meter_id, price_id,"
            " sum(quantity)::DECIMAL(38, 18) AS quantity, sum(event_count)::BIGINT AS event_count"
            f" FROM {metered} LEFT JOIN names USING (customer_id)"
            " WHERE billing_month = $1 AND meter_id IS NOT NULL"
            " GROUP BY ALL HAVING sum(event_count) > 0 ORDER BY customer_id, meter_id, price_id",
            month,
        ),
    )


# Each invoice with its payment, its due date and its newest page at Stripe.
INVOICES = """
SELECT i.billing_month, i.invoice_id, i.customer_id, customer_name, i.currency, i.subtotal,
    i.discount, i.tax, i.total, i.wallet_applied, i.amount_due, d.due_date,
    coalesce(p.status, 'not sent') AS status, coalesce(p.paid, 0) AS paid,
    coalesce(p.outstanding, 0) AS outstanding, p.last_error, s.number, s.hosted_invoice_url
FROM invoices AS i
LEFT JOIN invoice_payments AS p USING (invoice_id)
LEFT JOIN due_dates AS d USING (invoice_id)
LEFT JOIN names ON names.customer_id = i.customer_id
LEFT JOIN (
    SELECT invoice_id, string_agg(number, ', ' ORDER BY revision) AS number,
        max_by(hosted_invoice_url, revision) AS hosted_invoice_url
    FROM stripe_invoices GROUP BY invoice_id
) AS s USING (invoice_id)
"""
# Charges by month, plan and currency, before discounts and tax.
REVENUE = """
SELECT billing_month, currency, coalesce(plan_name, plan_id) AS plan,
    sum(amount)::DECIMAL(38, 4) AS amount
FROM revenue LEFT JOIN plan_names USING (plan_id)
"""
# Each month's money by currency: `billed`, and what became of it.
MONTHS = """
SELECT months.*, coalesce(settled, 0)::DECIMAL(38, 4) AS settled_by_balance,
    coalesce(refunded, 0)::DECIMAL(38, 4) AS refunded
FROM months LEFT JOIN (
    SELECT billing_month, currency, sum(settled_by_balance) AS settled, sum(refunded) AS refunded
    FROM invoice_payments GROUP BY ALL
) USING (billing_month, currency)
"""
# Measured limits of the newest month.
LIMITS = """
SELECT customer_id, customer_name, coalesce(plan_name, plan_id) AS plan, feature, used,
    limit_quantity, remaining, state,
    CASE WHEN limit_quantity > 0 THEN (100 * used / limit_quantity)::DECIMAL(38, 1) END AS percent
FROM entitlement_usage LEFT JOIN names USING (customer_id) LEFT JOIN plan_names USING (plan_id)
WHERE billing_month = (SELECT max(billing_month) FROM entitlement_usage)
    AND limit_quantity IS NOT NULL AND used IS NOT NULL
"""


def invoices(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """Every invoice, the newest month first."""
    return rows(connection, f"{INVOICES} ORDER BY i.billing_month DESC, i.total DESC, i.invoice_id")


def revenue(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    return rows(connection, f"{REVENUE} GROUP BY ALL ORDER BY ALL")


def receivables(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    return rows(
        connection,
        "SELECT currency, age, count(*) AS invoices, sum(outstanding)::DECIMAL(38, 4)"
        " AS outstanding FROM receivables GROUP BY ALL ORDER BY ALL",
    )


def months(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    return rows(connection, f"{MONTHS} ORDER BY billing_month, currency")


def limits(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """Usage against limits, the most used first."""
    return rows(connection, f"{LIMITS} ORDER BY percent DESC NULLS FIRST, customer_id, feature")


def customers(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """All customers that were ever published, by name."""
    return rows(connection, "SELECT * FROM names ORDER BY lower(customer_name), customer_id")


def currencies(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The currencies of invoices, the most used first."""
    found = rows(
        connection, "SELECT currency FROM invoices GROUP BY currency ORDER BY count(*) DESC, 1"
    )
    return [row["currency"] for row in found]
