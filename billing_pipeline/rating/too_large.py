"""Finding the lines that are too large to be computed, in a month whose models failed.

What belongs here: naming the customer, the price and the quantity. What does not: rating.

An amount is counted in units of 10^-18 in 128 bits, so that nothing is rounded. A larger amount is
an error in DuckDB, whose message names numbers but neither a customer nor a price. The intake
cannot detect it: it is a quantity times a price, each of which may be right.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from billing_pipeline.rating.dbt_runner import NodeResult

# About what 128 bits hold. Estimated in floating point, because the exact amount cannot be
# computed.
_TOO_LARGE = """
WITH tiers AS (
    SELECT price_id, valid_from AS tiers_from,
        max(greatest(unit_amount::DOUBLE, percentage::DOUBLE / 100, 0)) AS rate,
        sum(flat_amount::DOUBLE) AS flat
    FROM tier_bounds GROUP BY ALL
),
estimated AS (
    SELECT customer_id, quantities.price_id, currency, period_start,
        rounded_quantity.units::DOUBLE / 1e18 AS quantity,
        quantity * greatest(
            unit_amount::DOUBLE / coalesce(package_size::DOUBLE, 1), percentage::DOUBLE / 100, rate,
            CASE WHEN charge_model = 'dynamic' AND unit_amount IS NULL THEN 1 ELSE 0 END
        )
        + greatest(flat_amount::DOUBLE, 0) * greatest(event_count, 1)
            * CASE WHEN meter_id IS NULL THEN greatest(quantity, 1) ELSE 1 END
        + greatest(flat, 0) AS amount
    FROM billable_quantities AS quantities
    LEFT JOIN tiers ON quantities.price_id = tiers.price_id
        AND quantities.tiers_from IS NOT DISTINCT FROM tiers.tiers_from
)
SELECT customer_id, price_id, currency, quantity, amount FROM estimated
WHERE amount >= 1e20 ORDER BY amount DESC, customer_id, price_id, period_start
"""
_NAMED = 5


def too_large(warehouse: duckdb.DuckDBPyConnection, nodes: Sequence[NodeResult]) -> list[str]:
    """A sentence for each of the largest lines that cannot be computed; none if the models failed
    for another reason."""
    if not any("Out of Range" in node.message or "overflow" in node.message for node in nodes):
        return []
    try:
        found = warehouse.execute(_TOO_LARGE).fetchall()
    except duckdb.Error:
        return []
    return [
        f"customer {customer}: price {price} comes to about {amount:.1e} {currency} for a quantity "
        f"of about {quantity:.15g}; a line may come to 1e+20. Correct the price or the quantity"
        for customer, price, currency, quantity, amount in found[:_NAMED]
    ]
