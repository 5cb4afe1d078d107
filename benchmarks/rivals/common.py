"""What the rivals share: the price book in Python, bounds of the month, ids, a clock.

What belongs here: what a rival would otherwise copy from another. What does not: how one of them
reads, deduplicates and adds up (their modules), charges one after the other (``in_python.py``).
"""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.company import METERS
from billing_pipeline.months import BillingMonth

MONTH = BillingMonth.parse("2024-01")
_UTC = ZoneInfo("UTC")
# The aggregation of each event name; each meter of the company reads the event of its own name.
AGGREGATIONS = {name: aggregation for name, aggregation, _ in METERS}
# The meter whose value is a key of `properties`.
[(PROPERTY_METER, PROPERTY)] = [(name, prop) for name, _, prop in METERS if prop]
NEGATIVE = "negative_quantity"
"""Why the bad rows of the company are rejected."""


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
    description: str
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


def usage_files(data: Path) -> list[Path]:
    return sorted((data / "usage" / str(MONTH)).glob("*.parquet"))


def source_name(data: Path, path: Path) -> str:
    """The file as rejections name it."""
    return str(path.relative_to(data))


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
            description=row["description"].replace("{month}", f"{month_bounds()[0]:%B %Y}"),
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


def charge_id(subscription_id: str, price: Price) -> str:
    kind = "usage" if price.meter_id else "arrears"
    microseconds = int(month_bounds()[0].timestamp()) * 1_000_000
    return "ch_" + _digest(f"{subscription_id}|{price.price_id}|{kind}|{microseconds}")[:24]


def line_id(charge: str) -> str:
    return "li_" + _digest(charge)[:24]


def invoice_id(customer_id: str) -> str:
    day = month_bounds()[0]
    return f"in_{day:%Y%m}_" + _digest(f"{customer_id}|USD|{day:%Y-%m-%d}")[:16]


def _digest(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def short(number: Decimal) -> str:
    """17.500 as 17.5."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def property_thousandths(properties: str) -> int:
    """The value of the meter that reads a property, in thousandths; the company has no finer."""
    value: Any = json.loads(properties, parse_float=Decimal)[PROPERTY]
    return int(Decimal(value).scaleb(3))


def metered(aggregation: str, count: int, total: int, largest: int) -> Decimal:
    """A meter's quantity from an event count and thousandths."""
    if aggregation == "count":
        return Decimal(count)
    return Decimal(largest if aggregation == "max" else total).scaleb(-3)
