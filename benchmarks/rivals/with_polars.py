"""Polars: one lazy query over the files, charges as expressions over whole numbers.

What belongs here: that program. What does not: the price book (``common.py``).

Polars' DECIMAL does not multiply exactly at these widths, so quantities are thousandths and prices
10^-9 in 64 bits: enough for this company, and nobody would be told where it is not.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from benchmarks.rivals.common import (
    AGGREGATIONS,
    PICO,
    PROPERTY,
    PROPERTY_METER,
    RESULT,
    Clock,
    Price,
    month_bounds,
    read_prices,
    read_subscriptions,
    usage_files,
)

THOUSAND, NANO = 10**3, 10**9
_NO_BOUND = 2**62


def rate(data: Path, scratch: Path, clock: Clock) -> pa.Table:
    prices = read_prices(data)
    subscriptions = pl.DataFrame(
        [
            (item.subscription_id, item.customer_id, item.plan_id)
            for item in read_subscriptions(data)
        ],
        schema=["subscription_id", "customer_id", "plan_id"],
        orient="row",
    )
    with clock.part("load, deduplicate and add up"):
        totals = _totals(data, subscriptions)
    with clock.part("charges"):
        return _charges(totals, subscriptions, _price_frame(prices))


def _totals(data: Path, subscriptions: pl.DataFrame) -> pl.DataFrame:
    first, last = month_bounds()
    value = (
        pl.when(pl.col("event_name") == PROPERTY_METER)
        .then(pl.col("properties").str.json_path_match(f"$.{PROPERTY}").cast(pl.Decimal(18, 3)))
        .otherwise(pl.col("quantity"))
    )
    return (
        pl.scan_parquet(usage_files(data))
        .filter(
            pl.col("event_name").is_in(list(AGGREGATIONS)),
            pl.col("occurred_at").is_between(first, last, closed="left"),
            pl.col("quantity") >= 0,
        )
        .join(subscriptions.lazy().select("customer_id"), on="customer_id", how="semi")
        .unique("event_id", keep="any")
        .with_columns((value * THOUSAND).cast(pl.Int64).alias("value"))
        .group_by("customer_id", "event_name")
        .agg(
            pl.len().cast(pl.Int64).alias("events"), pl.sum("value"), pl.max("value").alias("most")
        )
        .with_columns(aggregation=pl.col("event_name").replace_strict(AGGREGATIONS))
        .select(
            "customer_id",
            meter_id="event_name",
            quantity=pl.when(pl.col("aggregation") == "count")
            .then(pl.col("events") * THOUSAND)
            .when(pl.col("aggregation") == "max")
            .then("most")
            .otherwise("value"),
        )
        .collect(engine="streaming")
    )


def _whole(value: Decimal, unit: int) -> int:
    scaled = value * unit
    assert scaled == int(scaled)
    return int(scaled)


def _price_frame(prices: dict[str, list[Price]]) -> pl.DataFrame:
    """One row a tier; a price without tiers is its own single tier."""
    rows: list[dict[str, Any]] = []
    for plan_id, of_plan in prices.items():
        for price in of_plan:
            below = 0
            for bound, unit_amount in price.tiers or ((None, price.unit_amount),):
                top = _NO_BOUND if bound is None else _whole(bound, THOUSAND)
                row = {
                    "plan_id": plan_id,
                    "price_id": price.price_id,
                    "meter_id": price.meter_id,
                    "model": price.model,
                    "above": below,
                    "up_to": top,
                    "unit": _whole(unit_amount, NANO),
                    "flat": _whole(price.flat_amount, PICO),
                    "size": _whole(price.package_size, THOUSAND),
                    "share": _whole(price.percentage / 100, NANO),
                    "included": _whole(price.included, THOUSAND),
                }
                rows.append(row)
                below = top
    return pl.DataFrame(rows)


def _charges(totals: pl.DataFrame, subscriptions: pl.DataFrame, prices: pl.DataFrame) -> pa.Table:
    billable, above = pl.col("billable"), pl.col("above")
    in_tier = (pl.min_horizontal(billable, "up_to") - above).clip(lower_bound=0)
    is_its_tier = (billable <= pl.col("up_to")) & ((billable > above) | (above == 0))
    model = pl.col("model")
    amount = (
        pl.when(model == "flat")
        .then("flat")
        .when(model == "package")
        .then((billable + pl.col("size") - 1) // pl.col("size") * pl.col("unit") * THOUSAND)
        .when(model == "percentage")
        .then(billable * pl.col("share"))
        .when(model == "graduated")
        .then(in_tier * pl.col("unit"))
        .when((model == "per_unit") | is_its_tier)
        .then(billable * pl.col("unit"))
        .otherwise(0)
    )
    return (
        subscriptions.lazy()
        .join(prices.lazy(), on="plan_id")
        .join(totals.lazy(), on=["customer_id", "meter_id"], how="left")
        .with_columns(
            billable=(pl.col("quantity").fill_null(0) - pl.col("included")).clip(lower_bound=0)
        )
        .with_columns(exact_pico=amount)
        .group_by("subscription_id", "price_id")
        .agg(pl.sum("exact_pico"))
        .with_columns(cents=(pl.col("exact_pico") + PICO // 200) // (PICO // 100))
        .collect()
        .to_arrow()
        .cast(RESULT)
    )
