"""Every review has a way out: adopt, reissue, write off. Proposed, approved by hash, then done."""

from __future__ import annotations

from typing import Any

import pytest

from billing_pipeline.collection import steps
from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.invoice_plan import InvoicePlan
from billing_pipeline.collection.plan.proposal import (
    NotInReviewError,
    ResolutionRequest,
    WrongDecisionError,
)
from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.collection.steps import ApplyOutcome
from billing_pipeline.collection.stripe_state import metadata_keys
from billing_pipeline.collection.stripe_state.resolutions import Decision, Resolution

from .conftest import JANUARY, Company
from .test_interruptions import Killed, at, kill_after

ADA = "in_202601_ada"
ADOPT, REISSUE, WRITE_OFF = Decision.ADOPT, Decision.REISSUE, Decision.WRITE_OFF
LEAVES = [ADOPT, WRITE_OFF]


def propose(company: Company, decision: Decision, invoice_id: str = ADA) -> InvoicePlan:
    request = ResolutionRequest(invoice_id, decision, "agreed by phone", "finance")
    return company.wait(
        steps.propose(
            company.gateway(),
            company.settings,
            JANUARY,
            request,
            run_id="run-resolve",
            desired=company.desired,
        )
    )


def resolve(company: Company, decision: Decision) -> ApplyOutcome:
    """Ask for it, approve the plan that is shown, and carry it out."""
    shown = propose(company, decision)
    assert [a.kind for a in shown.waiting] == [ActionKind.RESOLVE]
    assert not shown.safe, "nothing of it goes out before it is approved"
    outcome = company.apply(approved_hash=shown.hash)
    assert not outcome.problems
    return outcome


def billed(company: Company, *amounts: int) -> None:
    company.want({"ada": list(amounts)})
    company.apply()


def void(company: Company) -> None:
    (invoice,) = company.invoices()
    invoice |= {"status": "open", "amount_remaining": invoice["total"], "amount_paid": 0}
    company.stripe.act("post", f"/v1/invoices/{invoice['id']}/void", {})
    company.clock.advance(60)


def credit_by_hand(company: Company, amount: int) -> None:
    (invoice,) = company.invoices()
    params = {"invoice": invoice["id"], "amount": amount, "credit_amount": amount}
    assert company.stripe.act("post", "/v1/credit_notes", params)[0] == 200


def totals(company: Company) -> list[tuple[int, str]]:
    return [(item["total"], item["status"]) for item in company.invoices()]


def test_a_voided_invoice_waits_until_it_is_decided(company: Company) -> None:
    billed(company, 4000)
    void(company)
    for _ in range(2):
        outcome = company.apply()
        (waiting,) = outcome.remaining.waiting
        assert waiting.kind is ActionKind.REVIEW and "was voided" in waiting.reason


@pytest.mark.parametrize("decision", LEAVES)
def test_a_voided_invoice_can_be_left_void(company: Company, decision: Decision) -> None:
    billed(company, 4000)
    void(company)
    resolve(company, decision)
    assert totals(company) == [(4000, "void")]
    assert not company.preview().changes
    (action,) = company.preview().actions
    assert "as was decided" in action.reason and action.amount_after == 0


@pytest.mark.parametrize("decision", LEAVES)
def test_only_later_changes_are_billed_after_a_decision(
    company: Company, decision: Decision
) -> None:
    billed(company, 4000)
    void(company)
    resolve(company, decision)
    company.want({"ada": [4000, 500]})
    later = company.preview()
    assert [a.kind for a in later.waiting] == [ActionKind.SUPPLEMENT]
    company.apply(approved_hash=later.hash)
    assert totals(company) == [(4000, "void"), (500, "paid")]
    assert not company.preview().changes
    company.want({"ada": [4000]})
    company.apply(approved_hash=company.preview().hash)
    assert not company.preview().changes
    company.want({})
    assert not company.preview().changes, "there is nothing that could be taken back"


def test_a_voided_invoice_can_be_billed_again(company: Company) -> None:
    billed(company, 4000)
    void(company)
    resolve(company, REISSUE)
    assert totals(company) == [(4000, "void"), (4000, "paid")]
    assert not company.preview().changes
    company.want({"ada": [4000, 100]})
    company.apply(approved_hash=company.preview().hash)
    assert totals(company)[1:] == [(4000, "paid"), (100, "paid")]
    assert not company.preview().changes


def test_voiding_after_a_decision_needs_a_new_decision(company: Company) -> None:
    billed(company, 4000)
    void(company)
    resolve(company, REISSUE)
    second = company.invoices()[1]
    second |= {"status": "open"}
    company.stripe.act("post", f"/v1/invoices/{second['id']}/void", {})
    (action,) = company.preview().changes
    assert action.kind is ActionKind.REVIEW and second["id"] in action.reason
    resolve(company, WRITE_OFF)
    assert not company.preview().changes


@pytest.mark.parametrize("decision", LEAVES)
def test_a_credit_note_by_hand_is_accepted(company: Company, decision: Decision) -> None:
    billed(company, 4000)
    credit_by_hand(company, 500)
    company.want({"ada": [4000, 300]})
    (action,) = company.apply().remaining.waiting
    assert action.kind is ActionKind.REVIEW and "credited by hand" in action.reason
    resolve(company, decision)
    assert totals(company) == [(4000, "paid")]
    assert not company.preview().changes
    company.want({"ada": [4000, 300, 70]})
    company.apply(approved_hash=company.preview().hash)
    assert totals(company) == [(4000, "paid"), (70, "paid")]
    assert not company.preview().changes
    company.want({})
    company.apply(approved_hash=company.preview().hash)
    assert company.preview().changes == ()
    assert sum(n["total"] for n in company.stripe.objects["cn"].values()) == 4000 + 70


def test_a_credit_note_by_hand_can_be_accepted_before_it_is_in_the_way(company: Company) -> None:
    billed(company, 4000)
    credit_by_hand(company, 500)
    assert not company.preview().changes
    resolve(company, ADOPT)
    company.want({"ada": [4000, 300]})
    assert [a.kind for a in company.preview().changes] == [ActionKind.SUPPLEMENT]


def test_marks_are_put_back(company: Company) -> None:
    billed(company, 4000)
    (invoice,) = company.invoices()
    before = dict(invoice["metadata"])
    for name in metadata_keys.IDENTITY:
        del invoice["metadata"][name]
    resolve(company, ADOPT)
    assert {name: invoice["metadata"][name] for name in metadata_keys.IDENTITY} == {
        name: before[name] for name in metadata_keys.IDENTITY
    }
    for path in company.settings.records_dir.glob("*.db*"):
        path.unlink()
    assert not company.preview().changes


@pytest.mark.parametrize("lost", ["nothing", "stripe_mirror.db*"])
@pytest.mark.parametrize("changed", ["", "0"])
def test_an_edited_wallet_amount_in_metadata_is_not_trusted(
    company: Company, changed: str, lost: str
) -> None:
    company.top_up(first=2000)
    company.want({"ada": [1500]}, wallet=1500)
    company.apply()
    (invoice,) = company.invoices()
    invoice["metadata"][metadata_keys.WALLET_APPLIED] = changed
    for path in company.settings.records_dir.glob(lost):
        path.unlink()
    (action,) = company.apply().remaining.waiting
    assert action.kind is ActionKind.REVIEW and metadata_keys.WALLET_APPLIED in action.reason
    resolve(company, ADOPT)
    assert invoice["metadata"][metadata_keys.WALLET_APPLIED] == "1500"
    assert not company.preview().changes


def test_an_invoice_that_stripe_no_longer_has(company: Company) -> None:
    billed(company, 4000)
    del company.stripe.objects["in"][company.invoices()[0]["id"]]
    (action,) = company.apply().remaining.waiting
    assert action.kind is ActionKind.REVIEW and "our records say" in action.reason
    resolve(company, REISSUE)
    assert totals(company) == [(4000, "paid")]
    assert not company.preview().changes


@pytest.mark.parametrize("decision", LEAVES)
def test_an_invoice_missing_in_stripe_can_be_left(company: Company, decision: Decision) -> None:
    billed(company, 4000)
    del company.stripe.objects["in"][company.invoices()[0]["id"]]
    resolve(company, decision)
    assert not company.invoices() and not company.preview().changes


def spoilt_draft(company: Company) -> dict[str, Any]:
    """A draft of ours, left by an interruption, to which somebody has added a line."""
    company.want({"ada": [4000]})

    def kill(fake: Any, method: str, path: str, params: Any) -> None:
        if path.endswith("/add_lines"):
            kill_after(fake, method, path, params)

    company.stripe.faults.append(kill)
    with pytest.raises(BaseExceptionGroup) as killed:
        company.apply()
    assert killed.value.subgroup(Killed)
    company.stripe.faults.clear()
    (draft,) = company.invoices()
    assert draft["status"] == "draft" and draft["total"] == 4000
    line = {"amount": "-300", "description": "by hand", "metadata": {}}
    company.stripe.act("post", f"/v1/invoices/{draft['id']}/add_lines", {"lines": {"0": line}})
    return draft


def test_an_adopted_edited_draft_is_billed_as_it_is(company: Company) -> None:
    spoilt_draft(company)
    (action,) = company.apply().remaining.waiting
    assert action.kind is ActionKind.REVIEW
    resolve(company, ADOPT)
    assert totals(company) == [(3700, "paid")]
    assert not company.preview().changes
    company.want({"ada": [4000, 100]})
    company.apply(approved_hash=company.preview().hash)
    assert totals(company) == [(3700, "paid"), (100, "paid")]
    assert not company.preview().changes


def test_a_draft_that_was_edited_is_replaced_by_ours(company: Company) -> None:
    draft = spoilt_draft(company)
    resolve(company, REISSUE)
    assert totals(company) == [(4000, "paid")]
    assert company.invoices()[0]["id"] != draft["id"]
    assert not company.preview().changes


def test_a_draft_that_lost_its_marks_is_replaced_by_ours(company: Company) -> None:
    draft = spoilt_draft(company)
    del draft["metadata"][metadata_keys.INVOICE_ID]
    resolve(company, REISSUE)
    assert totals(company) == [(4000, "paid")]
    assert not company.preview().changes


def test_a_draft_that_was_edited_is_left_and_never_billed(company: Company) -> None:
    draft = spoilt_draft(company)
    resolve(company, WRITE_OFF)
    assert totals(company) == [(3700, "draft")] and not company.preview().changes
    del company.stripe.objects["in"][draft["id"]]
    (action,) = company.apply().remaining.waiting
    assert action.kind is ActionKind.REVIEW, "what was written off is not billed after all"


@pytest.mark.parametrize("decision", list(Decision))
def test_an_interrupted_decision_is_gone_on_with(company: Company, decision: Decision) -> None:
    """Killed at each of its requests in turn, then run again with the waiting plan approved."""
    for number in range(1, 40):
        company.stripe.objects = {kind: {} for kind in company.stripe.objects}
        for path in company.settings.records_dir.glob("*.db*"):
            path.unlink()
        company.stripe.kept.clear()
        billed(company, 4000)
        void(company)
        shown = propose(company, decision)
        company.stripe.faults.append(at(number, kill_after))
        try:
            company.apply(approved_hash=shown.hash)
        except (Killed, BaseExceptionGroup):
            pass
        else:
            company.stripe.faults.clear()
            assert number > 3
            break
        company.stripe.faults.clear()
        for _ in range(3):
            present = company.preview()
            company.apply(approved_hash=present.hash if present.waiting else None)
            if not company.preview().changes:
                break
        expected = [(4000, "void")] + [(4000, "paid")] * (decision is REISSUE)
        assert totals(company) == expected, number
        assert not company.preview().changes, number


def test_a_decision_is_about_the_situation_in_which_it_was_asked_for(company: Company) -> None:
    billed(company, 4000)
    credit_by_hand(company, 500)
    company.want({"ada": [4000, 300]})
    shown = propose(company, ADOPT)
    credit_by_hand(company, 100)
    with pytest.raises(steps.PlanChangedError):
        company.apply(approved_hash=shown.hash)
    (action,) = company.preview().changes
    assert action.kind is ActionKind.REVIEW


def test_an_impossible_decision_is_refused(company: Company) -> None:
    billed(company, 4000)
    with pytest.raises(NotInReviewError, match="not in review in 2026-01"):
        propose(company, ADOPT)
    credit_by_hand(company, 500)
    company.want({"ada": [4000, 300]})
    with pytest.raises(WrongDecisionError, match="--reissue cannot end the review"):
        propose(company, REISSUE)
    with pytest.raises(NotInReviewError, match=f"in review: {ADA}"):
        propose(company, ADOPT, "in_202601_bob")
    assert company.preview().changes[0].kind is ActionKind.REVIEW


def test_a_decision_is_saved_with_author_and_reason(company: Company) -> None:
    billed(company, 4000)
    void(company)
    outcome = resolve(company, ADOPT)
    with open_records(company.settings.records_dir) as records:
        (request,) = records.request_log.entries(run_id=f"run-{company.runs}")
        (done,) = records.request_log.decided(JANUARY.key)
    assert request["actor"] == "adopt by finance: agreed by phone"
    assert request["plan_hash"] == outcome.report.plan.hash
    assert Resolution.parse(done.mark) == Resolution(ADOPT, 4000, frozenset(["void"]))
    # Stripe itself keeps it: with our records lost it holds as before.
    for path in company.settings.records_dir.glob("*.db*"):
        path.unlink()
    assert not company.preview().changes
