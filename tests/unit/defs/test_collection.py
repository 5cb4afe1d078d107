"""A run that failed in part says so and has published the rest; the checks on what it published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import duckdb
import pytest

from billing_pipeline.collection import payments, prepaid, steps, stripe_gateway
from billing_pipeline.collection.approval_answers import Answer
from billing_pipeline.collection.payments import PullResult
from billing_pipeline.collection.plan.approval import NotInPlanError
from billing_pipeline.collection.plan.invoice_plan import ActionKind, InvoiceAction, InvoicePlan
from billing_pipeline.collection.plan_rows import PlanNotes, plan_rows
from billing_pipeline.collection.prepaid import WalletTables
from billing_pipeline.collection.push.apply import ActionResult, ApplyReport, ResultState
from billing_pipeline.collection.push.wallets import WalletProblem
from billing_pipeline.collection.steps import ApplyOutcome
from billing_pipeline.defs import approvals, checks, drift, plans, sending
from billing_pipeline.defs import payments as pulls
from billing_pipeline.defs.approvals import approved_changes
from billing_pipeline.defs.collection import payment_metadata
from billing_pipeline.defs.payments import invoice_payments
from billing_pipeline.defs.plans import invoice_plan
from billing_pipeline.defs.resources import Stripe, resources
from billing_pipeline.intake.late_usage import (
    RatedInputs,
    compared_inputs,
    record_compared,
    record_rated,
)
from billing_pipeline.intake.usage_files import UsageFiles
from billing_pipeline.months import BillingMonth
from billing_pipeline.published.publish import publish_rows
from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings
from tests.virtual_clock import VirtualClock

JANUARY = BillingMonth(2024, 1)
PLAN = InvoicePlan(JANUARY.key, "acct", ())
ACTION = InvoiceAction(ActionKind.CREATE, "in_1", "ada", "USD", 0, 100, "not billed yet")
FAILED = ActionResult(ACTION, ResultState.FAILED, "no such customer")
RUN: Any = SimpleNamespace(
    partition_key=str(JANUARY), run=SimpleNamespace(job_name="apply_plan", run_id="run-1")
)
NOTHING_READ: RatedInputs = {"folders": [], "files": {}, "reference": {}}
UNREAD = {"customer_id": "cyd", "currency": "USD", "problem": "No such customer: cus_9"}


class NoStripe(Stripe):
    """Opens nothing: what the steps give is told by `answers`."""

    @contextmanager
    def open(self) -> Iterator[Any]:
        yield SimpleNamespace(clock=VirtualClock(1_707_000_000.0))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"BILLING_HOME": str(tmp_path / "home")})


@pytest.fixture
def published(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The tables of each publication; Stripe and the warehouse are left out."""
    found: list[set[str]] = []

    def publish(settings: Settings, month: BillingMonth, tables: dict[str, Any]) -> None:
        found.append({*tables})

    monkeypatch.setattr(plans, "publish", publish)
    for module in (approvals, plans, pulls):
        monkeypatch.setattr(module, "publish_rows", publish)
    monkeypatch.setattr(payments, "record_published", lambda settings, pulled: None)
    monkeypatch.setattr(prepaid, "record_published", lambda settings, month, wallets: None)
    return found


def answers(monkeypatch: pytest.MonkeyPatch, *results: Any) -> None:
    """The results of the steps, in order."""
    left: Iterator[Any] = iter(results)
    monkeypatch.setattr(stripe_gateway, "run", lambda gateway, work: next(left))


def pulled() -> PullResult:
    return PullResult(JANUARY, *[[] for _ in range(8)], requests=0)


def apply(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    report: ApplyReport,
    *wallets: dict[str, Any],
    known: bool,
) -> Any:
    monkeypatch.setattr(prepaid, "wallets_are_published", lambda settings, month: known)
    answers(monkeypatch, ApplyOutcome(report, PLAN), pulled(), WalletTables([*wallets], 1))
    return sending.apply(RUN, settings, NoStripe(settings=settings), steps.Approval("hash"))


def test_a_push_that_failed_in_part_fails_once_it_has_published(
    published: list[set[str]], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = WalletProblem("bob", "USD", "refused")
    report = ApplyReport(PLAN, (FAILED,), wallet_problems=(problem,))
    with pytest.raises(dg.Failure) as failure:
        apply(monkeypatch, settings, report, UNREAD, known=False)
    assert str(failure.value.description) == (
        "failed in part, the others went on: ada: no such customer; bob: refused; "
        "cyd: No such customer: cus_9"
    )
    assert [{"invoice_plan", "stripe_invoices", "wallet_reconciliation"} <= names
            for names in published] == [True]  # fmt: skip


@pytest.mark.parametrize(
    "report",
    [ApplyReport(PLAN, (FAILED,)),
     ApplyReport(PLAN, (), wallet_problems=(WalletProblem("bob", "USD", "refused"),))],
)  # fmt: skip
def test_each_failure_by_itself_fails_the_run(
    published: list[set[str]],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    report: ApplyReport,
) -> None:
    with pytest.raises(dg.Failure):
        apply(monkeypatch, settings, report, known=True)
    assert len(published) == 1


@pytest.mark.parametrize("known", [True, False])
def test_wallets_are_read_again_where_what_is_published_of_them_is_old(
    published: list[set[str]], settings: Settings, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Also by a run that had nothing to send."""
    apply(monkeypatch, settings, ApplyReport(PLAN, ()), known=known)
    assert ["wallet_reconciliation" in names for names in published] == [not known]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "old is not the plan"),
        ({"decline": True}, "a reason is needed to decline a change"),
        ({"only": ["eve"]}, "the plan has nothing to approve or decline for eve"),
    ],
)
def test_an_approval_that_cannot_be_carried_out_leaves_the_month_as_it_was(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], message: str
) -> None:
    """It is answered in a sentence: the run is no failure, and the partition stays what it was."""

    def refuse(*_: Any) -> Any:
        raise NotInPlanError("the plan has nothing to approve or decline for eve")

    answer = None if "only" in config else Answer("old is not the plan")
    monkeypatch.setattr(approvals, "first_answer", lambda settings, month, plan_hash: answer)
    monkeypatch.setattr(approvals, "apply", refuse)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [approved_changes],
            resources=resources({"settings": settings, "stripe": NoStripe(settings=settings)}),
            partition_key=str(JANUARY),
            run_config={"ops": {"approved_changes": {"config": {"plan_hash": "old"} | config}}},
            instance=instance,
        )
        assert result.success
        assert instance.get_materialized_partitions(approved_changes.key) == set()
    [event] = [event for event in result.all_events if event.is_asset_observation]
    observed = event.asset_observation_data.asset_observation
    assert observed.metadata[approvals.ANSWER].value == message


@pytest.mark.parametrize("everything", [True, False])
def test_a_month_of_which_all_was_declined_has_no_drift(
    published: list[set[str]],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    everything: bool,
) -> None:
    """So nobody has to look at it. Where something is left, the next look rates the month."""
    settings.month_dir(JANUARY).mkdir(parents=True)
    record_rated(settings, JANUARY, [], UsageFiles(()))
    monkeypatch.setattr(plans, "notes_of", lambda *_: (PlanNotes(date(2024, 2, 1)), []))
    waiting = replace(ACTION, invoice_id="in_2", customer_id="bob")
    actions = (ACTION,) if everything else (ACTION, waiting)
    plan = InvoicePlan(JANUARY.key, "acct", actions, declined={ACTION.key: "declined by finance"})
    answers(monkeypatch, plan)
    approvals._decline(RUN, settings, NoStripe(settings=settings), steps.Approval("hash"))
    assert ["month_drift" in names for names in published] == [everything]
    assert (compared_inputs(settings, JANUARY) is not None) == everything


@pytest.mark.parametrize("is_billed", [True, False])
def test_drift_ends_when_the_corrections_of_a_later_month_have_billed_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, is_billed: bool
) -> None:
    settings = replace(settings, data_dir=str(settings.home / "data"))
    record_compared(settings, JANUARY, NOTHING_READ, is_billed=is_billed)
    settings.published_dir.mkdir(parents=True)
    with duckdb.connect(str(database_path(settings))) as published:
        published.execute("CREATE TABLE month_drift AS SELECT DATE '2024-01-01' AS billing_month")
    found = []
    monkeypatch.setattr(drift, "publish_rows", lambda settings, month, tables: found.append(tables))
    assert not drift._compare(RUN, settings, NoStripe(settings=settings), JANUARY)
    assert found == ([{"month_drift": []}] if is_billed else [])


@pytest.mark.parametrize("has_commitments", [True, False])
def test_a_published_month_has_later_months_compared_again_where_commitments_count_it(
    published: list[set[str]],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    has_commitments: bool,
) -> None:
    settings = replace(settings, data_dir=str(settings.home / "data"))
    accounts = settings.home / "data" / "accounts"
    accounts.mkdir(parents=True)
    if has_commitments:
        (accounts / "commitments.csv").write_text("commitment_id\n", encoding="utf-8")
    months = [JANUARY.shift(count) for count in range(3)]
    monkeypatch.setattr(payments, "billed_months", lambda settings: months)
    for month in months:
        settings.month_dir(month).mkdir(parents=True)
        record_rated(settings, month, [], UsageFiles(()))
        record_compared(settings, month, NOTHING_READ, is_billed=True)
    plans.publish_month(settings, months[1], {})
    known = [compared_inputs(settings, month) is not None for month in months]
    assert known == [True, True, not has_commitments]


def test_what_remains_after_a_partial_decision_is_the_drift_at_once(
    settings: Settings,
) -> None:
    """But only where a look has found some: else the rest may be first invoices."""
    other = replace(ACTION, invoice_id="in_2", customer_id="bob", amount_after=70)
    plan = InvoicePlan(JANUARY.key, "acct", (ACTION, other), declined={ACTION.key: "no"})
    planned = plan_rows(plan, PlanNotes(date(2024, 2, 1), {"in_2": "late usage"}))
    assert sending.drift_after(settings, JANUARY, plan, planned) == {}
    settings.published_dir.mkdir(parents=True)
    with duckdb.connect(str(database_path(settings))) as published:
        published.execute("CREATE TABLE month_drift AS SELECT DATE '2024-01-01' AS billing_month")
    [row] = sending.drift_after(settings, JANUARY, plan, planned)["month_drift"]
    assert (row["difference"], row["customers"]) == (Decimal("0.70"), 1)
    february = JANUARY.shift(1)
    assert sending.drift_after(settings, february, plan, planned) == {}


def test_another_preview_does_not_mark_what_was_sent_as_out_of_sync(
    published: list[set[str]], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = []
    for plan in (PLAN, InvoicePlan(JANUARY.key, "acct", (ACTION,))):
        answers(monkeypatch, plan)
        monkeypatch.setattr(plans, "notes_of", lambda *_: (PlanNotes(date(2024, 2, 1)), []))
        result = dg.materialize(
            [invoice_plan],
            resources=resources({"settings": settings, "stripe": NoStripe(settings=settings)}),
            partition_key=str(JANUARY),
        )
        [made] = result.asset_materializations_for_node("invoice_plan")
        versions.append((made.metadata["plan_hash"].value, made.tags["dagster/data_version"]))
    [(hash_before, version_before), (hash_after, version_after)] = versions
    assert hash_before != hash_after
    assert version_before == version_after


def test_a_pull_publishes_the_rest_and_names_the_wallet_that_it_could_not_read(
    published: list[set[str]], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, pulled(), WalletTables([UNREAD], 1))
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(dg.Failure) as failure:
        dg.materialize(
            [invoice_payments],
            resources=resources({"settings": settings, "stripe": NoStripe(settings=settings)}),
            partition_key=str(JANUARY),
            instance=instance,
        )
    assert "cyd: No such customer: cus_9" in str(failure.value.description)
    assert "wallet_reconciliation" in published[0]


@pytest.mark.parametrize(
    ("row", "passed"),
    [({"difference": Decimal("0.00")}, True), ({"difference": Decimal("0.01")}, False),
     ({"problem": "No such customer"}, False)],
)  # fmt: skip
def test_wallets_agree_only_where_they_do(
    settings: Settings, row: dict[str, Any], passed: bool
) -> None:
    fine = {"customer_id": "bob", "currency": "USD", "difference": Decimal(0)}
    rows = [fine, {"customer_id": "ada", "currency": "USD"} | row]
    publish_rows(settings, JANUARY, {"wallet_reconciliation": rows})
    result = checks.wallets_agree(settings, JANUARY)
    assert result.passed is passed
    assert passed or "ada" in str(result.metadata)
    assert "bob" not in str(result.metadata)


@pytest.mark.parametrize(
    ("row", "passed", "severity"),
    [
        ({"state": "matched"}, True, None),
        ({"state": "wallet_differs"}, False, dg.AssetCheckSeverity.ERROR),
        ({"state": "charge_differs"}, False, dg.AssetCheckSeverity.WARN),
        ({"state": "differs", "difference": Decimal(1)}, False, dg.AssetCheckSeverity.ERROR),
    ],
)
def test_invoices_agree_in_all_that_was_paid(
    settings: Settings, row: dict[str, Any], passed: bool, severity: dg.AssetCheckSeverity | None
) -> None:
    rows = [{"invoice_id": "in_1", "customer_id": "ada", "difference": Decimal(0)} | row]
    publish_rows(settings, JANUARY, {"reconciliation": rows, "invoice_plan": []})
    result = checks.invoices_agree(settings, JANUARY)
    assert result.passed is passed
    assert severity is None or result.severity is severity


def test_what_was_paid_is_a_number_for_each_month_and_currency() -> None:
    paid = {"status": "paid", "currency": "USD", "billed": Decimal("12.50"), "paid": Decimal(12)}
    rows = [paid | {"outstanding": Decimal("0.50")}] * 2
    assert payment_metadata(rows) == {
        "invoices_paid": 2, "billed USD": 25.0, "paid USD": 24.0, "outstanding USD": 1.0
    }  # fmt: skip
