"""Text cells to typed records, and the state of every usage row: accepted, repeated, rejected.

What belongs here: section 3 of the contract, read literally. What does not: amounts.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

from tests.property.tables import Cells, UsageRow, World
from tests.property.values import (
    DAY,
    fits_quantity,
    micros,
    read_decimal,
    read_instant,
    read_object,
)

FOREVER = 1 << 62  # later than every instant
COSTS = ""  # in `Book.prices`, in place of a plan: what usage costs


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
    subscription_id: str = ""  # empty: it counts for every subscription of the customer

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
    group_by: tuple[str, ...] = ()
    bucket: str = ""
    event_rounding: Fraction | None = None


def is_gauge(meter: Meter) -> bool:
    """Whether its quantity is, rather than adds up over time."""
    levels = ("max", "latest", "time_weighted_average", "unique_count")
    is_level = meter.aggregation in levels or percentile(meter) is not None
    return is_level and not meter.bucket


def percentile(meter: Meter) -> int | None:
    """The 95 of `p95`; None for another aggregation."""
    found = re.fullmatch("p([0-9]+)", meter.aggregation)
    return int(found[1]) if found else None


@dataclass(frozen=True)
class Tier:
    up_to: Fraction | None
    unit_amount: Fraction
    flat_amount: Fraction
    percentage: Fraction


@dataclass(frozen=True)
class Price:
    """One row of prices.csv as one plan has it; rows of one price_id are its versions.

    If the plan has it from the plan that it is based on, and replaces it for a time, `valid_from`
    and `valid_to` are a time in which it does not.
    """

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
    filter: dict[str, object]
    timing: str
    prorate: bool
    valid_from: int
    valid_to: int
    tiers: tuple[Tier, ...]
    row: Cells = field(compare=False)
    interval: str = ""
    included_per: str = ""
    is_rest: bool = False
    event_minimum: Fraction | None = None
    event_maximum: Fraction | None = None
    free_events: int = 0
    tax_code: str = ""
    replaces: str = ""


@dataclass(frozen=True)
class Version:
    """One row of subscriptions.csv."""

    plan_id: str
    quantity: Fraction
    starts_at: int
    ends_at: int
    coupon_ids: tuple[str, ...]
    minimum: Fraction | None


@dataclass(frozen=True)
class Subscription:
    """Rows of one subscription_id that follow one another without a gap."""

    subscription_id: str
    customer_id: str
    versions: tuple[Version, ...]
    trial_ends_at: int  # not before `starts_at`

    @property
    def starts_at(self) -> int:
        return self.versions[0].starts_at

    @property
    def ends_at(self) -> int:
        return self.versions[-1].ends_at


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
    prices: dict[str, list[Price]]  # by plan, with those of the plan that it is based on
    costs: list[Price]  # of the plan COSTS
    subscriptions: list[Subscription]
    customers: dict[str, Cells]  # as they are in the month's last instant
    cycles: dict[str, str]  # by plan
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
    accepted, rejections = _usage(world, month, zone)
    events: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in sorted(accepted, key=lambda event: event.order):
        events[(event.customer_id, event.event_name)].append(event)
    corrections: dict[tuple[str, str], list[Correction]] = defaultdict(list)
    for row in tables["usage_corrections"]:
        corrections[(row["customer_id"], row["event_name"])].append(_correction(row, zone))
    meters = {row["meter_id"]: _meter(row) for row in tables["meters"]}
    plans = {row["plan_id"]: row for row in tables["plans"]}
    costs = _costs(meters, world, zone)
    return Book(
        zone=zone,
        world=world,
        meters=meters,
        prices={plan_id: _prices(plan_id, plans, meters, world, zone) for plan_id in plans}
        | {COSTS: costs},
        costs=costs,
        subscriptions=_subscriptions(world, zone),
        customers=customers_at(world, month_edges(month, zone)[1] - 1, zone),
        cycles={plan_id: _of_plan(plan_id, "billing_cycle", plans) for plan_id in plans},
        coupons={row["coupon_id"]: row for row in tables["coupons"]},
        entitlements={plan_id: _entitlements(plan_id, plans, world) for plan_id in plans},
        corrections=corrections,
        events=events,
        rejections=rejections,
    )


# --- customers -------------------------------------------------------------------------------


DATED = ("country", "region", "currency", "tax_exempt", "bill_to", "is_payer")


def customers_at(world: World, instant: int, zone: ZoneInfo) -> dict[str, Cells]:
    """What is dated is that of the row valid at the instant, the first before it; else newest."""
    rows: dict[str, list[tuple[int, Cells]]] = defaultdict(list)
    for row in world.tables["customers"]:
        since = row.get("valid_from", "")
        valid_from = read_instant(since, zone) if since else -FOREVER
        rows[row["customer_id"]].append((valid_from, row))
    customers = {}
    for customer_id, dated in rows.items():
        dated.sort(key=lambda pair: pair[0])
        valid = [row for valid_from, row in dated if valid_from <= instant] or [dated[0][1]]
        newest = dated[-1][1]
        at_the_time = {name: valid[-1].get(name, "") for name in DATED}
        customers[customer_id] = newest | at_the_time
    return customers


# --- plans and prices ------------------------------------------------------------------------


def _of_plan(plan_id: str, column: str, plans: dict[str, Cells]) -> str:
    """A cell of the plan, or if it is empty of the plan that it is based on."""
    row = plans[plan_id]
    base = row.get("based_on", "")
    return row[column] or (_of_plan(base, column, plans) if base else "")


def _entitlements(plan_id: str, plans: dict[str, Cells], world: World) -> list[Cells]:
    own = [row for row in world.tables["entitlements"] if row["plan_id"] == plan_id]
    base = plans[plan_id].get("based_on", "")
    replaced = {row.get("replaces", "") for row in own}
    inherited = _entitlements(base, plans, world) if base else []
    return own + [row | {"plan_id": plan_id} for row in inherited if row["feature"] not in replaced]


def _prices(
    plan_id: str,
    plans: dict[str, Cells],
    meters: dict[str, Meter],
    world: World,
    zone: ZoneInfo,
) -> list[Price]:
    """The plan's own prices, and those of the plan that it is based on while it has them."""
    rows = [row for row in world.tables["prices"] if row["plan_id"] == plan_id]
    own = [_price(row, meters, world.tables["price_tiers"], zone) for row in rows]
    base = plans[plan_id].get("based_on", "")
    inherited = _prices(base, plans, meters, world, zone) if base else []
    kept = []
    for price in inherited:
        times = [(price.valid_from, price.valid_to)]
        for other in own:
            if other.replaces == price.price_id:
                times = [part for time in times for part in _without(time, other)]
        kept += [
            replace(price, plan_id=plan_id, valid_from=start, valid_to=end) for start, end in times
        ]
    return own + kept


def _costs(meters: dict[str, Meter], world: World, zone: ZoneInfo) -> list[Price]:
    """Rows as those of prices, of no plan."""
    tiers = world.tables["cost_price_tiers"]
    rows = [row | {"plan_id": COSTS} for row in world.tables["cost_prices"]]
    return [_price(row, meters, tiers, zone) for row in rows]


def _without(time: tuple[int, int], price: Price) -> list[tuple[int, int]]:
    """What the validity of `price` leaves of a half-open time."""
    start, end = time
    parts = [(start, min(end, price.valid_from)), (max(start, price.valid_to), end)]
    return [part for part in parts if part[0] < part[1]]


def _meter(row: Cells) -> Meter:
    return Meter(
        row["meter_id"],
        row["event_name"],
        row["aggregation"],
        row["property"],
        flag(row["carry_forward"], False),
        listed(row.get("group_by", "")),
        row.get("bucket", ""),
        number(row.get("event_rounding", "")),
    )


def listed(cell: str) -> tuple[str, ...]:
    """The texts of a cell that are separated by `;`, in their order."""
    return tuple(part.strip() for part in cell.split(";") if part.strip())


def _tiers(row: Cells, tiers: list[Cells], zone: ZoneInfo) -> list[Tier]:
    """The tiers that name this version of the price, or if there are none those without one."""
    version = read_instant(row["valid_from"], zone) if row["valid_from"] else None
    own, common = [], []
    for tier in tiers:
        if tier["price_id"] == row["price_id"]:
            named = tier.get("valid_from", "")
            if not named:
                common.append(_tier(tier))
            elif read_instant(named, zone) == version:
                own.append(_tier(tier))
    return own or common


def _tier(row: Cells) -> Tier:
    amounts = (row["unit_amount"], row["flat_amount"], row["percentage"])
    return Tier(number(row["up_to"]), *map(amount, amounts))


def _price(row: Cells, meters: dict[str, Meter], tiers: list[Cells], zone: ZoneInfo) -> Price:
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
        filter=read_object(row["filter"] or "{}"),
        timing=row["timing"] or "arrears",
        prorate=flag(row["prorate"], default=meter is None or is_gauge(meter)),
        valid_from=read_instant(row["valid_from"], zone) if row["valid_from"] else -FOREVER,
        valid_to=read_instant(row["valid_to"], zone) if row["valid_to"] else FOREVER,
        tiers=tuple(_tiers(row, tiers, zone)),
        row=row,
        interval=row.get("interval", ""),
        included_per=row.get("included_per", ""),
        is_rest=flag(row.get("filter_rest", ""), False),
        event_minimum=number(row.get("event_minimum_amount", "")),
        event_maximum=number(row.get("event_maximum_amount", "")),
        free_events=int(row.get("free_events", "") or 0),
        tax_code=row.get("tax_code", ""),
        replaces=row.get("replaces", ""),
    )


# --- subscriptions ---------------------------------------------------------------------------


def _subscriptions(world: World, zone: ZoneInfo) -> list[Subscription]:
    """Subscriptions with their trials: a plan's trial_days are for a customer's first one."""
    plans = {row["plan_id"]: row for row in world.tables["plans"]}
    chains = _chains(world, zone)
    first: dict[str, tuple[int, str]] = {}
    for chain in chains:
        key = (read_instant(chain[0]["starts_at"], zone), chain[0]["subscription_id"])
        customer_id = chain[0]["customer_id"]
        first[customer_id] = min(first.get(customer_id, key), key)
    subscriptions = []
    for chain in chains:
        row = chain[0]
        starts_at = read_instant(row["starts_at"], zone)
        trial_ends_at = starts_at
        if row["trial_ends_at"]:
            trial_ends_at = read_instant(row["trial_ends_at"], zone)
        elif first[row["customer_id"]] == (starts_at, row["subscription_id"]):
            days = _of_plan(row["plan_id"], "trial_days", plans)
            trial_ends_at = starts_at + int(days or 0) * DAY
        subscriptions.append(
            Subscription(
                subscription_id=row["subscription_id"],
                customer_id=row["customer_id"],
                versions=tuple(_version(version, zone) for version in chain),
                trial_ends_at=max(trial_ends_at, starts_at),
            )
        )
    return subscriptions


def _chains(world: World, zone: ZoneInfo) -> list[list[Cells]]:
    """Rows of one id, each of which begins in the instant in which the one before it ends."""
    rows: dict[str, list[Cells]] = defaultdict(list)
    for row in world.tables["subscriptions"]:
        rows[row["subscription_id"]].append(row)
    chains: list[list[Cells]] = []
    for versions in rows.values():
        versions.sort(key=lambda row: read_instant(row["starts_at"], zone))
        chains.append([versions[0]])
        for before, row in pairwise(versions):
            ended = before["ends_at"] and read_instant(before["ends_at"], zone)
            if ended == read_instant(row["starts_at"], zone):
                chains[-1].append(row)
            else:
                chains.append([row])
    return chains


def _version(row: Cells, zone: ZoneInfo) -> Version:
    return Version(
        plan_id=row["plan_id"],
        quantity=read_decimal(row["quantity"] or "1"),
        starts_at=read_instant(row["starts_at"], zone),
        ends_at=read_instant(row["ends_at"], zone) if row["ends_at"] else FOREVER,
        coupon_ids=listed(row["coupon_id"]),
        minimum=number(row["minimum_amount"]),
    )


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
    owners = {row["subscription_id"]: row["customer_id"] for row in world.tables["subscriptions"]}
    rows = [entry for entry in world.numbered_usage() if entry[2].month <= month]
    rows.sort(key=lambda entry: entry[:2])
    accepted: list[Event] = []
    rejections: dict[str, list[Rejection]] = defaultdict(list)
    seen: dict[tuple[str, str], object] = {}
    for source_file, source_row, row in rows:
        event, faults = judge(row, source_file, source_row, zone, customers, names, owners)
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
    names = (event.customer_id, event.event_name, event.subscription_id)
    return (*names, event.at, event.quantity, properties, tuple(kinds))


def judge(
    row: UsageRow,
    source_file: str,
    source_row: int,
    zone: ZoneInfo,
    customers: set[str],
    event_names: set[str],
    owners: dict[str, str],
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
    subscription_id = cells.get("subscription_id", "")
    if subscription_id and owners.get(subscription_id) != cells["customer_id"]:
        faults.add("unknown_subscription")
    if faults:
        return None, faults
    ids = (cells["event_id"], cells["customer_id"], cells["event_name"])
    return Event(at, source_file, source_row, *ids, quantity, properties, subscription_id), faults


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
