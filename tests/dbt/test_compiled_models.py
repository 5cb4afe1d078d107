"""What tests rate by compiled models is what dbt builds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.rating import dbt_runner
from billing_pipeline.rating.dbt_runner import NodeResult
from billing_pipeline.rating.month import build_raw
from billing_pipeline.rating.unchanged import reusable_nodes
from tests.compiled_models import REPORTED, rate_month, run_compiled
from tests.dbt.rated_once import MONTH, Rated

NAMES = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'main'"


@pytest.mark.parametrize("keeps_views", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_compiled_models_make_the_rows_that_dbt_makes(
    keeps_views: bool, rated_subscriptions: Rated, tmp_path: Path
) -> None:
    by_dbt = rated_subscriptions()
    compiled = rate_month(replace(by_dbt, home=tmp_path), MONTH, keeps_views=keeps_views)
    with duckdb.connect(str(compiled), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        ours = dict(connection.execute(NAMES).fetchall())
        connection.execute(f"ATTACH '{by_dbt.warehouse_path(MONTH)}' AS built (READ_ONLY)")
        connection.execute("USE built")
        kinds = dict(connection.execute(NAMES).fetchall())
        assert kinds.keys() >= ours.keys()
        assert not keeps_views or kinds.items() >= ours.items()
        for name, kind in kinds.items():
            if kind == "BASE TABLE" and name in ours:
                here, there = f'warehouse.main."{name}"', f'built.main."{name}"'
                [(differing,)] = connection.execute(
                    f"SELECT count(*) FROM ((FROM {here} EXCEPT ALL FROM {there})"
                    f" UNION ALL (FROM {there} EXCEPT ALL FROM {here}))"
                ).fetchall()
                assert differing == 0, name


def test_they_report_of_what_dbt_reports_that_for_which_others_wait(
    rated_subscriptions: Rated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_dbt = rated_subscriptions()
    settings = replace(by_dbt, home=tmp_path)
    build_raw(settings, MONTH)
    reported: list[NodeResult] = []
    nodes = run_compiled(settings, MONTH, on_node=reported.append)
    assert nodes == reported
    assert len(nodes) == len(REPORTED)
    assert {(n.unique_id, n.resource_type, n.status) for n in nodes} == {
        (n.unique_id, n.resource_type, n.status)
        for n in reusable_nodes(by_dbt, MONTH)
        if n.unique_id.split(".")[2] in REPORTED
    }

    asked_of_dbt: list[object] = []
    monkeypatch.setattr(dbt_runner, "run_dbt", lambda *args: asked_of_dbt.append(args) or [])
    with duckdb.connect(str(settings.warehouse_path(MONTH))) as warehouse:
        warehouse.execute("DROP TABLE raw.prices")
    assert run_compiled(settings, MONTH) == [] and len(asked_of_dbt) == 1
    assert run_compiled(settings, MONTH, ("build", "--select", "charges")) == []
    assert len(asked_of_dbt) == 2
