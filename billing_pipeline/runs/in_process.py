"""A run in this process that the UI shows like its own.

What belongs here: creating the run under the code location of its job, and executing it. What does
not: which job, and who waits for whom (``commands.execution``).

The UI finds a run's job by the run's origin. `execute_in_process` sets none, and then the run is
missing from its job's page, the list of jobs and the timeline. Dagster has no public way to set the
origin, so this file imports from ``dagster._core``; its test checks what is assumed of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.execution.job_execution_result import JobExecutionResult
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from billing_pipeline.runs.code_location import CODE_LOCATION


def execute(
    instance: dg.DagsterInstance,
    defs: dg.Definitions,
    job_name: str,
    *,
    run_id: str,
    partition_key: str | None,
    run_config: Mapping[str, Any],
) -> JobExecutionResult:
    """Run a job, for one partition if it has any, and wait for it. A failed step raises nothing: it
    is in the result."""
    job = defs.resolve_job_def(job_name)
    run = instance.create_run_for_job(
        job,
        run_id=run_id,
        run_config=run_config,
        tags={**job.run_tags, **({"dagster/partition": partition_key} if partition_key else {})},
        remote_job_origin=job_origin(defs, job_name),
    )
    return execute_run(InMemoryJob(job), run, instance)


def job_origin(defs: dg.Definitions, job_name: str) -> RemoteJobOrigin:
    """The origin by which the UI finds a job of ours."""
    location = RegisteredCodeLocationOrigin(CODE_LOCATION)
    repository = RemoteRepositoryOrigin(location, defs.get_repository_def().name)
    return repository.get_job_origin(job_name)
