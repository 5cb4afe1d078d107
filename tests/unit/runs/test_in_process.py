"""What is assumed of Dagster to run a job here as the UI would have it run."""

import tomllib
import uuid
from collections.abc import Iterator

import dagster as dg
import pytest
import yaml

from billing_pipeline.runs.code_location import CODE_LOCATION
from billing_pipeline.runs.in_process import execute
from tests.end_to_end.commands import ROOT

MONTHS = dg.MonthlyPartitionsDefinition("2024-01", fmt="%Y-%m")


@dg.asset(partitions_def=MONTHS)
def fine(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"month": context.partition_key})


@dg.asset(partitions_def=MONTHS, deps=[fine])
def broken() -> None:
    raise dg.Failure(description="Stripe is away", allow_retries=False)


def job(*assets: dg.AssetsDefinition) -> dg.Definitions:
    selection = dg.AssetSelection.assets(*assets)
    of_assets = dg.define_asset_job("close", selection=selection, tags={"billing/sends": "true"})
    return dg.Definitions(assets=[fine, broken], jobs=[of_assets], executor=dg.in_process_executor)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def test_a_run_has_the_origin_by_which_the_ui_finds_its_job(instance: dg.DagsterInstance) -> None:
    run_id = str(uuid.uuid4())
    done = execute(
        instance, job(fine), "close", run_id=run_id, partition_key="2024-02", run_config={}
    )
    assert done.success
    run = instance.get_run_by_id(run_id)
    assert run is not None and run.is_success
    assert run.remote_job_origin is not None
    origin = run.remote_job_origin.repository_origin
    assert origin.get_label() == f"__repository__@{CODE_LOCATION}"
    assert (run.tags["dagster/partition"], run.tags["billing/sends"]) == ("2024-02", "true")
    # What the page of a job asks the history for.
    of_job = dg.RunsFilter(job_name="close", tags={".dagster/repository": origin.get_label()})
    assert [found.run_id for found in instance.get_runs(of_job)] == [run_id]
    assert instance.get_materialized_partitions(fine.key) == {"2024-02"}


def test_a_step_that_fails_is_in_the_result(instance: dg.DagsterInstance) -> None:
    done = execute(
        instance,
        job(fine, broken),
        "close",
        run_id=str(uuid.uuid4()),
        partition_key="2024-02",
        run_config={},
    )
    assert not done.success
    [failure] = [event for event in done.all_events if event.is_step_failure]
    data = failure.step_failure_data.user_failure_data
    assert data is not None and data.description == "Stripe is away"
    assert instance.get_run_by_id(done.run_id).is_failure  # type: ignore[union-attr]


def test_every_way_to_start_the_ui_names_the_same_code_location() -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text())
    assert workspace["load_from"] == [{"python_module": CODE_LOCATION}]
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dagster"]
    assert tool == {"module_name": CODE_LOCATION, "code_location_name": CODE_LOCATION}
