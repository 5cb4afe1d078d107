"""A hash that cannot be the present plan's is answered in one sentence, before anything runs."""

from __future__ import annotations

from billing_pipeline.collection.approval_answers import answer_to
from billing_pipeline.collection.plan.approval import Decided, Verdict
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.plans import PublishedPlan

JANUARY = BillingMonth(2026, 1)
APPROVED = Decided(
    Verdict.APPROVED, "old", 1_770_000_000.0, "eve", "", "run-1", ("ada",), (), frozenset()
)


def test_the_present_plan_is_not_answered_but_run() -> None:
    assert answer_to(JANUARY, "new", PublishedPlan("new", 1), []) is None
    # approved in part, the rest has the same hash
    part = [Decided(**vars(APPROVED) | {"plan_hash": "new"})]
    assert answer_to(JANUARY, "new", PublishedPlan("new", 1), part) is None


def test_a_month_without_a_plan_says_how_to_make_one() -> None:
    answer = answer_to(JANUARY, "new", None, [])
    assert answer is not None and not answer.is_harmless
    assert answer.sentence == "2026-01 has no plan yet: `billing plan 2026-01` makes one"


def test_a_wrong_hash_names_the_present_plan() -> None:
    answer = answer_to(JANUARY, "typo", PublishedPlan("new", 0), [APPROVED])
    assert answer is not None and not answer.is_harmless
    assert answer.sentence == (
        "typo is not the plan of 2026-01, which is new: `billing plan 2026-01` shows it"
    )


def test_approving_again_what_was_carried_out_is_harmless() -> None:
    answer = answer_to(JANUARY, "old", PublishedPlan("new", 0), [APPROVED])
    assert answer is not None and answer.is_harmless
    assert answer.sentence == (
        "the plan old of 2026-01 was approved by eve on 2026-02-02; nothing of it is left"
    )


def test_an_old_hash_with_a_new_plan_is_refused() -> None:
    answer = answer_to(JANUARY, "old", PublishedPlan("new", 2), [APPROVED])
    assert answer is not None and not answer.is_harmless
    assert "the plan now is new" in answer.sentence


def test_a_refusal_is_no_approval() -> None:
    refused = Decided(**vars(APPROVED) | {"verdict": Verdict.DECLINED})
    answer = answer_to(JANUARY, "old", PublishedPlan("new", 0), [refused])
    assert answer is not None and not answer.is_harmless
