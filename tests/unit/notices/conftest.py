"""A handmade published database, and a receiver of notices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings
from tests.notice_receiver import Receiver, receiving
from tests.unit.published.declared import declare


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
        declare(connection, settings)
        yield Book(connection)


@pytest.fixture
def receivers() -> Iterator[list[Receiver]]:
    """Two of them."""
    with receiving() as first, receiving() as second:
        yield [first, second]


@pytest.fixture
def receiver(receivers: list[Receiver]) -> Receiver:
    return receivers[0]
