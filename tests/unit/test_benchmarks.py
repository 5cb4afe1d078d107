"""The benchmarks' own pieces: rivals that bill alike, counted requests, aims, the written table."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import table
from benchmarks.account import KEY, CountingSandbox
from benchmarks.company import METERS, Company, Payers
from benchmarks.pipeline import MONTH, floor, other_charges
from benchmarks.rivals.common import RESULT, Clock, Price, exact_charge
from benchmarks.scenarios import RIVALS, SCENARIOS
from billing_pipeline.stripe_sandbox import Rates

COMPANY = Company(20, 4_000)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    COMPANY.write_prices_and_accounts(folder)
    COMPANY.write_usage(folder, MONTH)
    return folder


def charges_of(name: str, data: Path, scratch: Path) -> dict[tuple[str, str], tuple[int, int]]:
    rows = importlib.import_module(f"benchmarks.rivals.{name}").rate(data, scratch, Clock())
    assert rows.schema == RESULT
    return {
        (row["subscription_id"], row["price_id"]): (row["exact_pico"], row["cents"])
        for row in rows.to_pylist()
    }


def plain_charges(data: Path) -> Counter[str]:
    """Billable events of each customer's `emails`, one row after the other."""
    seen: set[str] = set()
    emails: Counter[str] = Counter()
    for row in pq.read_table(data / "usage" / str(MONTH)).to_pylist():
        if row["quantity"] >= 0 and row["event_id"] not in seen:
            seen.add(row["event_id"])
            emails[row["customer_id"]] += row["event_name"] == "emails"
    assert len(seen) < COMPANY.events  # there are repeats and bad rows to be found
    return emails


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_rivals_bill_alike(name: str, data: Path, tmp_path: Path) -> None:
    if name == "with_polars":
        pytest.importorskip("polars")
    if name == "postgres":
        pytest.importorskip("psycopg")
        if not importlib.import_module("benchmarks.rivals.postgres").is_installed():
            pytest.skip("PostgreSQL 15 is not installed")
    charges = charges_of(name, data, tmp_path)
    assert len(charges) == COMPANY.customers * (len(METERS) + 1)
    if name != "sqlite_loop":
        assert charges == charges_of("sqlite_loop", data, tmp_path)
    for number, used in enumerate(plain_charges(data)[f"cus_{n:06d}"] for n in range(5)):
        # per_unit, the first 5 included, at 0.00{plan}5
        exact = max(used - 5, 0) * Decimal(f"0.00{number + 1}5")
        plan = ("free", "team", "business", "scale", "enterprise")[number]
        cents = int((exact * 100 + Decimal("0.5")) // 1)
        assert charges[f"sub_{number:06d}", f"{plan}-emails"] == (int(exact * 10**12), cents)


@pytest.mark.parametrize(
    ("model", "quantity", "amount"),
    [
        ("volume", "10", "40"),
        ("volume", "10.5", "21"),
        ("graduated", "10", "40"),
        ("graduated", "10.5", "41"),
        ("graduated", "0", "0"),
        ("package", "100.001", "2"),
        ("percentage", "3", "0.045"),
    ],
)
def test_exact_charges(model: str, quantity: str, amount: str) -> None:
    none = Decimal(0)
    tiers = ((Decimal(10), Decimal(4)), (None, Decimal(2)))
    price = Price(
        *("p", "m", model, Decimal(1), none, Decimal(100), Decimal("1.5"), none, tiers),
    )
    assert exact_charge(price, Decimal(quantity)) == Decimal(amount)


@pytest.mark.parametrize(
    ("theirs", "different"),
    [
        ([("s", "p", 5_000_000_000, 1)], 0),
        ([("s", "p", 5_000_000_001, 1)], 1),
        ([("s", "p", 5_000_000_000, 0)], 1),
        ([], 1),
        ([("s", "p", 5_000_000_000, 1), ("s", "q", 0, 0)], 1),
    ],
)
def test_a_charge_that_differs_in_its_last_digit_is_seen(
    theirs: list[tuple[str, str, int, int]], different: int
) -> None:
    columns = zip(*theirs, strict=True) if theirs else ([], [], [], [])
    with duckdb.connect() as warehouse:
        warehouse.execute(
            "CREATE TABLE charges AS SELECT 's' AS subscription_id, 'p' AS price_id,"
            " 0.005::DECIMAL(38, 12) AS exact_amount, 0.01::DECIMAL(38, 4) AS amount"
        )
        found = pa.table(dict(zip(RESULT.names, columns, strict=True)), schema=RESULT)
        assert other_charges(warehouse, found) == different


def test_the_floor_counts_each_good_event_once(data: Path, tmp_path: Path) -> None:
    rows = pq.read_table(data / "usage" / str(MONTH)).to_pylist()
    good = {row["event_id"] for row in rows if row["quantity"] >= 0}
    assert floor(data, tmp_path / "home")["events"] == len(good)


def test_payers_have_so_many_lines(tmp_path: Path) -> None:
    Payers(3, 2).write(tmp_path)
    prices = (tmp_path / "catalog/prices.csv").read_text(encoding="utf-8").splitlines()
    customers = (tmp_path / "accounts/customers.csv").read_text(encoding="utf-8").splitlines()
    assert (len(prices), len(customers)) == (3, 4)
    assert {line.split(",")[0] for line in prices[1:]} == {"fee-01", "fee-02"}


def test_the_account_counts_requests(tmp_path: Path) -> None:
    sandbox = CountingSandbox(tmp_path / "stripe.sqlite", Rates(total=2))
    headers = {"Authorization": f"Bearer {KEY}"}
    sandbox.handle("GET", "/v1/account", headers, "")
    sandbox.handle("POST", "/v1/customers", {**headers, "Idempotency-Key": "k"}, "name=A")
    sandbox.handle("GET", "/v1/account", headers, "")
    taken = sandbox.taken()
    assert (taken.reads, taken.writes, taken.too_many, taken.requests) == (1, 1, 1, 3)
    assert sandbox.taken().requests == 0
    before = sandbox.clock()
    sandbox.ahead = 3600.0
    assert sandbox.clock() >= before + 3600
    sandbox.close()


@pytest.mark.parametrize(
    ("ours", "theirs", "is_speedup", "ratio", "is_met"),
    [(2.0, 1.0, False, 2.0, True), (2.1, 1.0, False, 2.1, False), (1.0, 2.0, True, 2.0, True)],
)
def test_aims(ours: float, theirs: float, is_speedup: bool, ratio: float, is_met: bool) -> None:
    line = table.Line("a", ours, "b", theirs, 2.0, is_speedup=is_speedup)
    assert (line.ratio, line.is_met) == (ratio, is_met)
    assert ("met" if is_met else "**missed**") in line.markdown()


def test_a_scenario_run_by_itself_leaves_the_others(tmp_path: Path) -> None:
    results, readme = tmp_path / "results.json", tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", encoding="utf-8")
    for name, date in (("month", "one"), ("small", "two"), ("month", "three")):
        line = table.Line(f"of {date}", 1.0, "bound", 2.0, 1.0)
        measured = table.Measured([line], ["a note"], {"rounds": [1]})
        table.remember(name, measured, {"date": date}, results)
    assert list(json.loads(results.read_text(encoding="utf-8"))) == ["month", "small"]
    table.write(table.render(results, list(SCENARIOS)), readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n")
    assert "of three" in text and "of two" in text
    assert "of one" not in text and "old" not in text
