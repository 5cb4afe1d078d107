"""A month's charges, tiers, lines and invoices one after the other, in ``decimal``.

What belongs here: how a script in plain Python charges what was metered. What does not: metering.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from benchmarks.rivals.common import (
    Price,
    Subscription,
    charge_id,
    invoice_id,
    line_id,
    short,
)
from benchmarks.rivals.output import Output, as_table

CENT = Decimal("0.01")
Rows = list[tuple[Any, ...]]


class Used(NamedTuple):
    """What a customer used of a meter."""

    quantity: Decimal
    events: int


class Tier(NamedTuple):
    """What a charge has in a tier of its price."""

    number: int
    quantity: Decimal
    unit_amount: Decimal


def entered_tiers(price: Price, billable: Decimal) -> list[Tier]:
    """The tiers that a quantity enters; of `volume` only the one that it ends in."""
    found, below = [], Decimal(0)
    for number, (bound, unit_amount) in enumerate(price.tiers, start=1):
        ends_here = bound is None or billable <= bound
        if price.model == "graduated":
            top = billable if bound is None else min(billable, bound)
            found.append(Tier(number, top - below, unit_amount))
        elif ends_here:
            found.append(Tier(number, billable, unit_amount))
        if ends_here:
            break
        below = bound or below
    return found


def rated(price: Price, billable: Decimal, tiers: Sequence[Tier]) -> tuple[Decimal, str]:
    """What a billable quantity costs, exactly, and how that comes about."""
    match price.model:
        case "flat":
            return price.flat_amount, f"flat {short(price.flat_amount)}"
        case "per_unit":
            text = f"{short(billable)} × {short(price.unit_amount)}"
            return billable * price.unit_amount, text
        case "package":
            packages = (billable / price.package_size).to_integral_value(ROUND_CEILING)
            parts = f"⌈{short(billable)} ÷ {short(price.package_size)}⌉ = {packages} packages"
            return packages * price.unit_amount, f"{parts} × {short(price.unit_amount)}"
        case "percentage":
            text = f"{short(billable)} × {short(price.percentage)} %"
            return billable * price.percentage / 100, text
        case "graduated" | "volume":
            amount = sum((tier.quantity * tier.unit_amount for tier in tiers), Decimal(0))
            texts = (
                f"tier {tier.number}: {short(tier.quantity)} × {short(tier.unit_amount)}"
                for tier in tiers
            )
            return amount, "; ".join(texts)
    raise ValueError(f"{price.price_id}: {price.model} is no model of this company")


def bill_all(
    subscriptions: Sequence[Subscription],
    prices: Mapping[str, Sequence[Price]],
    used: Mapping[tuple[str, str], Used],
    rejections: Sequence[tuple[Any, ...]],
) -> Output:
    """`used` by customer and meter; `rejections` as rows of their table."""
    charges: Rows = []
    charge_tiers: Rows = []
    by_customer: dict[str, Rows] = defaultdict(list)
    for subscription in subscriptions:
        for price in prices[subscription.plan_id]:
            found = used.get((subscription.customer_id, price.meter_id))
            if price.meter_id and found is None:
                continue
            quantity, events = found or Used(Decimal(1), 0)
            billable = max(quantity - price.included, Decimal(0))
            tiers = entered_tiers(price, billable)
            exact, how = rated(price, billable, tiers)
            amount = exact.quantize(CENT, ROUND_HALF_UP)
            name = charge_id(subscription.subscription_id, price)
            parts = [
                f"{events} events, metered {short(quantity)}"
                if price.meter_id
                else f"quantity {short(quantity)}",
                *(
                    [f"{short(price.included)} included, {short(billable)} billable"]
                    if price.included
                    else []
                ),
                f"{price.model}: {how}",
                f"exactly {short(exact)}, rounded to {amount} USD",
            ]
            charges.append(
                (
                    *(name, subscription.customer_id, subscription.subscription_id),
                    *(price.price_id, price.meter_id or None, price.model),
                    *(quantity, billable, events, exact, amount),
                    *(price.description, "; ".join(parts)),
                )
            )
            charge_tiers += [
                (
                    name,
                    tier.number,
                    tier.quantity,
                    tier.unit_amount,
                    tier.quantity * tier.unit_amount,
                )
                for tier in tiers
            ]
            if amount:
                line = (price.description, line_id(name), name, amount)
                by_customer[subscription.customer_id].append(line)
    lines: Rows = []
    invoices: Rows = []
    for customer, own in by_customer.items():
        invoice = invoice_id(customer)
        for position, (description, line, name, amount) in enumerate(sorted(own), start=1):
            lines.append((line, invoice, name, position, description, amount))
        total = sum((amount for *_, amount in own), Decimal(0))
        invoices.append((invoice, customer, total, len(own)))
    return {
        "charges": as_table("charges", charges),
        "charge_tiers": as_table("charge_tiers", charge_tiers),
        "invoice_lines": as_table("invoice_lines", lines),
        "invoices": as_table("invoices", invoices),
        "usage_rejections": as_table("usage_rejections", rejections),
    }
