"""What the page of a month says has happened, from what was known of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.dashboard.detail_queries import month_details
from billing_pipeline.dashboard.queries import NAMES
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare

JANUARY = BillingMonth(2024, 1)


def test_a_file_is_late_if_it_was_read_after_the_month_was_billed(tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        declare(connection, Settings.from_env({"BILLING_HOME": str(tmp_path)}))
        connection.execute(NAMES)

        def known(day: int, table: str, **cells: Any) -> None:
            content = json.dumps({name: str(value) for name, value in cells.items()})
            connection.execute(
                "INSERT INTO known_rows BY NAME SELECT $1::DATE AS billing_month, $2 AS table_name,"
                " md5($3) AS row_id, $4::TIMESTAMPTZ AS known_from, $3 AS content",
                [JANUARY.key, table, content, f"2024-02-{day:02} 08:00:00+00"],
            )

        def file(day: int, name: str, rows: int, aside: int = 0, repeated: int = 0) -> None:
            known(
                day, "usage_files", source_file=name, rows_read=rows, rejected_rows=aside,
                accepted_rows=rows - aside - repeated, duplicate_rows=repeated,
            )  # fmt: skip

        def plan(day: int, action: str, state: str) -> None:
            known(
                day, "invoice_plan", action=action, state=state, customer_id="ada",
                currency="EUR", amount_change="5.00", cause="late usage",
            )  # fmt: skip

        file(1, "before.csv", 3)  # a preview
        file(2, "in-time.csv", 3)
        plan(2, "create", "done")
        file(3, "late.csv", 2, aside=1)
        plan(3, "supplement", "waiting")
        file(4, "in-time.csv", 4)  # a row was added to it
        file(5, "before.csv", 3, repeated=1)  # only counted otherwise, because of another file
        happened = [
            (row["happened_at"].day, row["what"], row["says"])
            for row in month_details(connection, JANUARY).history
        ]
    assert happened == [
        (3, "late file", "late.csv: 1 counted, 1 set aside"),
        (3, "plan waits for approval", "late usage"),
        (4, "late file", "in-time.csv: 4 counted"),
    ]
