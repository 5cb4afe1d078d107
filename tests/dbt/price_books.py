"""Price books written out as rows, and what they charge.

What belongs here: writing rows into a data directory, rating it, and reading charges. What does
not: expectations.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from tests.property.harness import Row, Tables, run_pipeline

Cells = Mapping[str, object]


class PriceBook:
    """Rows of the inputs by file: `catalog/prices`, `accounts/customers`, …"""

    def __init__(self) -> None:
        self.rows: dict[str, list[Cells]] = {"accounts/customers": []}

    def add(self, file: str, **cells: object) -> None:
        self.rows.setdefault(file, []).append(cells)

    def customer(self, name: str, plan: str = "", **cells: object) -> None:
        """A customer who has the plan since 2024; the subscription is named like the customer."""
        self.add("accounts/customers", customer_id=name, currency="USD")
        if plan:
            self.subscribe(name, name, plan, **cells)

    def subscribe(self, name: str, customer: str, plan: str, **cells: object) -> None:
        ids = {"subscription_id": name, "customer_id": customer, "plan_id": plan}
        self.add("accounts/subscriptions", **{"starts_at": "2024-01-01", **ids, **cells})

    def meter(self, name: str, aggregation: str = "sum", **cells: object) -> None:
        """A meter that reads events of its name."""
        row = {"meter_id": name, "event_name": name, "aggregation": aggregation}
        self.add("catalog/meters", **{**row, **cells})

    def price(self, plan: str, name: str, meter: str, **cells: object) -> None:
        """A price of 1 a unit, where `cells` say nothing else."""
        row = {"plan_id": plan, "price_id": name, "meter_id": meter, "charge_model": "per_unit"}
        if cells.get("charge_model", "per_unit") == "per_unit":
            row["unit_amount"] = "1"
        self.add("catalog/prices", **{**row, **cells})

    def use(self, customer: str, name: str, quantity: object, at: str, **cells: object) -> None:
        """An event; `at` is a day or time of its month's folder."""
        file = f"usage/{at[:7]}/events"
        number = sum(map(len, self.rows.values()))
        row = {"event_id": f"e{number}", "customer_id": customer, "event_name": name}
        self.add(
            file, **{**row, "occurred_at": at, "quantity": quantity, "properties": "", **cells}
        )

    def write(self, directory: Path) -> Path:
        for file, rows in self.rows.items():
            path = directory / f"{file}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_csv(path, rows)
        return directory

    def rate(self, directory: Path, month: str) -> Tables:
        return run_pipeline(self.write(directory), month, "UTC")


def _write_csv(path: Path, rows: Sequence[Cells]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row)) or [
        "customer_id",
        "currency",
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: object) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)


def charges_of(tables: Tables, subscription: str) -> dict[str, list[Row]]:
    """A subscription's charges by price, in the order of their periods."""
    found: dict[str, list[Row]] = {}
    for row in sorted(tables["charges"], key=lambda row: row["period_start"]):
        if row["subscription_id"] == subscription:
            found.setdefault(row["price_id"], []).append(row)
    return found


def amounts(tables: Tables, subscription: str) -> dict[str, list[Decimal]]:
    """The exact amounts of a subscription's charges by price."""
    charges = charges_of(tables, subscription)
    return {
        price: [row["exact_amount"].normalize() for row in rows] for price, rows in charges.items()
    }
