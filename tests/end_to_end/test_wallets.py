"""Wallets by the command line: two months at once, one wallet that cannot be read, and what a
wallet pays of what is open."""

from __future__ import annotations

import csv
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.end_to_end.commands import EXAMPLES, billing, last_line


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The prepaid example. One customer uses 15.00 in February too, of the 20.00 in its wallet, of
    which January takes 12.34; another is in no Stripe account under the id that the accounts name.
    """
    folder = tmp_path / "data"
    shutil.copytree(EXAMPLES / "prepaid-wallet", folder)
    with (folder / "usage" / "2024-02" / "traffic.csv").open("a", encoding="utf-8") as usage:
        usage.write("traffic-feb-9,w-plenty,sms_sent,2024-02-14T08:00:00Z,600,\n")
    path = folder / "accounts" / "customers.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["customer_id"] == "w-late-top-up":
            row["stripe_customer_id"] = "cus_NoSuchCustomer"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def asked(home: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        return published.execute(query).fetchall()


@pytest.mark.slow
def test_two_months_of_one_wallet_at_once(data: Path, tmp_path: Path) -> None:
    """A customer whose wallet cannot be read is named, and the others go on."""
    home, months = tmp_path / "home", ("2024-01", "2024-02")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda month: billing(home, data, "run", month), months))
    for month in months:
        done = billing(home, data, "run", month)
        assert done.returncode == 1
        assert "failed in part" in last_line(done) and "w-plenty" not in last_line(done)
        assert last_line(done).count("w-late-top-up") <= 2
    rows = asked(
        home,
        "SELECT r.expected_wallet, r.stripe_wallet, r.expected_due, r.charged, r.state,"
        " i.wallet_applied FROM reconciliation AS r JOIN invoices AS i USING (invoice_id)"
        " WHERE r.customer_id = 'w-plenty'",
    )
    assert len(rows) == 2
    for ours, theirs, due, charged, state, applied in rows:
        assert (ours, due, state) == (theirs, charged, "matched") and applied == ours
    assert sum(row[0] for row in rows) == Decimal("20.00")
    unread = asked(home, "SELECT DISTINCT customer_id FROM wallet_reconciliation WHERE"
                   " difference IS DISTINCT FROM 0")  # fmt: skip
    assert unread == [("w-late-top-up",)]


FILES = {
    "catalog/plans.csv": "plan_id,name\nbasic,Basic\n",
    "catalog/prices.csv": "price_id,plan_id,currency,charge_model,flat_amount\n"
    "fee,basic,USD,flat,3.00\n",
    "accounts/customers.csv": "customer_id,name,email,country,currency\n"
    "ada,Ada,ada@example.com,US,USD\n",
    "accounts/subscriptions.csv": "subscription_id,customer_id,plan_id,starts_at,ends_at\n"
    "s1,ada,basic,2024-01-01T00:00:00Z,2024-02-01T00:00:00Z\n",
}


@pytest.mark.slow
def test_a_wallet_pays_what_is_open_before_a_card_is_tried(tmp_path: Path) -> None:
    """A customer without a card owes 3.00, and then tops up 20.00."""
    home, data = tmp_path / "home", tmp_path / "data"
    for name, text in FILES.items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    billing(home, data, "run", "2024-01")
    assert asked(home, "SELECT status, outstanding FROM invoice_payments") == [
        ("open", Decimal("3.00"))
    ]
    now = datetime.now(UTC)
    (data / "accounts" / "wallet_transactions.csv").write_text(
        "transaction_id,customer_id,amount,currency,occurred_at,kind,expires_at\n"
        f"top-up,ada,20.00,USD,{now - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ},top_up,\n"
        "gone,ada,5.00,USD,2024-02-10T00:00:00Z,grant,2024-03-10T00:00:00Z\n",
        encoding="utf-8",
    )
    for _ in range(2):
        done = billing(home, data, "collect")
        assert done.returncode == 0, done.stderr
    assert asked(home, "SELECT status, paid, outstanding, attempt_count FROM invoice_payments") == [
        ("paid", Decimal("3.00"), Decimal("0.00"), 0)
    ]
    [(invoice_id,)] = asked(home, "SELECT invoice_id FROM invoices")
    month = asked(
        home,
        "SELECT kind, amount, balance_after, reference, lot_id, strftime(billing_month, '%Y-%m')"
        " FROM wallet_ledger ORDER BY movement_number",
    )
    assert month == [
        ("top_up", 20, 20, "top-up", "top-up", f"{now:%Y-%m}"),
        ("payment", -3, 17, invoice_id, "top-up", f"{now:%Y-%m}"),
    ]
    lots = "SELECT lot_id, used, expired, remaining FROM wallet_lots ORDER BY lot_id"
    assert asked(home, lots) == [("gone", 0, 5, 0), ("top-up", 3, 0, 17)]
    assert asked(home, "SELECT method, amount FROM payments") == [("wallet", 3)]
    assert asked(home, "SELECT state, charged, expected_due FROM reconciliation") == [
        ("matched", 3, 3)
    ]
    assert asked(home, "SELECT state FROM customer_standing") == [("good",)]
    assert asked(home, "SELECT less_from_wallets, in_the_bank FROM revenue_bridge") == [(3, 0)]
