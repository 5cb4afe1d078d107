"""dbt's own unit tests: what each rule makes of a few rows."""

from __future__ import annotations

from billing_pipeline.rating.dbt_runner import check, run_dbt
from tests.dbt.rated_once import MONTH, Rated


def test_every_charge_model_passes_its_unit_test(rated_subscriptions: Rated) -> None:
    nodes = run_dbt(rated_subscriptions(), MONTH, ["test", "--select", "test_type:unit"])
    check(nodes, MONTH)
    assert len(nodes) >= 8
