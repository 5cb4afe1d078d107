"""The demo, over those customers of the sample to whom something happens: one case of everything
that would otherwise be silent can be seen after it."""

from __future__ import annotations

import csv
import gzip
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.end_to_end.commands import ROOT, environment
from tests.end_to_end.warm import run_module

SAMPLE = ROOT / "data"
CUSTOMERS = (
    # Their cards pay in January.
    *("cus-0047", "cus-0051", "cus-0053", "cus-0059"),
    # Its card is declined.
    "cus-0063",
    # Owe something, and put money into their wallets later.
    *("cus-0165", "cus-0182"),
    # An archive, and one whose calls came late.
    *("cus-0041", "cus-0150"),
)
MONTHS = ("2024-01", "2024-02", "2024-03")
USAGE = (
    *("api-calls-1.parquet", "api-calls-late.csv", "archive-scans.csv", "restoration.csv"),
    *("comms-calls.csv.gz", "comms-messages.parquet", "platform-throughput.parquet"),
    "studio-activity.parquet",
)
CASES = {
    "month_drift": "SELECT strftime(billing_month, '%Y-%m'), customers, cause FROM month_drift",
    "source_missing": "SELECT strftime(billing_month, '%Y-%m'), source FROM usage_sources"
    " WHERE expected = 'monthly' AND file_count = 0",
    "suspended": "SELECT customer_id, reason[:9] FROM customer_standing WHERE state = 'suspended'",
    "card_expires": "SELECT card_expires::VARCHAR FROM paying_cards"
    " WHERE card_expires < '2030-01-01'",
    "paid_by_wallet": "SELECT customer_id, count(*), sum(amount) FROM payments"
    " WHERE kind = 'payment' AND method = 'wallet' GROUP BY 1 ORDER BY 1",
    "asks_for_somebody": "SELECT DISTINCT kind FROM needs_attention WHERE kind IN"
    " ('refunded', 'credited_by_hand', 'customer_suspended', 'card_expires', 'source_missing',"
    " 'stripe_charge_differs', 'month_drift') ORDER BY 1",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    shutil.copytree(SAMPLE / "catalog", tmp_path / "data" / "catalog")
    files = [*(SAMPLE / "accounts").iterdir()]
    for month in MONTHS:
        files += [path for name in USAGE if (path := SAMPLE / "usage" / month / name).exists()]
    for file in files:
        copy_of(file, tmp_path / "data" / file.relative_to(SAMPLE))
    return tmp_path / "data"


def copy_of(file: Path, target: Path) -> None:
    """Only the rows of these customers, where the file is of customers."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        table = pq.read_table(file)
        pq.write_table(table.filter(pc.field("customer_id").isin(CUSTOMERS)), target)
        return
    opened = gzip.open if file.suffix == ".gz" else open
    with (
        opened(file, "rt", encoding="utf-8-sig", newline="") as source,
        opened(target, "wt", encoding="utf-8", newline="") as copy,
    ):
        csv.writer(copy).writerows(rows_of(source))


def rows_of(source: Iterator[str]) -> Iterator[list[str]]:
    header, *rows = csv.reader(source)
    yield header
    of_all = "customer_id" not in header
    yield from (row for row in rows if of_all or row[header.index("customer_id")] in CUSTOMERS)


@pytest.mark.slow
def test_one_case_of_each_can_be_seen(tmp_path: Path, data: Path) -> None:
    home = tmp_path / "home"
    done = run_module("tests.end_to_end.compiled_demo", (), environment(home, data))
    assert done.returncode == 0, done.stderr or done.stdout
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        found = {name: published.execute(query).fetchall() for name, query in CASES.items()}
    assert found == {
        "month_drift": [("2024-03", 1, "late usage")],
        "source_missing": [("2024-03", "archives")],
        "suspended": [("cus-0063", "given up:")],
        "card_expires": [("2024-04-30",)],
        "paid_by_wallet": [
            ("cus-0165", 2, Decimal("43.83")),
            ("cus-0182", 2, Decimal("10.07")),
        ],
        "asks_for_somebody": [
            ("card_expires",),
            ("credited_by_hand",),
            ("customer_suspended",),
            ("month_drift",),
            ("refunded",),
            ("source_missing",),
            ("stripe_charge_differs",),
        ],
    }
    for sentence in (
        "gave up the 10.00 USD that cus-0063 does not pay",
        "without the usage of archives: no file came",
        "the wallets of 2 customers paid 53.90 USD",
        "because of late usage: 0.70 USD of 1 customer",
    ):
        assert sentence in " ".join(done.stdout.split())
