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
import pyarrow.compute as pc

from benchmarks.rivals.common import (
    AGGREGATIONS,
    NEGATIVE,
    PROPERTY,
    PROPERTY_METER,
    Clock,
    Price,
    charge_id,
    invoice_id,
    line_id,
    month_bounds,
    read_prices,
    read_subscriptions,
    short,
    source_name,
    usage_files,
)
from benchmarks.rivals.output import SCHEMAS, Output

CENT, THOUSAND, NANO, PICO = 10**2, 10**3, 10**9, 10**12
_NO_BOUND = 2**62
_TIERED = ("graduated", "volume")


def rate(data: Path, scratch: Path, clock: Clock) -> Output:
    prices = read_prices(data)
    subscriptions = pl.DataFrame(
        [
            (
                item.subscription_id,
                item.customer_id,
                price.price_id,
                charge_id(item.subscription_id, price),
            )
            for item in read_subscriptions(data)
            for price in prices[item.plan_id]
        ],
        schema=["subscription_id", "customer_id", "price_id", "charge_id"],
        orient="row",
    )
    with clock.part("load, deduplicate and add up"):
        totals, rejections = _totals(data, subscriptions.select("customer_id").unique())
    with clock.part("charges and invoices"):
        charges, tiers = _charges(subscriptions, totals, _price_frame(prices), _tier_frame(prices))
        lines, invoices = _invoices(charges)
        found = {
            "charges": charges,
            "charge_tiers": tiers,
            "invoice_lines": lines,
            "invoices": invoices,
            "usage_rejections": rejections,
        }
        return {name: _as_arrow(name, frame) for name, frame in found.items()}


def _totals(data: Path, customers: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Quantities in thousandths by customer and meter, and the rejected rows."""
    first, last = month_bounds()
    rows = pl.concat(
        [
            pl.scan_parquet(path, row_index_name="row").with_columns(
                source_file=pl.lit(source_name(data, path)), source_row=pl.col("row") + 1
            )
            for path in usage_files(data)
        ]
    )
    value = (
        pl.when(pl.col("event_name") == PROPERTY_METER)
        .then(pl.col("properties").str.json_path_match(f"$.{PROPERTY}").cast(pl.Decimal(18, 3)))
        .otherwise(pl.col("quantity"))
    )
    aggregation = pl.col("event_name").replace_strict(AGGREGATIONS)
    totals = (
        rows.filter(
            pl.col("event_name").is_in(list(AGGREGATIONS)),
            pl.col("occurred_at").is_between(first, last, closed="left"),
            pl.col("quantity") >= 0,
        )
        .join(customers.lazy(), on="customer_id", how="semi")
        .unique("event_id", keep="any")
        .with_columns((value * THOUSAND).cast(pl.Int64).alias("value"))
        .group_by("customer_id", "event_name")
        .agg(
            pl.len().cast(pl.Int64).alias("events"), pl.sum("value"), pl.max("value").alias("most")
        )
        .select(
            "customer_id",
            "events",
            meter_id="event_name",
            quantity=pl.when(aggregation == "count")
            .then(pl.col("events") * THOUSAND)
            .when(aggregation == "max")
            .then("most")
            .otherwise("value"),
        )
    )
    rejected = rows.filter(pl.col("quantity") < 0).select(
        "source_file", "source_row", "event_id", reason=pl.lit(NEGATIVE)
    )
    return pl.collect_all([totals, rejected], engine="streaming")  # type: ignore[return-value]


def _whole(value: Decimal, unit: int) -> int:
    scaled = value * unit
    assert scaled == int(scaled)
    return int(scaled)


def _price_frame(prices: dict[str, list[Price]]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "price_id": price.price_id,
            "meter_id": price.meter_id or None,
            "charge_model": price.model,
            "description": price.description,
            "unit": _whole(price.unit_amount, NANO),
            "unit_text": short(price.unit_amount),
            "flat": _whole(price.flat_amount, PICO),
            "flat_text": short(price.flat_amount),
            "size": _whole(price.package_size, THOUSAND),
            "size_text": short(price.package_size),
            "share": _whole(price.percentage / 100, NANO),
            "share_text": short(price.percentage),
            "included": _whole(price.included, THOUSAND),
            "included_text": short(price.included),
        }
        for of_plan in prices.values()
        for price in of_plan
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _tier_frame(prices: dict[str, list[Price]]) -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for price in (price for of_plan in prices.values() for price in of_plan):
        above = 0
        for number, (bound, unit_amount) in enumerate(price.tiers, start=1):
            up_to = _NO_BOUND if bound is None else _whole(bound, THOUSAND)
            rows.append(
                {
                    "price_id": price.price_id,
                    "tier": number,
                    "above": above,
                    "up_to": up_to,
                    "tier_unit": _whole(unit_amount, NANO),
                    "tier_text": short(unit_amount),
                }
            )
            above = up_to
    return pl.DataFrame(rows)


def _short(column: str, places: int) -> pl.Expr:
    """17500 thousandths as 17.5."""
    number, unit = pl.col(column), 10**places
    fraction = (number % unit).cast(pl.String).str.zfill(places).str.strip_chars_end("0")
    return (
        pl.when(number % unit == 0)
        .then((number // unit).cast(pl.String))
        .otherwise(pl.concat_str((number // unit).cast(pl.String), pl.lit("."), fraction))
    )


def _charges(
    subscriptions: pl.DataFrame, totals: pl.DataFrame, prices: pl.DataFrame, tiers: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The charges, and the tiers that they enter."""
    model, billable = pl.col("charge_model"), pl.col("billable")
    items = (
        subscriptions.join(prices, on="price_id")
        .join(totals, on=["customer_id", "meter_id"], how="left")
        .filter(pl.col("meter_id").is_null() | pl.col("quantity").is_not_null())
        .with_columns(
            pl.col("quantity").fill_null(THOUSAND), event_count=pl.col("events").fill_null(0)
        )
        .with_columns(billable=(pl.col("quantity") - pl.col("included")).clip(lower_bound=0))
    )
    entered = (
        items.filter(model.is_in(_TIERED))
        .select("charge_id", "price_id", "charge_model", "billable")
        .join(tiers, on="price_id")
        .filter(
            (billable > pl.col("above")) | (pl.col("tier") == 1),
            (model == "graduated") | (billable <= pl.col("up_to")),
        )
        .with_columns(
            part=pl.when(model == "volume")
            .then(billable)
            .otherwise(pl.min_horizontal("billable", "up_to") - pl.col("above"))
        )
        .with_columns(exact=pl.col("part") * pl.col("tier_unit"))
        .with_columns(
            text=pl.format("tier {}: {} × {}", "tier", _short("part", 3), pl.col("tier_text"))
        )
    )
    by_charge = (
        entered.sort("tier")
        .group_by("charge_id")
        .agg(
            pl.sum("exact").alias("tiers_exact"), pl.col("text").str.join("; ").alias("tiers_text")
        )
    )
    packages = (billable + pl.col("size") - 1) // pl.col("size")
    billable_text = _short("billable", 3)
    rated = (
        items.join(by_charge, on="charge_id", how="left")
        .with_columns(
            exact=pl.when(model == "flat")
            .then("flat")
            .when(model == "package")
            .then(packages * pl.col("unit") * THOUSAND)
            .when(model == "percentage")
            .then(billable * pl.col("share"))
            .when(model == "per_unit")
            .then(billable * pl.col("unit"))
            .otherwise("tiers_exact"),
            how=pl.when(model == "flat")
            .then(pl.format("flat {}", "flat_text"))
            .when(model == "package")
            .then(
                pl.format(
                    "⌈{} ÷ {}⌉ = {} packages × {}",
                    billable_text,
                    "size_text",
                    packages,
                    "unit_text",
                )
            )
            .when(model == "percentage")
            .then(pl.format("{} × {} %", billable_text, "share_text"))
            .when(model == "per_unit")
            .then(pl.format("{} × {}", billable_text, "unit_text"))
            .otherwise("tiers_text"),
        )
        .with_columns(cents=(pl.col("exact") + PICO // 200) // (PICO // CENT))
        .with_columns(
            calculation=pl.concat_str(
                pl.when(pl.col("meter_id").is_null())
                .then(pl.format("quantity {}", _short("quantity", 3)))
                .otherwise(
                    pl.format("{} events, metered {}", "event_count", _short("quantity", 3))
                ),
                pl.when(pl.col("included") > 0)
                .then(pl.format("; {} included, {} billable", "included_text", billable_text))
                .otherwise(pl.lit("")),
                pl.format("; {}: {}; exactly {}, ", "charge_model", "how", _short("exact", 12)),
                pl.format(
                    "rounded to {}.{} USD",
                    pl.col("cents") // CENT,
                    (pl.col("cents") % CENT).cast(pl.String).str.zfill(2),
                ),
            )
        )
    )
    tier_rows = entered.select(
        "charge_id",
        "tier",
        quantity="part",
        unit_amount=pl.col("tier_unit") * THOUSAND,
        exact_amount="exact",
    )
    charges = rated.rename(
        {"billable": "billable_quantity", "exact": "exact_amount", "cents": "amount"}
    )
    return charges, tier_rows


def _invoices(charges: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines and invoices of what is not 0."""
    lines = charges.filter(pl.col("amount") != 0).select(
        "customer_id", "charge_id", "description", "amount"
    )
    # Polars has no md5: ids are made in Python.
    lines = lines.with_columns(line_id=pl.Series([line_id(name) for name in lines["charge_id"]]))
    customers = lines.select("customer_id").unique()
    ids = pl.Series([invoice_id(name) for name in customers["customer_id"]])
    lines = (
        lines.join(customers.with_columns(invoice_id=ids), on="customer_id")
        .sort("invoice_id", "description", "line_id")
        .with_columns(position=pl.int_range(1, pl.len() + 1).over("invoice_id"))
    )
    invoices = lines.group_by("invoice_id", "customer_id").agg(
        pl.sum("amount").alias("total"), pl.len().alias("line_count")
    )
    return lines, invoices


def _as_arrow(name: str, frame: pl.DataFrame) -> pa.Table:
    """Whole numbers become the decimals that they stand for."""
    table = frame.select(SCHEMAS[name].names).to_arrow()
    columns = []
    for field in SCHEMAS[name]:
        column = table[field.name]
        if pa.types.is_decimal(field.type):
            unit = pa.scalar(Decimal(1).scaleb(-field.type.scale))
            column = pc.multiply(column.cast(pa.decimal128(19, 0)), unit)
        columns.append(column.cast(field.type))
    return pa.table(columns, schema=SCHEMAS[name])
