#!/usr/bin/env python3
"""The adapter of this project's engine: needs `billing` on the path.

All scenarios of one month and time zone are customers of one company: each keeps to its own ids,
and to countries of its own, as tax rates are a country's.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

Scenario = Mapping[str, Any]
Rows = dict[str, list[dict[str, str]]]

_CATALOG = ("meters", "plans", "prices", "price_tiers", "coupons", "tax_rates")
_ACCOUNTS = (
    "customers", "subscriptions", "usage_corrections", "wallet_transactions", "adjustments",
    "commitments",
)  # fmt: skip
_IDS = (
    "meter_id", "event_name", "plan_id", "price_id", "coupon_id", "tax_rate_id", "customer_id",
    "subscription_id", "correction_id", "transaction_id", "adjustment_id", "commitment_id",
    "price_ids", "tax_code",
)  # fmt: skip
_COUNTRIES = re.findall(
    r"\w\w",
    """
AD AE AL AM AO AR AT AU AZ BA BB BD BE BF BG BH BI BJ BM BN BO BR BS BT BW BY BZ CA CD CF CG CH CI
CL CM CN CO CR CV CY CZ DE DJ DK DM DO DZ EC EE EG ER ES ET FI FJ FR GA GB GE GH GM GN GR GT GY HN
HR HT HU ID IE IL IN IQ IS IT JM JO JP KE KG KH KM KR KW KZ LA LB LK LR LS LT LU LV
    """,
)


class Company:
    """The inputs of many scenarios, and what each of them is called in there."""

    def __init__(self, scenarios: Sequence[Scenario]) -> None:
        self.scenarios = scenarios
        self.rows: Rows = defaultdict(list)
        countries = iter(_COUNTRIES)
        for number, scenario in enumerate(scenarios):
            own: dict[str, str] = defaultdict(lambda: next(countries))
            for table in (*_CATALOG, *_ACCOUNTS):
                for row in scenario.get(table, []):
                    self.rows[table].append(_renamed(row, number, own))
            self._add_usage(scenario, number)

    def _add_usage(self, scenario: Scenario, number: int) -> None:
        count = 0
        for event in scenario.get("usage", []):
            for _ in range(event.get("times", 1)):
                count += 1
                row = {
                    "event_id": f"s{number}-{event.get('id', f'event-{count}')}",
                    "customer_id": f"s{number}-{event.get('customer', 'ada')}",
                    "event_name": f"s{number}-{event['event']}",
                    "occurred_at": event["at"],
                    "quantity": event.get("quantity", ""),
                    "properties": json.dumps(event["properties"]) if "properties" in event else "",
                }
                if "subscription_id" in event:
                    row["subscription_id"] = f"s{number}-{event['subscription_id']}"
                self.rows[f"usage/{event['at'][:7]}"].append(row)

    def write(self, folder: Path) -> None:
        for name, rows in self.rows.items():
            place = "catalog" if name in _CATALOG else "accounts" if name in _ACCOUNTS else name
            path = folder / place / ("events.csv" if place == name else f"{name}.csv")
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = list(dict.fromkeys(column for row in rows for column in row))
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(rows)

    def answers(self, tables: duckdb.DuckDBPyConnection, month: str) -> list[dict[str, Any]]:
        """One answer a scenario, from the tables `charges` and `invoices`."""
        lines, invoices = defaultdict(list), {}
        for row in _rows(tables, "charges", month):
            number, _, price = row["price_id"].partition("-")
            columns = ("quantity", "billable_quantity", "amount", "currency")
            line = {name: str(row[name]) for name in columns}
            lines[number].append({"price_id": price, **line})
        for row in _rows(tables, "invoices", month):
            invoices[row["customer_id"].partition("-")[0]] = row
        return [
            {
                "id": scenario["id"],
                "lines": lines[f"s{number}"],
                **{name: _sum(invoices.get(f"s{number}"), name) for name in _SUMS},
            }
            for number, scenario in enumerate(self.scenarios)
        ]


_SUMS = ("subtotal", "discount", "tax", "tax_included", "total", "amount_due")


def _sum(invoice: Mapping[str, Any] | None, name: str) -> str:
    """A customer who has nothing to pay gets no invoice."""
    return "0" if invoice is None else str(invoice[name])


def _renamed(row: Mapping[str, str], number: int, countries: dict[str, str]) -> dict[str, str]:
    made = dict(row)
    for name in _IDS:
        if made.get(name):
            made[name] = ";".join(f"s{number}-{one}" for one in made[name].split(";"))
    if made.get("country"):
        made["country"] = countries[made["country"]]
    return made


def _rows(tables: duckdb.DuckDBPyConnection, name: str, month: str) -> Iterable[dict[str, Any]]:
    order = "period_start, charge_id" if name == "charges" else "invoice_id"
    found = tables.execute(
        f"SELECT * FROM {name} WHERE billing_month = $1::DATE ORDER BY {order}", [f"{month}-01"]
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def by_month(scenarios: Iterable[Scenario]) -> dict[tuple[str, str], list[Scenario]]:
    """What one company can bill at once: by month and time zone."""
    groups: dict[tuple[str, str], list[Scenario]] = defaultdict(list)
    for scenario in scenarios:
        groups[scenario["month"], scenario.get("timezone", "UTC")].append(scenario)
    return groups


def main() -> None:
    scenarios = [json.loads(line) for line in sys.stdin if line.strip()]
    for (month, zone), of_month in by_month(scenarios).items():
        with tempfile.TemporaryDirectory() as scratch:
            data, home = Path(scratch) / "data", Path(scratch) / "home"
            company = Company(of_month)
            company.write(data)
            settings = {
                "BILLING_DATA_DIR": str(data), "BILLING_HOME": str(home),
                "BILLING_TIMEZONE": zone, "BILLING_FIRST_MONTH": "2020-01-01",
            }  # fmt: skip
            subprocess.run(
                ["billing", "plan", month],
                env={**os.environ, **settings}, stdout=sys.stderr, check=True,
            )  # fmt: skip
            published = home / "published" / "billing.duckdb"
            with duckdb.connect(str(published), read_only=True) as tables:
                for answer in company.answers(tables, month):
                    print(json.dumps(answer))


if __name__ == "__main__":
    main()
