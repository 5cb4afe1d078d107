#!/usr/bin/env python3
"""The adapter of a naive engine, such as is written in an afternoon: it shares periods by days,
rounds what comes, taxes each line, and knows nothing of the rest. To show what the scenarios find,
and as an example of an adapter: it needs nothing but Python.
"""

from __future__ import annotations

import calendar
import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

_UNKNOWN = ("wallet_transactions", "commitments", "adjustments", "usage_corrections", "later")
_KNOWN_MODELS = ("flat", "per_unit", "package", "graduated", "volume", "percentage", "dynamic")
_SIMPLE = ("sum", "count", "max", "latest", "unique_count")


class Unsupported(Exception):
    """What this engine has never heard of."""


def answer(scenario: Mapping[str, Any]) -> dict[str, Any]:
    for table in _UNKNOWN:
        if scenario.get(table):
            raise Unsupported(table)
    start, end = _month(scenario["month"])
    lines = []
    for price in scenario.get("prices", []):
        for subscription in scenario["subscriptions"]:
            if subscription["plan_id"] == price["plan_id"]:
                lines += _line(scenario, price, subscription, start, end)
    subtotal = sum(line["amount"] for line in lines)
    discount = _discount(scenario, subtotal)
    # On each line, as many do.
    tax = sum(round(line["amount"] * _rate(scenario), 2) for line in lines)
    total = subtotal - discount + tax
    return {
        "id": scenario["id"],
        "lines": [{**line, "amount": f"{line['amount']:.2f}"} for line in lines],
        "subtotal": f"{subtotal:.2f}", "discount": f"{discount:.2f}", "tax": f"{tax:.2f}",
        "tax_included": "0", "total": f"{total:.2f}", "amount_due": f"{total:.2f}",
    }  # fmt: skip


def _line(
    scenario: Mapping[str, Any], price: Mapping[str, str], subscription: Mapping[str, str],
    start: datetime, end: datetime,
) -> list[dict[str, Any]]:  # fmt: skip
    for name in ("interval", "included_per", "filter_rest", "event_maximum_amount",
                 "event_minimum_amount", "free_events", "filter"):  # fmt: skip
        if price.get(name):
            raise Unsupported(name)
    if price["charge_model"] not in _KNOWN_MODELS or price.get("timing") == "advance":
        raise Unsupported(price.get("timing", price["charge_model"]))
    begin = max(start, _time(subscription.get("trial_ends_at") or subscription["starts_at"]),
                _time(price.get("valid_from") or "1970-01-01"))  # fmt: skip
    until = min(end, _time(subscription.get("ends_at") or "9000-01-01"),
                _time(price.get("valid_to") or "9000-01-01"))  # fmt: skip
    if begin >= until:
        return []
    share = 1.0
    if price.get("meter_id"):
        quantity = _metered(scenario, price["meter_id"], begin, until)
    else:
        quantity = float(subscription.get("quantity", 1))
        # Whole days.
        share = math.ceil((until - begin) / timedelta(days=1)) / (end - start).days
    amount = _amount(scenario, price, max(quantity - float(price.get("included_quantity", 0)), 0))
    amount = max(amount, float(price.get("minimum_amount", 0)))
    amount = min(amount, float(price.get("maximum_amount", math.inf))) * share
    return [{"price_id": price["price_id"], "quantity": quantity, "amount": round(amount, 2)}]


def _metered(scenario: Mapping[str, Any], meter_id: str, begin: datetime, until: datetime) -> float:
    (meter,) = (one for one in scenario["meters"] if one["meter_id"] == meter_id)
    aggregation = meter["aggregation"]
    for name in ("group_by", "bucket", "event_rounding", "carry_forward"):
        if meter.get(name):
            raise Unsupported(name)
    if aggregation not in _SIMPLE:
        raise Unsupported(aggregation)
    values: list[Any] = []
    for event in scenario.get("usage", []):
        if begin <= _time(event["at"]) < until:
            given = event.get("quantity", "1")
            if meter.get("property"):
                given = event.get("properties", {}).get(meter["property"], "0")
            values += [given] * event.get("times", 1)
    if aggregation in ("count", "unique_count"):
        return len(values) if aggregation == "count" else len(set(values))
    numbers = [float(value) for value in values] or [0.0]
    return {"sum": sum, "max": max, "latest": lambda found: found[-1]}[aggregation](numbers)


def _amount(scenario: Mapping[str, Any], price: Mapping[str, str], quantity: float) -> float:
    unit, flat = float(price.get("unit_amount", 0)), float(price.get("flat_amount", 0))
    rounding = price.get("quantity_rounding")
    if rounding in ("up", "down", "half_up"):
        quantity = {"up": math.ceil, "down": math.floor, "half_up": round}[rounding](quantity)
    model = price["charge_model"]
    if model == "flat":
        return flat
    if model == "package":
        return math.ceil(quantity / float(price["package_size"])) * unit
    if model == "percentage":
        return quantity * float(price.get("percentage", 0)) / 100 + flat
    if model in ("graduated", "volume"):
        tiers = [one for one in scenario["price_tiers"] if one["price_id"] == price["price_id"]]
        return _tiered(model, tiers, quantity)
    return quantity * (unit or 1.0)


def _tiered(model: str, tiers: Sequence[Mapping[str, str]], quantity: float) -> float:
    amount, below = 0.0, 0.0
    for tier in tiers:
        bound = float(tier.get("up_to", math.inf))
        rate, flat = float(tier.get("unit_amount", 0)), float(tier.get("flat_amount", 0))
        if model == "volume" and quantity <= bound:
            return quantity * rate + flat
        if model == "graduated" and quantity > below:
            amount += (min(quantity, bound) - below) * rate + flat
        below = bound
    return amount


def _discount(scenario: Mapping[str, Any], subtotal: float) -> float:
    named = scenario["subscriptions"][-1].get("coupon_id", "")
    discount = 0.0
    for coupon in scenario.get("coupons", []):
        if coupon["coupon_id"] in named.split(";"):
            discount += float(coupon.get("amount_off", 0))
            discount += subtotal * float(coupon.get("percent_off", 0)) / 100
    return round(discount, 2)


def _rate(scenario: Mapping[str, Any]) -> float:
    country = scenario["customers"][0].get("country")
    rates = [one for one in scenario.get("tax_rates", []) if one["country"] == country]
    return sum(float(one["percentage"]) for one in rates) / 100


def _month(month: str) -> tuple[datetime, datetime]:
    start = _time(f"{month}-01")
    return start, start + timedelta(days=calendar.monthrange(start.year, start.month)[1])


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def main() -> None:
    for line in sys.stdin:
        scenario = json.loads(line)
        try:
            found = answer(scenario)
        except Unsupported as error:
            found = {"id": scenario["id"], "unsupported": str(error)}
        print(json.dumps(found))


if __name__ == "__main__":
    main()
