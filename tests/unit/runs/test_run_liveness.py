"""A run is alive as long as its process is."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from billing_pipeline.runs import liveness
from billing_pipeline.runs.liveness import hold, reap_dead_runs, release
from billing_pipeline.settings import Settings

HOLD_UNTIL_INPUT = """
import sys
from billing_pipeline.runs import liveness
from billing_pipeline.runs.liveness import hold
from billing_pipeline.settings import Settings
hold(Settings.from_env({"BILLING_HOME": sys.argv[1]}), sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def started(instance: dg.DagsterInstance) -> str:
    """A run that the history says is being executed."""

    @dg.job
    def nothing() -> None: ...

    return instance.create_run_for_job(nothing, status=dg.DagsterRunStatus.STARTED).run_id


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_ends_with_its_process(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    run_id = started(instance)
    command = [sys.executable, "-c", HOLD_UNTIL_INPUT, str(tmp_path), run_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert reap_dead_runs(settings, instance) == []
        assert status(instance, run_id) == dg.DagsterRunStatus.STARTED
        process.kill()
    assert reap_dead_runs(settings, instance) == [run_id]
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE
    assert reap_dead_runs(settings, instance) == []


def test_a_run_that_its_process_let_go_unfinished_is_ended(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """As where its end could not be written into the history."""
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    run_id = started(instance)
    hold(settings, run_id)
    hold(settings, run_id)
    assert reap_dead_runs(settings, instance) == []
    release(run_id)
    assert reap_dead_runs(settings, instance) == [run_id]
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE


def test_a_run_without_a_lock_file_is_ended_after_its_start_phase(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    run_id = started(instance)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    begun = dg.DagsterEvent("PIPELINE_START", run.job_name)
    instance.report_dagster_event(begun, run_id)
    assert reap_dead_runs(settings, instance) == []
    monkeypatch.setattr(liveness, "FIRST_STEP_SECONDS", 0.0)
    assert reap_dead_runs(settings, instance) == [run_id]
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE


def test_a_finished_run_leaves_no_file(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    run_id = started(instance)
    hold(settings, run_id)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run)
    release(run_id)
    assert reap_dead_runs(settings, instance) == []
    assert not list(tmp_path.rglob("*.lock"))
