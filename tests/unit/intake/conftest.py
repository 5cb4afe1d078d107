"""A data directory to write bad input into, and a warehouse to load it into."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.intake.reference.load import load_reference
from billing_pipeline.intake.usage import load_usage
from billing_pipeline.intake.usage_files import UsageFiles
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

USAGE_HEADER = "event_id,customer_id,event_name,occurred_at,quantity,properties"
# The row as it was given, as text (dbt's macro `given_text`).
_COLUMNS = ", ".join(f"{name}: given_{name}::VARCHAR" for name in USAGE_HEADER.split(","))
RAW = f"coalesce(given_text, to_json({{{_COLUMNS}}})::VARCHAR) AS raw"

Rows = Sequence[Mapping[str, object]]


def csv_text(rows: Rows) -> str:
    """CSV with the columns of all rows, in the order of their first appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@dataclass
class World:
    """One billing's inputs on disk; `write` replaces a file, the loaders run on what is there."""

    root: Path
    connection: duckdb.DuckDBPyConnection
    env: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def settings(self) -> Settings:
        return Settings.from_env(
            {
                "BILLING_DATA_DIR": str(self.data),
                "BILLING_HOME": str(self.root / "home"),
                **self.env,
            }
        )

    def write(self, file: str, content: str | bytes | Rows) -> Path:
        path = self.data / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="")
        else:
            path.write_text(csv_text(content), encoding="utf-8", newline="")
        return path

    def usage(self, name: str, *lines: str, month: str = "2024-01") -> Path:
        """A CSV usage file of these rows, under the header."""
        return self.write(f"usage/{month}/{name}", "\n".join([USAGE_HEADER, *lines, ""]))

    def load_reference(self, custom_meters: frozenset[str] = frozenset()) -> dict[str, int]:
        return load_reference(self.connection, self.settings, custom_meters)

    def problems(self, custom_meters: frozenset[str] = frozenset()) -> list[str]:
        """Each problem that loading the reference tables gives, as a line; none if it loads."""
        try:
            self.load_reference(custom_meters)
        except InvalidInput as error:
            assert str(error).splitlines()[: len(error.lines)] == error.lines
            return [str(problem) for problem in error.problems]
        return []

    def load_usage(self, month: str = "2024-01", months_back: int = 0) -> UsageFiles:
        return load_usage(self.connection, self.settings, BillingMonth.parse(month), months_back)

    def usage_problems(self, month: str = "2024-01") -> list[str]:
        with pytest.raises(InvalidInput) as caught:
            self.load_usage(month)
        return [str(problem) for problem in caught.value.problems]

    def events(self, columns: str, where: str = "true") -> list[tuple[object, ...]]:
        return self.select(
            f"select {columns} from (select *, {RAW} from raw.usage_events) where {where} "
            "order by source_file, source_row"
        )

    def select(self, query: str) -> list[tuple[object, ...]]:
        return self.connection.execute(query).fetchall()


@pytest.fixture(scope="session")
def shared_connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """One for all tests: to open one takes longer than most of them."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


@pytest.fixture
def world(tmp_path: Path, shared_connection: duckdb.DuckDBPyConnection) -> World:
    shared_connection.execute("drop schema if exists raw cascade")
    return World(tmp_path, shared_connection)


@pytest.fixture
def catalog(world: World) -> World:
    """A small data directory in which everything is right."""
    world.write(
        "catalog/meters.csv",
        [
            {"meter_id": "calls", "event_name": "call", "aggregation": "count"},
            {"meter_id": "gigabytes", "event_name": "stored", "aggregation": "max"},
            {"meter_id": "paid", "event_name": "payment", "aggregation": "sum"},
        ],
    )
    world.write("catalog/plans.csv", [{"plan_id": "pro", "name": "Pro"}])
    world.write("catalog/prices.csv", [price()])
    world.write(
        "catalog/coupons.csv", [{"coupon_id": "x", "percent_off": "10", "duration": "once"}]
    )
    world.write("accounts/customers.csv", [{"customer_id": "c1", "currency": "USD"}])
    world.write("accounts/subscriptions.csv", [subscription()])
    return world


def price(**changes: object) -> dict[str, object]:
    return {
        "price_id": "p1",
        "plan_id": "pro",
        "meter_id": "calls",
        "charge_model": "per_unit",
        "unit_amount": "0.01",
        **changes,
    }


def fee(**changes: object) -> dict[str, object]:
    recurring = {"price_id": "fee", "meter_id": "", "charge_model": "flat", "unit_amount": ""}
    return {**price(), **recurring, "flat_amount": "10", **changes}


def commitment(**changes: object) -> dict[str, object]:
    return {
        "commitment_id": "k1",
        "customer_id": "c1",
        "amount": "100",
        "currency": "USD",
        "starts_at": "2024-01-01",
        "ends_at": "2025-01-01",
        "kind": "true_up",
        **changes,
    }


def subscription(**changes: object) -> dict[str, object]:
    return {
        "subscription_id": "s1",
        "customer_id": "c1",
        "plan_id": "pro",
        "starts_at": "2024-01-01",
        **changes,
    }
