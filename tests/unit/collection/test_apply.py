"""The push as a whole: what reaches Stripe, in how many calls, and what a second run does."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import duckdb
import pytest

from billing_pipeline.collection import payments
from billing_pipeline.collection.plan.actions import ActionKind
from billing_pipeline.collection.plan.desired import NotComputedError
from billing_pipeline.collection.plan_pages import receipt_markdown
from billing_pipeline.collection.plan_rows import PlanNotes, outcome_rows
from billing_pipeline.collection.steps import PlanChangedError
from billing_pipeline.collection.stripe_state.metadata_keys import LINE_ID
from billing_pipeline.collection.stripe_state.stripe_invoice import read_line
from billing_pipeline.rating.unchanged import set_checked

from .conftest import JANUARY, Company
from .fake_stripe import Json

NOTES = PlanNotes(date(2026, 2, 3))


def kinds(plan: object) -> dict[str, int]:
    counts: dict[str, int] = {}
    for action in plan.actions:  # type: ignore[attr-defined]
        counts[action.kind.value] = counts.get(action.kind.value, 0) + 1
    return counts


def test_first_push_bills_everyone_and_a_second_changes_nothing(company: Company) -> None:
    company.bill({"ada": ["10.00", "2.50"], "bob": ["7.00"]})
    first = company.apply()
    assert [r.state.value for r in first.report.results] == ["done", "done"]
    assert kinds(first.remaining) == {"unchanged": 2}
    assert [(i["status"], i["total"]) for i in company.invoices()] == [
        ("paid", 1250),
        ("paid", 700),
    ]
    sent = len(company.stripe.posts())
    again = company.apply()
    assert again.report.results == ()
    assert len(company.stripe.posts()) == sent


def test_an_invoice_takes_three_calls_and_its_payment(company: Company) -> None:
    company.bill({"ada": ["1.00"] * 200})
    company.apply()
    assert company.stripe.posts() == [
        "post /v1/customers",
        "post /v1/invoices",
        "post /v1/invoices/:id/add_lines",
        "post /v1/invoices/:id/finalize",
        "post /v1/invoices/:id/pay",
    ]


def test_more_due_waits_for_approval_and_becomes_a_supplement(company: Company) -> None:
    company.bill({"ada": ["10.00"], "bob": ["7.00"]})
    company.apply()
    company.bill({"ada": ["10.00", "3.25"], "bob": ["7.00"], "eve": ["5.00"]})
    run = company.apply()
    assert [(r.action.kind.value, r.state.value) for r in run.report.results] == [
        ("supplement", "waiting"),
        ("create", "done"),
    ]
    assert kinds(run.remaining) == {"supplement": 1, "unchanged": 2}
    approved = company.apply(approved_hash=run.remaining.hash)
    assert not approved.remaining.changes
    (supplement,) = [i for i in company.invoices() if i["metadata"]["billing_revision"] == "2"]
    assert (supplement["total"], supplement["status"]) == (325, "paid")


def test_a_lower_amount_credits_the_paying_customers_balance(company: Company) -> None:
    company.bill({"ada": ["10.00", "2.00"]})
    company.apply()
    company.bill({"ada": ["10.00"]})
    waiting = company.apply().remaining
    company.apply(approved_hash=waiting.hash)
    (note,) = company.stripe.objects["cn"].values()
    assert (note["total"], note["credit_amount"]) == (200, "200")
    assert not company.preview().changes
    rows = company.pull().reconciliation
    assert [row["state"] for row in rows] == ["matched"]


GONE = "gone"


@pytest.mark.parametrize(
    ("path", "odd"),
    [
        (r"/v1/customers$", {"id": GONE}),
        (r"/v1/customers$", {"created": 2**70}),
        (r"/v1/invoices$", {"id": GONE}),
        (r"/v1/invoices$", {"status": "?"}),
        (r"/add_lines$", {"status": [None]}),
        (r"/finalize$", {"total": "?"}),
        (r"/finalize$", {"metadata": {}}),
        (r"/finalize$", {"total": -1}),
        (r"/pay$", {"amount_remaining": {}}),
    ],
)
def test_an_answer_that_cannot_be_read_is_looked_up(
    company: Company, path: str, odd: dict[str, Any]
) -> None:
    """Stripe has done what it was asked for; only its answer is odd."""

    def answer(fake: Any, method: str, at: str, params: Any) -> Any:
        if method != "post" or not re.search(path, at) or sent:
            return None
        sent.append(at)
        status, body, _ = fake._once(method, at, params, fake.key)
        return status, {name: value for name, value in (body | odd).items() if value != GONE}

    sent: list[str] = []
    company.stripe.faults.append(answer)
    company.want({"ada": [1000], "bob": [500]})
    assert not company.apply().problems
    assert sent
    assert payments.verify_billed(company.settings) == []
    assert not company.apply().problems
    assert sorted((i["status"], i["total"]) for i in company.invoices()) == [
        ("paid", 500),
        ("paid", 1000),
    ]
    assert not company.preview().changes


def test_a_credit_note_whose_total_cannot_be_read_is_given_once(company: Company) -> None:
    company.want({"ada": [1000]})
    company.apply()

    def answer(fake: Any, method: str, path: str, params: Any) -> Any:
        if method != "post" or path != "/v1/credit_notes" or sent:
            return None
        sent.append(path)
        status, body, _ = fake._once(method, path, params, fake.key)
        return status, body | {"total": "?"}

    sent: list[str] = []
    company.want({"ada": [400]})
    waiting = company.apply().remaining
    company.stripe.faults.append(answer)
    company.apply(approved_hash=waiting.hash)
    assert sent
    company.stripe.faults.clear()
    if (left := company.apply().remaining).waiting:
        company.apply(approved_hash=left.hash)
    assert not company.preview().changes
    [note] = company.stripe.objects["cn"].values()
    assert note["total"] == 600


def test_a_mark_of_a_line_that_is_no_text_makes_it_one_of_others() -> None:
    marked = {"id": "il_1", "amount": 1, "metadata": {LINE_ID: {"a": 1}}}
    assert read_line(marked).line_id is None


def test_a_credit_of_a_deleted_customer_is_owed_outside_stripe(company: Company) -> None:
    """There is no balance left to credit, and it must still be possible to finish the month."""
    company.bill({"ada": ["10.00", "2.00"]})
    company.apply()
    (invoice,) = company.invoices()
    company.stripe.delete_customers_one({}, invoice["customer"])
    company.bill({"ada": ["10.00"]})
    company.apply(approved_hash=company.apply().remaining.hash)
    (note,) = company.stripe.objects["cn"].values()
    assert (note["total"], note["out_of_band_amount"]) == (200, "200")
    assert "paid back outside" in note["memo"]
    assert not company.preview().changes


def test_another_hash_is_refused_with_the_present_plan(company: Company) -> None:
    company.bill({"ada": ["10.00"]})
    company.apply()
    company.bill({"ada": ["12.00"]})
    shown = company.preview()
    company.bill({"ada": ["13.00"]})
    with pytest.raises(PlanChangedError) as refused:
        company.apply(approved_hash=shown.hash)
    assert refused.value.plan.actions[0].amount_after == 1300
    assert len(company.invoices()) == 1


def test_a_vanished_invoice_is_credited_to_nothing(company: Company) -> None:
    company.bill({"ada": ["10.00"], "bob": ["1.00"]})
    company.apply()
    company.bill({"bob": ["1.00"]})
    waiting = company.preview()
    assert [a.kind for a in waiting.changes] == [ActionKind.CREDIT]
    company.apply(approved_hash=waiting.hash)
    assert not company.preview().changes


def test_without_records_nothing_is_billed_twice(company: Company) -> None:
    company.bill({"ada": ["10.00"], "bob": ["1.00"]})
    company.apply()
    sent = company.stripe.posts()
    for path in sorted((company.home / "records").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert not company.apply().report.results
    assert company.stripe.posts() == sent
    company.pull()
    assert payments.verify_billed(company.settings) == []


def test_a_card_that_fails_leaves_the_invoice_open_with_the_reason(company: Company) -> None:
    company.bill({"ada": ["10.00"]}, payment_method="pm_card_chargeCustomerFail")
    result = company.apply().report.results[0]
    assert result.state.value == "done"
    assert not company.preview().changes
    (row,) = company.pull().invoice_payments
    assert row["status"] == "open"
    assert row["last_error"] == "Your card was declined."
    assert str(row["outstanding"]) == "10.00"


def test_without_a_card_the_invoice_stays_open_and_later_runs_leave_it(company: Company) -> None:
    company.bill({"ada": ["10.00"]}, payment_method=None)
    company.apply()
    (row,) = company.pull().invoice_payments
    assert row["last_error"] == "This customer has no attached payment source"
    sent = len(company.stripe.posts())
    assert not company.apply().report.results
    assert len(company.stripe.posts()) == sent


def test_a_failing_customer_does_not_stop_the_others(company: Company) -> None:
    company.bill({"ada": ["10.00"], "bob": ["1.00"], "eve": ["2.00"]})

    def refuse(fake: object, method: str, path: str, params: dict) -> tuple | None:
        if path.endswith("add_lines") and "line_bob" in str(params):
            return 400, {"error": {"type": "invalid_request_error", "message": "not today"}}
        return None

    company.stripe.faults.append(refuse)
    run = company.apply()
    assert [r.state.value for r in run.report.results] == ["done", "failed", "done"]
    (failed,) = run.report.failed
    assert "not today" in failed.message and "customer bob" in failed.message
    assert failed.request_id
    states = {row["customer_id"]: row for row in outcome_rows(run.report, run.remaining, NOTES)}
    assert {name: row["state"] for name, row in states.items()} == {
        "ada": "done",
        "bob": "failed",
        "eve": "done",
    }
    assert {row["action"] for row in states.values()} == {"create", "resume"}
    assert {row["plan_hash"] for row in states.values()} == {run.remaining.hash}
    assert "not today" in states["bob"]["reason"]
    assert [result.state for result in run.report.results] == ["done", "failed", "done"]
    receipt = receipt_markdown(run.report)
    assert "| Customer ada (ada) | create | USD 0.00 | USD 10.00 | done |" in receipt
    assert "| Customer bob (bob) | create | USD 0.00 | USD 1.00 | failed: " in receipt
    assert "not today" in receipt and run.report.plan.hash in receipt
    company.stripe.faults.clear()
    again = company.apply()
    assert [r.action.kind.value for r in again.report.results] == ["resume"]
    assert not again.remaining.changes


def test_an_unchecked_month_is_neither_planned_nor_sent(company: Company) -> None:
    """A step of a job can be launched alone in the UI, after the one before it failed."""
    company.bill({"ada": ["10.00"]})
    set_checked(company.settings, JANUARY, False)
    for step in (company.preview, company.apply):
        with pytest.raises(NotComputedError, match="the checks of 2026-01 have not passed"):
            step()
    assert company.invoices() == []
    set_checked(company.settings, JANUARY, True)
    assert len(company.apply().report.done) == 1


def test_a_run_that_ended_too_early_says_so(company: Company) -> None:
    path = company.settings.warehouse_path(JANUARY)
    with pytest.raises(NotComputedError, match="has not been computed yet"):
        company.preview()
    path.parent.mkdir(parents=True)
    duckdb.connect(str(path)).close()
    with pytest.raises(NotComputedError, match="ended before its invoices"):
        company.preview()


def test_an_invoice_with_a_different_total_in_stripe_stays_a_draft(company: Company) -> None:
    """A tax setting or a coupon in Stripe may add amounts that we do not know about."""
    company.bill({"ada": ["10.00"], "bob": ["1.00"]})

    def taxed(fake: Any, method: str, path: str, params: Json) -> Any:
        if path.endswith("/add_lines"):
            fake.carry_out(method, path, params)
            invoice = fake.objects["in"][path.split("/")[3]]
            if invoice["total"] == 1000:
                invoice["total"] += 1
                invoice["amount_due"] += 1
            return 200, dict(invoice)
        return None

    company.stripe.faults.append(taxed)
    report = company.apply().report
    [failed] = report.failed
    assert failed.action.customer_id == "ada"
    assert "Stripe's total is USD 10.01 and ours is USD 10.00" in failed.message
    assert {i["total"]: i["status"] for i in company.invoices()} == {1001: "draft", 100: "paid"}


def test_more_customers_than_stripes_metadata_can_name_stop_one_invoice_only(
    company: Company,
) -> None:
    company.want({"ada": [1000], "bob": [700]})
    ada, bob = company.desired or ()
    company.desired = (replace(ada, billed_for=tuple(map(str, range(2000)))), bob)
    outcome = company.apply()
    [failed] = outcome.report.failed
    assert "lines of 2000 other customers" in failed.message
    assert [(item["total"], item["status"]) for item in company.invoices()] == [(700, "paid")]
    assert len(company.stripe.objects["cus"]) == 1
