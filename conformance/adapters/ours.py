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


_DOCUMENTS = {"supplement": "supplement", "credit": "credit_note", "unchanged": "none"}
_NOTHING = {"document": "none", "amount": "0"}


class Company:
    """The inputs of many scenarios, and what each of them is called in there."""

    def __init__(self, scenarios: Sequence[Scenario]) -> None:
        self.scenarios = scenarios
        self.rows: Rows = defaultdict(list)
        self.later: Rows = defaultdict(list)
        countries = iter(_COUNTRIES)
        for number, scenario in enumerate(scenarios):
            own: dict[str, str] = defaultdict(lambda: next(countries))
            for table in (*_CATALOG, *_ACCOUNTS):
                for row in scenario.get(table, []):
                    self.rows[table].append(_renamed(row, number, own))
            _add_usage(self.rows, scenario, number)
            more = scenario.get("later", {})
            for row in more.get("usage_corrections", []):
                self.later["usage_corrections"].append(_renamed(row, number, own))
            _add_usage(self.later, more, number, "later-")

    def write(self, folder: Path) -> None:
        for name, rows in self.rows.items():
            place = "catalog" if name in _CATALOG else "accounts" if name in _ACCOUNTS else name
            _write(folder / place / ("events.csv" if place == name else f"{name}.csv"), rows)

    def write_later(self, folder: Path) -> None:
        """What came once the month was billed."""
        for name, rows in self.later.items():
            if name in _ACCOUNTS:
                _write(folder / "accounts" / f"{name}.csv", [*self.rows[name], *rows])
            else:
                _write(folder / name / "late.csv", rows)

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

    def later_answers(self, tables: duckdb.DuckDBPyConnection, month: str) -> dict[str, Any]:
        """What the plan would send to whom, by scenario, from the table `invoice_plan`."""
        planned: dict[str, Any] = {}
        for row in _rows(tables, "invoice_plan", month):
            number, change = row["customer_id"].partition("-")[0], row["amount_change"]
            planned[number] = {"document": _DOCUMENTS[row["action"]], "amount": str(abs(change))}
        return {
            scenario["id"]: planned.get(f"s{number}", _NOTHING)
            for number, scenario in enumerate(self.scenarios)
        }


def _add_usage(rows: Rows, found: Scenario, number: int, of: str = "") -> None:
    count = 0
    for event in found.get("usage", []):
        for _ in range(event.get("times", 1)):
            count += 1
            row = {
                "event_id": f"s{number}-{event.get('id', f'{of}event-{count}')}",
                "customer_id": f"s{number}-{event.get('customer', 'ada')}",
                "event_name": f"s{number}-{event['event']}",
                "occurred_at": event["at"],
                "quantity": event.get("quantity", ""),
                "properties": json.dumps(event["properties"]) if "properties" in event else "",
            }
            if "subscription_id" in event:
                row["subscription_id"] = f"s{number}-{event['subscription_id']}"
            rows[f"usage/{event['at'][:7]}"].append(row)


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


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
    order = "period_start, charge_id" if name == "charges" else "customer_id"
    found = tables.execute(
        f"SELECT * FROM {name} WHERE billing_month = $1::DATE ORDER BY {order}", [f"{month}-01"]
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def by_month(scenarios: Iterable[Scenario]) -> dict[tuple[str, str, bool], list[Scenario]]:
    """What one company can bill at once: by month and time zone, and whether more comes later."""
    groups: dict[tuple[str, str, bool], list[Scenario]] = defaultdict(list)
    for scenario in scenarios:
        zone = scenario.get("timezone", "UTC")
        groups[scenario["month"], zone, "later" in scenario].append(scenario)
    return groups


def main() -> None:
    scenarios = [json.loads(line) for line in sys.stdin if line.strip()]
    for (month, zone, has_more), of_month in by_month(scenarios).items():
        with tempfile.TemporaryDirectory() as scratch:
            data, home = Path(scratch) / "data", Path(scratch) / "home"
            company = Company(of_month)
            company.write(data)
            settings = {
                "BILLING_DATA_DIR": str(data), "BILLING_HOME": str(home),
                "BILLING_TIMEZONE": zone, "BILLING_FIRST_MONTH": "2020-01-01",
            }  # fmt: skip
            published = home / "published" / "billing.duckdb"
            _billing("run" if has_more else "plan", month, settings)
            with duckdb.connect(str(published), read_only=True) as tables:
                answers = company.answers(tables, month)
            if has_more:
                company.write_later(data)
                _billing("plan", month, settings)
                with duckdb.connect(str(published), read_only=True) as tables:
                    later = company.later_answers(tables, month)
                answers = [{**answer, "later": later[answer["id"]]} for answer in answers]
            for answer in answers:
                print(json.dumps(answer))


def _billing(command: str, month: str, settings: Mapping[str, str]) -> None:
    environment = {**os.environ, **settings}
    subprocess.run(["billing", command, month], env=environment, stdout=sys.stderr, check=True)


if __name__ == "__main__":
    main()
