"""One meter's quantity of one subscription in one window: every aggregation, reading by reading.

What belongs here: what the events and corrections that are read add up to. What does not: which
ones are read (selection.py), windows (periods.py), prices (pricing.py).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

from tests.property.intake import Book, Correction, Event, Meter, percentile
from tests.property.selection import Reads
from tests.property.values import DAY, instant_of, round_up_to, scalar_number, scalar_text

ADDITIVE = ("count", "sum", "counter")
CARRIED = ("max", "latest", "time_weighted_average", "gauge_hours")
HOUR = DAY // 24
ZERO = Fraction(0)
Group = tuple[str | None, ...]


@dataclass(frozen=True)
class Reading:
    """A value that a meter read; of a counter, an increase."""

    at: int
    value: Fraction | str
    group: Group
    properties: dict[str, object]
    event: Event | None  # None: a correction is the reading


@dataclass(frozen=True)
class Metered:
    """`quantity` may be negative where corrections take more than there was.

    `events` are those that count, `correction` is what corrections add to them.
    """

    quantity: Fraction
    event_count: int
    events: tuple[Reading, ...] = ()
    correction: Fraction = ZERO


def value_of(meter: Meter, event: Event) -> Fraction | str | None:
    """The value that this meter reads from an event; None if it is unusable and does not count."""
    if meter.aggregation == "count":
        return Fraction(1)
    if meter.aggregation == "unique_count":
        if not meter.property:
            return f"{event.quantity}"
        return scalar_text(event.properties.get(meter.property))
    if not meter.property:
        found: Fraction | None = event.quantity
    else:
        found = scalar_number(event.properties.get(meter.property))
    if found is not None and meter.event_rounding:
        return round_up_to(found, meter.event_rounding)
    return found


def group_of(meter: Meter, properties: dict[str, object]) -> Group:
    return tuple(scalar_text(properties.get(name)) for name in meter.group_by)


def measure(
    book: Book,
    meter: Meter,
    customer_id: str,
    subscription_id: str | None,
    reads: Reads,
    start: int,
    end: int,
    period_start: int,
    *,
    unnamed: bool = True,
) -> Metered:
    """The meter over [start, end), for what it reads.

    Events that name a subscription count for that one only; without a `subscription_id` (an
    entitlement is the customer's) all of them count. `unnamed`: whether what names none counts. A
    gauge's value from before `start` goes on if it is of the same billing period, which began at
    `period_start`; from before that, if the meter carries forward.
    """
    found = _readings(book, meter, customer_id, subscription_id, unnamed)
    found = [row for row in found if row.at < end and reads(row.at, row.properties)]
    inside = [row for row in found if row.at >= start]
    known_since = period_start if not meter.bucket else start
    before = [
        row for row in found if row.at < start and (meter.carry_forward or row.at >= known_since)
    ]
    if meter.bucket:
        edges = _buckets(meter.bucket, start, end, book.zone)
        quantity = sum((_in_bucket(meter, before, inside, *edge) for edge in edges), ZERO)
    else:
        quantity = _by_group(meter, before, inside, start, end)
    correction = ZERO
    if meter.aggregation in ADDITIVE and unnamed:
        for row in book.corrections.get((customer_id, meter.event_name), []):
            if start <= row.at < end and reads(row.at, row.properties):
                correction += row.quantity
    events = tuple(row for row in inside if row.event is not None)
    return Metered(quantity + correction, len(events), events, correction)


# --- readings --------------------------------------------------------------------------------


def _readings(
    book: Book, meter: Meter, customer_id: str, subscription_id: str | None, unnamed: bool
) -> list[Reading]:
    """All that the meter ever read, in order of time."""
    readings = []
    for event in book.events.get((customer_id, meter.event_name), []):
        value = value_of(meter, event)
        is_for_it = (
            subscription_id is None
            or event.subscription_id == subscription_id
            or (unnamed and not event.subscription_id)
        )
        if value is not None and is_for_it:
            group = group_of(meter, event.properties)
            readings.append(Reading(event.at, value, group, event.properties, event))
    if meter.aggregation == "counter":
        return _increases(readings)
    if unnamed and not _is_added(book, meter):
        corrections = book.corrections.get((customer_id, meter.event_name), [])
        readings += [row for c in corrections if (row := _as_reading(meter, c)) is not None]
        readings.sort(key=lambda row: row.at)  # corrections after events of their instant
    return readings


def _increases(readings: list[Reading]) -> list[Reading]:
    """Of each named subscription and group: what each reading adds to the one before it."""
    last: dict[tuple[str, Group], Fraction] = {}
    increases = []
    for row in readings:
        assert row.event is not None
        assert isinstance(row.value, Fraction)
        series = (row.event.subscription_id, row.group)
        if series in last:
            before = last[series] if row.value >= last[series] else ZERO
            increases.append(replace(row, value=row.value - before))
        last[series] = row.value
    return increases


def _is_added(book: Book, meter: Meter) -> bool:
    """Whether corrections of the meter's event name are additions and not readings."""
    return any(
        other.event_name == meter.event_name and other.aggregation in ADDITIVE
        for other in book.meters.values()
    )


def _as_reading(meter: Meter, correction: Correction) -> Reading | None:
    value: Fraction | str | None = correction.quantity
    if meter.aggregation == "unique_count":
        value = f"{correction.quantity}"
        if meter.property:
            value = scalar_text(correction.properties.get(meter.property))
    if value is None:
        return None
    properties = correction.properties
    return Reading(correction.at, value, group_of(meter, properties), properties, None)


def _corrected(readings: list[Reading]) -> list[Reading]:
    """Of one group: a correction is in place of what was read in its instant; its last row is."""
    corrected: dict[int, Reading] = {row.at: row for row in readings if row.event is None}
    kept = [row for row in readings if row.at not in corrected]
    return sorted([*kept, *corrected.values()], key=lambda row: row.at)


# --- aggregations ----------------------------------------------------------------------------


def _in_bucket(
    meter: Meter, before: list[Reading], inside: list[Reading], start: int, end: int
) -> Fraction:
    """One bucket, or the part of it that is in the window."""
    earlier = [row for row in inside if row.at < start] if meter.carry_forward else []
    within = [row for row in inside if start <= row.at < end]
    return _by_group(meter, [*before, *earlier], within, start, end)


def _by_group(
    meter: Meter, before: list[Reading], inside: list[Reading], start: int, end: int
) -> Fraction:
    """The sum over the groups of their aggregations."""
    groups: dict[Group, tuple[list[Reading], list[Reading]]] = defaultdict(lambda: ([], []))
    for row in before:
        groups[row.group][0].append(row)
    for row in inside:
        groups[row.group][1].append(row)
    total = ZERO
    for earlier, within in groups.values():
        carried: Fraction | None = None
        if meter.aggregation in CARRIED and earlier:
            last = _corrected(earlier)[-1].value
            assert isinstance(last, Fraction)
            carried = last
        total += _aggregate(meter, _corrected(within), carried, start, end)
    return total


def _aggregate(
    meter: Meter, inside: list[Reading], carried: Fraction | None, start: int, end: int
) -> Fraction:
    aggregation = meter.aggregation
    if aggregation == "count":
        return Fraction(len(inside))
    if aggregation == "unique_count":
        return Fraction(len({row.value for row in inside}))
    numbers = [(row.at, row.value) for row in inside if isinstance(row.value, Fraction)]
    values = [value for _, value in numbers]
    if aggregation in ("sum", "counter"):
        return sum(values, ZERO)
    rank = percentile(meter)
    if rank is not None:
        # Nearest rank: the ceil(0.95 n)-th smallest of n.
        return sorted(values)[-(-rank * len(values) // 100) - 1] if values else ZERO
    if aggregation == "max":
        return max([*values, *([] if carried is None else [carried])], default=ZERO)
    if aggregation == "latest":
        return values[-1] if values else carried or ZERO
    held = _held(numbers, carried or ZERO, start, end)
    if aggregation == "time_weighted_average":
        return held / (end - start)
    if aggregation == "gauge_hours":
        return held / HOUR
    raise NotImplementedError(aggregation)


def _held(changes: list[tuple[int, Fraction]], opening: Fraction, start: int, end: int) -> Fraction:
    """Each value times the microseconds until the next; until the first change it is `opening`."""
    total, value, since = ZERO, opening, start
    for at, changed in changes:
        total += value * (at - since)
        value, since = changed, at
    return total + value * (end - since)


# --- buckets ---------------------------------------------------------------------------------


@lru_cache(maxsize=1000)
def _buckets(bucket: str, start: int, end: int, zone: ZoneInfo) -> tuple[tuple[int, int], ...]:
    """The hours or days of the zone that [start, end) touches, cut to it.

    Offsets of all zones are multiples of a quarter of an hour, so no quarter is in two buckets. An
    hour that the clock repeats has two offsets, and is two.
    """
    quarter = HOUR // 4
    starts: list[int] = []
    current: object = None
    for at in range(start // quarter * quarter, end, quarter):
        local = instant_of(at).astimezone(zone)
        name = (local.date(), local.hour, local.utcoffset()) if bucket == "hour" else local.date()
        if name != current:
            starts.append(max(at, start))
            current = name
    return tuple(zip(starts, [*starts[1:], end], strict=True))
