"""Dagster's history: which months were closed, which runs failed, and why.

What belongs here: reading it. What does not: acting on it (``sensors``, ``schedules``). The history
is no evidence of what was billed: it may be deleted, and then old months are not reported again.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

import dagster as dg

from billing_pipeline.months import BillingMonth
from billing_pipeline.notices.due import Close
from billing_pipeline.runs.instance import failure_reason

_CLOSED = dg.AssetKey("stripe_invoices")
# Enough to see a backfill of three years at once.
_LAST_CLOSES = 50
_FINISHED = {
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
}
# A run that failed longer ago than this is not reported any more.
_FAILED_FOR = timedelta(days=7)


class FailedRun(NamedTuple):
    """A run that ended in failure; `month` is its partition, where it has one."""

    run_id: str
    job_name: str
    month: str
    reason: str


def closed_months(instance: dg.DagsterInstance) -> set[BillingMonth]:
    """Months whose close went through to its end."""
    keys = instance.get_materialized_partitions(_CLOSED)
    return {BillingMonth.parse(key) for key in keys}


def is_closing(instance: dg.DagsterInstance, month: BillingMonth) -> bool:
    """True while a run that closes the month waits or runs."""
    under_way = [status for status in dg.DagsterRunStatus if status not in _FINISHED]
    filters = dg.RunsFilter(
        job_name="close_month", tags={"dagster/partition": str(month)}, statuses=under_way
    )
    return instance.get_runs_count(filters) > 0


def last_closes(instance: dg.DagsterInstance) -> dict[BillingMonth, Close]:
    """The last close of each month, once its run has ended and its checks are known."""
    closes: dict[BillingMonth, Close] = {}
    found = instance.fetch_materializations(_CLOSED, limit=_LAST_CLOSES)
    for record in found.records:
        if record.partition_key is None:
            continue
        month = BillingMonth.parse(record.partition_key)
        run = instance.get_run_by_id(record.run_id)
        if month not in closes and run is not None and run.is_finished:
            closes[month] = Close(record.run_id, tuple(_failed_checks(instance, record.run_id)))
    return closes


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> Iterator[str]:
    for check in _checks(_events(instance, run_id)):
        if not check.passed:
            yield f"{check.check_name} ({check.severity.value.lower()})"


def failed_runs(instance: dg.DagsterInstance, now: datetime) -> list[FailedRun]:
    """The runs that failed in the last days, from the UI, the schedules and the command line."""
    filters = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - _FAILED_FOR)
    return [
        FailedRun(
            run.run_id,
            run.job_name,
            run.tags.get("dagster/partition", "")[:7],
            _failure_reason(_events(instance, run.run_id)),
        )
        for run in instance.get_runs(filters, limit=_LAST_CLOSES)
    ]


def _failure_reason(events: list[dg.DagsterEvent]) -> str:
    """The reasons of the failed steps; else the run's own, as when its process was killed."""
    checks = _checks(events)
    steps = [failure_reason(event, checks) for event in events if event.is_step_failure]
    return "; ".join(steps or [event.message or "" for event in events if event.is_run_failure])


def _events(instance: dg.DagsterInstance, run_id: str) -> list[dg.DagsterEvent]:
    kinds = {
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        dg.DagsterEventType.STEP_FAILURE,
        dg.DagsterEventType.RUN_FAILURE,
    }
    found = instance.get_records_for_run(run_id, of_type=kinds).records
    events = [record.event_log_entry.dagster_event for record in found]
    return [event for event in events if event is not None]


def _checks(events: list[dg.DagsterEvent]) -> list[dg.AssetCheckEvaluation]:
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    return [event.asset_check_evaluation_data for event in events if event.event_type is kind]
