"""pandas: everything in memory, Arrow behind the columns, charges in Python.

What belongs here: that program. What does not: charges (``in_python.py``).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks.rivals.common import (
    AGGREGATIONS,
    NEGATIVE,
    PROPERTY_METER,
    Clock,
    metered,
    month_bounds,
    property_thousandths,
    read_prices,
    read_subscriptions,
    source_name,
    usage_files,
)
from benchmarks.rivals.in_python import Used, bill_all
from benchmarks.rivals.output import Output


def rate(data: Path, scratch: Path, clock: Clock) -> Output:
    prices, subscriptions = read_prices(data), read_subscriptions(data)
    with clock.part("load"):
        events = pd.concat([_read(data, path) for path in usage_files(data)], ignore_index=True)
    with clock.part("deduplicate and add up"):
        # Whole numbers of thousandths: sums of DECIMAL columns go row by row through Python.
        events["value"] = (events["quantity"] * 1000).astype("int64[pyarrow]").astype("int64")
        first, last = month_bounds()
        is_good = (
            events["customer_id"].isin([item.customer_id for item in subscriptions])
            & events["event_name"].isin(list(AGGREGATIONS))
            & (events["occurred_at"] >= first)
            & (events["occurred_at"] < last)
            & (events["value"] >= 0)
        )
        bad, events = events[~is_good], events[is_good]
        assert (bad["value"] < 0).all()  # the company has no others
        rejections = [
            (source, row, event_id, NEGATIVE)
            for source, row, event_id in bad[["source_file", "source_row", "event_id"]].itertuples(
                index=False
            )
        ]
        events = events.drop_duplicates("event_id")
        has_property = events["event_name"] == PROPERTY_METER
        events.loc[has_property, "value"] = events.loc[has_property, "properties"].map(
            property_thousandths
        )
        totals = events.groupby(["customer_id", "event_name"])["value"].agg(["count", "sum", "max"])
    with clock.part("charges and invoices"):
        used = {
            (customer, name): Used(metered(AGGREGATIONS[name], count, total, largest), count)
            for (customer, name), count, total, largest in totals.itertuples()
        }
        return bill_all(subscriptions, prices, used, rejections)


def _read(data: Path, path: Path) -> pd.DataFrame:
    """A file's rows with where they stand."""
    rows = pd.read_parquet(path, dtype_backend="pyarrow")
    rows["source_file"], rows["source_row"] = source_name(data, path), range(1, len(rows) + 1)
    return rows
