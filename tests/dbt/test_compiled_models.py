"""What tests rate by compiled models is what dbt builds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb

from tests.compiled_models import rate_month
from tests.dbt.rated_once import MONTH, Rated

NAMES = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'main'"


def test_compiled_models_make_the_rows_that_dbt_makes(
    rated_subscriptions: Rated, tmp_path: Path
) -> None:
    by_dbt = rated_subscriptions()
    compiled = rate_month(replace(by_dbt, home=tmp_path), MONTH)
    with duckdb.connect(str(compiled), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        ours = set(connection.execute(NAMES).fetchall())
        connection.execute(f"ATTACH '{by_dbt.warehouse_path(MONTH)}' AS built (READ_ONLY)")
        connection.execute("USE built")
        assert set(connection.execute(NAMES).fetchall()) >= ours
        for name, kind in ours:
            if kind == "BASE TABLE":
                here, there = f'warehouse.main."{name}"', f'built.main."{name}"'
                [(differing,)] = connection.execute(
                    f"SELECT count(*) FROM ((FROM {here} EXCEPT ALL FROM {there})"
                    f" UNION ALL (FROM {there} EXCEPT ALL FROM {here}))"
                ).fetchall()
                assert differing == 0, name
