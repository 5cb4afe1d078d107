"""Lines of earlier months as last published, which count towards commitments.

What belongs here: reading them into the month's warehouse if a commitment needs them. What does
not: their sums (dbt: `commitment_sums`). The published database is read as any other reader would
read it.
"""

from __future__ import annotations

import duckdb

from billing_pipeline.duckdb_sql import sql_text
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

# An annual fee in advance may be invoiced a month before its year begins, and its year may end
# within the term; a charge for part of a year may be invoiced as long after the term.
_YEAR_AND_MONTH = 13

_TABLES = """
CREATE TABLE raw.published_lines (billing_month DATE, line_id VARCHAR, payer_id VARCHAR,
    customer_id VARCHAR, currency VARCHAR, price_id VARCHAR, period_end TIMESTAMPTZ,
    net_amount DECIMAL(38, 4));
CREATE TABLE raw.published_months (billing_month DATE)
"""
_FIRST = """
SELECT min(starts_at) FROM raw.commitments WHERE starts_at < $coming AND ends_at > $ended
"""
# Months published by a release without shares of discounts count as not published.
_MONTHS = """
SELECT DISTINCT billing_month FROM invoices AS found
WHERE billing_month >= $first::DATE AND billing_month < $last::DATE
    AND NOT EXISTS (
        SELECT 1 FROM invoice_lines AS discounts
        WHERE discounts.billing_month = found.billing_month AND discounts.kind = 'discount'
            AND discounts.coupon_id NOT IN (
                SELECT shares.coupon_id FROM line_discounts AS shares
                WHERE shares.billing_month = discounts.billing_month
            )
    )
"""
_LINES = """
WITH shares AS (
    SELECT billing_month, line_id, sum(discount_share) AS discount_share
    FROM line_discounts GROUP BY ALL
)
SELECT lines.billing_month, lines.line_id, invoices.customer_id AS payer_id, lines.customer_id,
    lines.currency, charges.price_id, lines.period_end,
    lines.amount - coalesce(shares.discount_share, 0) AS net_amount
FROM invoice_lines AS lines
JOIN invoices USING (billing_month, invoice_id)
LEFT JOIN shares USING (billing_month, line_id)
LEFT JOIN charges ON lines.billing_month = charges.billing_month
    AND lines.charge_id = charges.charge_id
WHERE lines.kind IN ('charge', 'minimum') AND list_contains($months, lines.billing_month)
    AND (list_contains($customers, lines.customer_id)
        OR list_contains($customers, invoices.customer_id))
"""


# The same in whatever order the lines come.
_NAME = (
    "SELECT concat_ws(':', count(*), sum(hash(found)::HUGEINT)) FROM raw.published_lines AS found"
)


def load_earlier_lines(
    connection: duckdb.DuckDBPyConnection, settings: Settings, month: BillingMonth
) -> str | None:
    """Create `raw.published_lines` and `raw.published_months`: earlier charges and minimums, less
    their discounts, of customers with a commitment whose term includes this month or the next one,
    or ended within the year before. Returns a name for these lines, None if none can count."""
    connection.execute(_TABLES)
    zone = settings.timezone
    ended = month.shift(-_YEAR_AND_MONTH).start(zone)
    edges = {"ended": ended, "coming": month.shift(1).end(zone)}
    [[first]] = connection.execute(_FIRST, edges).fetchall()
    path = settings.published_dir / "billing.duckdb"
    if first is None or not path.exists():
        return None
    customers = connection.execute("SELECT list(customer_id) FROM raw.commitments").fetchall()[0][0]
    oldest = BillingMonth.containing(first, zone).shift(-_YEAR_AND_MONTH)
    with duckdb.connect() as published:
        published.execute("SET TimeZone = 'UTC'")
        published.execute(f"ATTACH {sql_text(str(path))} AS billing (READ_ONLY)")
        published.execute("USE billing")
        known = {row[0] for row in published.execute("SHOW TABLES").fetchall()}
        if not {"invoices", "invoice_lines", "line_discounts", "charges"} <= known:
            return None
        span = {"first": oldest.key, "last": month.key}
        months = [row[0] for row in published.execute(_MONTHS, span).fetchall()]
        values = {"months": months, "customers": customers}
        # Read by name in the statement below.
        lines = published.sql(_LINES, params=values).to_arrow_table()  # noqa: F841
    connection.execute("INSERT INTO raw.published_lines BY NAME SELECT * FROM lines")
    connection.execute("INSERT INTO raw.published_months SELECT unnest($1::DATE[])", [months])
    [(name,)] = connection.execute(_NAME).fetchall()
    return str(name)
