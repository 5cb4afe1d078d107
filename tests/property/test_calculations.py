"""Recalculating a calculation: it follows correct sentences and finds the errors in others."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from tests.property.calculations import NotRedoneError, redo

TIERS = "4 events, metered 12.5; graduated: tier 1: 10 × 0.1 + 5; tier 2: 2.5 × 0.02; "


@pytest.mark.parametrize(
    ("calculation", "exact", "amount"),
    [
        (TIERS + "exactly 6.05, rounded to 6.05 USD", "6.05", "6.05"),
        (
            "9 events and 1 corrections, metered 53.3489; rounded up to 54; 4 included, 50"
            " billable; per_unit: 50 × 1; held to the maximum of 40; exactly 40, rounded to 40.00"
            " EUR",
            "40",
            "40",
        ),
        (
            "quantity 1; flat: flat 30; × 432000 / 2592000 seconds of the period; given back, as it"
            " was charged in advance; exactly -5, rounded to -5.00 EUR",
            "-5",
            "-5",
        ),
        (
            "2 events, metered 7; per_unit: 7 × 3; held to the maximum of 20; × 1728000 / 2592000"
            " seconds of the period; exactly 13.333333333333, rounded to 13.33 EUR",
            "13.333333333333",
            "13.33",
        ),
        (
            "3 events, metered ≈0; rounded up to 1; package: ⌈1 ÷ 100⌉ = 1 packages × 2;"
            " exactly 2, rounded to 2.00 EUR",
            "2",
            "2",
        ),
        (
            "3 events, metered ≈0; package: ⌈≈0 ÷ 7⌉ = 1 packages × 2; exactly 2, rounded to 2.00"
            " EUR",
            "2",
            "2",
        ),
    ],
)
def test_a_right_sentence_is_followed(calculation: str, exact: str, amount: str) -> None:
    assert redo(calculation, 2) == (Fraction(Decimal(exact)), Fraction(Decimal(amount)))


@pytest.mark.parametrize(
    ("calculation", "reason"),
    [
        (TIERS + "exactly 6.06, rounded to 6.06 USD", "exact amount"),
        (TIERS + "exactly 6.05, rounded to 6.07 USD", "does not round"),
        (TIERS.replace("metered 12.5", "metered 12") + "exactly 6.05", "sum of the tiers"),
        ("1 events, metered 3; exactly 3, rounded to 3.00 USD", "says nothing"),
        ("1 events, metered 0; rounded up to 1; per_unit: 1 × 2; exactly 2", "does not round up"),
        (
            "1 events, metered 3; per_unit: 3 × 1; raised to the minimum of 2; exactly 2, rounded"
            " to 2.00 USD",
            "the amount was 3 before",
        ),
        (
            "2 events, metered 7; per_unit: 7 × 3; × 1728000 / 2592000 seconds of the period; held"
            " to the maximum of 20; exactly 13.333333333333, rounded to 13.33 EUR",
            "says nothing",
        ),
        (
            "1 events, metered 100; 10 included, 100 billable; per_unit: 100 × 1; exactly 100,"
            " rounded to 100.00 USD",
            "billable quantity",
        ),
        (
            "1 events, metered 0; package: ⌈0 ÷ 7⌉ = 1 packages × 2; exactly 2, rounded to 2.00"
            " EUR",
            "another number of packages",
        ),
    ],
)
def test_a_wrong_calculation_text_is_reported(calculation: str, reason: str) -> None:
    with pytest.raises(NotRedoneError, match=reason):
        redo(calculation, 2)
