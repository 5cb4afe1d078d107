"""What the rivals share: the price book in Python, a charge in ``decimal``, a clock, the result.

What belongs here: what a rival would otherwise copy from another. What does not: how one of them
reads, deduplicates and adds up.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from benchmarks.company import METERS
from billing_pipeline.months import BillingMonth

MONTH = BillingMonth.parse("2024-01")
_UTC = ZoneInfo("UTC")
# The aggregation of each event name; each meter of the company reads the event of its own name.
AGGREGATIONS = {name: aggregation for name, aggregation, _ in METERS}
# The meter whose value is a key of `properties`.
[(PROPERTY_METER, PROPERTY)] = [(name, prop) for name, _, prop in METERS if prop]

CENT = Decimal("0.01")
PICO = 10**12
"""Amounts are compared as whole numbers of 10^-12: more than any of the prices needs."""
RESULT = pa.schema(
    [
        ("subscription_id", pa.string()),
        ("price_id", pa.string()),
        ("exact_pico", pa.int64()),
        ("cents", pa.int64()),
    ]
)


@dataclass
class Clock:
    """Seconds by part; what a rival does outside a part does not count."""

    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - began


@dataclass(frozen=True)
class Price:
    """A row of prices.csv with its tiers: upper bound (None: without) and unit amount."""

    price_id: str
    meter_id: str
    model: str
    unit_amount: Decimal
    flat_amount: Decimal
    package_size: Decimal
    percentage: Decimal
    included: Decimal
    tiers: tuple[tuple[Decimal | None, Decimal], ...]


@dataclass(frozen=True)
class Subscription:
    subscription_id: str
    customer_id: str
    plan_id: str


def usage_files(data: Path) -> list[str]:
    return sorted(str(path) for path in (data / "usage" / str(MONTH)).glob("*.parquet"))


def month_bounds() -> tuple[datetime, datetime]:
    return MONTH.start(_UTC), MONTH.end(_UTC)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def read_prices(data: Path) -> dict[str, list[Price]]:
    """The prices of each plan."""
    tiers: dict[str, list[tuple[Decimal | None, Decimal]]] = {}
    for row in read_rows(data / "catalog/price_tiers.csv"):
        bound = Decimal(row["up_to"]) if row["up_to"] else None
        tiers.setdefault(row["price_id"], []).append((bound, Decimal(row["unit_amount"])))
    prices: dict[str, list[Price]] = {}
    for row in read_rows(data / "catalog/prices.csv"):
        price = Price(
            price_id=row["price_id"],
            meter_id=row["meter_id"],
            model=row["charge_model"],
            unit_amount=Decimal(row["unit_amount"] or 0),
            flat_amount=Decimal(row["flat_amount"] or 0),
            package_size=Decimal(row["package_size"] or 1),
            percentage=Decimal(row["percentage"] or 0),
            included=Decimal(row["included_quantity"] or 0),
            tiers=tuple(tiers.get(row["price_id"], ())),
        )
        prices.setdefault(row["plan_id"], []).append(price)
    return prices


def read_subscriptions(data: Path) -> list[Subscription]:
    return [
        Subscription(row["subscription_id"], row["customer_id"], row["plan_id"])
        for row in read_rows(data / "accounts/subscriptions.csv")
    ]


def exact_charge(price: Price, quantity: Decimal) -> Decimal:
    """What a quantity costs, exactly."""
    billable = max(quantity - price.included, Decimal(0))
    match price.model:
        case "flat":
            return price.flat_amount
        case "per_unit":
            return billable * price.unit_amount
        case "package":
            packages = (billable / price.package_size).to_integral_value(ROUND_CEILING)
            return packages * price.unit_amount
        case "percentage":
            return billable * price.percentage / 100
        case "volume":
            for bound, unit_amount in price.tiers:
                if bound is None or billable <= bound:
                    return billable * unit_amount
        case "graduated":
            amount, below = Decimal(0), Decimal(0)
            for bound, unit_amount in price.tiers:
                top = billable if bound is None else min(billable, bound)
                amount += (top - below) * unit_amount
                if top == billable:
                    return amount
                below = top
    raise ValueError(f"{price.price_id}: {price.model} is no model of this company")


def charge_all(
    subscriptions: Sequence[Subscription],
    prices: dict[str, list[Price]],
    quantities: dict[tuple[str, str], Decimal],
) -> pa.Table:
    """Every charge in ``decimal``, one after the other; `quantities` by customer and meter."""
    rows: list[tuple[str, str, int, int]] = []
    for subscription in subscriptions:
        for price in prices[subscription.plan_id]:
            used = quantities.get((subscription.customer_id, price.meter_id), Decimal(0))
            exact = exact_charge(price, used)
            cents = exact.quantize(CENT, ROUND_HALF_UP).scaleb(2)
            pico = exact.scaleb(12)
            assert pico == pico.to_integral_value()
            rows.append((subscription.subscription_id, price.price_id, int(pico), int(cents)))
    return pa.table(dict(zip(RESULT.names, zip(*rows, strict=True), strict=True)), schema=RESULT)


def property_thousandths(properties: str) -> int:
    """The value of the meter that reads a property, in thousandths; the company has no finer."""
    value: Any = json.loads(properties, parse_float=Decimal)[PROPERTY]
    return int(Decimal(value).scaleb(3))


def metered(aggregation: str, count: int, total: int, largest: int) -> Decimal:
    """A meter's quantity from an event count and thousandths."""
    if aggregation == "count":
        return Decimal(count)
    return Decimal(largest if aggregation == "max" else total).scaleb(-3)
