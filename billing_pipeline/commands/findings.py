"""What a price book says and perhaps does not mean: findings of `billing check`, no errors.

What belongs here: one query a finding, which names the rows. What does not: what is wrong
(``intake``), and how findings are shown (check.py).
"""

from __future__ import annotations

import duckdb

from billing_pipeline.intake.reference.dbt_vars import AGGREGATIONS

Findings = dict[str, list[str]]

_GAUGES = [name for name, known in AGGREGATIONS.items() if known.is_gauge]

# Of the inputs alone.
_OF_PRICES = {
    "gauges with prorate false whose price changes: each part of a period is charged in full, "
    "leave prorate empty to charge each for its share": """
        SELECT price_id FROM raw.plan_prices AS prices
        JOIN raw.meters USING (meter_id)
        WHERE NOT prorate AND bucket IS NULL AND list_contains($gauges, aggregation)
        GROUP BY prices.plan_id, price_id HAVING count(*) > 1
    """,
    "gauges with prorate false in plans that subscriptions change to or from: both plans charge "
    "their part of the period in full": """
        SELECT DISTINCT price_id || ' (' || subscription_id || ')' FROM raw.plan_prices
        JOIN raw.meters USING (meter_id)
        JOIN raw.subscriptions USING (plan_id)
        WHERE NOT prorate AND bucket IS NULL AND list_contains($gauges, aggregation)
            AND subscription_id IN (
                SELECT subscription_id FROM raw.subscriptions GROUP BY 1
                HAVING count(DISTINCT plan_id) > 1
            )
    """,
    "subscriptions of one customer that charge the same meter: events without a subscription_id "
    "are charged by each": """
        SELECT DISTINCT one.subscription_id || ' and ' || other.subscription_id || ': '
            || prices.meter_id
        FROM raw.subscriptions AS one
        JOIN raw.subscriptions AS other ON one.customer_id = other.customer_id
            AND one.subscription_id < other.subscription_id
            AND coalesce(other.starts_at < one.ends_at, true)
            AND coalesce(one.starts_at < other.ends_at, true)
        JOIN raw.plan_prices AS prices ON one.plan_id = prices.plan_id
        JOIN raw.plan_prices AS others ON other.plan_id = others.plan_id
            AND prices.meter_id = others.meter_id
            AND (prices.filter IS NULL OR others.filter IS NULL OR prices.filter = others.filter)
    """,
}

# Of a month that was rated.
_OF_USAGE = {
    "allowances that nobody used up in the month": """
        SELECT charges.price_id || ' (used at most ' || plain(max(charges.quantity)) || ')'
        FROM charges
        JOIN raw.plan_prices AS prices ON charges.plan_id = prices.plan_id
            AND charges.price_id = prices.price_id AND charges.meter_id IS NOT NULL
        GROUP BY charges.price_id
        HAVING bool_and(prices.included_quantity > 0 AND charges.billable_quantity = 0)
    """,
    "tiers that no usage of the month reached": """
        WITH tiers AS (
            SELECT price_id, valid_from, row_number() OVER bounds AS tier,
                lag(up_to) OVER bounds AS above
            FROM raw.price_tiers
            WINDOW bounds AS (PARTITION BY price_id, valid_from ORDER BY up_to NULLS LAST)
        ),
        reached AS (
            SELECT rated.price_id, rated.tiers_from, max(entered.tier) AS tier
            FROM billable_quantities AS rated
            JOIN charge_tiers AS entered USING (charge_id)
            GROUP BY ALL
        )
        SELECT tiers.price_id || ' above ' || plain(tiers.above)
        FROM reached
        JOIN tiers ON reached.price_id = tiers.price_id
            AND reached.tiers_from IS NOT DISTINCT FROM tiers.valid_from
            AND tiers.tier > reached.tier
    """,
}


def price_findings(connection: duckdb.DuckDBPyConnection) -> Findings:
    """Of the tables that the intake has written."""
    return _found(connection, _OF_PRICES, {"gauges": _GAUGES})


def usage_findings(warehouse: duckdb.DuckDBPyConnection) -> Findings:
    """Of a month's warehouse after rating."""
    return _found(warehouse, _OF_USAGE, {})


def _found(
    connection: duckdb.DuckDBPyConnection,
    queries: dict[str, str],
    parameters: dict[str, list[str]],
) -> Findings:
    found: Findings = {}
    for finding, query in queries.items():
        used = {name: value for name, value in parameters.items() if f"${name}" in query}
        rows = connection.execute(f"{query} ORDER BY 1", used).fetchall()
        if rows:
            found[finding] = [str(row[0]) for row in rows]
    return found
