"""What was known is kept where it differs, and is read back with the time for which it was."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.as_known import known_query, save
from billing_pipeline.published.reading import utc_session
from billing_pipeline.settings import Settings

MONTH = BillingMonth(2024, 3)


def day(number: int) -> datetime:
    return datetime(2024, 4, number, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"BILLING_HOME": str(tmp_path / "it's [a] home*")})


def charged(**amounts: str) -> str:
    listed = ", ".join(f"('{name}', {amount}::DECIMAL(38, 4))" for name, amount in amounts.items())
    return f"SELECT * FROM (VALUES {listed}) AS charges(charge_id, amount)"


def known(connection: duckdb.DuckDBPyConnection, settings: Settings) -> list[tuple[Any, ...]]:
    query = known_query(settings, MONTH)
    assert query is not None
    return connection.execute(
        "SELECT table_name, content ->> 'charge_id', content ->> 'amount', day(known_from),"
        f" day(known_to) FROM ({query}) ORDER BY ALL"
    ).fetchall()


def test_only_what_differs_is_kept_and_comes_back_as_of_its_time(settings: Settings) -> None:
    big = "12345678901234567890.1234"
    with utc_session() as connection:
        assert known_query(settings, MONTH) is None

        def compute(number: int, **amounts: str) -> bool:
            queries = {"charges": charged(**amounts)}
            return save(connection, settings, MONTH, queries, day(number))

        assert compute(1, a=big, b="2")
        assert not compute(2, a=big, b="2")
        assert compute(3, a=big, b="3", c="1")
        # A plan of its own says nothing about charges.
        plan = {"invoice_plan": "SELECT 'x' AS charge_id, NULL AS amount"}
        assert save(connection, settings, MONTH, plan, day(4))
        # Gone, and as it was at first.
        assert compute(5, a=big, b="2")
        assert known(connection, settings) == [
            ("charges", "a", big, 1, None),
            ("charges", "b", "2.0000", 1, 3),
            ("charges", "b", "2.0000", 5, None),
            ("charges", "b", "3.0000", 3, 5),
            ("charges", "c", "1.0000", 3, 5),
            ("invoice_plan", "x", None, 4, None),
        ]
        assert not compute(6, a=big, b="2")
    kept = sorted((settings.records_dir / "known" / "2024-03").iterdir())
    assert [path.name for path in kept] == [f"00000{number}.parquet" for number in range(1, 5)]
