"""Rules of the seller, of subscriptions, wallets and corrections that need more than one cell.

What belongs here: one small function a rule, taking tables and giving problems. What does not:
rules of the price book (catalog_rules.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice

from billing_pipeline.intake.problems import Problem, shown
from billing_pipeline.intake.rows import LoadedTable

CORRECTABLE = ("count", "sum")


def seller_problems(seller: LoadedTable) -> Iterator[Problem]:
    for row in islice(seller.rows, 1, None):
        yield row.problem("name", "is a second seller; an invoice has one")


def subscription_problems(subscriptions: LoadedTable) -> Iterator[Problem]:
    for row in subscriptions.rows:
        starts_at, ends_at = row["starts_at"], row["ends_at"]
        # Equal times are a subscription that never was active: cancelled before it began.
        if not isinstance(starts_at, datetime) or not isinstance(ends_at, datetime):
            continue
        if ends_at < starts_at:
            yield row.problem("ends_at", "is before starts_at")


def wallet_problems(transactions: LoadedTable) -> Iterator[Problem]:
    """The sign says where the money goes: top-ups and grants in, refunds and expiries out."""
    for row in transactions.rows:
        amount, kind = row["amount"], row["kind"]
        if not isinstance(amount, Decimal) or kind is None:
            continue
        if kind in ("top_up", "grant") and amount <= 0:
            yield row.problem("amount", f"{amount:f} must be above 0: a {kind} fills the wallet")
        if kind in ("refund", "expiry") and amount >= 0:
            yield row.problem("amount", f"{amount:f} must be below 0: {kind} takes money out")


def correction_problems(corrections: LoadedTable, meters: LoadedTable) -> Iterator[Problem]:
    if not meters.is_complete:
        return
    aggregations: dict[object, set[str]] = defaultdict(set)
    unsure = set()
    for meter in meters.rows:
        aggregations[meter["event_name"]].add(str(meter["aggregation"]))
        if "aggregation" in meter.bad:
            unsure.add(meter["event_name"])
    for row in corrections.rows:
        name = row["event_name"]
        if name is None or name in unsure:
            continue
        if name not in aggregations:
            yield row.problem(
                "event_name", f"{shown(str(name))} is read by no meter of {meters.file}"
            )
        elif not aggregations[name] & set(CORRECTABLE):
            used = ", ".join(sorted(aggregations[name]))
            yield row.problem(
                "event_name",
                f"{shown(str(name))} is only read by {used} meters; "
                "corrections add to count and sum meters",
            )
