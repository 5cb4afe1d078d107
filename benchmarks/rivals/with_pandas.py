"""pandas: everything in memory, Arrow behind the columns, charges in Python.

What belongs here: that program. What does not: the price book and a charge (``common.py``).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

from benchmarks.rivals.common import (
    AGGREGATIONS,
    PROPERTY_METER,
    Clock,
    charge_all,
    metered,
    month_bounds,
    property_thousandths,
    read_prices,
    read_subscriptions,
    usage_files,
)


def rate(data: Path, scratch: Path, clock: Clock) -> pa.Table:
    prices, subscriptions = read_prices(data), read_subscriptions(data)
    with clock.part("load"):
        events = pd.concat(
            [pd.read_parquet(path, dtype_backend="pyarrow") for path in usage_files(data)],
            ignore_index=True,
        )
    with clock.part("deduplicate and add up"):
        # Whole numbers of thousandths: sums of DECIMAL columns go row by row through Python.
        events["value"] = (events["quantity"] * 1000).astype("int64[pyarrow]").astype("int64")
        first, last = month_bounds()
        events = events[
            events["customer_id"].isin([item.customer_id for item in subscriptions])
            & events["event_name"].isin(list(AGGREGATIONS))
            & (events["occurred_at"] >= first)
            & (events["occurred_at"] < last)
            & (events["value"] >= 0)
        ]
        events = events.drop_duplicates("event_id")
        has_property = events["event_name"] == PROPERTY_METER
        events.loc[has_property, "value"] = events.loc[has_property, "properties"].map(
            property_thousandths
        )
        totals = events.groupby(["customer_id", "event_name"])["value"].agg(["count", "sum", "max"])
    with clock.part("charges"):
        quantities = {
            (customer, name): metered(AGGREGATIONS[name], count, total, largest)
            for (customer, name), count, total, largest in totals.itertuples()
        }
        return charge_all(subscriptions, prices, quantities)
