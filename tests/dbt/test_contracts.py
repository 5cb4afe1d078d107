"""A table that is not what its contract declares fails the build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from billing_pipeline.rating import dbt_runner
from billing_pipeline.rating.dbt_runner import run_dbt
from billing_pipeline.settings import Settings
from tests.dbt.rated_once import MONTH, Rated

Columns = dict[str, Any]


def _another_type(columns: Columns) -> Columns:
    columns["amount"].data_type = "decimal(38,6)"
    return columns


def _one_less(columns: Columns) -> Columns:
    return {name: column for name, column in columns.items() if name != "calculation"}


@pytest.fixture(scope="module")
def settings(rated_subscriptions: Rated) -> Settings:
    return rated_subscriptions()


@pytest.mark.parametrize("declare", [_another_type, _one_less])
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
    assert "charges" in node.message and "enforced contract" in node.message

    [node] = run_dbt(settings, MONTH, only_charges)
    assert not node.is_failed
