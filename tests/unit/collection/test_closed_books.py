"""A month whose books are closed sends nothing more, and what corrects it waits for a person."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.collection.plan.case import Corrected
from billing_pipeline.collection.plan.closed_books import (
    closed_sentence,
    corrected_line,
    correction_id,
    is_closed,
    read_mark,
    written_mark,
)
from billing_pipeline.collection.plan.desired import DesiredInvoice, DesiredLine, roll_up
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.line_changes import line_changes
from billing_pipeline.collection.plan_rows import PlanNotes, plan_rows
from billing_pipeline.collection.push import stripe_requests
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.months import BillingMonth

from .test_plan import in_stripe, kinds, of, wanted

JANUARY, FEBRUARY, MARCH = (BillingMonth(2024, month) for month in (1, 2, 3))
months = st.builds(BillingMonth, st.integers(2000, 2099), st.integers(1, 12))


def correcting(
    amount: int, month: BillingMonth = JANUARY, customer: str = "ada", currency: str = "USD"
) -> DesiredInvoice:
    """An invoice of the month with a line that corrects a closed one."""
    usual = wanted(100, customer=customer, currency=currency)
    line = DesiredLine(correction_id("li_1", month), "correction", "Correction", amount)
    return replace(usual, lines=(*usual.lines, line))


def closed(plan: InvoicePlan) -> list[str]:
    return [a.kind.value for a in plan.changes if plan.is_closed_to(a)]


def states(plan: InvoicePlan) -> list[tuple[str, str]]:
    from datetime import date

    return [(r["action"], r["state"]) for r in plan_rows(plan, PlanNotes(date(2026, 2, 1)))]


def test_the_last_closed_month_is_closed_and_the_next_one_takes_its_corrections() -> None:
    assert is_closed(FEBRUARY, FEBRUARY)
    assert is_closed(FEBRUARY, JANUARY)
    assert not is_closed(FEBRUARY, MARCH)
    assert not is_closed(None, JANUARY)
    sentence = closed_sentence(FEBRUARY, JANUARY)
    assert sentence is not None
    assert "closed through 2024-02" in sentence
    assert "the invoices of 2024-03" in sentence
    assert closed_sentence(FEBRUARY, MARCH) is None


@given(st.text(min_size=1), months)
def test_a_line_of_correction_names_the_line_and_the_month(
    line_id: str, month: BillingMonth
) -> None:
    assert corrected_line(correction_id(line_id, month)) == (month, line_id)


@given(st.dictionaries(months, st.integers().filter(bool), max_size=60))
def test_the_mark_of_an_invoice_says_how_much_of_which_month(
    sums: dict[BillingMonth, int],
) -> None:
    marks = metadata_keys.corrections_marks(written_mark(sums))
    assert all(len(value) <= 500 for value in marks.values())
    assert read_mark(metadata_keys.corrections_mark(marks)) == sums


def test_an_invoice_is_marked_with_what_its_lines_correct() -> None:
    metadata = stripe_requests.invoice_metadata(correcting(-250))
    assert metadata[metadata_keys.CORRECTIONS] == "2024-01:-250"
    assert stripe_requests.invoice_metadata(wanted(100))[metadata_keys.CORRECTIONS] == ""


@pytest.mark.parametrize("due", [130, 70])
def test_a_closed_month_sends_nothing_and_asks_for_nothing(due: int) -> None:
    present = of([wanted(due)], [in_stripe(wanted(100))], closed="closed")
    assert len(closed(present)) == 1
    assert (present.safe, present.waiting) == ((), ())
    assert not present.needs_approval
    assert [state for _, state in states(present)] == ["closed"]


def test_a_first_invoice_of_a_closed_month_is_not_sent_and_neither_is_a_draft() -> None:
    assert of([wanted(100)], [], closed="closed").safe == ()
    draft = in_stripe(wanted(100), "draft")
    assert of([wanted(100)], [draft], closed="closed").safe == ()


def test_a_payment_of_a_closed_month_that_was_interrupted_is_made() -> None:
    unpaid = replace(in_stripe(wanted(100), "open"), attempted=False, amount_remaining=100)
    present = of([wanted(100)], [unpaid], closed="closed")
    assert [action.kind.value for action in present.safe] == kinds(of([wanted(100)], [unpaid]))
    assert present.safe


def test_a_review_of_a_closed_month_still_waits() -> None:
    present = of([wanted(100)], [in_stripe(wanted(100), "void")], closed="closed")
    assert [action.kind.value for action in present.waiting] == ["review"]


def test_what_later_invoices_have_corrected_counts_as_billed() -> None:
    corrected = {"in_ada": Corrected("ada", "USD", 30)}
    same = of([wanted(130)], [in_stripe(wanted(100))], corrected=corrected)
    assert kinds(same) == ["unchanged"]
    assert "0.30" in same.actions[0].reason
    more = of([wanted(150)], [in_stripe(wanted(100))], corrected=corrected)
    [action] = more.changes
    assert action.amount_after - action.amount_before == 20
    assert action.send is not None
    assert action.send.total == 20


def test_what_was_billed_on_later_invoices_is_no_first_invoice() -> None:
    corrected = {"in_ada": Corrected("ada", "USD", 100)}
    assert kinds(of([wanted(100)], [], corrected=corrected)) == ["unchanged"]
    [gone] = of([], [], corrected=corrected).changes
    assert (gone.customer_id, gone.currency) == ("ada", "USD")
    assert gone.amount_after - gone.amount_before == -100
    assert not gone.is_safe


def test_a_first_invoice_that_corrects_a_closed_month_waits_with_all_of_its_customer() -> None:
    euro = wanted(50, currency="EUR")
    euro = replace(euro, invoice_id="in_ada_eur")
    present = of([correcting(20), euro, wanted(7, customer="bob")], [])
    assert [action.customer_id for action in present.safe] == ["bob"]
    assert {action.customer_id for action in present.waiting} == {"ada"}
    assert "2024-01 by USD 0.20" in present.waiting[0].reason


def test_the_reason_names_both_the_earlier_invoice_and_the_correction() -> None:
    other = replace(in_stripe(wanted(5), name="in_9"), metadata={
        **in_stripe(wanted(5)).metadata, metadata_keys.INVOICE_ID: "in_other",
    })  # fmt: skip
    present = of([correcting(20)], [other])
    [action] = [a for a in present.changes if a.invoice_id == "in_ada"]
    assert "was billed for this month before" in action.reason
    assert "2024-01 by USD 0.20" in action.reason


def test_an_approved_draft_goes_on_and_one_with_another_correction_waits_again() -> None:
    draft = in_stripe(correcting(20), "draft")
    assert [action.kind.value for action in of([correcting(20)], [draft]).safe] == ["resume"]
    assert of([correcting(30)], [draft]).safe == ()


def test_further_corrections_of_a_billed_invoice_are_a_supplement_of_the_difference() -> None:
    present = of([correcting(30)], [in_stripe(correcting(20))])
    [action] = present.waiting
    assert action.send is not None
    assert (action.send.total, action.send.corrections) == (10, {JANUARY: 10})


def test_correcting_lines_of_a_first_invoice_are_shown_before_approval() -> None:
    [change] = line_changes(of([correcting(20)], []))
    assert (change.line_id, change.amount_before, change.amount_after) == (
        "li_1_for_202401", 0, 20,
    )  # fmt: skip


def test_corrections_roll_up_by_the_month_that_they_correct() -> None:
    lines = tuple(
        DesiredLine(correction_id(f"l{at}", month), "correction", "Correction", at + 1)
        for month in (JANUARY, FEBRUARY)
        for at in range(200)
    )
    invoice = replace(wanted(1), lines=roll_up(lines))
    assert len(invoice.lines) == 250
    assert invoice.corrections == {JANUARY: 20100, FEBRUARY: 20100}
