"""Text cells to typed records, and the state of every usage row: accepted, repeated, rejected.

What belongs here: section 3 of the contract, read literally. What does not: amounts.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from tests.property.tables import Cells, UsageRow, World
from tests.property.values import (
    DAY,
    fits_quantity,
    micros,
    read_decimal,
    read_instant,
    read_object,
    scalar_text,
)

FOREVER = 1 << 62  # later than every instant


@dataclass(frozen=True)
class Event:
    """An accepted event. Events sort by time, then file name, then row."""

    at: int
    source_file: str
    source_row: int
    event_id: str
    customer_id: str
    event_name: str
    quantity: Fraction
    properties: dict[str, object] = field(compare=False)

    @property
    def order(self) -> tuple[int, str, int]:
        return (self.at, self.source_file, self.source_row)


@dataclass(frozen=True)
class Rejection:
    """A rejected row. A row with several faults may be reported for any one of `reasons`."""

    source_file: str
    source_row: int
    reasons: frozenset[str]


@dataclass(frozen=True)
class Meter:
    meter_id: str
    event_name: str
    aggregation: str
    property: str
    carry_forward: bool


def is_gauge(meter: Meter) -> bool:
    """Whether its quantity is, rather than adds up over time."""
    levels = ("max", "latest", "time_weighted_average", "unique_count")
    return meter.aggregation in levels or re.fullmatch("p[0-9]+", meter.aggregation) is not None


@dataclass(frozen=True)
class Tier:
    up_to: Fraction | None
    unit_amount: Fraction
    flat_amount: Fraction
    percentage: Fraction


@dataclass(frozen=True)
class Price:
    """One row of prices.csv; rows of one price_id are its versions."""

    price_id: str
    plan_id: str
    meter: Meter | None
    currency: str
    model: str
    unit_amount: Fraction | None
    flat_amount: Fraction
    package_size: Fraction
    percentage: Fraction
    included: Fraction
    rounding: str
    minimum: Fraction | None
    maximum: Fraction | None
    filter: dict[str, str]
    timing: str
    prorate: bool
    valid_from: int
    valid_to: int
    tiers: tuple[Tier, ...]
    row: Cells = field(compare=False)


@dataclass(frozen=True)
class Subscription:
    subscription_id: str
    customer_id: str
    plan_id: str
    quantity: Fraction
    starts_at: int
    ends_at: int
    trial_ends_at: int
    coupon_id: str
    minimum: Fraction | None


@dataclass(frozen=True)
class Correction:
    customer_id: str
    event_name: str
    at: int
    quantity: Fraction
    properties: dict[str, object]


@dataclass
class Book:
    """All inputs, typed, for one billing month: usage up to and including that month's folder."""

    zone: ZoneInfo
    world: World
    meters: dict[str, Meter]
    prices: list[Price]
    subscriptions: list[Subscription]
    customers: dict[str, Cells]
    cycles: dict[str, str]
    coupons: dict[str, Cells]
    entitlements: dict[str, list[Cells]]  # by plan
    corrections: dict[tuple[str, str], list[Correction]]  # (customer, event name)
    events: dict[tuple[str, str], list[Event]]  # (customer, event name), in order of time
    rejections: dict[str, list[Rejection]]  # by month


def number(cell: str) -> Fraction | None:
    return read_decimal(cell) if cell else None


def amount(cell: str) -> Fraction:
    return read_decimal(cell) if cell else Fraction(0)


def flag(cell: str, default: bool) -> bool:
    return {"true": True, "false": False, "": default}[cell.lower()]


def month_edges(month: str, zone: ZoneInfo) -> tuple[int, int]:
    """The half-open window of `YYYY-MM` in microseconds."""
    year, index = int(month[:4]), int(month[5:7])
    first = datetime(year, index, 1, tzinfo=zone)
    following = datetime(year + index // 12, index % 12 + 1, 1, tzinfo=zone)
    return micros(first), micros(following)


def load(world: World, month: str, zone: ZoneInfo) -> Book:
    tables = world.tables
    meters = {
        row["meter_id"]: Meter(
            row["meter_id"],
            row["event_name"],
            row["aggregation"],
            row["property"],
            flag(row["carry_forward"], False),
        )
        for row in tables["meters"]
    }
    accepted, rejections = _usage(world, month, zone)
    events: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in sorted(accepted, key=lambda event: event.order):
        events[(event.customer_id, event.event_name)].append(event)
    corrections: dict[tuple[str, str], list[Correction]] = defaultdict(list)
    for row in tables["usage_corrections"]:
        corrections[(row["customer_id"], row["event_name"])].append(_correction(row, zone))
    tiers: dict[str, list[Tier]] = defaultdict(list)
    for row in tables["price_tiers"]:
        tiers[row["price_id"]].append(_tier(row))
    entitlements: dict[str, list[Cells]] = defaultdict(list)
    for row in tables["entitlements"]:
        entitlements[row["plan_id"]].append(row)
    customers = {row["customer_id"]: row for row in tables["customers"]}
    return Book(
        zone=zone,
        world=world,
        meters=meters,
        prices=[_price(row, tiers[row["price_id"]], meters, zone) for row in tables["prices"]],
        subscriptions=_subscriptions(world, zone),
        customers=customers,
        cycles={row["plan_id"]: row["billing_cycle"] for row in tables["plans"]},
        coupons={row["coupon_id"]: row for row in tables["coupons"]},
        entitlements=entitlements,
        corrections=corrections,
        events=events,
        rejections=rejections,
    )


def _tier(row: Cells) -> Tier:
    amounts = (row["unit_amount"], row["flat_amount"], row["percentage"])
    return Tier(number(row["up_to"]), *map(amount, amounts))


def _price(row: Cells, tiers: list[Tier], meters: dict[str, Meter], zone: ZoneInfo) -> Price:
    texts = {key: scalar_text(value) for key, value in read_object(row["filter"] or "{}").items()}
    meter = meters[row["meter_id"]] if row["meter_id"] else None
    return Price(
        price_id=row["price_id"],
        plan_id=row["plan_id"],
        meter=meter,
        currency=row["currency"].upper(),
        model=row["charge_model"],
        unit_amount=number(row["unit_amount"]),
        flat_amount=amount(row["flat_amount"]),
        package_size=amount(row["package_size"]),
        percentage=amount(row["percentage"]),
        included=amount(row["included_quantity"]),
        rounding=row["quantity_rounding"] or "none",
        minimum=number(row["minimum_amount"]),
        maximum=number(row["maximum_amount"]),
        filter={key: text for key, text in texts.items() if text is not None},
        timing=row["timing"] or "arrears",
        prorate=flag(row["prorate"], default=meter is None or is_gauge(meter)),
        valid_from=read_instant(row["valid_from"], zone) if row["valid_from"] else -FOREVER,
        valid_to=read_instant(row["valid_to"], zone) if row["valid_to"] else FOREVER,
        tiers=tuple(tiers),
        row=row,
    )


def _subscriptions(world: World, zone: ZoneInfo) -> list[Subscription]:
    """Subscriptions with their trials: a plan's trial_days are for a customer's first one."""
    trial_days = {row["plan_id"]: int(row["trial_days"] or 0) for row in world.tables["plans"]}
    first: dict[str, tuple[int, str]] = {}
    for row in world.tables["subscriptions"]:
        key = (read_instant(row["starts_at"], zone), row["subscription_id"])
        first[row["customer_id"]] = min(first.get(row["customer_id"], key), key)
    subscriptions = []
    for row in world.tables["subscriptions"]:
        starts_at = read_instant(row["starts_at"], zone)
        trial_ends_at = starts_at
        if row["trial_ends_at"]:
            trial_ends_at = read_instant(row["trial_ends_at"], zone)
        elif first[row["customer_id"]] == (starts_at, row["subscription_id"]):
            trial_ends_at = starts_at + trial_days[row["plan_id"]] * DAY
        subscriptions.append(
            Subscription(
                subscription_id=row["subscription_id"],
                customer_id=row["customer_id"],
                plan_id=row["plan_id"],
                quantity=read_decimal(row["quantity"] or "1"),
                starts_at=starts_at,
                ends_at=read_instant(row["ends_at"], zone) if row["ends_at"] else FOREVER,
                trial_ends_at=max(trial_ends_at, starts_at),
                coupon_id=row["coupon_id"],
                minimum=number(row["minimum_amount"]),
            )
        )
    return subscriptions


def _correction(row: Cells, zone: ZoneInfo) -> Correction:
    return Correction(
        row["customer_id"],
        row["event_name"],
        read_instant(row["occurred_at"], zone),
        read_decimal(row["quantity"]),
        read_object(row["properties"] or "{}"),
    )


# --- usage -----------------------------------------------------------------------------------


def _usage(
    world: World, month: str, zone: ZoneInfo
) -> tuple[list[Event], dict[str, list[Rejection]]]:
    """Every row of every folder up to the month, judged one after the other."""
    names = {row["event_name"] for row in world.tables["meters"] if row["event_name"]}
    customers = {row["customer_id"] for row in world.tables["customers"]}
    rows = [entry for entry in world.numbered_usage() if entry[2].month <= month]
    rows.sort(key=lambda entry: entry[:2])
    accepted: list[Event] = []
    rejections: dict[str, list[Rejection]] = defaultdict(list)
    seen: dict[tuple[str, str], object] = {}
    for source_file, source_row, row in rows:
        event, faults = judge(row, source_file, source_row, zone, customers, names)
        if event is not None:
            content = _content(event)
            first = seen.setdefault((row.month, event.event_id), content)
            if first is content:
                accepted.append(event)
            elif first != content:
                faults = {"conflicting_duplicate"}
        if faults:
            rejection = Rejection(source_file, source_row, frozenset(faults))
            rejections[row.month].append(rejection)
    return accepted, rejections


def _content(event: Event) -> object:
    """The content that two rows must share to be the same event."""
    properties = json.dumps(event.properties, sort_keys=True)
    kinds = sorted((key, type(value).__name__) for key, value in event.properties.items())
    names = (event.customer_id, event.event_name)
    return (*names, event.at, event.quantity, properties, tuple(kinds))


def judge(
    row: UsageRow,
    source_file: str,
    source_row: int,
    zone: ZoneInfo,
    customers: set[str],
    event_names: set[str],
) -> tuple[Event | None, set[str]]:
    """The event, or all reasons for which the row cannot be one."""
    if row.cells is None:
        return None, {"malformed_row"}
    cells = row.cells
    faults = set(_id_faults(cells, customers, event_names))
    at, quantity, properties = 0, Fraction(1), {}
    if not cells["occurred_at"]:
        faults.add("missing_timestamp")
    else:
        try:
            at = read_instant(cells["occurred_at"], zone)
            start, end = month_edges(row.month, zone)
            if not start <= at < end:
                faults.add("outside_month")
        except ValueError:
            faults.add("invalid_timestamp")
    try:
        quantity = read_decimal(cells["quantity"] or "1")
        if not fits_quantity(quantity):
            faults.add("quantity_out_of_range")
        if quantity < 0:
            faults.add("negative_quantity")
    except ValueError:
        faults.add("invalid_quantity")
    try:
        properties = read_object(cells["properties"] or "{}")
    except ValueError:
        faults.add("invalid_properties")
    if faults:
        return None, faults
    ids = (cells["event_id"], cells["customer_id"], cells["event_name"])
    return Event(at, source_file, source_row, *ids, quantity, properties), faults


def _id_faults(cells: Cells, customers: set[str], event_names: set[str]) -> Iterator[str]:
    if not cells["event_id"]:
        yield "missing_event_id"
    if not cells["customer_id"]:
        yield "missing_customer_id"
    elif cells["customer_id"] not in customers:
        yield "unknown_customer"
    if not cells["event_name"]:
        yield "missing_event_name"
    elif cells["event_name"] not in event_names:
        yield "unknown_event_name"
