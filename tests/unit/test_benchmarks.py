"""The benchmarks' own pieces: rivals that bill alike, counted requests, aims, the written table."""

from __future__ import annotations

import importlib
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from benchmarks import table
from benchmarks.account import KEY, CountingSandbox
from benchmarks.company import MONTH, Company, Payers
from benchmarks.pipeline import bare, floor
from benchmarks.rivals.common import Clock, Price
from benchmarks.rivals.in_python import entered_tiers, rated
from benchmarks.rivals.output import SCHEMAS, as_table, other_rows
from benchmarks.scenarios import RIVALS, SCENARIOS
from benchmarks.worker import environment
from billing_pipeline.settings import Settings
from billing_pipeline.stripe_sandbox import Rates
from tests.compiled_models import rate_month

COMPANY = Company(20, 4_000)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    COMPANY.write_prices_and_accounts(folder)
    COMPANY.write_usage(folder, MONTH)
    return folder


@pytest.fixture(scope="module")
def warehouse(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    return rate_month(Settings.from_env(environment(data, home)), MONTH)


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_a_rival_makes_the_same_rows(
    name: str, data: Path, warehouse: Path, tmp_path: Path
) -> None:
    if name == "with_polars":
        pytest.importorskip("polars")
    if name == "postgres":
        pytest.importorskip("psycopg")
        if not importlib.import_module("benchmarks.rivals.postgres").is_installed():
            pytest.skip("PostgreSQL 15 is not installed")
    output = importlib.import_module(f"benchmarks.rivals.{name}").rate(data, tmp_path, Clock())
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        assert other_rows(connection, output) == dict.fromkeys(SCHEMAS, 0)
    assert all(len(table) > 0 for table in output.values())


def test_the_bare_script_makes_the_same_rows(data: Path, warehouse: Path) -> None:
    # The home that the warehouse lies in: <home>/months/<month>/warehouse.duckdb
    home = warehouse.parents[2]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(data, home).items():
            patch.setenv(name, value)
        assert bare(data, home)["seconds"] > 0
        with duckdb.connect(str(warehouse)) as connection:
            connection.execute(
                "UPDATE charges SET calculation = calculation || '.' WHERE amount > 9"
            )
        with pytest.raises(AssertionError, match="rows of charges are not the bare script's"):
            bare(data, home)


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
        *("p", "m", "d", model, Decimal(1), none, Decimal(100), Decimal("1.5"), none, tiers),
    )
    used = Decimal(quantity)
    assert rated(price, used, entered_tiers(price, used))[0] == Decimal(amount)


def test_a_row_that_differs_in_its_last_digit_is_seen() -> None:
    row = ("in_1", "ada", Decimal("0.01"), 1)
    with duckdb.connect() as connection:
        for name, schema in SCHEMAS.items():
            connection.register("empty", schema.empty_table())
            connection.execute(f"CREATE TABLE {name} AS FROM empty")
        connection.execute("INSERT INTO invoices VALUES ('in_1', 'ada', 0.01, 1)")
        none = {name: schema.empty_table() for name, schema in SCHEMAS.items()}
        for rows, different in (
            ([row], 0),
            ([(*row[:2], Decimal("0.02"), 1)], 2),
            ([], 1),
            ([row, row], 1),
        ):
            output = none | {"invoices": as_table("invoices", rows)}
            assert other_rows(connection, output)["invoices"] == different


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
    headers, clock = {"Authorization": f"Bearer {KEY}"}, sandbox.clock
    # All within one second, however busy the machine is.
    sandbox.clock = lambda: 1_770_000_000.0
    sandbox.handle("GET", "/v1/account", headers, "")
    sandbox.handle("POST", "/v1/customers", {**headers, "Idempotency-Key": "k"}, "name=A")
    sandbox.handle("GET", "/v1/account", headers, "")
    taken = sandbox.taken()
    assert (taken.reads, taken.writes, taken.too_many, taken.requests) == (1, 1, 1, 3)
    assert sandbox.taken().requests == 0
    sandbox.clock = clock
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
    assert ("met" if is_met else "**missed**") in line.markdown("month")


def test_a_scenario_run_by_itself_leaves_the_others(tmp_path: Path) -> None:
    results, readme = tmp_path / "results.json", tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n", encoding="utf-8")
    for name, date in (("month", "one"), ("rerun", "two"), ("month", "three")):
        line = table.Line(f"of {date}", 1.0, "bound", 2.0, 1.0)
        measured = table.Measured([line], ["a note"], {"rounds": [1]})
        table.save_result(name, measured, {"date": date}, results)
    assert list(json.loads(results.read_text(encoding="utf-8"))) == ["month", "rerun"]
    table.write(table.render(results, list(SCENARIOS)), readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n")
    assert "of three" in text and "of two" in text
    assert "of one" not in text and "old" not in text
