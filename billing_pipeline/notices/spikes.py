"""Usage spikes: a customer uses far more of a meter than before.

What belongs here: the rule, as one query, for a month that is being rated and for published ones.
A spike never stops a run: it may be a customer's success.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import duckdb

from billing_pipeline.money import format_quantity
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.reading import NotPublishedError, attach, open_published
from billing_pipeline.settings import Settings

# Usage is compared with the largest of the six months before, so that a season is not a spike. At
# least two of those months must have usage, because one month does not show what is usual. If
# several prices read a meter, the price that counts most of it is used.
_SPIKES = """
totals AS (
    SELECT billing_month, customer_id, meter_id, price_id, sum(quantity) AS quantity
    FROM metered GROUP BY ALL
),
monthly AS (
    SELECT billing_month, customer_id, meter_id, max(quantity) AS quantity
    FROM totals GROUP BY ALL HAVING max(quantity) > 0
)
SELECT strftime(later.billing_month, '%Y-%m') AS billing_month, later.customer_id,
    later.meter_id, later.quantity, max(earlier.quantity) AS most_before
FROM monthly AS later
INNER JOIN monthly AS earlier
    ON later.customer_id = earlier.customer_id AND later.meter_id = earlier.meter_id
    AND earlier.billing_month < later.billing_month
    AND earlier.billing_month >= later.billing_month - INTERVAL 6 MONTH
WHERE list_contains($months, strftime(later.billing_month, '%Y-%m'))
GROUP BY later.billing_month, later.customer_id, later.meter_id, later.quantity
-- This is not an amount: a float is exact enough for a threshold, and cannot overflow.
HAVING count(*) >= 2 AND later.quantity::DOUBLE > $factor::DOUBLE * max(earlier.quantity)::DOUBLE
ORDER BY later.quantity::DOUBLE / max(earlier.quantity)::DOUBLE DESC,
    later.billing_month, later.customer_id, later.meter_id
"""
_METERED = "SELECT billing_month, customer_id, meter_id, price_id, quantity"
# Until the running month is rated, its estimate is used.
_PUBLISHED = f"""
WITH metered AS (
    {_METERED} FROM metered_usage
    UNION ALL
    {_METERED} FROM estimated_charges
    WHERE meter_id IS NOT NULL AND billing_month NOT IN (SELECT billing_month FROM metered_usage)
),
"""
_RATED = f"""
WITH metered AS (
    {_METERED} FROM metered_usage WHERE billing_month <> $month::DATE
    UNION ALL
    {_METERED} FROM rated.main.metered_usage
),
"""


class Spike(NamedTuple):
    """A month's quantity, and the maximum of the months before it."""

    month: str
    customer_id: str
    meter_id: str
    quantity: Decimal
    most_before: Decimal

    def __str__(self) -> str:
        return (
            f"{self.customer_id}: {format_quantity(self.quantity)} of {self.meter_id}, "
            f"at most {format_quantity(self.most_before)} in the six months before"
        )


def published_spikes(
    published: duckdb.DuckDBPyConnection, months: list[str], factor: Decimal
) -> list[Spike]:
    """Spikes of these months (``YYYY-MM``) in the published database, the largest first."""
    values = {"months": months, "factor": factor}
    return [Spike(*row) for row in published.execute(_PUBLISHED + _SPIKES, values).fetchall()]


def spikes_of(settings: Settings, month: BillingMonth, factor: Decimal) -> list[Spike]:
    """Spikes of the month in its warehouse, compared with the published months."""
    try:
        published = open_published(settings)
    except NotPublishedError:
        return []  # the first month has no history
    with published:
        attach(published, settings.warehouse_path(month), "rated")
        values = {"months": [str(month)], "factor": factor, "month": month.key}
        return [Spike(*row) for row in published.execute(_RATED + _SPIKES, values).fetchall()]
