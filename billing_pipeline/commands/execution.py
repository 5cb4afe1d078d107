"""Running the Dagster jobs in this process, recorded in the same history as the UI's.

What belongs here: one run of one job for one month. What does not: the instance
(``runs.instance``), what the jobs do, and how a result is shown.
"""

from __future__ import annotations

import contextlib
import io
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from billing_pipeline.months import BillingMonth
from billing_pipeline.runs.instance import failure_reason, open_instance
from billing_pipeline.runs.interruption import was_interrupted
from billing_pipeline.runs.liveness import hold, reap_dead_runs, release
from billing_pipeline.runs.locks import RunLocks
from billing_pipeline.settings import Settings


@dataclass(frozen=True)
class RunResult:
    """How a run ended. `reason`: what went wrong, if it failed. `answer`: why an approval carried
    nothing out and left the month as it was."""

    run_id: str
    is_success: bool
    reason: str | None
    answer: str | None = None


def execute(
    settings: Settings,
    job_name: str,
    month: BillingMonth,
    run_config: dict[str, object] | None = None,
    *,
    is_verbose: bool = False,
) -> RunResult:
    """Run a job for a month and wait for it; its log is in the run history, and on the terminal
    only if `is_verbose`. Raises `InvalidMonthError` for a month that cannot be run,
    `HeldError` if another run has it, `HistoryError` if the history cannot be written, and
    `KeyboardInterrupt` if a signal ended the run."""
    settings.require_month(month, datetime.now(UTC))
    run_id = str(uuid.uuid4())
    locks = RunLocks(settings, run_id, job_name, _show)
    locks.hold_month(month)
    try:
        return _execute(settings, job_name, month, run_id, run_config, is_verbose=is_verbose)
    finally:
        locks.release_month()


def execute_for_all(settings: Settings, job_name: str, *, is_verbose: bool = False) -> RunResult:
    """Run a job that does not belong to one month, as `execute` does."""
    run_id = str(uuid.uuid4())
    return _execute(settings, job_name, None, run_id, None, is_verbose=is_verbose)


def _execute(
    settings: Settings,
    job_name: str,
    month: BillingMonth | None,
    run_id: str,
    run_config: dict[str, object] | None,
    *,
    is_verbose: bool,
) -> RunResult:
    # Imported here: the definitions parse dbt's project, the history imports SQLAlchemy, and many
    # commands run nothing.
    from billing_pipeline.definitions import build_defs
    from billing_pipeline.runs.in_process import execute as execute_in_process

    level = "DEBUG" if is_verbose else "CRITICAL"
    config = {"loggers": {"console": {"config": {"log_level": level}}}, **(run_config or {})}
    # dbt prints to the terminal by itself; its output is also in the month's folder
    quiet = contextlib.nullcontext() if is_verbose else contextlib.redirect_stdout(io.StringIO())
    try:
        with open_instance(settings) as instance, quiet:
            reap_dead_runs(settings, instance)
            hold(settings, run_id)
            result = execute_in_process(
                instance,
                build_defs({"settings": settings}),
                job_name,
                run_id=run_id,
                partition_key=str(month) if month is not None else None,
                run_config=config,
            )
    finally:
        release(run_id)
    failures = [event for event in result.all_events if event.is_step_failure]
    if any(_is_interruption(event) for event in failures) or (failures and was_interrupted()):
        raise KeyboardInterrupt
    checks = result.get_asset_check_evaluations()
    reasons = [failure_reason(event, checks) for event in failures]
    answers = [
        str(event.asset_observation_data.asset_observation.metadata["answer"].value)
        for event in result.all_events
        if event.is_asset_observation
        and "answer" in event.asset_observation_data.asset_observation.metadata
    ]
    return RunResult(
        result.run_id, result.success, "\n".join(reasons) or None, next(iter(answers), None)
    )


def _show(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _is_interruption(event: dg.DagsterEvent) -> bool:
    """True if Ctrl-C ended the step, which Dagster records as a failure of the step."""
    error = event.step_failure_data.error
    while error is not None:
        if error.cls_name in ("KeyboardInterrupt", "DagsterExecutionInterruptedError"):
            return True
        error = error.cause
    return False
