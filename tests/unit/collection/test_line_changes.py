"""The lines that a plan changes add up to what it changes, whatever was credited before."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from billing_pipeline.collection.plan.line_changes import CREDITED_EARLIER, line_changes
from billing_pipeline.collection.plan_rows import change_rows
from billing_pipeline.published.change_evidence import ChangedLine, Evidence

from .test_plan import in_stripe, of, wanted


def test_each_line_has_its_amounts_and_quantities_before_and_after() -> None:
    first, now = wanted(100, 50, 7), wanted(150, 50)
    present = of([now], [in_stripe(first)])
    assert [
        (line.line_id, line.kind, line.amount_before, line.amount_after) for line in
        line_changes(present)
    ] == [("l1", "charge", 100, 150), ("l3", None, 7, 0)]  # fmt: skip
    [more, less] = line_changes(present)
    assert (more.quantity_before, more.quantity_after) == (100, 150)
    assert (less.quantity_before, less.quantity_after) == (7, None)


def test_a_charge_that_came_to_0_had_a_quantity_all_the_same() -> None:
    """It has no line in Stripe; what was saved as billed knows what was measured."""
    present = of([wanted(100, 5)], [in_stripe(wanted(100))])
    [line] = line_changes(present)
    known = Evidence("late usage", "", quantity_before=Decimal(3), quantity_after=Decimal(9))
    evidence = {ChangedLine(line.invoice_id, line.line_id): known}
    [row] = change_rows(present, [line], evidence)
    assert (row["quantity_before"], row["quantity_after"]) == (3, 5)
    assert [row["quantity_before"] for row in change_rows(present, [line], {})] == [None]


def test_a_first_invoice_changes_no_line_and_neither_does_one_that_stays() -> None:
    assert line_changes(of([wanted(100)], [])) == []
    assert line_changes(of([wanted(100)], [in_stripe(wanted(100))])) == []


def test_what_is_no_longer_due_is_reversed_line_by_line() -> None:
    [line] = line_changes(of([], [in_stripe(wanted(100))]))
    assert (line.line_id, line.amount_before, line.amount_after) == ("l1", 100, 0)


def test_what_was_credited_earlier_is_a_line_of_its_own() -> None:
    credited = replace(in_stripe(wanted(100)), credit_notes=30)
    changed, earlier = line_changes(of([wanted(120)], [credited]))
    assert (changed.amount_before, changed.amount_after) == (100, 120)
    assert (earlier.description, earlier.amount_before, earlier.amount_after) == (
        CREDITED_EARLIER, -30, 0,
    )  # fmt: skip


@given(
    st.lists(st.integers(-500, 500).filter(bool), min_size=1, max_size=5),
    st.lists(st.integers(-500, 500).filter(bool), max_size=5),
    st.integers(0, 300),
)
def test_the_lines_add_up_to_the_change_of_the_invoice(
    before: list[int], after: list[int], credit: int
) -> None:
    first = in_stripe(wanted(*before))
    first = replace(first, credit_notes=min(credit, max(0, first.total)))
    present = of([wanted(*after)] if after else [], [first])
    change = sum(action.amount_after - action.amount_before for action in present.changes)
    lines = line_changes(present)
    assert sum(line.amount_after - line.amount_before for line in lines) == change
