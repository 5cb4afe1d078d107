"""The published reports, over small tables whose answers are plain to see."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest

from billing_pipeline.reports import reports

TABLES = """
CREATE TABLE recurring_revenue (billing_month DATE, customer_id VARCHAR, subscription_id VARCHAR,
    plan_id VARCHAR, price_id VARCHAR, currency VARCHAR, amount DECIMAL(38, 4));
CREATE TABLE charges (billing_month DATE, customer_id VARCHAR, plan_id VARCHAR, price_id VARCHAR,
    meter_id VARCHAR, currency VARCHAR, quantity DECIMAL(38, 18), amount DECIMAL(38, 4));
CREATE TABLE invoices (billing_month DATE, invoice_id VARCHAR, customer_id VARCHAR,
    currency VARCHAR, total DECIMAL(38, 4), due_date DATE);
CREATE TABLE invoice_payments (billing_month DATE, invoice_id VARCHAR, customer_id VARCHAR,
    currency VARCHAR, status VARCHAR, billed DECIMAL(38, 4), paid DECIMAL(38, 4),
    credited DECIMAL(38, 4), outstanding DECIMAL(38, 4));
CREATE TABLE usage_rejections (billing_month DATE, source_file VARCHAR, source_row BIGINT,
    reason VARCHAR);
"""


@pytest.fixture
def published() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(TABLES)
        for report in reports():
            connection.execute(f"CREATE VIEW {report.name} AS {report.query}")
        yield connection


def test_every_column_is_described(published: duckdb.DuckDBPyConnection) -> None:
    for report in reports():
        columns = [row[0] for row in published.execute(f"DESCRIBE {report.name}").fetchall()]
        assert list(report.comments) == ["", *columns], report.name


def test_how_recurring_revenue_moves(published: duckdb.DuckDBPyConnection) -> None:
    rows = [
        *[("2024-01-01", who, 10) for who in ("stays", "leaves", "grows", "shrinks", "pauses")],
        *[("2024-02-01", who, 10) for who in ("stays", "starts")],
        *[("2024-02-01", "grows", 15), ("2024-02-01", "grows", 5), ("2024-02-01", "shrinks", 1)],
        *[("2024-03-01", who, 10) for who in ("stays", "starts", "pauses")],
    ]
    published.executemany(
        "INSERT INTO recurring_revenue VALUES (?, ?, 's', 'p', 'x', 'USD', ?)", rows
    )
    moved = published.execute(
        "SELECT month(billing_month), customer_id, change, movement FROM revenue_movements"
        " WHERE movement <> 'unchanged' ORDER BY ALL"
    ).fetchall()
    assert moved == [
        *[(1, who, 10, "opening") for who in ("grows", "leaves", "pauses", "shrinks", "stays")],
        (2, "grows", 10, "expansion"),
        (2, "leaves", -10, "churn"),
        (2, "pauses", -10, "churn"),
        (2, "shrinks", -9, "contraction"),
        (2, "starts", 10, "new"),
        (3, "grows", -20, "churn"),
        (3, "pauses", 10, "reactivation"),
        (3, "shrinks", -1, "churn"),
    ]
    totals = published.execute(
        "SELECT sum(amount_before), sum(amount_after) FROM revenue_movements"
        " GROUP BY billing_month ORDER BY billing_month"
    ).fetchall()
    assert totals == [(0, 50), (50, 41), (41, 30)]


def test_what_a_unit_came_to(published: duckdb.DuckDBPyConnection) -> None:
    rows = [("a", 3, "1.00"), ("b", 0, "0.00"), ("b", "0.000001", "1.00")]
    published.executemany(
        "INSERT INTO charges VALUES ('2024-01-01', ?, 'p', 'x', 'm', 'USD', ?, ?)", rows
    )
    published.execute(
        "INSERT INTO charges VALUES ('2024-01-01', 'a', 'p', 'unused', 'm', 'USD', 0, 5)"
    )
    found = published.execute(
        "SELECT price_id, customers, amount, amount_per_unit FROM unit_prices ORDER BY 1"
    ).fetchall()
    assert found == [
        ("unused", 0, 5, None),
        ("x", 2, 2, Decimal("0.666666444444")),  # 2 / 3.000001
    ]
    assert published.execute("SELECT sum(amount) FROM revenue").fetchall() == [(7,)]


def test_receivables_by_age(published: duckdb.DuckDBPyConnection) -> None:
    ages = {
        -5: "not due",
        0: "not due",
        1: "1-30",
        30: "1-30",
        31: "31-60",
        61: "61-90",
        91: "over 90",
    }
    for days in ages:
        due = datetime.now(UTC).date() - timedelta(days=days)
        published.execute(
            "INSERT INTO invoices VALUES ('2024-01-01', $1, 'c', 'USD', 9, $2)", [f"i{days}", due]
        )
        published.execute(
            "INSERT INTO invoice_payments VALUES"
            " ('2024-01-01', $1, 'c', 'USD', 'open', 9, 0, 0, 9)",
            [f"i{days}"],
        )
    published.execute(
        "INSERT INTO invoice_payments VALUES ('2024-01-01', 'paid', 'c', 'USD', 'paid', 9, 9, 0, 0)"
    )
    found = published.execute("SELECT invoice_id, days_overdue, age FROM receivables").fetchall()
    assert sorted(found) == sorted((f"i{days}", max(days, 0), age) for days, age in ages.items())
    assert published.execute(
        "SELECT invoices, total, billed, outstanding FROM months"
    ).fetchall() == [(7, 63, 72, 63)]


def test_rejections_by_reason(published: duckdb.DuckDBPyConnection) -> None:
    rows = [("a.csv", 3, "unknown_customer"), ("a.csv", 2, "unknown_customer"), ("b.csv", 7, "x")]
    published.executemany("INSERT INTO usage_rejections VALUES ('2024-01-01', ?, ?, ?)", rows)
    assert published.execute(
        "SELECT source_file, reason, rows, first_row FROM rejected_usage ORDER BY ALL"
    ).fetchall() == [("a.csv", "unknown_customer", 2, 2), ("b.csv", "x", 1, 7)]
