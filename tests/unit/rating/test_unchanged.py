"""A month whose inputs are those that it was rated from keeps its tables; any other is computed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.rating import unchanged
from billing_pipeline.rating.dbt_runner import NodeResult
from billing_pipeline.rating.month import StripeMovement, WalletApplication, build_raw
from billing_pipeline.rating.unchanged import is_checked, reusable_nodes, set_checked
from billing_pipeline.settings import Settings

JANUARY = BillingMonth(2024, 1)
NODES = [NodeResult("model.billing.charges", "model", "success", 0.5, 0, "OK")]
USAGE = "usage/2024-01/a.csv"
FILES = {
    "accounts/customers.csv": "customer_id,name,currency\nc1,One,USD\nc2,Two,USD\n",
    "accounts/wallet_transactions.csv": "transaction_id,customer_id,amount,currency,occurred_at,"
    "kind\nt1,c1,5,USD,2024-01-01T00:00:00Z,top_up\n",
    "catalog/meters.csv": "meter_id,event_name,aggregation\ncalls,call,count\n",
    "catalog/plans.csv": "plan_id,name\npro,Pro\n",
    "catalog/prices.csv": "price_id,plan_id,meter_id,currency,charge_model,unit_amount\n"
    "p,pro,calls,USD,per_unit,1\n",
    USAGE: "event_id,customer_id,event_name,occurred_at,quantity,properties\n"
    "e1,c1,call,2024-01-02T00:00:00Z,1,\n",
}
APPLIED = WalletApplication("c1", "USD", "2023-12-01", Decimal(1), Decimal(1))
TOP_UP = StripeMovement(
    "t2", "c1", Decimal(1), "USD", datetime(2024, 1, 1, tzinfo=UTC), "", "top_up"
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A month that was rated and checked; its models are one table."""
    for name, text in FILES.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    settings = Settings.from_env(
        {"BILLING_DATA_DIR": str(tmp_path / "data"), "BILLING_HOME": str(tmp_path / "home")}
    )
    write_parquet(settings, "c1")
    build_raw(settings, JANUARY)
    with duckdb.connect(str(settings.warehouse_path(JANUARY))) as warehouse:
        warehouse.execute("CREATE TABLE charges AS SELECT 1 AS amount")
    set_checked(settings, JANUARY, True, NODES)
    return settings


def tables(settings: Settings) -> list[str]:
    with duckdb.connect(str(settings.warehouse_path(JANUARY)), read_only=True) as warehouse:
        found = warehouse.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name='main'")
        return [str(name) for (name,) in found.fetchall()]


def read_at(settings: Settings) -> int:
    with duckdb.connect(str(settings.warehouse_path(JANUARY)), read_only=True) as warehouse:
        [(at,)] = warehouse.execute("SELECT epoch_us(read_at) FROM raw.intake").fetchall()
    return int(at)


def test_the_same_inputs_keep_the_tables_and_are_read_later(settings: Settings) -> None:
    before = read_at(settings)
    (Path(settings.data_dir) / USAGE).touch()
    build_raw(settings, JANUARY)
    assert reusable_nodes(settings, JANUARY) == NODES
    assert is_checked(settings, JANUARY)
    assert tables(settings) == ["charges"]
    assert read_at(settings) > before


def write(settings: Settings, name: str, text: str) -> None:
    (Path(settings.data_dir) / name).write_text(text, encoding="utf-8")


def write_parquet(settings: Settings, customer: str) -> None:
    """A file that is read in place: unlike a copy's, its path does not tell its content."""
    path = Path(settings.data_dir) / "usage/2024-01/p.parquet"
    duckdb.sql(
        f"COPY (SELECT 'p1' AS event_id, '{customer}' AS customer_id, 'call' AS event_name,"
        " TIMESTAMPTZ '2024-01-03 00:00:00Z' AS occurred_at, 1::DECIMAL(18, 0) AS quantity,"
        f" NULL::VARCHAR AS properties) TO '{path}' (FORMAT parquet)"
    )


def a_file_in_place_is_another(settings: Settings) -> None:
    write_parquet(settings, "c2")


def another_price(settings: Settings) -> None:
    text = FILES["catalog/prices.csv"].replace(",1\n", ",1.000000000001\n")
    write(settings, "catalog/prices.csv", text)


def one_event_is_another_customers(settings: Settings) -> None:
    text = FILES[USAGE].replace("e1,c1", "e1,c2")
    write(settings, USAGE, text)


def one_file_more(settings: Settings) -> None:
    text = FILES[USAGE].replace("e1", "e2")
    write(settings, "usage/2024-01/b.csv", text)


def a_row_twice(settings: Settings) -> None:
    text = "transaction_id,customer_id,amount,currency,occurred_at,kind\n" + "".join(
        f"t{number},c1,5,USD,2024-01-01T00:00:00Z,top_up\n" for number in (1, 2)
    )
    write(settings, "accounts/wallet_transactions.csv", text)


@pytest.mark.parametrize(
    "change",
    [
        another_price,
        one_event_is_another_customers,
        a_file_in_place_is_another,
        one_file_more,
        a_row_twice,
    ],
)
def test_any_other_input_is_computed_again(
    settings: Settings, change: Callable[[Settings], None]
) -> None:
    change(settings)
    build_raw(settings, JANUARY)
    assert_computed_anew(settings)


def assert_computed_anew(settings: Settings) -> None:
    assert not is_checked(settings, JANUARY)
    assert reusable_nodes(settings, JANUARY) == []
    assert tables(settings) == []


@pytest.mark.parametrize(("applied", "paid"), [([APPLIED], []), ([], [TOP_UP])])
def test_so_is_a_month_whose_wallets_are_others(
    settings: Settings, applied: list[WalletApplication], paid: list[StripeMovement]
) -> None:
    build_raw(settings, JANUARY, applied, paid)
    assert_computed_anew(settings)


def test_so_is_one_of_other_models(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged, "project_digest", lambda: "another")
    # Nor is a plan approved whose models are no longer there.
    assert not is_checked(settings, JANUARY)
    # Also where the models are launched alone, without reading the inputs again.
    assert reusable_nodes(settings, JANUARY) == []
    build_raw(settings, JANUARY)
    assert_computed_anew(settings)


def sets_the_time_back(warehouse: Path) -> None:
    before = warehouse.stat().st_mtime_ns
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("UPDATE charges SET amount = 2")
    os.utime(warehouse, ns=(before, before))


def leaves_it_in_the_log(warehouse: Path) -> None:
    """As a process does that is killed: the file is as it was, until DuckDB opens it."""
    log = warehouse.with_name(warehouse.name + ".wal")
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("UPDATE charges SET amount = 2")
    assert log.exists()


@pytest.mark.parametrize("write_to", [sets_the_time_back, leaves_it_in_the_log])
def test_so_is_one_that_somebody_has_written_to(
    settings: Settings, write_to: Callable[[Path], None]
) -> None:
    write_to(settings.warehouse_path(JANUARY))
    assert not is_checked(settings, JANUARY)
    assert reusable_nodes(settings, JANUARY) == []
    build_raw(settings, JANUARY)
    assert_computed_anew(settings)


def test_a_copy_of_the_home_is_as_it_was_checked(settings: Settings, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(settings.home, tmp_path / "copied"))
    restored = Settings.from_env({"BILLING_HOME": str(copied)})
    assert is_checked(restored, JANUARY)
    assert reusable_nodes(restored, JANUARY) == NODES


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"inputs": "x", "nodes": [{"other": 1}]}'])
def test_so_is_one_whose_mark_says_nothing(settings: Settings, text: str) -> None:
    (settings.month_dir(JANUARY) / "checked").write_text(text, encoding="utf-8")
    build_raw(settings, JANUARY)
    assert_computed_anew(settings)


def test_inputs_that_are_refused_leave_nothing_to_send(settings: Settings) -> None:
    write(settings, "catalog/plans.csv", "plan_id,nme\npro,Pro\n")
    with pytest.raises(Exception, match="nme"):
        build_raw(settings, JANUARY)
    assert not is_checked(settings, JANUARY)
