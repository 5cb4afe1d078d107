"""A closed month whose inputs change: what it would be charged today, and the end of that."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.end_to_end.closed_once import EXAMPLE, MONTH, Closed
from tests.end_to_end.commands import billing

LATE = (
    "event_id,customer_id,event_name,occurred_at,quantity,properties\n"
    "late-1,{customer},{event},2024-01-20T08:00:00Z,1000,\n"
)


@pytest.fixture
def home(tmp_path: Path, closed_wallet: Closed) -> Path:
    closed_wallet(tmp_path / "home")
    shutil.copytree(EXAMPLE, tmp_path / "data")
    return tmp_path / "home"


def billing_json(home: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = billing(home, home.parent / "data", *arguments, "--json")
    assert done.returncode == code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


READ_SINCE_1_0 = 64
"""The version of DuckDB's file format that its releases since 0.9 write by themselves."""


def storage_version(database: Path) -> int:
    """It stands behind the checksum and the letters DUCK."""
    with database.open("rb") as file:
        head = file.read(20)
    assert head[8:12] == b"DUCK"
    return int.from_bytes(head[12:], "little")


@pytest.mark.slow
def test_late_usage_of_a_closed_month_is_drift_until_it_is_billed(home: Path) -> None:
    assert billing_json(home, "drift")["rows"] == []
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        customer, event = published.execute(
            "SELECT customer_id, 'sms_sent' FROM charges WHERE meter_id = 'sms' AND amount > 0"
            " ORDER BY 1 LIMIT 1"
        ).fetchall()[0]
    late = home.parent / "data" / "usage" / MONTH / "late.csv"
    late.write_text(LATE.format(customer=customer, event=event))
    [row] = billing_json(home, "drift")["rows"]
    assert (row["billing_month"], row["customers"]) == (f"{MONTH}-01", 1)
    assert row["cause"] == "late usage"
    assert float(row["difference"]) > 0
    assert billing_json(home, "status", "--check", code=4)["health"]
    found = billing_json(home, "verify", MONTH, code=1)
    assert {"charges", "invoices"} <= {t["table"] for t in found["tables"] if not t["is_equal"]}
    assert found["changed_inputs"] == f"new: usage/{MONTH}/late.csv"
    assert re.fullmatch(
        rf"customer_usage, customer_id={customer}, meter_id=.*, usage_date={MONTH}-.."
        " is not published, only recomputed",
        found["first_difference"],
    )
    plan_hash = billing_json(home, "plan", MONTH)["plan_hash"]
    billing_json(home, "apply", MONTH, "--approve", plan_hash)
    found = billing_json(home, "verify", MONTH)
    assert [table["table"] for table in found["tables"] if not table["is_equal"]] == []
    single = home.parent / "single.duckdb"
    billing_json(home, "publish", "--to", str(single))
    for file in (single, home / "published" / "billing.duckdb"):
        assert storage_version(file) == READ_SINCE_1_0
    with duckdb.connect(str(single), read_only=True) as copied:
        assert copied.execute("SELECT count(*) FROM month_drift").fetchall() == [(0,)]
        [[invoices]] = copied.execute("SELECT count(*) FROM invoices").fetchall()
        assert invoices > 0
        assert copied.execute("SELECT count(*) FROM customer_standing").fetchall() > [(0,)]
