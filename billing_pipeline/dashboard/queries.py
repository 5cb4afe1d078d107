"""The dashboard's queries on the published database.

What does not belong here: how their rows look. Each call opens the database, reads, and closes it,
so that it never delays a publication.
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


@contextmanager
def published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published database, read-only. Raises `NotPublishedError` if there is none yet."""
    with open_published(settings) as connection:
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
            f"SELECT customer_id, coalesce(any_value(name), '') AS name, t.currency,"
            f" any_value(t.total) AS total FROM {totals} AS t LEFT JOIN customers"
            " USING (customer_id) WHERE t.billing_month = $1 GROUP BY ALL"
            " ORDER BY t.currency, total DESC, customer_id",
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
            f"SELECT customer_id, meter_id, price_id, sum(quantity)::DECIMAL(38, 18) AS quantity,"
            f" sum(event_count)::BIGINT AS event_count FROM {metered}"
            " WHERE billing_month = $1 AND meter_id IS NOT NULL"
            " GROUP BY ALL HAVING sum(event_count) > 0 ORDER BY customer_id, meter_id, price_id",
            month,
        ),
    )


def invoices(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """Every invoice with its payment and its newest Stripe page, the newest month first."""
    return rows(
        connection,
        "SELECT i.billing_month, i.invoice_id, i.customer_id, i.currency, i.total, d.due_date,"
        " coalesce(p.status, 'not sent') AS status, coalesce(p.paid, 0) AS paid,"
        " coalesce(p.outstanding, 0) AS outstanding, p.last_error, s.number, s.hosted_invoice_url"
        " FROM invoices AS i LEFT JOIN invoice_payments AS p USING (invoice_id)"
        " LEFT JOIN due_dates AS d USING (invoice_id)"
        " LEFT JOIN (SELECT invoice_id, string_agg(number, ', ' ORDER BY revision) AS number,"
        "  max_by(hosted_invoice_url, revision) AS hosted_invoice_url"
        "  FROM stripe_invoices GROUP BY invoice_id) AS s USING (invoice_id)"
        " ORDER BY i.billing_month DESC, i.total DESC, i.invoice_id",
    )


def revenue(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """Charged by month, plan and currency, before discounts and tax."""
    return rows(
        connection,
        "SELECT billing_month, currency, plan_id, sum(amount)::DECIMAL(38, 4) AS amount"
        " FROM revenue GROUP BY ALL ORDER BY ALL",
    )


def receivables(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    return rows(
        connection,
        "SELECT currency, age, count(*) AS invoices, sum(outstanding)::DECIMAL(38, 4)"
        " AS outstanding FROM receivables GROUP BY ALL ORDER BY ALL",
    )


def months(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """Each month's money by currency: `billed` is the sum of what became of it."""
    return rows(
        connection,
        "SELECT months.*, coalesce(settled, 0)::DECIMAL(38, 4) AS settled_by_balance FROM months"
        " LEFT JOIN (SELECT billing_month, currency, sum(settled_by_balance) AS settled"
        " FROM invoice_payments GROUP BY ALL) USING (billing_month, currency)"
        " ORDER BY billing_month, currency",
    )


def limits(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """Measured limits of the newest month, the most used first."""
    return rows(
        connection,
        "SELECT customer_id, plan_id, feature, used, limit_quantity, remaining, state,"
        " CASE WHEN limit_quantity > 0 THEN (100 * used / limit_quantity)::DECIMAL(38, 1) END"
        " AS percent FROM entitlement_usage"
        " WHERE billing_month = (SELECT max(billing_month) FROM entitlement_usage)"
        " AND limit_quantity IS NOT NULL AND used IS NOT NULL"
        " ORDER BY percent DESC NULLS FIRST, customer_id, feature",
    )


def customers(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """All customers in the accounts when the newest month was computed."""
    return rows(
        connection,
        "SELECT customer_id, name FROM customers"
        " WHERE billing_month = (SELECT max(billing_month) FROM customers) ORDER BY customer_id",
    )


@dataclass(frozen=True)
class OneCustomer:
    """The rows for one customer's page."""

    customer: Row
    revenue: list[Row]
    invoices: list[Row]
    charges: list[Row]
    usage: list[Row]
    wallet: list[Row]
    limits: list[Row]


def one_customer(connection: duckdb.DuckDBPyConnection, customer_id: str) -> OneCustomer:
    """The rows for the customer's page. Raises `LookupError` for an unknown customer."""
    found = rows(
        connection,
        "SELECT * FROM customers WHERE customer_id = $1 ORDER BY billing_month DESC LIMIT 1",
        customer_id,
    )
    if not found:
        raise LookupError(f"customer {customer_id!r} is not published")

    def of(table: str, order: str) -> list[Row]:
        query = f"SELECT * FROM {table} WHERE customer_id = $1 ORDER BY {order}"
        return rows(connection, query, customer_id)

    return OneCustomer(
        found[0],
        _revenue_of(connection, customer_id),
        [row for row in invoices(connection) if row["customer_id"] == customer_id],
        of("charges", "billing_month DESC, amount DESC, charge_id"),
        of("metered_usage", "billing_month DESC, meter_id, price_id"),
        of("wallet_ledger", "billing_month DESC, currency, movement_number DESC"),
        [row for row in limits(connection) if row["customer_id"] == customer_id],
    )


def _revenue_of(connection: duckdb.DuckDBPyConnection, customer_id: str) -> list[Row]:
    return rows(
        connection,
        "SELECT billing_month, currency, plan_id, sum(amount)::DECIMAL(38, 4) AS amount"
        " FROM revenue WHERE customer_id = $1 GROUP BY ALL ORDER BY ALL",
        customer_id,
    )
