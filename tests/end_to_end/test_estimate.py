"""The running month so far: an estimate that can be read, but neither planned nor sent."""

from __future__ import annotations

import json
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
from tests.end_to_end.commands import EXAMPLES, billing, environment
from tests.end_to_end.warm import run_module

DATA = EXAMPLES / "subscriptions"
JUNE = BillingMonth.parse("2024-06")
NOW = datetime(2024, 6, 10, 12, tzinfo=UTC)  # one trial goes on, others are over or have not begun


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("estimate")
    env = {"BILLING_HOME": str(home), "BILLING_DATA_DIR": str(DATA)}
    settings = Settings.from_env(env)
    estimate_month(settings, JUNE, NOW)
    return settings


@pytest.fixture
def published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_published(settings) as connection:
        yield connection


def test_an_estimate_says_of_when_it_is(
    settings: Settings, published: duckdb.DuckDBPyConnection
) -> None:
    for table in published_tables(settings).sources["estimates"]:
        found = published.execute(
            f"SELECT DISTINCT billing_month::VARCHAR, estimated_at FROM {table}"
        ).fetchall()
        assert found == [("2024-06-01", NOW)], table
    [[until]] = published.execute("SELECT DISTINCT usage_until FROM estimated_totals").fetchall()
    [[last]] = duckdb.execute(
        f"SELECT max(occurred_at::TIMESTAMPTZ) FROM '{DATA}/usage/2024-06/*.csv'"
    ).fetchall()
    assert until >= last


def test_trials_that_go_on(published: duckdb.DuckDBPyConnection) -> None:
    found = published.execute("SELECT subscription_id, trial_ends_at FROM trials").fetchall()
    assert found == [("sub-trial", datetime(2024, 6, 15, tzinfo=UTC))]


def test_every_column_of_an_estimate_is_described(published: duckdb.DuckDBPyConnection) -> None:
    [[undescribed]] = published.execute(
        "SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND coalesce(comment, '') = ''"
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


def test_closing_the_month_later_is_as_without_an_estimate(settings: Settings) -> None:
    done = billing(settings.home, DATA, "run", "2024-06", "--json")
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


def test_the_job_estimates_by_today_s_clock(tmp_path: Path) -> None:
    env = environment(tmp_path / "home", DATA)
    done = run_module("tests.end_to_end.estimate_twice", [], env)
    assert done.returncode == 0, done.stderr
    (is_success, reason), (refused, why) = json.loads(done.stdout.splitlines()[-1])
    assert (is_success, reason, refused) == (True, None, False)
    assert "is not the running month" in why
    with duckdb.connect(str(tmp_path / "home/published/billing.duckdb"), read_only=True) as found:
        [[fees]] = found.execute("SELECT sum(total) FROM estimated_totals").fetchall()
    assert fees > 0
