"""Approving and declining parts of a plan: nobody else's part is sent, and what was declined never
is until somebody approves it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billing_pipeline.collection import steps
from billing_pipeline.collection.plan.approval import NotInPlanError, Verdict
from billing_pipeline.collection.records.approvals import approval_rows
from billing_pipeline.collection.steps import PlanChangedError

from .conftest import JANUARY, Company

FIRST = {"ada": [1000], "bob": [700], "cyd": [500]}
MORE = {"ada": [1200], "bob": [900], "cyd": [600]}


def billed(company: Company) -> dict[str, int]:
    """What each customer was billed."""
    sums: dict[str, int] = {}
    for invoice in company.invoices():
        if invoice["status"] != "draft":
            name = invoice["metadata"]["billing_customer_id"]
            sums[name] = sums.get(name, 0) + invoice["total"]
    return sums


@pytest.fixture
def changed(company: Company) -> Company:
    """Three customers who were billed, and of whom more is due."""
    company.want(FIRST)
    company.apply()
    company.want(MORE)
    return company


def test_one_customer_is_approved_and_the_rest_waits_under_the_same_hash(changed: Company) -> None:
    plan_hash = changed.preview().hash
    outcome = changed.apply(approved_hash=plan_hash, only=["bob"])
    assert billed(changed) == {"ada": 1000, "bob": 900, "cyd": 500}
    assert outcome.remaining.hash == plan_hash == changed.preview().hash
    assert {a.customer_id for a in outcome.remaining.waiting} == {"ada", "cyd"}
    changed.apply(approved_hash=plan_hash, only=["cyd"])
    assert billed(changed) == {"ada": 1000, "bob": 900, "cyd": 600}
    assert changed.preview().hash == plan_hash
    last = changed.apply(approved_hash=plan_hash)
    assert billed(changed) == {"ada": 1200, "bob": 900, "cyd": 600}
    assert not last.remaining.changes


def test_the_rest_is_a_new_plan_once_anything_in_it_changes(changed: Company) -> None:
    plan_hash = changed.preview().hash
    changed.apply(approved_hash=plan_hash, only=["bob"])
    changed.want(MORE | {"cyd": [650]})
    with pytest.raises(PlanChangedError):
        changed.apply(approved_hash=plan_hash)
    changed.want(MORE | {"cyd": [500]})  # what was read for cyd is not due any more
    with pytest.raises(PlanChangedError):
        changed.apply(approved_hash=plan_hash, only=["ada"])
    assert billed(changed) == {"ada": 1000, "bob": 900, "cyd": 500}


def test_a_customer_without_a_change_cannot_be_approved(changed: Company) -> None:
    plan_hash = changed.preview().hash
    with pytest.raises(NotInPlanError, match="eve"):
        changed.apply(approved_hash=plan_hash, only=["bob", "eve"])
    changed.apply(approved_hash=plan_hash, only=["bob"])
    with pytest.raises(NotInPlanError, match="bob"):
        changed.apply(approved_hash=plan_hash, only=["bob"])
    assert billed(changed) == {"ada": 1000, "bob": 900, "cyd": 500}


def test_what_is_declined_is_not_asked_for_again_and_holds_nobody_up(changed: Company) -> None:
    plan_hash = changed.preview().hash
    declined = changed.decline(plan_hash, "ada", reason="not agreed")
    assert declined.hash == plan_hash
    assert {a.customer_id for a in declined.waiting} == {"bob", "cyd"}
    [reason] = declined.declined.values()
    assert reason.startswith("declined by finance on ") and reason.endswith(": not agreed")
    outcome = changed.apply(approved_hash=plan_hash)
    assert billed(changed) == {"ada": 1000, "bob": 900, "cyd": 600}
    assert not outcome.needs_approval
    again = changed.apply()
    assert not again.needs_approval
    assert [result.state.value for result in again.report.results] == ["declined"]
    assert billed(changed)["ada"] == 1000


def test_another_change_of_the_same_customer_is_asked_for(changed: Company) -> None:
    changed.decline(changed.preview().hash)
    assert not changed.preview().needs_approval
    changed.want(MORE | {"ada": [1300]})
    assert {a.customer_id for a in changed.preview().waiting} == {"ada"}
    changed.want(MORE)  # and as it was declined it stays declined
    assert not changed.preview().needs_approval
    changed.apply()
    assert billed(changed) == {"ada": 1000, "bob": 700, "cyd": 500}


def test_what_was_declined_is_sent_once_it_is_approved_by_name(changed: Company) -> None:
    plan_hash = changed.preview().hash
    changed.decline(plan_hash, "ada")
    changed.apply(approved_hash=plan_hash)
    left = changed.preview()
    assert changed.apply(approved_hash=left.hash).report.done == ()
    changed.apply(approved_hash=left.hash, only=["ada"])
    assert billed(changed) == {"ada": 1200, "bob": 900, "cyd": 600}


def test_a_declined_first_invoice_is_never_sent_unattended(company: Company) -> None:
    """Not by a later run without the limit that made it wait, and not with other content."""
    company.want(FIRST)
    company.max_invoice_total = Decimal(9)
    held = company.preview()
    assert held.held_by
    company.max_invoice_total = None
    company.decline(held.hash, "ada")
    company.apply()
    assert billed(company) == {"bob": 700, "cyd": 500}
    company.want(FIRST | {"ada": [1100]})
    outcome = company.apply()
    assert billed(company) == {"bob": 700, "cyd": 500}
    [asked] = outcome.remaining.waiting
    assert asked.customer_id == "ada" and "declined" in asked.reason
    company.decline(outcome.remaining.hash)
    assert not company.apply().needs_approval
    assert "ada" not in billed(company)
    company.apply(approved_hash=company.preview().hash, only=["ada"])
    assert billed(company)["ada"] == 1100


def test_a_declined_invoice_does_not_hold_the_month_by_its_size(company: Company) -> None:
    company.want(FIRST)
    company.max_invoice_total = Decimal(9)
    held = company.preview()
    company.decline(held.hash, "ada")
    company.apply()
    assert billed(company) == {"bob": 700, "cyd": 500}


def test_decisions_are_recorded_with_person_time_and_reason(changed: Company) -> None:
    plan_hash = changed.preview().hash
    changed.apply(approved_hash=plan_hash, only=["bob"])
    changed.decline(plan_hash, "cyd", reason="wrong price")
    decisions = steps.decisions_of(changed.settings, JANUARY)
    assert [item.verdict for item in decisions] == [Verdict.APPROVED, Verdict.DECLINED]
    rows = approval_rows(decisions)
    assert [(row["decision"], row["customers"], row["reason"]) for row in rows] == [
        ("approved", "bob", None),
        ("declined", "cyd", "wrong price"),
    ]
    assert {row["plan_hash"] for row in rows} == {plan_hash}
    assert {row["decided_by"] for row in rows} == {"finance"}
    assert [row["run_id"] for row in rows] == ["run-2", "run-3"]


def test_an_approval_is_on_the_disk_before_anything_is_sent(changed: Company) -> None:
    plan_hash, sent = changed.preview().hash, len(changed.stripe.posts())
    seen: list[int] = []

    def look(*_: object) -> None:
        seen.append(len(steps.decisions_of(changed.settings, JANUARY)))
        assert len(changed.stripe.posts()) == sent

    changed.apply(approved_hash=plan_hash, before_sending=look)
    assert seen == [1]
