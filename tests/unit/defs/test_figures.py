"""Figures of materializations."""

from __future__ import annotations

from decimal import Decimal

import duckdb

from billing_pipeline.defs.asset_metadata import (
    MAX_CHANGES,
    MAX_FOUND,
    largest_changes,
    metadata_of,
)


def invoices(*rows: tuple[str, str, str]) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE invoices (customer_id VARCHAR, currency VARCHAR, total DECIMAL(38,4))"
    )
    for row in rows:
        connection.execute("INSERT INTO invoices VALUES (?, ?, ?)", row)
    return connection


def test_the_largest_changes_of_each_currency_come_first() -> None:
    now = invoices(("ada", "USD", "12.50"), ("bob", "USD", "7"), ("cyd", "JPY", "900"))
    before = {
        ("ada", "USD"): Decimal(10),
        ("bob", "USD"): Decimal(7),
        ("dan|*", "USD"): Decimal(30),
    }
    shown = largest_changes(now, before, "2024-01")["largest changes"].value
    assert shown.splitlines() == [
        "| customer | currency | 2024-01 | now | change |",
        "| --- | --- | --- | --- | --- |",
        "| cyd | JPY | 0 | 900 | 900 |",
        "| dan\\|\\* | USD | 30.00 | 0.00 | -30.00 |",
        "| ada | USD | 10.00 | 12.50 | 2.50 |",
    ]


def test_only_so_many_are_shown_and_none_where_nothing_changed() -> None:
    rows = [(f"c{place:03}", "USD", str(place)) for place in range(1, 50)]
    shown = largest_changes(invoices(*rows), {}, "2024-01")["largest changes"].value
    assert len(shown.splitlines()) == 2 + MAX_CHANGES
    assert largest_changes(invoices(("a", "USD", "1")), {("a", "USD"): Decimal(1)}, "x") == {}


def test_tables_are_counted_and_views_are_not() -> None:
    warehouse = duckdb.connect()
    warehouse.execute("CREATE TABLE two AS SELECT unnest([1, 2]); CREATE TABLE none AS FROM two")
    warehouse.execute("DELETE FROM none; CREATE VIEW seen AS FROM two; CREATE TABLE other (a INT)")
    assert metadata_of(warehouse, ["two", "none", "seen"]) == {
        "two": {"dagster/row_count": 2},
        "none": {"dagster/row_count": 0},
        "seen": {},
    }
    assert metadata_of(warehouse, []) == {}


def test_only_the_largest_of_thousands_of_usage_files_are_shown() -> None:
    warehouse = duckdb.connect()
    warehouse.execute(
        "CREATE TABLE usage_files AS SELECT format('{:04}.csv', i) AS source_file, i AS rows_read,"
        " i AS accepted_rows, 0 AS rejected_rows, 0 AS duplicate_rows FROM range(1, 5001) t(i)"
    )
    figures = metadata_of(warehouse, ["usage_files"])["usage_files"]
    assert (figures["file count"], figures["rows read"]) == (5_000, sum(range(1, 5_001)))
    _, _, *shown = figures["files"].value.splitlines()
    assert len(shown) == MAX_FOUND
    assert shown[-1].startswith("| 5000.csv | 5,000 ")
