"""Compares our month with another system's: matches customers, and adds up the differences.

What belongs here: bringing together both sides of each customer, and sums. What does not: one
customer's lines (``invoices``), reading (``our_month``, ``their_file``, ``their_stripe``), and how
the result is shown (``commands.compare``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from billing_pipeline.comparison.invoices import compare_customer
from billing_pipeline.comparison.lines import CAUSES, Difference, OurLine, TheirLine
from billing_pipeline.comparison.our_month import OurMonth
from billing_pipeline.comparison.their_file import Export

# Adds to our lines what is only read for customers that differ.
Completed = Callable[[Sequence[OurLine]], list[OurLine]]


@dataclass(frozen=True)
class CustomerTotal:
    """Both sides' totals for one customer and currency."""

    customer_id: str
    currency: str
    ours: Decimal
    theirs: Decimal

    @property
    def difference(self) -> Decimal:
        return self.theirs - self.ours


@dataclass(frozen=True)
class Comparison:
    """All customers' totals and differences. For each customer and currency, the differences add
    up to the difference between the totals."""

    columns: str
    totals: tuple[CustomerTotal, ...]
    differences: tuple[Difference, ...]

    @property
    def agrees(self) -> bool:
        return not self.differences

    def by_cause(self) -> list[tuple[str, str, int, Decimal]]:
        """Currency, cause, number of differences, and their sum."""
        sums: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
        for one in self.differences:
            sums[one.currency, one.cause].append(one.difference)
        order = sorted(sums, key=lambda key: (key[0], CAUSES.index(key[1])))
        return [(*key, len(sums[key]), sum(sums[key], Decimal(0))) for key in order]


def compare(
    ours: OurMonth, export: Export, completed: Completed = list, *, before_tax: bool = False
) -> Comparison:
    """Compare both sides; `completed` adds late usage to the lines of customers that differ."""
    mine: dict[str, list[OurLine]] = defaultdict(list)
    others: dict[str, list[TheirLine]] = defaultdict(list)
    for line in ours.lines:
        mine[line.payer_id].append(line)
    for their in _resolved(ours, export):
        others[ours.payers.get(their.customer_id, their.customer_id)].append(their)
    if before_tax:
        mine = {key: _without_tax(lines) for key, lines in mine.items()}
        others = {key: _theirs_without_tax(lines) for key, lines in others.items()}
    customers = sorted({*mine, *others})
    differing = [
        key for key in customers if compare_customer(key, mine.get(key, []), others.get(key, []))
    ]
    lines = completed([line for key in differing for line in mine.get(key, [])])
    by_payer: dict[str, list[OurLine]] = defaultdict(list)
    for line in lines:
        by_payer[line.payer_id].append(line)
    differences = [
        difference
        for key in differing
        for difference in compare_customer(key, by_payer[key], others.get(key, []))
    ]
    return Comparison(
        export.columns, tuple(_totals(customers, mine, differences)), tuple(differences)
    )


def _resolved(ours: OurMonth, export: Export) -> Iterable[TheirLine]:
    """Their lines with our customer ids, where we know the customer."""
    for line in export.lines:
        subscription = export.subscriptions.get(line.row, "")
        known = (
            ours.customers.get(line.customer_id)
            or ours.customers.get(line.customer_id.lower())
            or ours.subscriptions.get(subscription)
        )
        yield replace(line, customer_id=known or line.customer_id or subscription)


def _without_tax(lines: Iterable[OurLine]) -> list[OurLine]:
    return [replace(line, taxes=()) for line in lines if line.kind != "tax"]


def _theirs_without_tax(lines: Iterable[TheirLine]) -> list[TheirLine]:
    return [replace(line, tax=None) for line in lines if line.kind != "tax"]


def _totals(
    customers: Sequence[str],
    mine: dict[str, list[OurLine]],
    differences: Sequence[Difference],
) -> Iterable[CustomerTotal]:
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for one in differences:
        sums[one.customer_id, one.currency] += one.difference
    for key in customers:
        ours: dict[str, Decimal] = defaultdict(Decimal)
        for line in mine.get(key, []):
            if not (line.kind == "tax" and line.is_inclusive):
                ours[line.currency] += line.amount
        for currency in sorted({*ours, *(one[1] for one in sums if one[0] == key)}):
            amount = ours.get(currency, Decimal(0))
            yield CustomerTotal(key, currency, amount, amount + sums[key, currency])
