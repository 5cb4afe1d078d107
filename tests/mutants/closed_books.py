"""Wrong changes to closed books: what a closed month sends, what its corrections come to, and that
they are billed once and wait for a person."""

from __future__ import annotations

from tests.mutants.engine import Mutant

PLAN = "billing_pipeline/collection/plan"
BOOKS = "tests/unit/collection/test_closed_books.py"
MONTHS = "tests/unit/collection/test_closed_months.py"
LINES = "tests/unit/collection/test_corrections.py"
CHANGES = (
    "tests/changes/test_changes.py::"
    "test_closed_books_bill_what_the_months_come_to_and_nothing_twice"
)

MUTANTS = (
    Mutant(
        "closed_months_are_billed_by_an_approval",
        f"{PLAN}/invoice_plan.py",
        "        return self.closed is not None and (",
        "        return False and (",
        f"{CHANGES}[2]",
    ),
    Mutant(
        "closed_plans_do_not_know_what_was_corrected",
        "billing_pipeline/collection/month_plan.py",
        "            corrected=self._corrected(),\n",
        "",
        f"{CHANGES}[8]",
    ),
    Mutant(
        "closed_the_last_month_is_open",
        f"{PLAN}/closed_books.py",
        "locked_through is not None and month <= locked_through",
        "locked_through is not None and month < locked_through",
        f"{BOOKS}::test_the_last_closed_month_is_closed_and_the_next_one_takes_its_corrections",
    ),
    Mutant(
        "closed_credits_are_sent",
        f"{PLAN}/invoice_plan.py",
        "action.send is not None or action.kind in (ActionKind.SUPPLEMENT, ActionKind.CREDIT)",
        "action.send is not None or action.kind is ActionKind.SUPPLEMENT",
        f"{BOOKS}::test_a_closed_month_sends_nothing_and_asks_for_nothing",
    ),
    Mutant(
        "closed_one_who_is_called_otherwise_is_billed_again",
        "billing_pipeline/collection/closed_months.py",
        "        evidence = witnesses.billed_before(invoice)\n",
        "        evidence = None\n",
        f"{MONTHS}::test_a_renamed_customer_is_not_charged_again_for_a_closed_month",
    ),
    Mutant(
        "closed_what_was_corrected_is_not_billed",
        f"{PLAN}/case.py",
        "        adjusted += self.corrected.amount if self.corrected else 0\n",
        "",
        f"{BOOKS}::test_what_later_invoices_have_corrected_counts_as_billed",
    ),
    Mutant(
        "closed_corrections_are_safe",
        f"{PLAN}/case.py",
        "                    billed_before=again or _corrects(send),",
        "                    billed_before=again,",
        f"{BOOKS}::test_a_first_invoice_that_corrects_a_closed_month_waits_with_all_of_its_customer",
    ),
    Mutant(
        "closed_another_draft_is_safe",
        f"{PLAN}/case.py",
        "            again = _corrects(send)\n",
        "            pass\n",
        f"{BOOKS}::test_an_approved_draft_goes_on_and_one_with_another_correction_waits_again",
    ),
    Mutant(
        "closed_other_currencies_do_not_wait",
        f"{PLAN}/invoice_plan.py",
        "            before.setdefault(action.customer_id, action.billed_before)",
        "            pass",
        f"{BOOKS}::test_a_first_invoice_that_corrects_a_closed_month_waits_with_all_of_its_customer",
    ),
    Mutant(
        "closed_rolled_up_months_are_mixed",
        f"{PLAN}/desired.py",
        "            by_kind[line.kind, _corrected_month(line)].append(line)",
        "            by_kind[line.kind, None].append(line)",
        f"{BOOKS}::test_corrections_roll_up_by_the_month_that_they_correct",
    ),
    Mutant(
        "closed_corrected_twice",
        f"{PLAN}/corrections.py",
        "        return self.now.total - self.net - self.elsewhere.total",
        "        return self.now.total - self.net",
        f"{LINES}::test_all_corrections_together_come_to_the_last_difference",
    ),
    Mutant(
        "closed_the_line_forgets_what_was_corrected",
        f"{PLAN}/corrections.py",
        "        amount=present - former,",
        "        amount=present - _amount(billed),",
        f"{LINES}::test_further_usage_gives_only_the_further_difference",
    ),
    Mutant(
        "closed_a_tax_of_an_unchanged_line_is_lost",
        f"{PLAN}/corrections.py",
        "            placed[target] = _plus(known, change.tax_base, change.tax_amount)",
        "            placed[target] = known",
        f"{LINES}::test_the_taxes_of_the_lines_come_to_the_lines_of_tax",
    ),
    Mutant(
        "closed_discounts_stay_in_the_base",
        f"{PLAN}/corrections.py",
        "    _move_discounts(invoice, changes)\n",
        "",
        f"{LINES}::test_what_a_discount_takes_off_the_base_stands_on_the_line_that_corrects_the_discount",
    ),
)
