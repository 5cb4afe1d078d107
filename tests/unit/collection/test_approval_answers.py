"""A hash that cannot be the present plan's is answered in one sentence, before anything runs."""

from __future__ import annotations

from pathlib import Path

import duckdb

from billing_pipeline.collection.approval_answers import Answer, answer_to, first_answer, month_of
from billing_pipeline.collection.plan.approval import PlanDecision, Verdict
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.plans import PublishedPlan
from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare

JANUARY = BillingMonth(2026, 1)
APPROVED = PlanDecision(
    Verdict.APPROVED, "old", 1_770_000_000.0, "eve", "", "run-1", ("ada",), (), frozenset()
)


def test_the_present_plan_is_not_answered_but_run() -> None:
    assert answer_to(JANUARY, "new", PublishedPlan("new", 1), []) is None
    # approved in part, the rest has the same hash
    part = [PlanDecision(**vars(APPROVED) | {"plan_hash": "new"})]
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
        "the plan old of 2026-01 was approved by eve on 2026-02-02; nothing is left to do"
    )


def test_an_old_hash_with_a_new_plan_is_refused() -> None:
    answer = answer_to(JANUARY, "old", PublishedPlan("new", 2), [APPROVED])
    assert answer is not None and not answer.is_harmless
    assert "the plan now is new" in answer.sentence


def test_a_refusal_is_no_approval() -> None:
    refused = PlanDecision(**vars(APPROVED) | {"verdict": Verdict.DECLINED})
    answer = answer_to(JANUARY, "old", PublishedPlan("new", 0), [refused])
    assert answer is not None and not answer.is_harmless


def test_the_month_follows_from_the_hash_of_a_present_or_a_former_plan(tmp_path: Path) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    settings.published_dir.mkdir()
    with duckdb.connect(str(database_path(settings))) as published:
        declare(published, settings)
        published.execute("DROP VIEW invoice_plan_known")
        published.execute("CREATE TABLE invoice_plan_known AS FROM invoice_plan")
        for table, month, plan_hash in (
            ("invoice_plan", "2026-02-01", "new"),
            ("approvals", "2026-01-01", "old"),
            ("invoice_plan_known", "2026-03-01", "older"),
        ):
            published.execute(
                f"INSERT INTO {table} (billing_month, plan_hash) VALUES (?, ?)", [month, plan_hash]
            )
    found = {name: month_of(settings, name) for name in ("new", "old", "older")}
    assert found == {
        "new": BillingMonth(2026, 2), "old": JANUARY, "older": BillingMonth(2026, 3)
    }  # fmt: skip
    unknown = month_of(settings, "typo")
    assert isinstance(unknown, Answer) and "no plan has the hash typo" in unknown.sentence

    answer = first_answer(settings, JANUARY, "new")
    assert answer is not None
    sentence, link = answer.sentence.split("; there: ")
    assert sentence == "new is a plan of 2026-02, not of 2026-01"
    assert link.startswith("http://127.0.0.1:3000/") and link.endswith("=2026-02")
