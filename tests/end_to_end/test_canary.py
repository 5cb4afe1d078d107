"""A canary that deviates stops a close before Stripe; one that does not is nowhere to be seen."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.unchanged import is_checked
from billing_pipeline.settings import Settings
from tests.end_to_end.commands import billing, last_line
from tests.unit.rating.test_canary import FILES, write

EXPECTED = "canary/expected.csv"


@pytest.mark.slow
def test_a_canary_that_deviates_stops_the_close(tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    for name, text in FILES.items():
        write(data, name, text)
    write(data, EXPECTED, FILES[EXPECTED].replace("59.56", "59.55"))
    stopped = billing(home, data, "run", "2024-01")
    assert stopped.returncode == 1
    assert last_line(stopped) == (
        "canary: invoice of tweety for 2024-01: total is expected 59.55 USD"
        " and computed 59.56 USD: nothing was sent"
    )
    settings = Settings.from_env({"BILLING_HOME": str(home)})
    # Nor may another job send what was rated.
    assert not is_checked(settings, BillingMonth(2024, 1))
    with sqlite3.connect(home / "records" / "billed.db") as records:
        assert records.execute("SELECT count(*) FROM billed").fetchall() == [(0,)]

    write(data, EXPECTED, FILES[EXPECTED])
    closed = billing(home, data, "run", "2024-01")
    assert closed.returncode == 0, closed.stderr
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        for table in ("invoices", "stripe_invoices", "revenue", "charges_as_billed"):
            found = published.execute(f"SELECT count(*) FROM {table}").fetchall()
            assert found == [(1,)], table
        customers = published.execute("SELECT DISTINCT customer_id FROM customers").fetchall()
        assert customers == [("c1",)]
