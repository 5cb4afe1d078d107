"""Mutants of price books made from public lists."""

from __future__ import annotations

from tests.mutants.engine import Mutant

AI_MODELS = "billing_pipeline/pricebooks/ai_models.py"
UNIT = "tests/unit/pricebooks"

MUTANTS = (
    Mutant(
        "cached_tokens_cost_what_others_do",
        AI_MODELS,
        "max(general, key=lambda one: len(one.dimensions))",
        "min(general, key=lambda one: len(one.dimensions))",
        UNIT,
    ),
    Mutant(
        "a_standard_price_charges_batches_too",
        AI_MODELS,
        "is_rest=bool(variants)",
        "is_rest=False",
        UNIT,
    ),
    Mutant(
        "the_mark_up_is_forgotten",
        AI_MODELS,
        "used = Fraction(100 + markup) / 100",
        "used = Fraction(1)",
        UNIT,
    ),
    Mutant(
        "a_unit_price_is_rounded_down",
        AI_MODELS,
        "math.floor(amount * 10**MONEY_PLACES + Fraction(1, 2))",
        "math.floor(amount * 10**MONEY_PLACES)",
        UNIT,
    ),
    Mutant(
        "large_requests_pay_the_price_of_the_bound_below",
        AI_MODELS,
        "zip(amounts, (None, *starts), (*starts, None), strict=True)",
        "zip(reversed(amounts), (None, *starts), (*starts, None), strict=True)",
        UNIT,
    ),
    Mutant(
        "prices_by_the_time_of_day_are_taken_for_the_whole_day",
        AI_MODELS,
        "if not all(isinstance(one, StartDateConstraint) for one in _constraints(model)):",
        "if False:",
        UNIT,
    ),
)
