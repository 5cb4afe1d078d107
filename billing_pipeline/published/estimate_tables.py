"""The tables of the running month's estimate, and the query of each.

What belongs here: one query for each, over the warehouse that the estimate was rated in (attached
as `warehouse`) and the one row of `estimate`. What does not: their columns (dbt's sources), and
writing them (``export``).
"""

from __future__ import annotations

from billing_pipeline.published.tables import Table

# The invoice of the running month draws on the wallet at the month's end: the estimate shows what
# it would take, and the wallet still holds that amount now.
_WALLET_BALANCES = """
WITH changes AS (
    SELECT changes.*,
        changes.kind = 'invoice' AND changes.billing_month = run.billing_month AS is_estimated
    FROM warehouse.main.wallet_changes AS changes
    INNER JOIN warehouse.main.stg_run AS run ON changes.billing_month <= run.billing_month
),
balances AS (
    SELECT customer_id, currency,
        sum(change) FILTER (
            WHERE NOT is_estimated AND (changes.billing_month < estimate.billing_month
                OR happens_at <= estimated_at)
        ) AS balance,
        coalesce(-sum(change) FILTER (WHERE is_estimated), 0) AS would_be_applied,
        sum(change) AS month_end_balance
    FROM changes CROSS JOIN estimate
    GROUP BY customer_id, currency
),
last_lots AS (
    SELECT customer_id, currency, lot_id AS last_lot_id, amount AS last_lot_amount
    FROM warehouse.main.wallet_deposits CROSS JOIN estimate
    WHERE came_at <= estimated_at
    QUALIFY row_number() OVER (
        PARTITION BY customer_id, currency ORDER BY came_at DESC, lot_id DESC
    ) = 1
)
SELECT * FROM balances INNER JOIN last_lots USING (customer_id, currency)
"""
_SUBSCRIPTIONS = """
SELECT versions.*,
    CASE
        WHEN NOT is_effective OR ends_at <= estimated_at THEN 'ended'
        WHEN starts_at > estimated_at THEN 'scheduled'
        WHEN trial_ends_at > estimated_at THEN 'trialing'
        ELSE 'active'
    END AS state
FROM warehouse.main.stg_accounts__subscriptions AS versions CROSS JOIN estimate
"""
_TRIALS = """
SELECT versions.* FROM warehouse.main.stg_accounts__subscriptions AS versions CROSS JOIN estimate
WHERE starts_at <= estimated_at AND trial_ends_at > estimated_at
    AND coalesce(ends_at > estimated_at, true)
    AND coalesce(subscription_ends_at > trial_ends_at, true)
"""
_SOURCES = {
    "estimated_charges": "FROM warehouse.main.charges",
    "estimated_totals": "FROM warehouse.main.invoices",
    "estimated_entitlement_usage": "FROM warehouse.main.entitlement_usage",
    "estimated_daily_usage": "FROM warehouse.main.daily_usage",
    "estimated_customer_usage": "FROM warehouse.main.customer_usage",
    "estimated_wallet_balances": _WALLET_BALANCES,
    "estimated_subscriptions": _SUBSCRIPTIONS,
    "trials": _TRIALS,
}
_ESTIMATE_COLUMNS = ("billing_month", "estimated_at", "usage_until")


def estimate_query(name: str, table: Table) -> str:
    """A query of one table's rows, with the declared columns."""
    columns = ", ".join(
        f"{'estimate' if item.name in _ESTIMATE_COLUMNS else 'source'}.{item.name}::{item.type}"
        f" AS {item.name}"
        for item in table.columns
    )
    return f"SELECT {columns} FROM ({_SOURCES[name]}) AS source CROSS JOIN estimate"
