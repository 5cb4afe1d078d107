"""A late file of a month whose books are closed: on the first open month's invoice, after
approval."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.end_to_end.closed_once import EXAMPLE, Closed
from tests.end_to_end.commands import billing

OPEN = "2024-02"
LATE = (
    "event_id,customer_id,event_name,occurred_at,quantity,properties\n"
    "late-1,w-one-call,sms_sent,2024-01-20T08:00:00Z,1000,\n"
)


def billing_json(home: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    data = home.parent / "data"
    done = billing(home, data, *arguments, "--json", BILLING_LOCKED_THROUGH="2024-01")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rows(home: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        return published.execute(query).fetchall()


@pytest.mark.slow
def test_late_usage_of_a_closed_month_is_billed_in_the_first_open_one(
    tmp_path: Path, closed_wallet: Closed
) -> None:
    home = tmp_path / "home"
    closed_wallet(home)
    shutil.copytree(EXAMPLE, tmp_path / "data")
    (tmp_path / "data" / "usage" / "2024-01" / "late.csv").write_text(LATE)
    january = rows(home, "SELECT * FROM invoices WHERE billing_month = '2024-01-01' ORDER BY ALL")

    waits = billing_json(home, "run", OPEN, code=3)
    [change] = [row for row in waits["plan"] if row["state"] == "waiting"]
    assert change["customer_id"] == "w-one-call"
    assert change["cause"] == "closed month corrected"
    [line] = rows(
        home,
        "SELECT kind, description, amount, corrected_month::VARCHAR FROM invoice_lines"
        f" WHERE billing_month = '{OPEN}-01' AND corrected_month IS NOT NULL",
    )
    assert line[0] == "correction"
    assert line[1].startswith("Correction of January 2024: SMS")
    assert line[1].endswith("1,000 more")
    assert line[2:] == (Decimal(20), "2024-01-01")
    [evidence] = rows(home, "SELECT cause, evidence FROM plan_changes WHERE kind = 'correction'")
    assert evidence == ("late usage", "usage/2024-01/late.csv row 2")

    done = billing_json(home, "apply", OPEN, "--approve", waits["plan_hash"])
    assert {row["state"] for row in done["plan"]} == {"done"}
    assert rows(
        home, "SELECT * FROM invoices WHERE billing_month = '2024-01-01' ORDER BY ALL"
    ) == january  # fmt: skip
