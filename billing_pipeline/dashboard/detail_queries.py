"""The queries behind the pages about one month, customer or invoice.

What does not belong here: how their rows look (``detail_pages``), and lists (``queries``).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from billing_pipeline.dashboard.queries import INVOICES, LIMITS, MONTHS, REVENUE
from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.months import BillingMonth

MAX_FILES, MAX_SET_ASIDE, MAX_LINES = 30, 50, 500

# What happened: one row for each day, kind and currency, because a month may have thousands of
# payments. A usage file is late if it was first read, or read with another number of rows, after
# the month was first billed.
_HISTORY = """
WITH billed AS (
    SELECT min(known_from) AS billed_at FROM invoice_plan_known
    WHERE billing_month = $1::DATE AND action <> 'unchanged' AND state = 'done'
),
files AS (
    SELECT source_file, rows_read, min(known_from) AS read_at,
        arg_min(accepted_rows, known_from) AS counted, arg_min(rejected_rows, known_from) AS aside
    FROM usage_files_known WHERE billing_month = $1::DATE GROUP BY ALL
),
events AS (
    SELECT finalized_at AS happened_at,
        CASE WHEN revision = 1 THEN 'closed: invoiced' ELSE 'supplement' END AS what, customer_id,
        currency, total AS amount, number AS says
    FROM stripe_invoices WHERE billing_month = $1::DATE AND finalized_at IS NOT NULL
    UNION ALL
    SELECT issued_at, 'credit note', customer_id, currency, -amount, number
    FROM credit_notes WHERE billing_month = $1::DATE
    UNION ALL
    SELECT paid_at, CASE kind WHEN 'payment' THEN 'paid' ELSE replace(kind, '_', ' ') END,
        customer_id, currency, amount, 'by ' || replace(method, '_', ' ')
    FROM payments WHERE billing_month = $1::DATE
    UNION ALL
    SELECT known_from, 'plan waits for approval', customer_id, currency, amount_change, cause
    FROM invoice_plan_known WHERE billing_month = $1::DATE AND state = 'waiting'
    UNION ALL
    SELECT read_at, 'late file', NULL, NULL, NULL,
        source_file || ': ' || counted || ' counted'
            || CASE WHEN aside > 0 THEN ', ' || aside || ' set aside' ELSE '' END
    FROM files, billed WHERE read_at > billed_at
)
SELECT min(happened_at) AS happened_at, what, currency, sum(amount)::DECIMAL(38, 4) AS amount,
    array_to_string(list_sort(list(DISTINCT coalesce(customer_name, customer_id)))[:3], ', ')
        || CASE WHEN count(DISTINCT customer_id) > 3
            THEN ' and ' || count(DISTINCT customer_id) - 3 || ' more' ELSE '' END AS who,
    array_to_string(list_sort(list(DISTINCT says))[:3], ', ')
        || CASE WHEN count(DISTINCT says) > 3 THEN ' …' ELSE '' END AS says
FROM events LEFT JOIN names USING (customer_id)
GROUP BY what, currency, date_trunc('day', happened_at)
"""
_DECIDED = """
SELECT decided_at AS happened_at, concat_ws(' by ', decision, decided_by) AS what, NULL AS currency,
    NULL AS amount, array_to_string(list(coalesce(customer_name, part) ORDER BY part), ', ') AS who,
    any_value(reason) AS says
FROM (
    SELECT *, trim(unnest(string_split(coalesce(customers, ''), ';'))) AS part
    FROM approvals WHERE billing_month = $1::DATE
)
LEFT JOIN names ON customer_id = part
GROUP BY decided_at, decision, decided_by, plan_hash
"""
_CHANGES = """
SELECT plan.* REPLACE (coalesce(plan.customer_name, names.customer_name) AS customer_name)
FROM invoice_plan AS plan LEFT JOIN names USING (customer_id)
WHERE billing_month = $1::DATE AND (action <> 'unchanged' OR state = 'failed')
ORDER BY list_position(['waiting', 'failed', 'ready', 'closed', 'declined', 'done'], state),
    abs(amount_change) DESC, invoice_id
"""
_LINES = """
SELECT changes.*, customer_name, amount_after - amount_before AS change
FROM plan_changes AS changes LEFT JOIN names USING (customer_id)
WHERE billing_month = $1::DATE
ORDER BY invoice_id, abs(amount_after - amount_before) DESC, line_id
"""
_FILES = """
SELECT source_file, rows_read, accepted_rows, rejected_rows, duplicate_rows
FROM usage_files WHERE billing_month = $1::DATE ORDER BY rejected_rows DESC, source_file LIMIT $2
"""
_SET_ASIDE = """
SELECT source_file, source_row, reason, raw FROM usage_rejections
WHERE billing_month = $1::DATE ORDER BY source_file, source_row LIMIT $2
"""


@dataclass(frozen=True)
class MonthDetails:
    """A month's money by currency, what happened, its plan (`changes`, and each line of them), and
    the usage files with the rows that were set aside."""

    month: BillingMonth
    money: list[Row]
    history: list[Row]
    changes: list[Row]
    lines: list[Row]
    files: list[Row]
    set_aside: list[Row]


def month_details(connection: duckdb.DuckDBPyConnection, month: BillingMonth) -> MonthDetails:
    def of(query: str, *values: object) -> list[Row]:
        return rows(connection, query, month.key, *values)

    return MonthDetails(
        month,
        of(f"{MONTHS} WHERE billing_month = $1::DATE ORDER BY currency"),
        of(f"FROM ({_HISTORY} UNION ALL {_DECIDED}) ORDER BY happened_at, what"),
        of(_CHANGES),
        of(_LINES),
        of(_FILES, MAX_FILES),
        of(_SET_ASIDE, MAX_SET_ASIDE),
    )


@dataclass(frozen=True)
class InvoiceDetails:
    """An invoice, its lines and how they were computed, what was sent for it, and what was paid."""

    invoice: Row
    lines: list[Row]
    documents: list[Row]
    payments: list[Row]


def invoice_details(connection: duckdb.DuckDBPyConnection, invoice_id: str) -> InvoiceDetails:
    """The rows for the invoice's page. Raises `LookupError` for an unknown invoice."""

    def of(query: str) -> list[Row]:
        return rows(connection, query, invoice_id)

    found = of(f"{INVOICES} WHERE i.invoice_id = $1")
    if not found:
        raise LookupError(f"invoice {invoice_id!r} is not published")
    return InvoiceDetails(
        found[0],
        of(
            "SELECT l.position, l.description, l.kind, l.quantity, l.currency, l.amount,"
            " coalesce(c.calculation, l.calculation) AS calculation, l.customer_id, customer_name"
            " FROM invoice_lines AS l LEFT JOIN charges AS c USING (charge_id)"
            " LEFT JOIN names ON names.customer_id = l.customer_id"
            f" WHERE invoice_id = $1 ORDER BY l.position, l.line_id LIMIT {MAX_LINES}"
        ),
        of(
            "SELECT finalized_at AS happened_at,"
            " CASE WHEN revision = 1 THEN 'invoice' ELSE 'supplement' END AS what, number,"
            " currency, total AS amount, status, hosted_invoice_url AS url"
            " FROM stripe_invoices WHERE invoice_id = $1 UNION ALL"
            " SELECT issued_at, 'credit note', number, currency, -amount, reason, NULL"
            " FROM credit_notes WHERE invoice_id = $1 ORDER BY happened_at"
        ),
        of(
            "SELECT paid_at AS happened_at, kind, currency, amount, method, status FROM payments"
            " WHERE invoice_id = $1 ORDER BY happened_at"
        ),
    )


@dataclass(frozen=True)
class CustomerDetails:
    """The rows for one customer's page."""

    customer: Row
    revenue: list[Row]
    invoices: list[Row]
    charges: list[Row]
    usage: list[Row]
    wallet: list[Row]
    limits: list[Row]


def customer_details(connection: duckdb.DuckDBPyConnection, customer_id: str) -> CustomerDetails:
    """The rows for the customer's page. Raises `LookupError` for an unknown customer."""

    def of(query: str) -> list[Row]:
        return rows(connection, query, customer_id)

    found = of(
        "SELECT customers.*, standing.state, standing.reason FROM customers"
        " LEFT JOIN customer_standing AS standing USING (customer_id)"
        " WHERE customer_id = $1 ORDER BY customers.billing_month DESC LIMIT 1"
    )
    if not found:
        raise LookupError(f"customer {customer_id!r} is not published")
    return CustomerDetails(
        found[0],
        of(f"{REVENUE} WHERE customer_id = $1 GROUP BY ALL ORDER BY ALL"),
        of(f"{INVOICES} WHERE i.customer_id = $1 ORDER BY i.billing_month DESC, i.invoice_id"),
        of(
            "SELECT charges.*, invoice_id FROM charges LEFT JOIN (SELECT DISTINCT charge_id,"
            " invoice_id FROM invoice_lines WHERE charge_id IS NOT NULL) USING (charge_id)"
            " WHERE customer_id = $1 ORDER BY billing_month DESC, amount DESC, charge_id"
        ),
        of(
            "SELECT * FROM metered_usage WHERE customer_id = $1"
            " ORDER BY billing_month DESC, meter_id, price_id"
        ),
        of(
            "SELECT * FROM wallet_ledger WHERE customer_id = $1"
            " ORDER BY billing_month DESC, currency, movement_number DESC"
        ),
        of(f"{LIMITS} AND customer_id = $1"),
    )
