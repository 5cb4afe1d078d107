"""Lines of both systems, made by hand for tests of comparisons."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing_pipeline.comparison.calculation import read_rule, rounded
from billing_pipeline.comparison.comparison import Comparison, compare
from billing_pipeline.comparison.lines import OurLine, Tax, TheirLine
from billing_pipeline.comparison.our_month import OurMonth
from billing_pipeline.comparison.their_file import Export
from billing_pipeline.money import CURRENCY_PLACES

START, END = datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)
VAT = Tax("vat", Decimal(20), False)


def charge(description: str, calculation: str, **more: Any) -> OurLine:
    """A charge line; its amount is that of its sentence."""
    currency = more.get("currency", "USD")
    rule = read_rule(calculation)
    assert rule is not None, calculation
    values: dict[str, Any] = {
        "line_id": f"li_{description}",
        "charge_id": f"ch_{description}",
        "customer_id": "ada",
        "payer_id": "ada",
        "currency": currency,
        "kind": "charge",
        "description": description,
        "amount": rounded(rule.amount(), CURRENCY_PLACES[currency]),
        "quantity": Decimal(rule.quantity.numerator) / Decimal(rule.quantity.denominator),
        "price_id": description.lower(),
        "subscription_id": "s1",
        "period_start": START,
        "period_end": END,
        "calculation": calculation,
    }
    return OurLine(**{**values, **more})


def line(kind: str, description: str, amount: str, calculation: str = "", **more: Any) -> OurLine:
    """A line that is no charge."""
    values: dict[str, Any] = {
        "line_id": f"li_{description}",
        "customer_id": "ada",
        "payer_id": "ada",
        "currency": "USD",
        "kind": kind,
        "description": description,
        "amount": Decimal(amount),
        "subscription_id": None if kind == "tax" else "s1",
        "calculation": calculation,
    }
    return OurLine(**{**values, **more})


def their(description: str, amount: str | Decimal, **more: Any) -> TheirLine:
    values: dict[str, Any] = {
        "row": 2,
        "customer_id": "ada",
        "currency": "USD",
        "description": description,
        "amount": Decimal(amount),
    }
    return TheirLine(**{**values, **more})


def same(our: OurLine, **more: Any) -> TheirLine:
    """Their line for one of ours, the same but for what is given."""
    values: dict[str, Any] = {
        "customer_id": our.customer_id,
        "currency": our.currency,
        "quantity": our.quantity,
    }
    return their(our.description, more.pop("amount", our.amount), **{**values, **more})


def compared(ours: list[OurLine], theirs: list[TheirLine], **how: Any) -> Comparison:
    """The comparison; its differences add up to that of the totals, in each currency."""
    customers = {one.customer_id: one.customer_id for one in ours}
    payers = {one.customer_id: one.payer_id for one in ours}
    month = OurMonth(tuple(ours), customers, {}, payers)
    found = compare(month, Export(tuple(theirs), "by hand"), **how)
    for currency in {one.currency for one in theirs} | {one.currency for one in ours}:
        here = sum(one.amount for one in ours if one.currency == currency and not one.is_inclusive)
        there = sum(one.amount + (one.tax or 0) for one in theirs if one.currency == currency)
        if not how and not any(one.is_inclusive for one in ours):
            differences = [one.difference for one in found.differences if one.currency == currency]
            assert sum(differences) == there - here
    return found


def causes(ours: list[OurLine], theirs: list[TheirLine], **how: Any) -> dict[str, Decimal]:
    """What each cause comes to, over all lines."""
    sums: dict[str, Decimal] = {}
    for one in compared(ours, theirs, **how).differences:
        sums[one.cause] = sums.get(one.cause, Decimal(0)) + one.difference
    return {cause: amount for cause, amount in sums.items() if amount}
