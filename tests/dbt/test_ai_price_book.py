"""The price book of AI models against the package that it is made from: the same usage, priced by
both, equal to the last digit.

What belongs here: made-up requests, and the package's own computation of what they cost. What does
not: which rows a price becomes (tests/unit/pricebooks).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, Provider, TieredPrices, Usage
from genai_prices.units import UnitRegistry

from billing_pipeline.pricebooks.ai_models import KINDS, models, most_special, price_book, prices_of
from tests.dbt.price_books import PriceBook

UNITS = UnitRegistry(unit_data).units
MONTH = datetime(2026, 10, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Request:
    """What one request used: how much of each kind, no part of it in two kinds."""

    name: str
    provider: Provider
    model: ModelInfo
    at: datetime
    used: Mapping[str, int]
    when: Mapping[str, str]

    def total(self, key: str) -> int:
        """As the package wants it: with all that is more special."""
        of = UNITS[key].dimensions.items()
        return sum(n for kind, n in self.used.items() if UNITS[kind].dimensions.items() >= of)

    def cost(self) -> Decimal:
        usage = Usage(**{key: self.total(key) for key in UNITS if key != "requests"})
        return self.model.calc_price(
            usage, self.provider, genai_request_timestamp=self.at, price_context=self.when
        ).total_price

    def events(self) -> Iterator[tuple[int, dict[str, str]]]:
        variant = ";".join(f"{key}={value}" for key, value in sorted(self.when.items()))
        for kind, quantity in self.used.items():
            size = str(self.total("input_tokens"))
            properties = {"model": self.name, "kind": kind, "request_input_tokens": size}
            yield quantity, properties | ({"variant": variant} if variant else {})


def request(rng: random.Random, name: str, provider: Provider, model: ModelInfo) -> Request:
    at = MONTH + timedelta(seconds=rng.randrange(31 * 86400))
    variants = [one.when for one in model.price_variants or ()]
    when = rng.choice([{}, {"service_tier": "unheard of"}, *variants, *variants])
    prices = model.get_prices(at, when)
    keys = [key for key, unit in UNITS.items() if getattr(prices, unit.price_key) is not None]
    kinds = [kind for kind in KINDS if kind != "requests" and most_special(kind, keys)]
    used = {kind: rng.randrange(1, 40000) for kind in rng.sample(kinds, min(len(kinds), 3))}
    if "requests" in keys:
        used["requests"] = 1
    made = Request(name, provider, model, at, used, when)
    starts = [
        tier.start
        for key in keys
        if isinstance(price := getattr(prices, UNITS[key].price_key), TieredPrices)
        for tier in price.tiers
    ]
    if starts and "input_tokens" in keys:
        # at a bound, just above it, or far from it
        wanted = rng.choice(starts) + rng.choice([0, 1, 1000, -1000])
        used["input_tokens"] = used.get("input_tokens", 0) + wanted - made.total("input_tokens")
    return made


def requests(chosen: Iterable[tuple[str, Provider, ModelInfo]], each: int) -> Iterator[Request]:
    rng = random.Random(1)
    for name, provider, model in chosen:
        for _ in range(each):
            made = request(rng, name, provider, model)
            if all(quantity > 0 for quantity in made.used.values()):
                yield made


def compare(directory: Path, step: int, each: int) -> int:
    """Rate requests to every `step`th model, and to all whose prices have bounds and variants and
    change in the month; gives the number of models whose totals are equal."""
    book = price_book()
    rounded = {one.name for one in book.remarks if one.kind == "rounded"}
    chosen = []
    for number, (provider, model) in enumerate(models()):
        name = f"{provider.id}/{model.id}"
        prices = prices_of(name, model)
        features = (
            any(price.above for price in prices),
            any(price.variant for price in prices),
            any(price.valid_from and price.valid_from >= MONTH.date() for price in prices),
        )
        exact = not any(price.price_id in rounded for price in prices)
        if prices and exact and (number % step == 0 or sum(features) > 1):
            chosen.append((name, provider, model))
    names = {name for name, _, _ in chosen}
    rows = [row for row in book.files["catalog/prices"] if row["description"].split()[0] in names]
    world = PriceBook()
    world.rows |= {file: list(book.files[file]) for file in ("catalog/meters", "catalog/plans")}
    world.rows["catalog/prices"] = list(rows)
    world.customer("c", "ai")
    expected: dict[str, Decimal] = defaultdict(Decimal)
    for made in requests(chosen, each):
        expected[made.name] += made.cost()
        for quantity, properties in made.events():
            at = made.at.strftime("%Y-%m-%dT%H:%M:%SZ")
            world.use("c", "ai_usage", quantity, at, properties=properties)
    rated = world.rate(directory, "2026-10")
    assert not rated["usage_rejections"] and not rated["unpriced_usage"]
    model_of = {row["price_id"]: row["description"].split()[0] for row in rows}
    found: dict[str, Decimal] = dict.fromkeys(expected, Decimal(0))
    for charge in rated["charges"]:
        if charge["quantity"]:
            found[model_of[charge["price_id"]]] += charge["exact_amount"]
    assert found == expected
    return len(found)


@pytest.mark.slow
def test_the_package_computes_the_same_to_the_last_digit(tmp_path: Path) -> None:
    assert compare(tmp_path, step=40, each=3) > 100
