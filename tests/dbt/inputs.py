"""Inputs as rows of any columns, rated without the oracle, which need not know them yet.

What belongs here: writing the files, rating a month, reading tables. What does not: expectations.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.intake.reference.schemas import TABLES, USAGE
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings
from tests.compiled_models import rate_month
from tests.property.harness import Row

_COLUMNS = {table.name: table for table in TABLES}


class Inputs:
    """Rows by table; `usage` rows by month. Absent columns are empty."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def add(self, table: str, **cells: Any) -> None:
        columns = USAGE.column_names if "usage" in table else _COLUMNS[table].column_names
        assert cells.keys() <= set(columns), f"{table} has no {cells.keys() - set(columns)}"
        self.rows[table].append(cells)

    def fee(self, plan: str, *amounts: str, price: str = "", **cells: Any) -> None:
        """A plan with a flat fee for each amount: prices `plan-1`, `plan-2`, … or `price`."""
        if not any(row["plan_id"] == plan for row in self.rows["plans"]):
            self.add("plans", plan_id=plan, name=plan)
        for number, amount in enumerate(amounts, start=1):
            ids = {"price_id": price or f"{plan}-{number}", "plan_id": plan}
            self.add("prices", charge_model="flat", flat_amount=amount, **ids, **cells)

    def subscribe(self, customer: str, plan: str, **cells: Any) -> None:
        ids = {"subscription_id": f"{customer}/{plan}", "customer_id": customer, "plan_id": plan}
        self.add("subscriptions", **{"starts_at": "2023-01-01", **ids, **cells})

    def write(self, directory: Path) -> Path:
        for name, rows in self.rows.items():
            file = f"{name}/events" if "usage" in name else _COLUMNS[name].path
            path = directory / f"{file}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = USAGE.column_names if "usage" in name else _COLUMNS[name].column_names
            with path.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.DictWriter(stream, columns)
                writer.writeheader()
                writer.writerows(rows)
        return directory


def settings_of(directory: Path, timezone: str = "UTC") -> Settings:
    return Settings.from_env(
        {
            "BILLING_DATA_DIR": str(directory / "data"),
            "BILLING_HOME": str(directory / "home"),
            "BILLING_TIMEZONE": timezone,
            "BILLING_FIRST_MONTH": "2020-01-01",
        }
    )


class Rated:
    """A rated month's tables, read when asked for."""

    def __init__(self, warehouse: Path) -> None:
        self.warehouse = warehouse

    def rows(self, table: str, **where: object) -> list[Row]:
        with duckdb.connect(str(self.warehouse), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            cursor = connection.execute(f'select * from main."{table}"')
            columns = [column[0] for column in cursor.description or []]
            rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        return [row for row in rows if all(row[name] == value for name, value in where.items())]

    def invoice(self, customer: str) -> Row:
        (row,) = self.rows("invoices", customer_id=customer)
        return row

    def lines(self, customer: str, kind: str = "") -> list[tuple[str, str]]:
        """Description and amount of the invoice's lines, in their order."""
        invoice_id = self.invoice(customer)["invoice_id"]
        rows = self.rows("invoice_lines", invoice_id=invoice_id)
        rows.sort(key=lambda row: row["position"])
        return [(row["description"], f"{row['amount']:.2f}") for row in rows
                if kind in ("", row["kind"])]  # fmt: skip


def rated(inputs: Inputs, month: str, directory: Path, timezone: str = "UTC") -> Rated:
    inputs.write(directory / "data")
    return Rated(rate_month(settings_of(directory, timezone), BillingMonth.parse(month)))
