"""The real Dagster jobs through the command line, over the embedded sandbox."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.closed_once import Closed
from tests.end_to_end.commands import EXAMPLES, billing_by_dbt


def stripe_ids(home: Path) -> list[Any]:
    import duckdb

    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        return published.execute(
            "SELECT stripe_invoice_id, status, total FROM stripe_invoices ORDER BY 1"
        ).fetchall()


@pytest.mark.slow
def test_a_month_is_billed_once_however_often_it_is_run(
    tmp_path: Path, closed_wallet: Closed
) -> None:
    data, home = EXAMPLES / "prepaid-wallet", tmp_path / "home"
    payments = closed_wallet(home)["payments"]
    assert sorted(row["billed"] for row in payments) == [
        "0.3800", "1.0000", "12.3400", "12.3400", "5.0000",
    ]  # fmt: skip
    sent = stripe_ids(home)
    assert len(sent) == 5

    second = billing_by_dbt(home, data, "run", "2024-01", "--json")
    assert second.returncode == 0, second.stderr
    assert {row["action"] for row in json.loads(second.stdout)["plan"]} == {"unchanged"}
    assert stripe_ids(home) == sent


def test_a_bad_price_stops_the_month_and_says_where(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "accounts").mkdir(parents=True)
    (data / "catalog").mkdir()
    (data / "accounts" / "customers.csv").write_text(
        "customer_id,name,email,country,currency\nc1,One,one@example.com,US,USD\n"
    )
    (data / "catalog" / "plans.csv").write_text("plan_id,name\nbasic,Basic\n")
    (data / "catalog" / "prices.csv").write_text(
        "price_id,plan_id,charge_model,flat_amount,currency\np1,basic,flatt,10,USD\n"
    )
    done = billing_by_dbt(tmp_path / "home", data, "run", "2024-01")
    assert done.returncode == 1
    assert "catalog/prices.csv row 2" in done.stderr
    assert "'flatt'" in done.stderr


def test_a_month_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    done = billing_by_dbt(tmp_path, EXAMPLES / "restoration", "run", "2026-13")
    assert done.returncode == 1
    assert "2026-13" in done.stderr.strip().splitlines()[-1]
