"""Whom a change is about, read from the inputs alone; and the proof that nobody else moves.

What belongs here: the customers whom the difference of the two sides' price books and accounts can
reach, and a comparison, row by row, of what all others are charged. What does not: amounts of those
it does reach.

Reach is decided without looking at an amount, so that an amount that moves outside it is a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import duckdb

from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.months import BillingMonth


def _changed(table: str) -> str:
    """The rows of a raw table that one side has and the other has not; the name is ours. A row that
    only stands elsewhere in its file has not changed."""
    present, simulated = (
        f"SELECT COLUMNS(lambda name: name <> 'source_row') FROM {side}.raw.{table}"
        for side in ("present", "simulated")
    )
    return f"(({present} EXCEPT ALL {simulated}) UNION ALL ({simulated} EXCEPT ALL {present}))"


def _both(table: str) -> str:
    return f"(FROM present.raw.{table} UNION ALL FROM simulated.raw.{table})"


# A plan: its own row, any of its prices, their tiers, or a meter that they read. A subscription:
# its plan, one of its coupons, or that it was moved. A country: its tax. And the whole of an
# invoice: who pays it, and everybody whose lines stand on it.
_REACH = (
    f"""
    CREATE OR REPLACE TEMP TABLE reached_plans AS
    SELECT plan_id FROM {_changed("plans")}
    UNION
    SELECT plan_id FROM {_changed("plan_prices")}
    UNION
    SELECT plan_id FROM {_both("plan_prices")}
    WHERE price_id IN (SELECT price_id FROM {_changed("price_tiers")})
        OR meter_id IN (SELECT meter_id FROM {_changed("meters")})
    """,
    f"""
    CREATE OR REPLACE TEMP TABLE reached AS
    WITH payers AS (
        SELECT DISTINCT customer_id, coalesce(bill_to, customer_id) AS payer_id, country
        FROM {_both("customers")}
    ),
    directly AS (
        SELECT customer_id FROM {_changed("subscriptions")}
        UNION
        SELECT customer_id FROM {_both("subscriptions")}
        WHERE plan_id IN (FROM reached_plans)
            OR list_has_any(
                string_split(coupon_id, ';'),
                (SELECT list(coupon_id) FROM {_changed("coupons")})
            )
        UNION
        SELECT customer_id FROM payers
        WHERE country IN (SELECT country FROM {_changed("tax_rates")})
    )
    SELECT DISTINCT customer_id FROM payers
    WHERE payer_id IN (
        SELECT payer_id FROM payers WHERE customer_id IN (FROM directly)
        UNION
        FROM directly
    )
    """,
)

_LINES = "customer_id, currency, line_id, kind, quantity, amount"
_INVOICES = (
    "customer_id, currency, invoice_id, subtotal, discount, tax, total, wallet_applied, amount_due"
)
_CHARGES = "customer_id, currency, charge_id, quantity, billable_quantity, exact_amount, amount"


def _differing(table: str, columns: str) -> str:
    present, simulated = (
        f"SELECT {columns} FROM {side}.main.{table} ANTI JOIN reached USING (customer_id)"
        for side in ("present", "simulated")
    )
    return (
        "SELECT customer_id, currency FROM"
        f" (({present} EXCEPT ALL {simulated}) UNION ALL ({simulated} EXCEPT ALL {present}))"
    )


_STRAYS = f"""
WITH differing AS (
    {_differing("charges", _CHARGES)}
    UNION {_differing("invoice_lines", _LINES)}
    UNION {_differing("invoices", _INVOICES)}
),
amounts AS (
    SELECT customer_id, currency, amount AS present_amount, 0 AS simulated_amount
    FROM present.main.invoice_lines
    UNION ALL
    SELECT customer_id, currency, 0 AS present_amount, amount AS simulated_amount
    FROM simulated.main.invoice_lines
)
SELECT customer_id, currency,
    coalesce(sum(present_amount), 0)::DECIMAL(38, 4) AS present_amount,
    coalesce(sum(simulated_amount), 0)::DECIMAL(38, 4) AS simulated_amount
FROM differing LEFT JOIN amounts USING (customer_id, currency)
GROUP BY ALL ORDER BY ALL
"""

_SUMS = """
SELECT currency, count(*) AS lines, sum(amount)::DECIMAL(38, 4) AS amount
FROM present.main.invoice_lines ANTI JOIN reached USING (customer_id)
GROUP BY ALL ORDER BY ALL
"""


@dataclass(frozen=True)
class Outside:
    """The customers of a month whom the change is not about: who they are, their invoice lines by
    currency before the change, and those of them who would be charged differently all the same.
    `inside`: whom it is about, charged in this month or not."""

    month: BillingMonth
    inside: frozenset[str]
    customers: frozenset[str]
    lines: Sequence[Row]
    strays: Sequence[Row]

    @property
    def line_count(self) -> int:
        return sum(row["lines"] for row in self.lines)

    def amount(self, currency: str) -> Decimal:
        return sum((row["amount"] for row in self.lines if row["currency"] == currency), Decimal(0))


def mark_affected(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table `reached`, of customers, in a session with both sides attached."""
    for statement in _REACH:
        connection.execute(statement)


def outside(connection: duckdb.DuckDBPyConnection, month: BillingMonth) -> Outside:
    """After `mark_affected`: everybody else, compared row by row."""
    inside, customers = (
        frozenset(str(customer_id) for (customer_id,) in connection.execute(query).fetchall())
        for query in (
            "FROM reached",
            "SELECT DISTINCT customer_id FROM present.main.charges"
            " ANTI JOIN reached USING (customer_id)",
        )
    )
    return Outside(month, inside, customers, rows(connection, _SUMS), rows(connection, _STRAYS))


def moved_subscriptions(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """By the plans that they are moved from and to: how many subscriptions, of how many
    customers."""
    return rows(
        connection,
        "SELECT present.plan_id AS from_plan, simulated.plan_id AS to_plan,"
        " count(DISTINCT present.subscription_id) AS subscriptions,"
        " count(DISTINCT present.customer_id) AS customers"
        " FROM present.raw.subscriptions AS present JOIN simulated.raw.subscriptions AS simulated"
        " USING (subscription_id, starts_at) WHERE from_plan <> to_plan GROUP BY ALL ORDER BY ALL",
    )
