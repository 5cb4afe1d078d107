"""Tiny hand-made warehouses with the published tables, without dbt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.tables import published_tables
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare

JANUARY = BillingMonth(2024, 1)
FEBRUARY = BillingMonth(2024, 2)

INVOICES = """
CREATE OR REPLACE TABLE invoices AS
SELECT 'in_' || i AS invoice_id, DATE '{month}' AS billing_month, 'c' || i AS customer_id,
    'USD' AS currency, {total}::DECIMAL(38,4) AS total, {wallet}::DECIMAL(38,4) AS wallet_applied,
    {total}::DECIMAL(38,4) - {wallet}::DECIMAL(38,4) AS amount_due {more}
FROM range({count}) AS numbers(i)
"""


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published tables, empty, with the views over them."""
    with duckdb.connect() as connection:
        home = str(tmp_path_factory.mktemp("home"))
        declare(connection, Settings.from_env({"BILLING_HOME": home}))
        yield connection


@pytest.fixture
def published(declared: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """As they were declared, for each test."""
    declared.begin()
    yield declared
    declared.rollback()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    # Quotes and wildcards in the path: views name their files by it.
    return Settings.from_env({"BILLING_HOME": str(tmp_path / "it's [a] home*")})


def make_warehouse(
    settings: Settings,
    month: BillingMonth,
    *,
    count: int = 2,
    total: str = "'12345678901234567890.1234'",
    wallet: str = "'0'",
    more: str = "",
) -> None:
    """A month's warehouse: `count` invoices of `total`; the other tables hold nothing."""
    path = settings.warehouse_path(month)
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(path)) as connection:
        for table in published_tables(settings).models:
            connection.execute(
                f"CREATE OR REPLACE TABLE {table} (billing_month DATE, amount DECIMAL(38, 4))"
            )
        connection.execute(
            INVOICES.format(month=month.key, count=count, total=total, wallet=wallet, more=more)
        )
