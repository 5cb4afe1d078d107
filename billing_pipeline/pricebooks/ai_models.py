"""The price book of AI models, from the list of the package genai-prices.

What belongs here: the rows that say what the package's list says, with a mark-up, and what they
cannot say. What does not: the list itself, its updates, and how a model is recognized (the
package's), writing files (``rows``).

An event is the tokens, or searches, seconds, …, of one kind that one request used: each token is
in one kind only, the most special one that it is of. A model that has no price for a kind charges
it by the next more general one, as the package does; so a price's filter lists all kinds that it
charges.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction

from genai_prices.data import providers as all_providers
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
)
from genai_prices.units import UnitDef, UnitRegistry

from billing_pipeline.intake.reference.schemas import MONEY_PLACES
from billing_pipeline.pricebooks.rows import Book, Remark, Row

PLAN, METER, CURRENCY = "ai", "ai_usage", "USD"
# Properties of an event, beside its quantity.
MODEL, KIND, VARIANT, SIZE = "model", "kind", "variant", "request_input_tokens"

_UNITS = UnitRegistry(unit_data)
# The package bills at least 10 seconds of each of their requests, in its code.
_PRICED_PER_REQUEST = frozenset({"groq/whisper-large-v3", "groq/whisper-large-v3-turbo"})


@dataclass(frozen=True)
class Price:
    """A price of a model for a time: `amount` for one unit, exactly."""

    model: str
    unit: str
    kinds: tuple[str, ...]
    amount: Fraction
    variant: str = ""
    above: int | None = None
    up_to: int | None = None
    is_rest: bool = False
    valid_from: date | None = None
    valid_to: date | None = None

    @property
    def price_id(self) -> str:
        size = f"above-{self.above}" if self.above is not None else ""
        return ":".join(filter(None, (self.model, self.unit, size, self.variant)))

    def filter(self) -> str:
        bounds = {"above": self.above, "up_to": self.up_to}
        size = {name: str(bound) for name, bound in bounds.items() if bound is not None}
        kinds: object = list(self.kinds) if len(self.kinds) > 1 else self.kinds[0]
        conditions = {MODEL: self.model, KIND: kinds, VARIANT: self.variant, SIZE: size}
        return json.dumps({name: value for name, value in conditions.items() if value})


def price_book(
    markup: Decimal = Decimal(0), patterns: Sequence[str] = (), *, with_costs: bool = False
) -> Book:
    """The models whose `provider/model` matches one of the patterns (none: all), each price with so
    many percent more. `with_costs`: the list's prices are what the usage costs, too."""
    chosen = [
        (f"{provider.id}/{model.id}", model)
        for provider, model in models()
        if not patterns or any(fnmatchcase(f"{provider.id}/{model.id}", one) for one in patterns)
    ]
    prices = [price for name, model in chosen for price in prices_of(name, model)]
    used = Fraction(100 + markup) / 100
    files: dict[str, Sequence[Row]] = {
        "catalog/meters": [{"meter_id": METER, "event_name": METER, "aggregation": "sum"}],
        "catalog/plans": [{"plan_id": PLAN, "name": "AI models"}],
        "catalog/prices": [{"plan_id": PLAN, **_row(price, used)} for price in prices],
    }
    if with_costs:
        files["catalog/costs/prices"] = [_row(price, Fraction(1)) for price in prices]
    remarks = [*_left_out(chosen), *_rounded(prices, used), *_comments(chosen)]
    return Book(files, remarks)


def models() -> Iterator[tuple[Provider, ModelInfo]]:
    return ((provider, model) for provider in all_providers for model in provider.models)


def prices_of(name: str, model: ModelInfo) -> list[Price]:
    """A model's prices, each version of a price a row; none where `reason_to_leave_out`."""
    if reason_to_leave_out(name, model):
        return []
    versions: dict[str, list[Price]] = {}
    for start, end in _times(model):
        for price in _valid_prices(name, model, start or (end or date.max) - timedelta(days=1)):
            before = versions.setdefault(price.price_id, [])
            here = replace(price, valid_from=start, valid_to=end)
            if (
                before
                and replace(before[-1], valid_to=end)
                == replace(here, valid_from=before[-1].valid_from)
                and before[-1].valid_to == start
            ):
                before[-1] = replace(before[-1], valid_to=end)
            else:
                before.append(here)
    return [price for rows in versions.values() for price in rows]


def reason_to_leave_out(name: str, model: ModelInfo) -> str:
    """Why the catalogue cannot say what this model costs, or nothing."""
    if name in _PRICED_PER_REQUEST:
        return "at least 10 seconds are charged for each request"
    if not all(isinstance(one, StartDateConstraint) for one in _constraints(model)):
        return "its prices depend on the time of day"
    if not any(_priced(prices.prices) for prices in _conditional(model)):
        return "the list has no price for it"
    return ""


def _conditional(model: ModelInfo) -> list[ConditionalPrice]:
    if isinstance(model.prices, ModelPrice):
        return [ConditionalPrice(prices=model.prices)]
    return model.prices


def _constraints(model: ModelInfo) -> Iterator[object]:
    for one in (*_conditional(model), *(model.price_variants or ())):
        if one.constraint is not None:
            yield one.constraint


def _times(model: ModelInfo) -> Iterator[tuple[date | None, date | None]]:
    """The times between changes of its prices, half-open; they change at midnight UTC."""
    changes = sorted(
        {one.start_date for one in _constraints(model) if isinstance(one, StartDateConstraint)}
    )
    return zip((None, *changes), (*changes, None), strict=True)


def _valid_prices(name: str, model: ModelInfo, day: date) -> Iterator[Price]:
    at = datetime.combine(day, time(), UTC)
    standard = _priced(model.get_prices(at))
    variants = {
        json.dumps(one.when, sort_keys=True): one.when for one in model.price_variants or ()
    }
    for when in variants.values():
        special = _priced(model.get_prices(at, when))
        words = ";".join(f"{key}={value}" for key, value in sorted(when.items()))
        for price in _by_unit(name, special, special.keys() - _same(special, standard)):
            yield replace(price, variant=words)
    for price in _by_unit(name, standard, standard.keys()):
        yield replace(price, is_rest=bool(variants))


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> set[str]:
    return {key for key, price in one.items() if other.get(key) == price}


def _priced(prices: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    """Its prices by the unit's key."""
    priced = {key: price for key, price in vars(prices).items() if price is not None}
    return {_UNITS.unit_for_price_key(key).usage_key: price for key, price in priced.items()}


def _by_unit(
    name: str, prices: Mapping[str, Decimal | TieredPrices], keys: Iterable[str]
) -> Iterator[Price]:
    charged: dict[str, list[str]] = {}
    for kind in KINDS:
        key = most_special(kind, prices)
        if key is not None:
            charged.setdefault(key, []).append(kind)
    for key in sorted(keys):
        price = prices[key]
        kinds = tuple(charged[key])
        tiers = price.tiers if isinstance(price, TieredPrices) else ()
        amounts = [price.base if isinstance(price, TieredPrices) else price]
        amounts += [tier.price for tier in tiers]
        starts = [tier.start for tier in tiers]
        for amount, above, up_to in zip(amounts, (None, *starts), (*starts, None), strict=True):
            each = Fraction(amount) / _UNITS.units[key].per
            yield Price(name, _UNITS.units[key].price_key, kinds, each, above=above, up_to=up_to)


def most_special(kind: str, keys: Iterable[str]) -> str | None:
    """Of the units with these keys the one that charges what is of this kind."""
    unit = _UNITS.units[kind]
    general = [_UNITS.units[key] for key in keys if _is_of(unit, _UNITS.units[key])]
    return max(general, key=lambda one: len(one.dimensions)).usage_key if general else None


def _is_of(unit: UnitDef, other: UnitDef) -> bool:
    return unit.dimensions.items() >= other.dimensions.items()


def _reported() -> Iterator[str]:
    """What the package reads from the answers of a provider, and whatever has a price."""
    for provider in all_providers:
        for extractor in provider.extractors or ():
            yield from (mapping.dest for mapping in extractor.mappings)
    for _, model in models():
        special = [variant.prices for variant in model.price_variants or ()]
        for prices in (*(one.prices for one in _conditional(model)), *special):
            yield from _priced(prices)


_ALL = frozenset(_reported())
KINDS = tuple(key for key in _UNITS.units if key in _ALL)


def _row(price: Price, used: Fraction) -> Row:
    unit = price.unit.rsplit("_", 1)[0].replace("_", " ")
    size = f", of requests above {price.above:,} input tokens" if price.above is not None else ""
    variant = f", {price.variant}" if price.variant else ""
    return {
        "price_id": price.price_id,
        "meter_id": METER,
        "description": f"{price.model} {unit}{variant}{size}",
        "currency": CURRENCY,
        "charge_model": "per_unit",
        "unit_amount": f"{_unit_amount(price.amount * used):f}",
        "filter": price.filter(),
        "filter_rest": "true" if price.is_rest else "",
        "valid_from": _midnight(price.valid_from),
        "valid_to": _midnight(price.valid_to),
    }


def _unit_amount(amount: Fraction) -> Decimal:
    """With as many decimal places as a catalogue has, rounded half up, without zeros at the end."""
    steps = math.floor(amount * 10**MONEY_PLACES + Fraction(1, 2))
    return Decimal(steps).scaleb(-MONEY_PLACES).normalize()


def _midnight(day: date | None) -> str:
    return f"{day}T00:00:00Z" if day else ""


def _left_out(chosen: Iterable[tuple[str, ModelInfo]]) -> Iterator[Remark]:
    for name, model in chosen:
        if reason := reason_to_leave_out(name, model):
            yield Remark("left_out", name, reason)


def _rounded(prices: Iterable[Price], used: Fraction) -> Iterator[Remark]:
    for price in prices:
        if Fraction(_unit_amount(price.amount * used)) != price.amount * used:
            text = f"a unit's price is rounded to {MONEY_PLACES} decimal places"
            yield Remark("rounded", price.price_id, text)


def _comments(chosen: Iterable[tuple[str, ModelInfo]]) -> Iterator[Remark]:
    for name, model in chosen:
        if model.price_comments:
            yield Remark("comment", name, " ".join(model.price_comments.split()))
