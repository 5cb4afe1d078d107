"""Another price book over past usage: the difference, and nothing else, comes of it."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.end_to_end.closed_once import Closed
from tests.end_to_end.commands import EXAMPLES, billing

DATA = EXAMPLES / "prepaid-wallet"


def kept(home: Path) -> dict[str, str]:
    """Digests of the billed records, of Stripe's state and of the published months."""
    files = [
        path
        for folder in ("records", "sandbox", "published/months", "months")
        for path in (home / folder).rglob("*")
        if path.is_file()
    ]
    assert files
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def git(folder: Path, *args: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=n@example.com")
    subprocess.run(["git", "-C", str(folder), *who, *args], check=True)


@pytest.mark.slow
def test_a_simulation_touches_nothing_that_was_billed(
    tmp_path: Path, closed_wallet: Closed
) -> None:
    home, catalog = tmp_path / "home", tmp_path / "book" / "dearer"
    closed_wallet(home)
    before = kept(home)
    shutil.copytree(DATA / "catalog", catalog)
    git(catalog.parent, "init", "-q")
    git(catalog.parent, "add", ".")
    git(catalog.parent, "commit", "-qm", "The price book as it is")
    prices = catalog / "prices.csv"
    with prices.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["price_id"] == "call-minute":
            row["unit_amount"] = "0.10"  # twice as much
    with prices.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)

    (catalog / "costs").mkdir()
    (catalog / "costs" / "prices.csv").write_text(
        "price_id,meter_id,charge_model,unit_amount\ncarrier,call_minutes,per_unit,0.03\n"
    )

    command = ["simulate", "--catalog", str(catalog), "--months", "2024-01..2024-02", "--json"]
    files = {name: tmp_path / f"change.{name}" for name in ("csv", "html", "markdown")}
    writing = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    done = billing(home, DATA, *command, "--from", "HEAD", *writing)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    changes = document["changes"]
    assert {row["billing_month"] for row in changes} == {"2024-01-01", "2024-02-01"}
    assert any(Decimal(row["change"]) for row in changes)
    for row in changes:
        dearer = Decimal(row["present_amount"]) if row["price_id"] == "call-minute" else 0
        # Each line is rounded once: twice the exact amount may be a cent off twice the rounded.
        assert abs(Decimal(row["change"]) - dearer) <= Decimal("0.01")

    margins = document["margins"]
    for side, has_costs in (("present", False), ("simulated", True)):
        costs = [Decimal(row[f"{side}_cost"]) for row in margins]
        assert any(costs) is has_costs
        for row, cost in zip(margins, costs, strict=True):
            assert Decimal(row[f"{side}_margin"]) == Decimal(row[f"{side}_revenue"]) - cost

    assert kept(home) == before
    with duckdb.connect(str(home / "published" / "billing.duckdb"), read_only=True) as published:
        [[present]] = published.execute(
            "SELECT sum(present_amount) FROM simulation_changes WHERE billing_month = '2024-01-01'"
        ).fetchall()
        [[charged]] = published.execute("SELECT sum(amount) FROM charges").fetchall()
        assert present == charged
    with files["csv"].open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(changes)
    assert [(row["key"], row["text"]) for row in document["price_book"]] == [
        ("call-minute", "unit_amount 0.05 → 0.1"),
        (
            "carrier",
            "meter_id call_minutes; charge_model per_unit; unit_amount 0.03; prorate false",
        ),
    ]
    assert document["strays"] == []
    for page in (files["html"], files["markdown"]):
        text = page.read_text(encoding="utf-8")
        assert "Nobody else's bill changes by a cent" in text
        assert ", less: 0, the same: " in text

    prices.write_text(prices.read_text(encoding="utf-8").replace("per_unit", "per_unitt"))
    bad = billing(home, DATA, *command[:-1])
    assert bad.returncode == 1
    assert "catalog/prices.csv rows 2-7, charge_model: 'per_unitt'" in bad.stderr
