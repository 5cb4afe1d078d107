"""One meter's quantity of one customer in one window: every aggregation, event by event.

What belongs here: which events count, and what they add up to. What does not: windows
(periods.py), prices (pricing.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tests.property.intake import Book, Event, Meter
from tests.property.values import scalar_number, scalar_text


@dataclass(frozen=True)
class Metered:
    """`quantity` may be negative where corrections take more than there was."""

    quantity: Fraction
    event_count: int


def matches(wanted: dict[str, str], properties: dict[str, object]) -> bool:
    return all(scalar_text(properties.get(key)) == text for key, text in wanted.items())


def value_of(meter: Meter, event: Event) -> Fraction | str | None:
    """The value that this meter reads from an event; None if it is unusable and does not count."""
    if meter.aggregation == "count":
        return Fraction(1)
    if meter.aggregation == "unique_count":
        if not meter.property:
            return f"{event.quantity}"
        return scalar_text(event.properties.get(meter.property))
    if not meter.property:
        return event.quantity
    return scalar_number(event.properties.get(meter.property))


def measure(
    book: Book,
    meter: Meter,
    customer_id: str,
    wanted: dict[str, str],
    start: int,
    end: int,
    period_start: int,
) -> Metered:
    """The meter over [start, end), for events whose properties match `wanted`.

    A gauge's value from before `start` goes on if it is of the same billing period, which began at
    `period_start`; from before that, if the meter carries forward.
    """
    inside: list[tuple[int, Fraction | str]] = []
    carried: Fraction | None = None
    for event in book.events.get((customer_id, meter.event_name), []):
        if event.at >= end or not matches(wanted, event.properties):
            continue
        value = value_of(meter, event)
        if value is None:
            continue
        if event.at >= start:
            inside.append((event.at, value))
        elif (meter.carry_forward or event.at >= period_start) and isinstance(value, Fraction):
            carried = value  # events are in order: the last one before the window stays
    quantity = _aggregate(meter.aggregation, inside, carried, start, end)
    if meter.aggregation in ("count", "sum"):
        for correction in book.corrections.get((customer_id, meter.event_name), []):
            if start <= correction.at < end and matches(wanted, correction.properties):
                quantity += correction.quantity
    return Metered(quantity, len(inside))


def _aggregate(
    aggregation: str,
    inside: list[tuple[int, Fraction | str]],
    carried: Fraction | None,
    start: int,
    end: int,
) -> Fraction:
    if aggregation == "count":
        return Fraction(len(inside))
    if aggregation == "unique_count":
        return Fraction(len({value for _, value in inside}))
    numbers = [(at, value) for at, value in inside if isinstance(value, Fraction)]
    values = [value for _, value in numbers]
    if aggregation == "sum":
        return sum(values, Fraction(0))
    if aggregation == "p95":
        # Nearest rank: the ceil(0.95 n)-th smallest of n.
        return sorted(values)[-(-95 * len(values) // 100) - 1] if values else Fraction(0)
    if aggregation == "max":
        return max([*values, *([] if carried is None else [carried])], default=Fraction(0))
    if aggregation == "latest":
        return values[-1] if values else carried or Fraction(0)
    if aggregation == "time_weighted_average":
        return _average(numbers, carried or Fraction(0), start, end)
    raise NotImplementedError(aggregation)


def _average(
    changes: list[tuple[int, Fraction]], opening: Fraction, start: int, end: int
) -> Fraction:
    """Each value holds until the next change; the first until the first change is `opening`."""
    total, value, since = Fraction(0), opening, start
    for at, changed in changes:
        total += value * (at - since)
        value, since = changed, at
    total += value * (end - since)
    return total / (end - start)
