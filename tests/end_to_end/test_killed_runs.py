"""A real run in a real process, killed again and again: in the end everything exists once."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.settings import Settings
from tests.end_to_end.close_months import held
from tests.end_to_end.closed_once import Closed
from tests.end_to_end.commands import EXAMPLES, billing, environment
from tests.end_to_end.warm import run_module

DATA = EXAMPLES / "prepaid-wallet"
MONTH = "2024-01"
# Each run gets a little further than the one before. How many requests there are is no fixed
# number: the last entry is far enough behind for the ones before to have struck.
KILL_POINTS = (("after", 8), ("interrupt", 12), ("before", 17), ("publishing", 1))


def killed(home: Path, kind: str, number: int) -> subprocess.CompletedProcess[str]:
    args = [kind, str(number), "run", MONTH]
    return run_module("tests.end_to_end.killed_run", args, environment(home, DATA))


def published(home: Path, columns: str) -> list[Any]:
    path = home / "published" / "billing.duckdb"
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(f"SELECT {columns} ORDER BY ALL").fetchall()


def test_a_run_that_dies_many_times_bills_once(tmp_path: Path, closed_wallet: Closed) -> None:
    home, undisturbed = tmp_path / "home", tmp_path / "undisturbed"
    closed_wallet(undisturbed)
    die_and_go_on(home)
    for columns in (
        "* FROM invoices",
        "* FROM invoice_lines",
        "* FROM charges",
        "invoice_id, revision, status, total, amount_paid, wallet_applied FROM stripe_invoices",
        "* EXCLUDE (next_attempt_at) FROM invoice_payments",
        "* FROM reconciliation",
        "* EXCLUDE (occurred_at) FROM wallet_ledger",
    ):
        assert published(home, columns) == published(undisturbed, columns), columns
    assert in_stripe(home) == in_stripe(undisturbed)


def die_and_go_on(home: Path) -> None:
    for kind, number in KILL_POINTS:
        done = killed(home, kind, number)
        if kind == "interrupt":
            assert done.returncode == 1, done.stderr
            assert "interrupted: the same command again goes on" in done.stderr
        else:
            assert done.returncode == -signal.SIGKILL, f"{kind} {number}: {done.stderr}"
    last = billing(home, DATA, "run", MONTH, "--json")
    assert last.returncode == 0, last.stderr
    summary = json.loads(last.stdout)
    assert {row["state"] for row in summary["plan"]} <= {"ready", "done"}


def in_stripe(home: Path) -> list[Any]:
    """Every invoice with its lines, and every customer's balance."""
    found = held(Settings.from_env({"BILLING_HOME": str(home), "BILLING_DATA_DIR": str(DATA)}))
    invoices = [
        (
            invoice["metadata"]["billing_invoice_id"],
            invoice["status"],
            invoice["total"],
            sorted((line["description"], line["amount"]) for line in invoice["lines"]["data"]),
        )
        for invoice in found["invoices"]
    ]
    customers = [
        (customer["metadata"]["billing_customer_id"], customer["balance"])
        for customer in found["customers"]
    ]
    return [sorted(invoices), sorted(customers)]
