"""The published reports, over small tables with obvious results."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from billing_pipeline.published.tables import published_tables
from billing_pipeline.rating.dbt_runner import ensure_manifest
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare

TABLES = """
CREATE TABLE recurring_revenue (billing_month DATE, customer_id VARCHAR, subscription_id VARCHAR,
    plan_id VARCHAR, price_id VARCHAR, currency VARCHAR, amount DECIMAL(38, 4));
CREATE TABLE charges (billing_month DATE, customer_id VARCHAR, plan_id VARCHAR, price_id VARCHAR,
    meter_id VARCHAR, currency VARCHAR, quantity DECIMAL(38, 18), amount DECIMAL(38, 4),
    charge_id VARCHAR, subscription_id VARCHAR, charge_model VARCHAR,
    billable_quantity DECIMAL(38, 18), description VARCHAR, period_start TIMESTAMPTZ,
    period_end TIMESTAMPTZ);
CREATE TABLE invoice_lines (billing_month DATE, line_id VARCHAR, invoice_id VARCHAR,
    customer_id VARCHAR, subscription_id VARCHAR, kind VARCHAR, charge_id VARCHAR,
    is_inclusive BOOLEAN, description VARCHAR, amount DECIMAL(38, 4), currency VARCHAR,
    period_start TIMESTAMPTZ, period_end TIMESTAMPTZ);
CREATE TABLE customers (billing_month DATE, customer_id VARCHAR, name VARCHAR, is_payer BOOLEAN);
CREATE TABLE seller (billing_month DATE, name VARCHAR, timezone VARCHAR,
    month_start TIMESTAMPTZ, month_end TIMESTAMPTZ);
CREATE TABLE invoices (billing_month DATE, invoice_id VARCHAR, customer_id VARCHAR,
    currency VARCHAR, total DECIMAL(38, 4), due_date DATE);
CREATE TABLE invoice_payments (billing_month DATE, invoice_id VARCHAR, customer_id VARCHAR,
    currency VARCHAR, status VARCHAR, billed DECIMAL(38, 4), paid DECIMAL(38, 4),
    credited DECIMAL(38, 4), outstanding DECIMAL(38, 4));
CREATE TABLE stripe_invoices (billing_month DATE, invoice_id VARCHAR, revision INTEGER,
    status VARCHAR, amount_remaining DECIMAL(38, 4), finalized_at TIMESTAMPTZ, due_at TIMESTAMPTZ);
CREATE TABLE charges_as_billed (billing_month DATE, invoice_id VARCHAR, version INTEGER,
    customer_id VARCHAR, currency VARCHAR, charge_id VARCHAR, subscription_id VARCHAR,
    price_id VARCHAR, meter_id VARCHAR, quantity DECIMAL(38, 18), event_count BIGINT,
    correction_count BIGINT, exact_amount DECIMAL(38, 12), amount DECIMAL(38, 4),
    price_terms VARCHAR, subscription_terms VARCHAR);
CREATE TABLE lines_as_billed (billing_month DATE, invoice_id VARCHAR, version INTEGER,
    line_id VARCHAR, kind VARCHAR, charge_id VARCHAR, tax_rate_id VARCHAR, quantity DECIMAL(38, 18),
    amount DECIMAL(38, 4), customer_id VARCHAR DEFAULT 'c', currency VARCHAR DEFAULT 'USD',
    description VARCHAR DEFAULT 'd');
CREATE TABLE line_taxes_as_billed (invoice_id VARCHAR, version INTEGER, line_id VARCHAR,
    tax_rate_id VARCHAR, percentage DECIMAL(38, 12));
CREATE TABLE known_rows (billing_month DATE, table_name VARCHAR, row_id VARCHAR,
    known_from TIMESTAMPTZ, known_to TIMESTAMPTZ, content VARCHAR);
CREATE TABLE usage_rejections (billing_month DATE, source_file VARCHAR, source_row BIGINT,
    reason VARCHAR);
"""


# With tests of their own: test_accounting.py, test_attention.py, test_bridges.py,
# test_documents.py, test_focus.py, test_month_states.py, test_standing.py, test_three_ways.py.
DOCUMENTS = ("documents", "document_lines", "document_taxes")
BRIDGES = ("usage_bridge", "revenue_bridge", "three_way_reconciliation")
BOOKS = ("revenue_schedule", "revenue_balances", "journal", "trial_balance", "journal_checks")
STATES = ("needs_attention", "month_states", "customer_standing", "paying_cards")
ELSEWHERE = (*DOCUMENTS, *BRIDGES, *BOOKS, *STATES, "focus_charges")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"BILLING_HOME": str(tmp_path)})


@pytest.fixture
def published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(TABLES)
        for name, report in published_tables(settings).reports.items():
            if name not in ELSEWHERE:
                connection.execute(f"CREATE VIEW {name} AS {report.query}")
        yield connection


def test_a_report_is_what_it_declares(settings: Settings) -> None:
    with duckdb.connect() as connection:
        declare(connection, settings)
        for name, report in published_tables(settings).reports.items():
            made = connection.execute(f"DESCRIBE {name}").fetchall()
            assert [row[:2] for row in made] == [(c.name, c.type) for c in report.columns], name
            assert ("billing_month", "DATE") in [row[:2] for row in made], name
            assert report.comment and all(column.comment for column in report.columns), name


def test_a_step_of_a_report_has_the_columns_that_are_described(settings: Settings) -> None:
    """Those that become no view, whose tests only `dbt build --target published` runs."""
    nodes = json.loads(ensure_manifest(settings).read_text(encoding="utf-8"))["nodes"].values()
    steps = [
        node
        for node in nodes
        if node["resource_type"] == "model"
        and node["fqn"][1] == "reports"
        and node["config"]["materialized"] == "ephemeral"
    ]
    assert len(steps) > 20
    with duckdb.connect() as connection:
        declare(connection, settings)
        for step in steps:
            made = connection.execute(f"DESCRIBE {step['compiled_code']}").fetchall()
            assert {row[0] for row in made} == step["columns"].keys(), step["name"]


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


def test_effective_unit_prices(published: duckdb.DuckDBPyConnection) -> None:
    rows = [("a", "x", 3, "1.00"), ("b", "x", 0, "0.00"), ("b", "x", "0.000001", "1.00")]
    insert = (
        "INSERT INTO charges (billing_month, customer_id, plan_id, price_id, meter_id, currency,"
        " quantity, amount) VALUES ('2024-01-01', ?, 'p', ?, 'm', 'USD', ?, ?)"
    )
    published.executemany(insert, [*rows, ("a", "unused", 0, 5)])
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
    published.begin()  # all of it on one day, also at midnight
    [[today]] = published.execute("SELECT current_date").fetchall()
    for days in ages:
        due = today - timedelta(days=days)
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


def test_an_invoice_is_due_when_stripe_says_once_it_is_sent(
    published: duckdb.DuckDBPyConnection,
) -> None:
    month = "2024-01-01"
    published.execute("INSERT INTO seller VALUES (?, 's', 'Asia/Kolkata', NULL, NULL)", [month])
    for name in ("computed", "drafted", "sent", "charged", "supplemented", "paid", "void"):
        published.execute(
            "INSERT INTO invoices VALUES (?, ?, 'c', 'USD', 9, '2024-02-15')", [month, name]
        )
    # name, revision, status, remaining, finalized, due: 20:00 in UTC is the next day in Kolkata
    held = [
        ("drafted", 1, "draft", 9, None, "2026-12-01 20:00"),
        ("sent", 1, "open", 9, "2026-11-01 20:00", "2026-12-01 20:00"),
        ("charged", 1, "open", 9, "2026-11-01 20:00", None),
        ("supplemented", 1, "paid", 0, "2024-02-01 00:00", "2024-02-10 00:00"),
        ("supplemented", 2, "open", 3, "2026-11-01 00:00", "2026-11-10 00:00"),
        ("supplemented", 3, "open", 3, "2026-11-05 00:00", "2026-11-15 00:00"),
        ("paid", 1, "paid", 0, "2024-02-01 00:00", "2024-02-10 00:00"),
        ("paid", 2, "paid", 0, "2024-03-01 00:00", "2024-03-10 00:00"),
        ("void", 1, "void", 0, "2024-03-01 00:00", "2024-03-10 00:00"),
        ("not ours any more", 1, "open", 1, "2024-03-01 00:00", "2024-03-10 00:00"),
    ]
    published.executemany(f"INSERT INTO stripe_invoices VALUES ('{month}', ?, ?, ?, ?, ?, ?)", held)
    found = published.execute("SELECT invoice_id, due_date::VARCHAR FROM due_dates").fetchall()
    assert dict(found) == {
        "computed": "2024-02-15",
        "drafted": "2024-02-15",
        "sent": "2026-12-02",
        "charged": "2026-11-02",
        "supplemented": "2026-11-10",
        "paid": "2024-02-10",
        "void": "2024-02-15",
        "not ours any more": "2024-03-10",
    }
    published.execute(
        "INSERT INTO invoice_payments VALUES (?, 'sent', 'c', 'USD', 'open', 9, 0, 0, 9)", [month]
    )
    [(age,)] = published.execute(
        "SELECT due_date + days_overdue::INTEGER - greatest(current_date, due_date)"
        " FROM receivables"
    ).fetchall()
    assert age == 0


def test_rejections_by_reason(published: duckdb.DuckDBPyConnection) -> None:
    rows = [("a.csv", 3, "unknown_customer"), ("a.csv", 2, "unknown_customer"), ("b.csv", 7, "x")]
    published.executemany("INSERT INTO usage_rejections VALUES ('2024-01-01', ?, ?, ?)", rows)
    assert published.execute(
        "SELECT source_file, reason, rows, first_row FROM rejected_usage ORDER BY ALL"
    ).fetchall() == [("a.csv", "unknown_customer", 2, 2), ("b.csv", "x", 1, 7)]


def test_changes_between_versions_have_causes(published: duckdb.DuckDBPyConnection) -> None:
    # charge: (quantity, events, corrections, amount, price terms, subscription terms), per version
    versions = {
        "late": [(1, 1, 0, 10, "p", "s"), (2, 2, 0, 20, "p", "s"), (2, 2, 0, 20, "p", "s")],
        "removed": [(2, 2, 0, 20, "p", "s"), (1, 1, 0, 10, "p", "s")],
        "gauge": [(2, 0, 0, 20, "p", "s"), (3, 0, 0, 30, "p", "s")],
        "corrected": [(2, 2, 0, 20, "p", "s"), (1, 2, 1, 10, "p", "s")],
        "price": [(2, 2, 0, 20, "p", "s"), (2, 2, 0, 40, "q", "s")],
        "both": [(2, 2, 0, 20, "p", "s"), (3, 3, 0, 60, "q", "s")],
        "account": [(2, 2, 0, 20, "p", "s"), (2, 2, 0, 10, "p", "t")],
        "meter": [(17, 2, 0, 17, "p", "s"), (12, 2, 0, 12, "q", "s")],
        "new price": [None, (2, 2, 0, 20, "p", "s")],
        "same": [(2, 2, 0, 20, "p", "s"), (2, 2, 0, 20, "p", "s")],
    }
    for name, found in versions.items():
        for version, values in enumerate(found, 1):
            # Beside it a charge that never changes: the subscription is there in every version.
            rows = [("rest", (1, 0, 0, 1, "p", values[5] if values else "s"))]
            rows += [("it", values)] if values else []
            for charge, (quantity, events, corrections, amount, price, account) in rows:
                published.execute(
                    "INSERT INTO charges_as_billed VALUES ('2024-01-01', $1, $2, 'c', 'USD', $3,"
                    " 's', $3, 'm', $4, $5, $6, $7, $7, $8, $9)",
                    [name, version, charge, quantity, events, corrections, amount, price, account],
                )
    changes = published.execute(
        "SELECT invoice_id, version_before, version_after, charge_id, change, cause"
        " FROM charge_changes ORDER BY ALL"
    ).fetchall()
    assert changes == [
        ("account", 1, 2, "it", -10, "account change"),
        ("both", 1, 2, "it", 40, "late usage, price change"),
        ("corrected", 1, 2, "it", -10, "correction"),
        ("gauge", 1, 2, "it", 10, "usage changed"),
        ("late", 1, 2, "it", 10, "late usage"),
        ("meter", 1, 2, "it", -5, "price change"),
        ("new price", 1, 2, "it", 20, "price change"),
        ("price", 1, 2, "it", 20, "price change"),
        ("removed", 1, 2, "it", -10, "usage removed"),
    ]


def test_no_part_of_a_report_reads_a_table_of_its_own_name(settings: Settings) -> None:
    """To DuckDB 1.1 that is a circular reference, also through dbt's ephemeral models: it opens the
    file and cannot read the view."""
    published = published_tables(settings)
    names = {*published.tables, *published.reports}
    parts = [
        (report, *part)
        for report, found in published.reports.items()
        for part in with_parts(found.query)
    ]
    assert len(parts) > 50
    ephemeral = {(report, name): tables for report, name, tables in parts if "__" in name}
    circular = [
        f"{report}: {name}"
        for report, name, tables in parts
        if name in names & reached(tables, report, ephemeral)
    ]
    assert circular == []


def reached(tables: set[str], report: str, ephemeral: dict[tuple[str, str], set[str]]) -> set[str]:
    """These and what is read through them."""
    found: set[str] = set()
    while tables:
        found |= tables
        tables = {t for one in tables for t in ephemeral.get((report, one), ())} - found
    return found


def with_parts(query: str) -> Iterator[tuple[str, set[str]]]:
    """Of everything in a WITH its name, and the names that it reads."""
    [[tree]] = duckdb.execute("SELECT json_serialize_sql($1)", [query]).fetchall()
    for node in nodes(json.loads(tree)):
        for part in node.get("cte_map", {}).get("map", []):
            inner = nodes(part["value"])
            yield part["key"], {n["table_name"] for n in inner if n.get("type") == "BASE_TABLE"}


def nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for below in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(below, dict | list):
            yield from nodes(below)


def test_every_kind_of_line_that_changed_has_a_cause(published: duckdb.DuckDBPyConnection) -> None:
    for version, events, amount in [(1, 1, 10), (2, 2, 20)]:
        published.execute(
            "INSERT INTO charges_as_billed VALUES ('2024-01-01', 'late', $1, 'c', 'USD', 'it', 's',"
            " 'it', 'm', $2, $2, 0, $3, $3, 'p', 't')",
            [version, events, amount],
        )
    # invoice: lines (kind, amount, rate of a tax in per cent), per version
    versions: dict[str, list[list[tuple[str, float | str, int | None]]]] = {
        "coupon": [[("charge", 10, None)], [("charge", 10, None), ("discount", -1, None)]],
        "late": [
            [("charge", 10, None), ("minimum", 5, None), ("tax", "1.5", 10)],
            [("charge", 20, None), ("tax", 2, 10)],
        ],
        "note": [[("charge", 10, None)], [("charge", 10, None), ("adjustment", 3, None)]],
        "closed": [[("tax", 1, 10)], [("tax", "1.2", 10), ("correction", 2, None)]],
        "rate": [
            [("charge", 10, None), ("tax", 1, 10)],
            [("charge", 11, None), ("tax", "2.2", 20)],
        ],
        "exempt": [[("charge", 10, None), ("tax", 1, 10)], [("charge", 10, None)]],
        "once": [[("charge", 10, None)]],
    }
    for invoice, found in versions.items():
        for version, lines in enumerate(found, 1):
            for kind, amount, rate in lines:
                name = "it" if kind == "charge" else None
                published.execute(
                    "INSERT INTO lines_as_billed VALUES ('2024-01-01', $1, $2, $3, $3, $4, $5, $6,"
                    " $6, DEFAULT, DEFAULT, DEFAULT)",
                    [invoice, version, kind, name, "vat" if rate else None, amount],
                )
                if rate:
                    published.execute(
                        "INSERT INTO line_taxes_as_billed VALUES ($1, $2, 'charge', 'vat', $3)",
                        [invoice, version, rate],
                    )
    changes = published.execute(
        "SELECT invoice_id, version_after, kind, change, cause FROM line_changes ORDER BY ALL"
    ).fetchall()
    assert changes == [
        ("closed", 2, "correction", 2, "closed books"),
        ("closed", 2, "tax", Decimal("0.2"), "follows other lines"),
        ("coupon", 2, "discount", -1, "coupon change"),
        ("exempt", 2, "tax", -1, "tax change"),
        ("late", 2, "charge", 10, "late usage"),
        ("late", 2, "minimum", -5, "follows other lines"),
        ("late", 2, "tax", Decimal("0.5"), "follows other lines"),
        ("note", 2, "adjustment", 3, "adjustment"),
        ("rate", 2, "charge", 1, "other"),
        ("rate", 2, "tax", Decimal("1.2"), "tax change"),
    ]
