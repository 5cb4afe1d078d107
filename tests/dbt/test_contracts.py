"""A table that differs from its contract fails, and does not exist afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.rating import dbt_runner
from billing_pipeline.rating.dbt_runner import run_dbt
from billing_pipeline.settings import Settings
from tests.dbt.rated_once import MONTH, Rated

Columns = dict[str, Any]


def _another_type(columns: Columns) -> Columns:
    columns["amount"].data_type = "decimal(38,6)"
    return columns


def _one_more(columns: Columns) -> Columns:
    return columns | {"pence": columns["amount"].replace(name="pence")}


def _one_less(columns: Columns) -> Columns:
    return {name: column for name, column in columns.items() if name != "calculation"}


def _another_order(columns: Columns) -> Columns:
    return dict(reversed(columns.items()))


@pytest.fixture(scope="module")
def settings(rated_subscriptions: Rated) -> Settings:
    return rated_subscriptions()


@pytest.mark.parametrize("declare", [_another_type, _one_more, _one_less, _another_order])
def test_a_table_must_be_what_its_contract_declares(
    declare: Callable[[Columns], Columns], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = dbt_runner._read_manifest

    def declared_otherwise(path: Path) -> Any:
        manifest: Any = read(path)
        model = manifest.nodes["model.billing.charges"]
        model.columns = declare(model.columns)
        return manifest

    only_charges = ("run", "--select", "charges")
    with monkeypatch.context() as patched:
        patched.setattr(dbt_runner, "_read_manifest", declared_otherwise)
        [node] = run_dbt(settings, MONTH, only_charges)
    assert node.is_failed
    assert "charges breaks its contract" in node.message
    with duckdb.connect(str(settings.warehouse_path(MONTH)), read_only=True) as warehouse:
        tables = warehouse.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    assert ("charges",) not in tables and ("invoices",) in tables

    [node] = run_dbt(settings, MONTH, only_charges)
    assert not node.is_failed
