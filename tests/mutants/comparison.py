"""Wrong changes to the comparison with another system: a cause that is not seen, or seen where it
is not, and differences that no longer add up."""

from __future__ import annotations

from tests.mutants.engine import Mutant

COMPARISON = "billing_pipeline/comparison"
CAUSES = "tests/unit/comparison/test_causes.py"
SEEDED = "tests/unit/comparison/test_seeded.py"
HELD_OUT = "tests/unit/comparison/test_held_out.py"
MATCHING = "tests/unit/comparison/test_matching.py"

MUTANTS = (
    Mutant(
        "comparison_a_share_of_bounds_is_one_of_the_amount",
        f"{COMPARISON}/calculation.py",
        "        if not self.shares_bounds_only:\n            amount *= self.share",
        "        if self.shares_bounds_only:\n            amount *= self.share",
        CAUSES,
    ),
    Mutant(
        "comparison_begun_days_are_not_tried",
        f"{COMPARISON}/causes.py",
        "{math.floor(days), math.ceil(days), math.floor(days) + 1, *_calendar_days(our)}",
        "{math.floor(days)}",
        SEEDED,
    ),
    Mutant(
        "comparison_tax_does_not_follow_its_lines",
        f"{COMPARISON}/invoices.py",
        "        base = our.amount - our.discount_share + side.shifted.get(id(our), Decimal(0))",
        "        base = our.amount - our.discount_share",
        CAUSES,
    ),
    Mutant(
        "comparison_a_discount_does_not_follow_its_lines",
        f"{COMPARISON}/invoices.py",
        "        expected += discounted(our, shift) if shift else our.amount",
        "        expected += our.amount",
        CAUSES,
    ),
    Mutant(
        "comparison_a_stated_quantity_is_not_read",
        f"{COMPARISON}/causes.py",
        "    return sum(known, Decimal(0)) if len(known) == len(theirs) else None",
        "    return None",
        CAUSES,
    ),
    Mutant(
        "comparison_every_missing_line_may_be_late",
        f"{COMPARISON}/invoices.py",
        "[usage for usage in our.usages if usage.is_sure]",
        "our.usages",
        CAUSES,
    ),
    Mutant(
        "comparison_sums_are_not_tried",
        f"{COMPARISON}/matching.py",
        "            if is_like and sum(line.amount for line in group) == our.amount:",
        "            if False:",
        MATCHING,
    ),
    Mutant(
        "comparison_converted_amounts_have_no_cause_beside",
        f"{COMPARISON}/invoices.py",
        "    if low <= rate <= high:\n        return []",
        "    if True:\n        return []",
        HELD_OUT,
    ),
    Mutant(
        "comparison_tiers_of_the_book_are_not_read",
        f"{COMPARISON}/calculation.py",
        "    return whole if tiers and book",
        "    return whole if False",
        HELD_OUT,
    ),
    Mutant(
        "comparison_one_cause_a_line",
        f"{COMPARISON}/causes.py",
        "    for variant in (None, *variants):",
        "    for variant in (None,):",
        HELD_OUT,
    ),
    Mutant(
        "comparison_rounding_is_half_up",
        f"{COMPARISON}/calculation.py",
        "    return Decimal(whole if scaled >= 0 else -whole).scaleb(-places)",
        "    return Decimal(whole).scaleb(-places)",
        "tests/unit/comparison/test_calculation.py",
    ),
    Mutant(
        "comparison_a_month_of_the_other_system_is_sent",
        "billing_pipeline/collection/steps.py",
        "    require_ours(settings.records_dir, month)\n",
        "",
        "tests/unit/collection/test_cut_over.py",
    ),
    Mutant(
        "comparison_differences_need_no_acceptance",
        "billing_pipeline/commands/compare.py",
        "    if not found.agrees and not accept:",
        "    if not found.agrees and False:",
        "tests/unit/comparison/test_cut_over.py",
    ),
)
