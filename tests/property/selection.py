"""Which events a price reads: filters, lists, bounds, and the rest that no other price reads.

What belongs here: whether properties match. What does not: what the events add up to
(metering.py).
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from tests.property.intake import Book, Price
from tests.property.values import read_decimal, scalar_text

Properties = dict[str, object]
Reads = Callable[[int, Properties], bool]  # whether something of this instant is read


def matches(wanted: dict[str, object], properties: Properties) -> bool:
    """Whether the properties have all that a filter wants. JSON null in a filter wants nothing."""
    return all(
        _has(value, properties.get(key)) for key, value in wanted.items() if value is not None
    )


def _has(wanted: object, value: object) -> bool:
    if isinstance(wanted, list):
        return scalar_text(value) is not None and scalar_text(value) in map(scalar_text, wanted)
    if isinstance(wanted, dict):
        return _within(wanted, value)
    return scalar_text(value) == scalar_text(wanted)


def _within(bounds: dict[str, object], value: object) -> bool:
    """`above` is exclusive, `up_to` inclusive; what is no number is in no bounds."""
    number = _number(value)
    if number is None:
        return False
    above, up_to = _number(bounds.get("above")), _number(bounds.get("up_to"))
    return (above is None or number > above) and (up_to is None or number <= up_to)


def _number(value: object) -> Fraction | None:
    if not isinstance(value, str):  # a JSON number is one too
        return None
    try:
        return read_decimal(value)
    except ValueError:
        return None


def reads(book: Book, price: Price) -> Reads:
    """What a price of a plan reads of its meter."""
    others = [
        other
        for other in book.prices[price.plan_id]
        if price.is_rest
        and other.price_id != price.price_id
        and other.meter == price.meter
        and wants_something(other)
        and not other.is_rest
    ]

    def read(at: int, properties: Properties) -> bool:
        return matches(price.filter, properties) and not any(
            other.valid_from <= at < other.valid_to and matches(other.filter, properties)
            for other in others
        )

    return read


def wants_something(price: Price) -> bool:
    return any(value is not None for value in price.filter.values())


def everything(at: int, properties: Properties) -> bool:
    del at, properties
    return True
