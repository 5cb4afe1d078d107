"""Where a price book may not say what was meant: findings of `billing check`, which are no errors.

What belongs here: one query for each finding, which names the rows. What does not: errors
(``intake``), and how findings are shown (``check``).
"""

from __future__ import annotations

import duckdb

from billing_pipeline.intake.reference.dbt_vars import AGGREGATIONS

Findings = dict[str, list[str]]

_GAUGES = [name for name, known in AGGREGATIONS.items() if known.is_gauge]

_CHARGED_TWICE = """
WITH charging AS (
    SELECT customer_id, meter_id, subscription_id,
        -- a price counts with those of its filter, and with all of its meter
        unnest([coalesce(prices.filter, ''), '*']) AS kind,
        greatest(starts_at, trial_ends_at, valid_from) AS starts_at,
        coalesce(least(ends_at, valid_to), 'infinity') AS ends_at
    FROM raw.subscriptions JOIN raw.plan_prices AS prices USING (plan_id)
    WHERE meter_id IS NOT NULL
),
-- one row for each time in which a subscription has such prices: they can be counted, and
-- no subscription has to be compared with each other one
flagged_intervals AS (
    SELECT *, coalesce(starts_at > max(ends_at) OVER (
        PARTITION BY customer_id, meter_id, kind, subscription_id
        ORDER BY starts_at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), true) AS is_new
    FROM charging WHERE starts_at < ends_at
),
numbered AS (
    SELECT *, count_if(is_new) OVER (
        PARTITION BY customer_id, meter_id, kind, subscription_id
        ORDER BY starts_at ROWS UNBOUNDED PRECEDING
    ) AS number
    FROM flagged_intervals
),
times AS (
    SELECT customer_id, meter_id, kind, subscription_id,
        min(starts_at) AS starts_at, max(ends_at) AS ends_at
    FROM numbered GROUP BY customer_id, meter_id, kind, subscription_id, number
),
steps AS (
    SELECT customer_id, meter_id, kind, starts_at AS edge, 1 AS step FROM times
    UNION ALL
    SELECT customer_id, meter_id, kind, ends_at AS edge, -1 AS step FROM times
),
of_one_filter AS (
    SELECT customer_id, meter_id, edge, sum(sum(step)) OVER (
        PARTITION BY customer_id, meter_id, kind ORDER BY edge
    ) AS charging
    FROM steps WHERE kind NOT IN ('', '*') GROUP BY customer_id, meter_id, kind, edge
),
of_all AS (
    SELECT customer_id, meter_id, edge,
        sum(sum(step) FILTER (kind = '')) OVER since AS without_filter,
        sum(sum(step) FILTER (kind = '*')) OVER since AS charging
    FROM steps WHERE kind IN ('', '*') GROUP BY customer_id, meter_id, edge
    WINDOW since AS (PARTITION BY customer_id, meter_id ORDER BY edge)
),
together AS (
    SELECT customer_id, meter_id, min(edge) AS edge
    FROM (
        SELECT customer_id, meter_id, edge FROM of_one_filter WHERE charging > 1
        UNION ALL
        SELECT customer_id, meter_id, edge FROM of_all
        WHERE charging > 1 AND without_filter > 0
    )
    GROUP BY ALL
)
SELECT string_agg(subscription_id, ' and ' ORDER BY subscription_id) || ': ' || meter_id
FROM together JOIN times USING (customer_id, meter_id)
WHERE kind = '*' AND times.starts_at <= edge AND edge < times.ends_at
GROUP BY customer_id, meter_id
"""

_UNCHARGED = """
WITH prices AS (
    SELECT plan_id, meter_id, event_name, filter, filter_rest
    FROM raw.plan_prices JOIN raw.meters USING (meter_id)
    WHERE valid_to IS NULL
),
-- nothing else of the plan counts these events
filtered AS (
    SELECT plan_id, event_name FROM prices GROUP BY ALL
    HAVING count(DISTINCT meter_id) = 1
        AND bool_and(filter IS NOT NULL AND NOT coalesce(filter_rest, false))
    EXCEPT
    SELECT plan_id, event_name FROM raw.plan_entitlements JOIN raw.meters USING (meter_id)
),
cells AS (
    SELECT DISTINCT plan_id, meter_id, event_name, paths, texts, bounds,
        list_transform(bounds, lambda b: b.path) AS bounded
    FROM prices JOIN raw.filters AS filters USING (filter)
    WHERE filter IS NOT NULL
),
-- whose prices ask for the same properties
tables AS (
    SELECT plan_id, meter_id, any_value(paths) AS paths, any_value(bounded) AS bounded
    FROM cells JOIN filtered USING (plan_id, event_name)
    GROUP BY ALL HAVING count(DISTINCT (paths, bounded)) = 1
),
-- texts that another plan has a price for
missing AS (
    SELECT tables.plan_id, meter_id, paths, texts
    FROM tables
    JOIN (SELECT DISTINCT meter_id, paths, texts FROM cells) USING (meter_id, paths)
    ANTI JOIN cells USING (plan_id, meter_id, paths, texts)
),
-- numbers below, between and above the bounds
ranges AS (
    SELECT plan_id, meter_id, paths, texts, bounds[1].path AS path, bounds[1].above AS above,
        row_number() OVER by_above = 1 AS is_first,
        lead(true) OVER by_above AS has_next,
        lead(bounds[1].above) OVER by_above AS next_above,
        bool_or(bounds[1].up_to IS NULL) OVER by_above AS is_open,
        max(bounds[1].up_to) OVER by_above AS reached
    FROM cells JOIN tables USING (plan_id, meter_id, paths, bounded)
    WHERE len(bounded) = 1
    WINDOW by_above AS (
        PARTITION BY plan_id, meter_id, texts ORDER BY bounds[1].above NULLS FIRST, bounds
        ROWS UNBOUNDED PRECEDING
    )
),
uncharged AS (
    SELECT plan_id, meter_id, paths, texts, NULL AS path, NULL AS above, NULL AS up_to FROM missing
    UNION ALL
    SELECT plan_id, meter_id, paths, texts, path, NULL, above
    FROM ranges WHERE is_first AND above > 0
    UNION ALL
    SELECT plan_id, meter_id, paths, texts, path, reached, next_above
    FROM ranges WHERE NOT is_open AND (has_next IS NULL OR next_above > reached)
)
SELECT plan_id || ', ' || meter_id || ': ' || array_to_string(list_concat(
    list_transform(paths, lambda p, i: p[2:] || ' ' || texts[i]),
    CASE WHEN path IS NOT NULL THEN [concat_ws(
        ' ', path[2:], 'above ' || rtrim(rtrim(above::varchar, '0'), '.'),
        'up to ' || rtrim(rtrim(up_to::varchar, '0'), '.')
    )] END
), ', ')
FROM uncharged
"""

# Findings from the inputs alone.
_PRICE_FINDINGS = {
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
    "are charged by each": _CHARGED_TWICE,
    "filters that leave events uncharged: the plan has no price for them, and none with "
    "filter_rest": _UNCHARGED,
    "numbers of the journal's accounts that no posting gets: there is nothing of that name": """
        SELECT 'catalog/accounts row ' || source_row || ' (' || detail || CASE
            WHEN account = 'tax' THEN ' is not a tax_rate_id'
            WHEN starts_with(account, 'revenue_') THEN ' is not a plan_id'
            ELSE ': only tax and revenue have details' END || ')'
        FROM raw.book_accounts
        WHERE detail IS NOT NULL AND CASE
            WHEN account = 'tax' THEN detail NOT IN (SELECT tax_rate_id FROM raw.tax_rates)
            WHEN starts_with(account, 'revenue_') THEN detail NOT IN (SELECT plan_id FROM raw.plans)
            ELSE true END
    """,
}

# Findings from a rated month.
_USAGE_FINDINGS = {
    "filters that left events of the month uncharged: no price with filter_rest takes what no "
    "other price is for": """
        WITH asked AS (
            SELECT DISTINCT customer_id, subscription_id, plan_id, meter_id, starts_at, ends_at,
                list_concat(paths, list_transform(bounds, lambda b: b.path)) AS paths
            FROM reading_times WHERE subscription_id IS NOT NULL
        ),
        left_out AS (
            SELECT DISTINCT row_id, plan_id, asked.meter_id, list_transform(
                asked.paths, lambda p: concat_ws(
                    ' ', p[2:], coalesce(json_extract_string(events.properties, p), '(missing)')
                )
            ) AS named
            FROM unpriced_events AS unpriced
            JOIN events_in_doubt AS events USING (row_id)
            JOIN raw.meters AS meters ON events.event_name = meters.event_name
            JOIN asked ON events.customer_id = asked.customer_id
                AND meters.meter_id = asked.meter_id
                AND events.occurred_at >= asked.starts_at AND events.occurred_at < asked.ends_at
                AND coalesce(events.subscription_id = asked.subscription_id, true)
            WHERE reason = 'no_matching_filter'
        )
        SELECT plan_id || ', ' || meter_id || ': ' || array_to_string(named, ', ')
            || ' (' || count(DISTINCT row_id) || ' events)'
        FROM left_out GROUP BY plan_id, meter_id, named
    """,
    "allowances that nobody used up in the month": """
        SELECT charges.price_id || ' (used at most ' || plain(max(charges.quantity)) || ')'
        FROM charges
        JOIN raw.plan_prices AS prices ON charges.plan_id = prices.plan_id
            AND charges.price_id = prices.price_id AND charges.meter_id IS NOT NULL
        GROUP BY charges.price_id
        HAVING bool_and(prices.included_quantity > 0 AND charges.billable_quantity = 0)
            AND max(charges.quantity) > 0
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
    """Findings in the tables that the intake has written."""
    return _found(connection, _PRICE_FINDINGS, {"gauges": _GAUGES})


def usage_findings(warehouse: duckdb.DuckDBPyConnection) -> Findings:
    """Findings in a month's warehouse after rating."""
    return _found(warehouse, _USAGE_FINDINGS, {})


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
