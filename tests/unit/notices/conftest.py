"""A handmade published database, and a receiver of notices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.published.database import database_path
from billing_pipeline.published.tables import ESTIMATE_TABLES, EXTRA_TABLES
from billing_pipeline.settings import Settings
from tests.notice_receiver import Receiver, receiving

# Of dbt's tables only what a notice reads.
_DBT_TABLES = """
CREATE TABLE invoices (billing_month DATE, invoice_id VARCHAR, customer_id VARCHAR,
    currency VARCHAR, total DECIMAL(38, 4));
CREATE TABLE metered_usage (billing_month DATE, customer_id VARCHAR, subscription_id VARCHAR,
    meter_id VARCHAR, price_id VARCHAR, quantity DECIMAL(38, 18));
CREATE TABLE entitlement_usage (billing_month DATE, customer_id VARCHAR, plan_id VARCHAR,
    feature VARCHAR, used DECIMAL(38, 18), limit_quantity DECIMAL(38, 18), state VARCHAR);
"""


@dataclass
class Book:
    """The published database while it is being written."""

    connection: duckdb.DuckDBPyConnection

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        for row in rows:
            places = ", ".join(f"${name}" for name in row)
            self.connection.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", row
            )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings.from_env({"BILLING_HOME": str(tmp_path / "home")})
    settings.published_dir.mkdir(parents=True)
    settings.records_dir.mkdir()
    return settings


@pytest.fixture
def book(settings: Settings) -> Iterator[Book]:
    """Close `book.connection` before anybody else opens the file."""
    with duckdb.connect(str(database_path(settings))) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(_DBT_TABLES)
        declared = {name: table for name, (_, table) in ESTIMATE_TABLES.items()} | EXTRA_TABLES
        for name, table in declared.items():
            columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
            connection.execute(f"CREATE TABLE {name} ({columns})")
        yield Book(connection)


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    """Two of them."""
    with receiving() as first, receiving() as second:
        yield [first, second]


@pytest.fixture
def receiver(receivers: list[Receiver]) -> Receiver:
    return receivers[0]
