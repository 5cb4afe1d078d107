"""Runs that send have the tag of which the queue runs one at a time, whatever they were made of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
import yaml

from billing_pipeline.runs.in_process import job_origin
from billing_pipeline.runs.instance import instance_home, open_instance
from billing_pipeline.runs.sending import RunQueue
from billing_pipeline.settings import Settings

NAMES = ("invoice_plan", "stripe_invoices", "approved_changes", "invoice_payments")
STAND_INS = dg.Definitions(assets=[dg.asset(name=name)(lambda: None) for name in NAMES])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"BILLING_HOME": str(tmp_path)})


@pytest.fixture
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    with open_instance(settings) as made:
        yield made


@pytest.mark.parametrize(
    ("selected", "sends"),
    [
        (["stripe_invoices"], True),
        (["invoice_plan", "approved_changes"], True),
        (None, True),  # everything
        (["invoice_plan"], False),
        (["invoice_payments"], False),
    ],
)
def test_a_run_of_single_assets_is_tagged_where_one_of_them_sends(
    instance: dg.DagsterInstance, selected: list[str] | None, sends: bool
) -> None:
    keys = None if selected is None else {dg.AssetKey(name) for name in selected}
    job = STAND_INS.resolve_implicit_global_asset_job_def()
    origin = job_origin(STAND_INS, job.name)
    run = instance.create_run_for_job(job, asset_selection=keys, remote_job_origin=origin)
    queue = instance.run_coordinator
    assert isinstance(queue, RunQueue)
    queued = queue.submit_run(SimpleNamespace(dagster_run=run))
    assert queued.status is dg.DagsterRunStatus.QUEUED
    assert (queued.tags.get("billing/sends") == "true") == sends


def test_the_queue_keeps_the_limits_of_the_home(instance: dg.DagsterInstance) -> None:
    limits = instance.get_concurrency_config().run_queue_config
    assert limits is not None
    assert limits.max_concurrent_runs == 4
    assert limits.tag_concurrency_limits == [{"key": "billing/sends", "limit": 1}]


def test_a_home_from_before_gets_the_queue_and_keeps_what_was_added(settings: Settings) -> None:
    config = instance_home(settings) / "dagster.yaml"
    of_today = config.read_text()
    before = of_today[: of_today.index("# Tags runs of single assets")]
    config.write_text(f"{before}storage:\n  sqlite: {{base_dir: elsewhere}}\n")
    instance_home(settings)
    found = yaml.safe_load(config.read_text())
    assert found["run_coordinator"]["class"] == "RunQueue"
    assert found["storage"] == {"sqlite": {"base_dir": "elsewhere"}}
    assert instance_home(settings) and yaml.safe_load(config.read_text()) == found


def test_a_queue_of_the_operators_own_stays(settings: Settings) -> None:
    config = instance_home(settings) / "dagster.yaml"
    own = "run_queue:\n  tag_concurrency_limits: [{key: billing/sends, limit: 1}]\n"
    config.write_text(own)
    instance_home(settings)
    assert config.read_text() == own
