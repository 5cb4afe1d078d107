"""``python -m tests.spark``: months billed with metering on either engine; every table is equal.

What belongs here: which months, the comparison, the times. What does not: the way over Spark
itself (billing_pipeline/rating/spark.py).

    python -m tests.spark                  the sample data, made-up worlds, a million events
    python -m tests.spark --only sample    one of them
    python -m tests.spark --write          and the times into docs/scaling.md
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from benchmarks.company import Company
from billing_pipeline.duckdb_sql import sql_text
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.dbt_runner import NodeResult, check, run_dbt
from billing_pipeline.rating.month import build_raw, open_warehouse
from billing_pipeline.rating.spark import (
    build_on_spark,
    build_the_rest,
    export_inputs,
    import_tables,
)
from billing_pipeline.settings import Settings
from tests.property.tables import write
from tests.property.worlds import SETTINGS, make_data_set

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- written by make spark-test -->", "<!-- end of what make spark-test wrote -->"
COMPANY = Company(5_000, 1_000_000)
WORLDS = 90


@dataclass(frozen=True)
class Month:
    """A month to be billed twice; `make` gives its data directory, in the folder if it is new."""

    name: str
    month: str
    timezone: str
    make: Callable[[Path], Path]


@dataclass(frozen=True)
class Outcome:
    """One month on both engines: sizes, seconds, and the differences."""

    name: str
    rows: int
    metered: int
    charges: int
    duckdb_seconds: float
    spark_seconds: float
    start_and_tests_seconds: float
    files_seconds: float
    differences: tuple[str, ...]


def _million(folder: Path) -> Path:
    COMPANY.write_prices_and_accounts(folder)
    COMPANY.write_usage(folder, BillingMonth.parse("2024-01"))
    return folder


def _worlds(number: int) -> Month:
    """Generated data of the property tests: gauges, percentiles, filters, corrections, trials."""
    setting = SETTINGS[number]

    def make(folder: Path) -> Path:
        world = make_data_set(f"spark {number}", range(WORLDS), setting)
        write(world, folder, ZoneInfo(setting.timezone))
        return folder

    return Month(f"worlds {setting}", setting.month, setting.timezone, make)


MONTHS = {
    "sample": Month("sample data 2024-03", "2024-03", "UTC", lambda folder: ROOT / "data"),
    "worlds": _worlds(1),
    "more-worlds": _worlds(4),
    "million": Month("a million events", "2024-01", "UTC", _million),
}


def compare(month: Month, scratch: Path) -> Outcome:
    """Bill the month by either engine, from the same inputs."""
    data = month.make(scratch / "data")
    key = BillingMonth.parse(month.month)
    homes = [_settings(data, scratch / engine, month.timezone) for engine in ("duckdb", "spark")]
    for settings in homes:
        build_raw(settings, key)
    in_duckdb = run_dbt(homes[0], key)
    check(in_duckdb, key)

    began = time.perf_counter()
    export_inputs(homes[1], key)
    handed_over = time.perf_counter()
    on_spark = build_on_spark(homes[1], key)
    check(on_spark, key)
    built = time.perf_counter()
    import_tables(homes[1], key)
    taken_over = time.perf_counter()
    rest = build_the_rest(homes[1], key)
    check(rest, key)

    shared = {node.unique_id for node in on_spark}
    warehouses = [settings.warehouse_path(key) for settings in homes]
    return Outcome(
        month.name,
        *_sizes(warehouses[0]),
        _seconds([node for node in in_duckdb if node.unique_id in shared]),
        _seconds(on_spark),
        built - handed_over - _seconds(on_spark),
        handed_over - began + taken_over - built,
        (*_left_out(in_duckdb, [*on_spark, *rest]), *_differences(*warehouses)),
    )


def _settings(data: Path, home: Path, timezone: str) -> Settings:
    environ = {"BILLING_DATA_DIR": str(data), "BILLING_HOME": str(home)}
    return Settings.from_env({**environ, "BILLING_TIMEZONE": timezone})


def _seconds(nodes: Sequence[NodeResult]) -> float:
    return sum(node.seconds for node in nodes if node.resource_type == "model")


def _sizes(warehouse: Path) -> tuple[int, int, int]:
    with open_warehouse(warehouse, read_only=True) as connection:
        counts = connection.execute(
            "SELECT (SELECT coalesce(sum(rows_read), 0) FROM usage_files),"
            " (SELECT count(*) FROM metered_usage), (SELECT count(*) FROM charges)"
        ).fetchall()[0]
    return int(counts[0]), int(counts[1]), int(counts[2])


def _left_out(alone: Sequence[NodeResult], together: Sequence[NodeResult]) -> list[str]:
    """Models and tests that ran with DuckDB alone, and on neither engine with Spark."""
    missing = {node.name for node in alone} - {node.name for node in together}
    return [f"{name} was not run" for name in sorted(missing)]


def _differences(duckdb_alone: Path, with_spark: Path) -> list[str]:
    """Every table of the month in which one row is not as in the other warehouse."""
    found = []
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, path in (("a", duckdb_alone), ("b", with_spark)):
            connection.execute(f"ATTACH {sql_text(str(path))} AS {name} (READ_ONLY)")
        tables = [_tables(connection, name) for name in ("a", "b")]
        found += [f"{name} is in one of both only" for name in sorted(tables[0] ^ tables[1])]
        for table in sorted(tables[0] & tables[1]):
            described = connection.execute(f"DESCRIBE a.main.{table}").fetchall()
            # Of an event, they are text in DuckDB and parsed for Spark.
            columns = ", ".join(f'"{row[0]}"' for row in described if row[0] != "properties")
            a, b = (f"SELECT {columns} FROM {name}.main.{table}" for name in ("a", "b"))
            rows = connection.execute(
                f"SELECT 'DuckDB alone', * FROM ({a} EXCEPT ALL {b}) UNION ALL"
                f" SELECT 'with Spark', * FROM ({b} EXCEPT ALL {a})"
            ).fetchall()
            found += [f"{table}: {len(rows)} rows differ, as {row}" for row in rows[:2]]
    return found


def _tables(connection: duckdb.DuckDBPyConnection, database: str) -> set[str]:
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = $1 AND schema_name = 'main'",
        [database],
    ).fetchall()
    return {str(row[0]) for row in rows}


# --- what is shown ------------------------------------------------------------------------------


def _table(outcomes: Sequence[Outcome]) -> str:
    lines = [
        "| month | usage rows | metered rows | charges | metering in DuckDB | on Spark "
        "| Spark's start, dbt's tests | Parquet there and back |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {item.name} | {item.rows:,} | {item.metered:,} | {item.charges:,} "
        f"| {item.duckdb_seconds:.1f} s | {item.spark_seconds:.1f} s "
        f"| {item.start_and_tests_seconds:.1f} s | {item.files_seconds:.1f} s |"
        for item in outcomes
    ]
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "dbt-spark", "duckdb"))
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    lines += ["", f"{datetime.now(UTC):%Y-%m-%d}, one run; {machine}, {packages}."]
    return "\n".join(lines)


def _write(table: str) -> None:
    page = ROOT / "docs/scaling.md"
    head, rest = page.read_text(encoding="utf-8").split(BEGIN)
    text = f"{head}{BEGIN}\n\n{table}\n\n{END}{rest.split(END)[1]}"
    page.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.spark", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MONTHS, default=list(MONTHS))
    parser.add_argument("--write", action="store_true", help="the times into docs/scaling.md")
    chosen = parser.parse_args()
    outcomes = []
    for name in chosen.only:
        with tempfile.TemporaryDirectory(prefix="spark-") as scratch:
            outcomes.append(compare(MONTHS[name], Path(scratch)))
        differing = outcomes[-1].differences
        print(f"{outcomes[-1].name}: {'DIFFERENT' if differing else 'every table equal'}")
        print("".join(f"    {line}\n" for line in differing), end="", flush=True)
    print(_table(outcomes))
    failed = any(item.differences for item in outcomes)
    if chosen.write and not failed:
        _write(_table(outcomes))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
