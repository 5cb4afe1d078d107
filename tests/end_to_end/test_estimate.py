"""The running month so far: an estimate that can be read, but neither planned nor sent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.collection.plan.desired import NotComputedError, read_desired
from billing_pipeline.months import BillingMonth, InvalidMonthError
from billing_pipeline.published.estimate import estimate_month
from billing_pipeline.published.reading import open_published
from billing_pipeline.published.tables import published_tables
from billing_pipeline.settings import Settings
from tests.compiled_models import in_place_of_dbt
from tests.end_to_end.commands import EXAMPLES, billing, environment
from tests.end_to_end.warm import run_module

JUNE = BillingMonth.parse("2024-06")
NOW = datetime(2024, 6, 10, 12, tzinfo=UTC)  # one trial goes on, others are over or have not begun


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, and a wallet: what it holds, what expires later and what comes later."""
    folder = tmp_path_factory.mktemp("inputs") / "data"
    shutil.copytree(EXAMPLES / "subscriptions", folder)
    (folder / "accounts/wallet_transactions.csv").write_text(
        "transaction_id,customer_id,amount,currency,occurred_at,kind,expires_at\n"
        "last,s-overage,9,USD,2024-06-02T00:00:00Z,top_up,\n"
        "expires,s-overage,1.5,USD,2024-05-01T00:00:00Z,grant,2024-06-20T00:00:00Z\n"
        "comes,s-overage,2,USD,2024-06-11T00:00:00Z,top_up,\n"
    )
    return folder


@pytest.fixture(scope="module")
def settings(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("estimate")
    env = {"BILLING_HOME": str(home), "BILLING_DATA_DIR": str(data)}
    settings = Settings.from_env(env)
    with in_place_of_dbt():
        estimate_month(settings, JUNE, NOW)
    return settings


@pytest.fixture
def published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_published(settings) as connection:
        yield connection


def test_an_estimate_says_of_when_it_is(
    data: Path, settings: Settings, published: duckdb.DuckDBPyConnection
) -> None:
    for table in published_tables(settings).sources["estimates"]:
        found = published.execute(
            f"SELECT DISTINCT billing_month::VARCHAR, estimated_at FROM {table}"
        ).fetchall()
        assert found == [("2024-06-01", NOW)], table
    [[until]] = published.execute("SELECT DISTINCT usage_until FROM estimated_totals").fetchall()
    [[last]] = duckdb.execute(
        f"SELECT max(occurred_at::TIMESTAMPTZ) FROM '{data}/usage/2024-06/*.csv'"
    ).fetchall()
    assert until >= last


def test_trials_that_go_on(published: duckdb.DuckDBPyConnection) -> None:
    found = published.execute("SELECT subscription_id, trial_ends_at FROM trials").fetchall()
    assert found == [("sub-trial", datetime(2024, 6, 15, tzinfo=UTC))]


def test_what_a_wallet_holds_now_and_at_the_month_s_end(
    published: duckdb.DuckDBPyConnection,
) -> None:
    [[total]] = published.execute(
        "SELECT total FROM estimated_totals WHERE customer_id = 's-overage'"
    ).fetchall()
    assert total > 20  # more than the wallet will ever hold
    found = published.execute(
        "SELECT balance, would_be_applied, month_end_balance, last_lot_id, last_lot_amount"
        " FROM estimated_wallet_balances"
    ).fetchall()
    assert found == [(Decimal("10.5"), 11, 0, "last", 9)]


def test_subscriptions_as_they_are_now(published: duckdb.DuckDBPyConnection) -> None:
    found = published.execute(
        "SELECT subscription_id, state FROM estimated_subscriptions"
        " WHERE customer_id IN ('s-upgrade', 's-downgrade', 's-trial') ORDER BY 1"
    ).fetchall()
    assert found == [
        *(("sub-downgrade-1", "active"), ("sub-downgrade-2", "scheduled")),
        *(("sub-trial", "trialing"), ("sub-upgrade-1", "active"), ("sub-upgrade-2", "scheduled")),
    ]


def test_usage_by_day_and_customer_adds_up_to_the_usage_by_day(
    published: duckdb.DuckDBPyConnection,
) -> None:
    by_customer, by_day = (
        published.execute(
            "SELECT meter_id, usage_date, sum(event_count)::BIGINT, sum(quantity)::DECIMAL(38, 18)"
            f" FROM {table} GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        for table in ("estimated_customer_usage", "estimated_daily_usage")
    )
    assert by_customer == by_day
    found = published.execute(
        "SELECT usage_date::VARCHAR, quantity FROM estimated_customer_usage"
        " WHERE customer_id = 's-overage' AND meter_id = 'views' ORDER BY ALL"
    ).fetchall()
    assert found == [("2024-06-04", 100000), ("2024-06-24", 50500)]


def test_every_column_of_an_estimate_is_described(published: duckdb.DuckDBPyConnection) -> None:
    [[undescribed]] = published.execute(
        "SELECT count(*) FROM duckdb_columns()"
        " WHERE NOT internal AND schema_name = 'main' AND coalesce(comment, '') = ''"
    ).fetchall()
    assert undescribed == 0


def test_nothing_of_it_can_be_planned_or_sent(settings: Settings) -> None:
    assert not settings.records_dir.exists()
    assert not settings.sandbox_dir.exists()
    assert not settings.month_dir(JUNE).exists()
    assert list((settings.home / "scratch").iterdir()) == []
    with pytest.raises(NotComputedError):
        read_desired(settings.warehouse_path(JUNE), JUNE.key)
    with open_published(settings) as published:
        for table in ("charges", "invoices", "invoice_lines", "invoice_plan"):
            assert published.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)]


@pytest.mark.parametrize("month", ["2024-05", "2024-07"])
def test_only_the_running_month_is_estimated(settings: Settings, month: str) -> None:
    with pytest.raises(InvalidMonthError, match="the running month, which is 2024-06 in UTC"):
        estimate_month(settings, BillingMonth.parse(month), NOW)


@pytest.mark.slow
def test_closing_the_month_later_is_as_without_an_estimate(data: Path, settings: Settings) -> None:
    done = billing(settings.home, data, "run", "2024-06", "--json")
    assert done.returncode == 0, done.stderr
    with open_published(settings) as published:
        billed = published.execute(
            "SELECT customer_id, total FROM invoices ORDER BY ALL"
        ).fetchall()
        estimated = published.execute(
            "SELECT customer_id, total FROM estimated_totals ORDER BY ALL"
        ).fetchall()
        [[revised]] = published.execute(
            "SELECT max(revision) FROM stripe_invoices WHERE status <> 'draft'"
        ).fetchall()
    # All usage of the month was there at once, so the estimate was already right.
    assert billed == estimated
    assert any(total > Decimal(0) for _, total in billed)
    assert revised == 1


@pytest.mark.slow
def test_the_job_estimates_by_today_s_clock(tmp_path: Path) -> None:
    env = environment(tmp_path / "home", EXAMPLES / "subscriptions")
    done = run_module("tests.end_to_end.estimate_twice", [], env)
    assert done.returncode == 0, done.stderr
    (is_success, reason), (refused, why) = json.loads(done.stdout.splitlines()[-1])
    assert (is_success, reason, refused) == (True, None, False)
    assert "is not the running month" in why
    with duckdb.connect(str(tmp_path / "home/published/billing.duckdb"), read_only=True) as found:
        [[fees]] = found.execute("SELECT sum(total) FROM estimated_totals").fetchall()
    assert fees > 0
