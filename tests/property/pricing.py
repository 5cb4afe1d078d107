"""One price applied to one quantity: rounding, included units, the charge model, bounds.

What belongs here: the table of charge models in section 3 of the contract. What does not: where
the quantity comes from (metering.py), and rounding to the minor unit (oracle.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from tests.property.intake import Price, is_gauge
from tests.property.metering import Metered

ZERO = Fraction(0)
ONE = Fraction(1)


@dataclass(frozen=True)
class TierPart:
    """One entered tier: its quantity and its part of the model's amount."""

    position: int
    from_quantity: Fraction
    up_to: Fraction | None
    quantity: Fraction
    exact: Fraction


@dataclass(frozen=True)
class Priced:
    billable: Fraction
    before_bounds: Fraction
    exact: Fraction
    tiers: tuple[TierPart, ...]


def price_usage(price: Price, found: Metered, share: Fraction, seats: Fraction = ONE) -> Priced:
    """A usage price; `share` is the part's share of the billing period (1: not prorated).

    It scales the amount of a gauge, its bounds included, and the included quantity, minimum and
    maximum of what adds up over time. `seats`: the subscription's quantity.
    """
    quantity = max(found.quantity, ZERO)
    is_whole = price.meter is not None and is_gauge(price.meter)
    scale = ONE if is_whole else share
    billable = billable_quantity(price, quantity, scale, seats)
    amount, tiers = model_amount(price, billable, found.event_count)
    if charges_by_event(price):
        amount = event_amounts(price, found)
    exact = bounded(price, amount, scale) * (share if is_whole else ONE)
    return Priced(billable, amount, exact, tiers)


def price_recurring(price: Price, quantity: Fraction, share: Fraction) -> Priced:
    """A recurring fee: the whole period's amount, times the share (1: not prorated)."""
    billable = billable_quantity(price, quantity, ONE, quantity)
    amount, tiers = model_amount(price, billable, 0)
    return Priced(billable, amount, bounded(price, amount, ONE) * share, tiers)


def billable_quantity(
    price: Price, quantity: Fraction, share: Fraction, seats: Fraction
) -> Fraction:
    rounded = round_whole(max(quantity, ZERO), price.rounding)
    included = price.included * (seats if price.included_per == "seat" else ONE)
    return max(rounded - included * share, ZERO)


def charges_by_event(price: Price) -> bool:
    return (
        price.event_minimum is not None or price.event_maximum is not None or price.free_events > 0
    )


def event_amounts(price: Price, found: Metered) -> Fraction:
    """A percentage of each event within its own bounds; the first ones may be free.

    Corrections are charged at the plain percentage, and take off no more than there is; as without
    bounds, each event's flat amount stays due.
    """
    rate = price.percentage / 100
    amount, fees = found.correction * rate, ZERO
    in_order = sorted(
        found.events, key=lambda row: (row.at, row.event.event_id if row.event else "")
    )
    for row in in_order[price.free_events :]:
        assert isinstance(row.value, Fraction)
        part = row.value * rate
        if price.event_minimum is not None:
            part = max(part, price.event_minimum)
        if price.event_maximum is not None:
            part = min(part, price.event_maximum)
        amount += part
        fees += price.flat_amount
    return max(amount, ZERO) + fees


def round_whole(quantity: Fraction, rounding: str) -> Fraction:
    """A quantity of 0 or more to a whole one."""
    down = Fraction(quantity.numerator // quantity.denominator)
    rest = quantity - down
    if rounding == "none" or rest == 0:
        return quantity
    if rounding == "up":
        return down + 1
    if rounding == "down":
        return down
    if rounding == "half_up":
        return down + 1 if rest >= Fraction(1, 2) else down
    raise NotImplementedError(rounding)


def bounded(price: Price, amount: Fraction, share: Fraction) -> Fraction:
    if price.minimum is not None:
        amount = max(amount, price.minimum * share)
    if price.maximum is not None:
        amount = min(amount, price.maximum * share)
    return amount


def model_amount(
    price: Price, quantity: Fraction, events: int
) -> tuple[Fraction, tuple[TierPart, ...]]:
    unit = price.unit_amount
    if price.model == "flat":
        return price.flat_amount if price.meter is None or quantity > 0 else ZERO, ()
    if price.model == "per_unit":
        return quantity * (unit or ZERO), ()
    if price.model == "package":
        return round_whole(quantity / price.package_size, "up") * (unit or ZERO), ()
    if price.model == "percentage":
        return quantity * price.percentage / 100 + price.flat_amount * events, ()
    if price.model == "dynamic":
        return quantity * (ONE if unit is None else unit), ()
    if price.model in ("graduated", "graduated_percentage"):
        parts = graduated(price, quantity)
    elif price.model == "volume":
        parts = volume(price, quantity)
    else:
        raise NotImplementedError(price.model)
    return sum((part.exact for part in parts), ZERO), tuple(parts)


def graduated(price: Price, quantity: Fraction) -> list[TierPart]:
    """Each unit at the rate of the tier (from, up_to] it falls in; entered tiers' flat amounts."""
    parts = []
    lower = ZERO
    for position, tier in enumerate(price.tiers, start=1):
        if quantity > lower or position == 1:
            upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
            units = upper - lower
            rate = tier.percentage / 100 if "percentage" in price.model else tier.unit_amount
            exact = units * rate + tier.flat_amount
            parts.append(TierPart(position, lower, tier.up_to, units, exact))
        if tier.up_to is not None:
            lower = tier.up_to
    return parts


def volume(price: Price, quantity: Fraction) -> list[TierPart]:
    """All units at the rate of the tier (from, up_to] that the total falls in; 0 in the first."""
    lower = ZERO
    for position, tier in enumerate(price.tiers, start=1):
        if tier.up_to is None or quantity <= tier.up_to:
            exact = quantity * tier.unit_amount + tier.flat_amount
            return [TierPart(position, lower, tier.up_to, quantity, exact)]
        lower = tier.up_to
    raise ValueError(f"{price.price_id}: no tier holds {quantity}")
