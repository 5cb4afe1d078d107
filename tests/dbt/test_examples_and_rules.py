"""The five systems through intake and dbt, against totals computed by hand; dbt's unit tests."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.dbt_runner import check, run_dbt
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating import WalletApplication, rate_month
from billing_pipeline.settings import Settings

EXAMPLES = Path(__file__).resolve().parents[2] / "data" / "examples"
Invoices = dict[tuple[str, str], tuple[Decimal, Decimal]]


def settings_for(data_dir: Path, home: Path) -> Settings:
    return Settings.from_env({"BILLING_DATA_DIR": str(data_dir), "BILLING_HOME": str(home)})


def expected(example: str) -> dict[str, Invoices]:
    with (EXAMPLES / example / "expected.csv").open(encoding="utf-8", newline="") as file:
        months: dict[str, Invoices] = {}
        for row in csv.DictReader(file):
            amounts = (Decimal(row["total"]), Decimal(row["amount_due"]))
            month = months.setdefault(row["billing_month"], {})
            month[row["customer_id"], row["currency"]] = amounts
    return months


@pytest.mark.parametrize(
    "example", ["restoration", "platform", "metered-api", "prepaid-wallet", "subscriptions"]
)
def test_an_example_bills_the_totals_computed_by_hand(example: str, tmp_path: Path) -> None:
    settings = settings_for(EXAMPLES / example, tmp_path)
    taken: list[WalletApplication] = []
    for month, invoices in sorted(expected(example).items()):
        path = rate_month(settings, BillingMonth.parse(month), taken)
        with duckdb.connect(str(path), read_only=True) as warehouse:
            rows = warehouse.execute(
                "SELECT customer_id, currency, total, amount_due, wallet_applied FROM invoices"
            ).fetchall()
        assert {(row[0], row[1]): (row[2], row[3]) for row in rows} == invoices, month
        taken += [(row[0], row[1], month, row[4]) for row in rows if row[4] > 0]


def test_every_charge_model_passes_its_unit_test(tmp_path: Path) -> None:
    settings = settings_for(EXAMPLES / "restoration", tmp_path)
    month = BillingMonth.parse("2024-01")
    rate_month(settings, month)
    nodes = run_dbt(settings, month, ["test", "--select", "test_type:unit"])
    check(nodes, month)
    assert len(nodes) >= 8
