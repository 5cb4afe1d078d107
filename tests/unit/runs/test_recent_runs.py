"""The log of runs: what each did, how many succeeded and failed, who approved."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from billing_pipeline.runs.recent_runs import RecentRun, run_log


@dg.asset
def stripe_invoices() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"done": 12, "failed": 0, "needs_approval": False})


class Decision(dg.Config):
    decided_by: str


@dg.asset
def approved_changes(config: Decision) -> None:
    counted = {"done": 2, "failed": 1, "plan_hash": "abc"}
    raise dg.Failure("failed in part", metadata=counted, allow_retries=False)


@dg.asset
def month_drift() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"months": "2024-03", "rated": 1})


@dg.asset
def charges() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"dagster/row_count": 7})


@dg.asset
def invoice_payments() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"invoices_read": 1200, "requests": 15})


@dg.asset
def estimated_charges() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"customers_estimated": 0})


@dg.op
def due_payments(context: dg.OpExecutionContext) -> None:
    tries = {"paid": 3, "declined": 1, "given_up": 0, "failed": 0}
    context.add_output_metadata(tries | {"paid_from_wallets": 2})


@dg.job
def collect_payments() -> None:
    due_payments()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def recent_run(instance: dg.DagsterInstance) -> RecentRun:
    [newest] = run_log(instance, 1)
    assert newest.seconds is not None
    return newest


def made(instance: dg.DagsterInstance, asset: Any, config: Any = None) -> RecentRun:
    dg.materialize([asset], instance=instance, raise_on_error=False, run_config=config)
    return recent_run(instance)


def test_a_close_says_how_much_it_did(instance: dg.DagsterInstance) -> None:
    run = made(instance, stripe_invoices)
    assert (run.ended, run.did, run.done, run.failed) == ("success", "12 done", 12, 0)
    assert run.approved_by == ""


def test_what_failed_in_part_and_who_approved_it(instance: dg.DagsterInstance) -> None:
    config = {"ops": {"approved_changes": {"config": {"decided_by": "ada"}}}}
    run = made(instance, approved_changes, config)
    assert (run.ended, run.did, run.done, run.failed) == ("failure", "2 done, 1 failed", 2, 1)
    assert run.approved_by == "ada"


def test_collecting_counts_its_tries_and_what_wallets_paid(instance: dg.DagsterInstance) -> None:
    collect_payments.execute_in_process(instance=instance)
    run = recent_run(instance)
    assert (run.job, run.did, run.done, run.failed) == (
        *("collect_payments", "3 paid, 2 paid from wallets, 1 declined"),
        *(5, 1),
    )


def test_a_look_for_drift_counts_the_months_that_it_rated(instance: dg.DagsterInstance) -> None:
    assert made(instance, month_drift).did == "1 rated"


@pytest.mark.parametrize(
    ("asset", "did"),
    [(invoice_payments, "1,200 invoices read"), (estimated_charges, "0 customers estimated")],
)
def test_a_run_that_only_reads_says_what(
    instance: dg.DagsterInstance, asset: Any, did: str
) -> None:
    run = made(instance, asset)
    assert (run.did, run.done, run.failed) == (did, None, None)


def test_a_run_that_touches_nobody_has_no_numbers(instance: dg.DagsterInstance) -> None:
    run = made(instance, charges)
    assert (run.did, run.done, run.failed) == ("", None, None)
