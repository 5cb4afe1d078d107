"""Wallets by the command line: two months at once, and one wallet that cannot be read."""

from __future__ import annotations

import csv
import shutil
from concurrent.futures import ThreadPoolExecutor
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
