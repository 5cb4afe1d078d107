"""Many made-up invoices, each with some causes that are known, and what is found of them.

The other system's lines are ours, changed; discounts and taxes follow from its lines, as they do in
every system. Each cause has a line of its own, and quantities are stated.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal as D
from fractions import Fraction

import pytest

from billing_pipeline.comparison.calculation import read_rule, rounded
from billing_pipeline.comparison.lines import OurLine, TheirLine, Usage
from tests.unit.comparison.made import VAT, causes, charge, line, same, their

NAMES = ("Calls", "Messages", "Storage", "Renders", "Seats", "Transfers", "Bandwidth", "Backups")


@dataclass
class Case:
    """Both sides, and the lines that nothing has been done to."""

    random: random.Random
    ours: list[OurLine]
    theirs: dict[str, TheirLine]
    untouched: list[OurLine]

    def take(self) -> OurLine:
        return self.untouched.pop(self.random.randrange(len(self.untouched)))

    def change(self, our: OurLine, amount: D, quantity: D | None = None) -> None:
        old = self.theirs[our.description]
        self.theirs[our.description] = replace(
            old, amount=amount, quantity=old.quantity if quantity is None else quantity
        )

    def swap(self, old: OurLine, new: OurLine) -> None:
        self.ours[self.ours.index(old)] = new
        del self.theirs[old.description]
        self.theirs[new.description] = same(new)


def made(seed: int) -> Case:
    chosen = random.Random(seed)
    ours = []
    for name in chosen.sample(NAMES, 6):
        quantity = chosen.randint(20, 900)
        price = D(chosen.choice(["0.25", "0.5", "1.5", "3"]))
        text = f"{quantity} events, metered {quantity}; per_unit: {quantity} × {price}; exactly 0"
        ours.append(charge(f"{name}: {quantity}", text, meter_id=name.lower(), taxes=(VAT,)))
    theirs = {our.description: same(our, row=row) for row, our in enumerate(ours, 2)}
    return Case(chosen, ours, theirs, list(ours))


def rule_of(our: OurLine):  # type: ignore[no-untyped-def]
    found = read_rule(our.calculation)
    assert found is not None
    return found


def price(case: Case) -> None:
    our = case.take()
    rule = rule_of(our)
    dearer = replace(rule, rate=rule.rate * case.random.choice([2, Fraction(11, 10)]))
    case.change(our, rounded(dearer.amount(), 2))


def quantity(case: Case) -> None:
    our = case.take()
    counted = rule_of(our).quantity + case.random.choice([-7, 3, 12])
    case.change(our, rounded(rule_of(our).with_quantity(counted).amount(), 2), D(int(counted)))


def late_usage(case: Case) -> None:
    our = case.take()
    counted = D(int(rule_of(our).quantity) - case.random.randint(1, 15))
    usages = (Usage(counted, 1, "without 2 events of usage/2024-04/late.csv"),)
    late = replace(our, usages=usages)
    case.swap(our, late)
    case.change(late, rounded(rule_of(our).with_quantity(Fraction(counted)).amount(), 2), counted)


def rounding(case: Case) -> None:
    our = case.take()
    counted = case.random.randint(10, 99) * 2 + 1
    text = f"{counted} events, metered {counted}; per_unit: {counted} × 0.025; exactly 0"
    odd = charge(our.description, text, taxes=(VAT,))
    case.swap(our, odd)
    exact = rule_of(odd).amount()
    case.change(odd, D(math.floor(exact * 100)) / 100)


def proration_by_day(case: Case) -> None:
    our = case.take()
    seconds = case.random.randint(5, 24) * 86400 + case.random.randint(20000, 60000)
    fee = case.random.choice([99, 299, 1200])
    text = f"quantity 1; flat: flat {fee}; × {seconds} / 2592000 seconds of the period; exactly 0"
    shared = charge(our.description, text, taxes=(VAT,))
    case.swap(our, shared)
    days = math.ceil(seconds / 86400)
    case.change(shared, rounded(Fraction(fee * days, 30), 2))


def missing_line(case: Case) -> None:
    del case.theirs[case.take().description]


def extra_line(case: Case) -> None:
    case.theirs["Onboarding"] = their("Onboarding", case.random.choice(["50", "199.99"]))


def discount(case: Case) -> None:
    case.theirs["Coupon"] = their("Coupon HELLO", case.random.choice(["-5", "-12.50"]))


def minimum(case: Case) -> None:
    our = case.take()
    text = "2 events, metered 2; per_unit: 2 × 1; raised to the minimum of 40; exactly 40"
    raised = charge(our.description, text, taxes=(VAT,))
    case.swap(our, raised)
    case.change(raised, D(2))


SEEDS: tuple[Callable[[Case], None], ...] = (
    price, quantity, late_usage, rounding, proration_by_day, missing_line, extra_line, discount,
    minimum,
)  # fmt: skip


@pytest.mark.parametrize("tax", ["the same", "another rate", "none"])
@pytest.mark.parametrize("number", [0, 1, 2, 4])
def test_seeded_causes_are_found_and_no_others(number: int, tax: str) -> None:
    for seed in range(60):
        case = made(seed)
        seeds = case.random.sample(SEEDS, number)
        for one in seeds:
            one(case)
        ours, theirs = with_tax(case, {"the same": 20, "another rate": 21, "none": 0}[tax])
        expected = {one.__name__.replace("_", " ") for one in seeds}
        expected |= {"tax"} if tax != "the same" else set()
        assert set(causes(ours, theirs)) == expected, f"seed {seed}"


def with_tax(case: Case, percent: int) -> tuple[list[OurLine], list[TheirLine]]:
    base = sum((our.amount for our in case.ours), D(0))
    tax = rounded(Fraction(base) / 5, 2)
    text = f"{base.normalize():f} × 20 / 100; rounded to {tax} USD"
    ours = [*case.ours, line("tax", "VAT 20 %", f"{tax}", text, tax_rate_id="vat")]
    theirs = list(case.theirs.values())
    if percent:
        sum_of = sum((one.amount for one in theirs), D(0))
        theirs.append(their("VAT", rounded(Fraction(sum_of) * percent / 100, 2)))
    case.random.shuffle(theirs)
    return ours, [replace(one, row=row) for row, one in enumerate(theirs, 2)]
