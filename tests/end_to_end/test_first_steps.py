"""A new user's first hour: `init`, `check`, `plan`, `run`, `status`, `months`, `invoices`."""

from __future__ import annotations

import calendar
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from billing_pipeline.months import BillingMonth
from tests.end_to_end.commands import billing, last_line


def test_from_an_empty_folder_to_a_closed_month(tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "data"
    month = BillingMonth.containing(datetime.now(UTC), ZoneInfo("UTC")).shift(-1)

    def ask(*args: str) -> Any:
        done = billing(home, data, *args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert billing(home, data, "init", str(data), "--example").returncode == 0
    again = billing(home, data, "init", str(data))
    assert again.returncode == 1
    assert "already exists" in last_line(again)

    # ada: 29 + 10,000 × 0.002 + 1,900 × 0.0015 + 13 GB × 0.25; bob: 29 less 14 days of trial
    days = calendar.monthrange(month.year, month.month)[1]
    bob = (Decimal(29) * (days - 14) / days).quantize(Decimal("0.01"))
    checked = ask("check")["month"]
    (charged,) = checked["charges"]
    assert Decimal(charged["amount"]) == Decimal("55.10") + bob
    assert checked["problems"] == []
    (before,) = ask("months")
    assert (before["month"], before["state"]) == (str(month), "to be closed")
    assert not (home / "published").exists()

    ask("run", str(month))
    (after,) = ask("months")
    assert (after["state"], after["next"]) == ("closed", None)
    status = ask("status")
    assert all(part["is_well"] for part in status["health"]), status["health"]
    assert [run["job"] for run in ask("runs")] == ["close_month"]
    (open_one,) = ask("invoices", "--status", "open")
    assert open_one["customer_id"] == "bob"  # ada's card was charged
    assert ask("invoices", "--customer", "nobody") == []
    shown = billing(home, data, "status")
    assert "closed" in shown.stdout and "agrees to the cent on 2 invoices" in shown.stdout
    assert "\x1b" not in shown.stdout

    usage = next((data / "usage" / str(month)).iterdir())
    with usage.open("a") as file:
        file.write("e-9,nobody,api_call,2024-01-01,many,\n")
    (problem,) = ask("check", str(month))["month"]["problems"]
    assert (problem["rows"], problem["first_rows"]) == (1, [7])
    customers = data / "accounts" / "customers.csv"
    customers.write_text(customers.read_text().replace("USD", "USX"))
    refused = billing(home, data, "check")
    assert refused.returncode == 1
    # The same problem in two rows is one line.
    assert last_line(refused).startswith("accounts/customers.csv rows 2-3, currency: 'USX'")
