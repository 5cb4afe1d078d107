"""A charge's sentence gives back its amount, and another one where a number is another."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from fractions import Fraction

import pytest

from billing_pipeline.comparison.calculation import Rule, read_rule, rounded

SENTENCES = {
    "2 events, metered 5.5; per_unit: 5.5 × 0.05; exactly 0.275, rounded to 0.28 USD": "0.28",
    "3 events, metered 7.95; rounded up to 8; per_unit: 8 × 1; exactly 8, rounded to 8.00": "8",
    "1 events, metered 9; 4 included (2 per seat), 5 billable; per_unit: 5 × 2; exactly 10": "10",
    "1 events and 2 corrections, metered 250; flat: flat 10; exactly 10, rounded to 10": "10",
    "0 events, metered 0; flat: flat fee not due: nothing billable was used; exactly 0": "0",
    "2 events, metered 224; percentage: 224 × 2.5 % + 2 events × 0.1; exactly 5.8": "5.80",
    "2 events, metered 1100; percentage: 100 × 0.8 % + 1 events at 5; exactly 5.8": "5.80",
    "4 events, metered 1000; percentage: 3 events free, 400 × 2 % + 1 events × 0.25; ex": "8.25",
    "1 events, metered 100.5; volume: tier 2: 100.5 × 0.05; exactly 5.025, rounded to 5.": "5.03",
    "1 events, metered 1500; graduated_percentage: tier 1: 1000 × 2 % + 1; tier 2: 500 × 1 %": "26",
    "1 events, metered 4100; package: ⌈4100 ÷ 1000⌉ = 5 packages × 0.5; exactly 2.5": "2.50",
    "quantity 1; flat: flat 10; × 864000 / 2592000 seconds of the period; held to the maximum "
    "of 3; exactly 1": "1",
    "quantity 1; flat: flat 10; held to the maximum of 3; × 864000 / 2592000 seconds of the "
    "period; exactly 1": "1",
    "1 events, metered 5; per_unit: 5 × 1; included, minimum and maximum × 1728000 / 2592000 "
    "seconds of the period; raised to the minimum of 30; exactly 20": "20",
    "quantity 1; flat: flat 30; × 1728000 / 2592000 seconds of the period; given back, as it was "
    "charged in advance; exactly -20, rounded to -20.00 USD": "-20",
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_gives_its_amount(sentence: str) -> None:
    rule = read_rule(sentence)
    assert rule is not None
    assert rounded(rule.amount(), 2) == D(SENTENCES[sentence])


def test_an_unreadable_sentence_is_no_rule() -> None:
    assert read_rule("") is None
    assert read_rule("committed 100; less 20 spent; rounded to 80.00 USD") is None


def test_another_quantity_enters_the_tiers_that_it_reaches() -> None:
    rule = read_rule(
        "9 events, metered 1200; graduated: tier 1: 100 × 0.1 + 5; tier 2: 900 × 0.05; "
        "tier 3: 200 × 0.02 + 2; exactly 66"
    )
    assert isinstance(rule, Rule)
    for quantity, amount in ((0, 5), (100, 15), (1000, 60), (1100, 64)):
        assert rule.with_quantity(Fraction(quantity)).amount() == amount


def test_a_bound_that_is_taken_away() -> None:
    rule = read_rule("1 events, metered 5; per_unit: 5 × 1; held to the maximum of 3; exactly 3")
    assert isinstance(rule, Rule)
    assert replace(rule, maximum=None).amount() == 5


def test_half_is_rounded_away_from_zero_on_both_sides() -> None:
    assert [rounded(Fraction(n, 200), 2) for n in (1, 3, -1, -3)] == [
        D("0.01"), D("0.02"), D("-0.01"), D("-0.02"),
    ]  # fmt: skip
    assert rounded(Fraction(1, 2), 0) == 1
