"""A run is alive as long as its process is."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from billing_pipeline.run_liveness import bury_dead_runs, hold, let_go
from billing_pipeline.settings import Settings

HOLD_UNTIL_TOLD = """
import sys
from billing_pipeline.run_liveness import hold
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
    command = [sys.executable, "-c", HOLD_UNTIL_TOLD, str(tmp_path), run_id]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert bury_dead_runs(settings, instance) == []
        assert status(instance, run_id) == dg.DagsterRunStatus.STARTED
        process.kill()
    assert bury_dead_runs(settings, instance) == [run_id]
    assert status(instance, run_id) == dg.DagsterRunStatus.FAILURE
    assert bury_dead_runs(settings, instance) == []


def test_a_run_of_this_process_is_alive_until_it_is_let_go(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path)})
    run_id = started(instance)
    hold(settings, run_id)
    hold(settings, run_id)
    assert bury_dead_runs(settings, instance) == []
    let_go(settings, run_id)
    assert bury_dead_runs(settings, instance) == []
    assert status(instance, run_id) == dg.DagsterRunStatus.STARTED
