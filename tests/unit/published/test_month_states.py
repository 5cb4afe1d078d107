"""The state of a month, from its invoice plan and its usage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.month_states import MonthState, month_overviews
from billing_pipeline.published.reading import NotPublishedError
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare

JANUARY, FEBRUARY, MARCH = (BillingMonth(2024, month) for month in (1, 2, 3))
NOW = datetime(2024, 3, 10, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"BILLING_HOME": str(tmp_path)})


@pytest.fixture
def published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        declare(connection, settings)
        yield connection


def plan(published: duckdb.DuckDBPyConnection, month: BillingMonth, states: list[str]) -> None:
    for state in states:
        published.execute(
            "INSERT INTO invoice_plan (billing_month, plan_hash, state) VALUES (?, 'hash', ?)",
            [month.key, state],
        )
    published.execute("INSERT INTO usage_files (billing_month) VALUES (?)", [month.key])


def send(
    published: duckdb.DuckDBPyConnection, month: BillingMonth, invoice: str, status: str = "paid"
) -> None:
    published.execute(
        "INSERT INTO stripe_invoices (billing_month, invoice_id, status) VALUES (?, ?, ?)",
        [month.key, invoice, status],
    )


@pytest.mark.parametrize(
    ("states", "is_sent", "state", "changes", "command"),
    [
        (["done", "done"], True, MonthState.CLOSED, 0, None),
        (["done", "failed", "waiting"], True, MonthState.FAILED, 1, "billing run 2024-01"),
        (["done", "waiting", "waiting"], True, MonthState.WAITS, 2, "billing plan 2024-01"),
        (["ready", "ready"], False, MonthState.DUE, 2, "billing run 2024-01"),
        ([], True, MonthState.CLOSED, 0, None),
        ([], False, MonthState.DUE, 0, "billing run 2024-01"),
    ],
)
def test_a_month_that_is_over(
    settings: Settings,
    published: duckdb.DuckDBPyConnection,
    states: list[str],
    is_sent: bool,
    state: MonthState,
    changes: int,
    command: str | None,
) -> None:
    plan(published, JANUARY, states)
    if is_sent:
        send(published, JANUARY, "in_1")
    (month,) = month_overviews(published, settings, {JANUARY}, NOW)
    assert (month.state, month.changes, month.next_command) == (state, changes, command)


def test_the_running_month_is_not_due(
    settings: Settings, published: duckdb.DuckDBPyConnection
) -> None:
    running = BillingMonth.containing(datetime.now(UTC), settings.timezone)
    plan(published, running, ["ready"])
    plan(published, running.shift(-1), ["ready"])
    found = month_overviews(published, settings, set(), NOW)
    assert [(month.month, month.state) for month in found] == [
        (running, MonthState.RUNNING),
        (running.shift(-1), MonthState.DUE),
    ]


def test_the_running_month_is_that_of_the_billing_time_zone(
    settings: Settings, published: duckdb.DuckDBPyConnection
) -> None:
    """Of two zones that are a day or more apart, one may be in another month; the view follows."""
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        published.execute("DELETE FROM seller; DELETE FROM invoice_plan; DELETE FROM usage_files")
        published.execute(
            "INSERT INTO seller (billing_month, timezone) VALUES ('2024-01-01', ?)", [zone]
        )
        [[first]] = published.execute(
            "SELECT date_trunc('month', timezone(?, now()))::DATE", [zone]
        ).fetchall()
        running = BillingMonth(first.year, first.month)
        for month in (running, running.shift(-1)):
            plan(published, month, ["ready"])
        found = published.execute(
            "SELECT state FROM month_states ORDER BY billing_month"
        ).fetchall()
        assert found == [("to be closed",), ("running",)]


def test_months_that_only_have_usage(settings: Settings) -> None:
    usage = {BillingMonth(2023, 12), JANUARY, MARCH, BillingMonth(2024, 4)}
    found = month_overviews(None, settings, usage, NOW)
    assert [(month.month, month.state) for month in found] == [
        (MARCH, MonthState.RUNNING),
        (JANUARY, MonthState.DUE),  # and none that cannot be billed
    ]


@pytest.mark.parametrize(
    ("status", "state"), [("draft", MonthState.HALF_SENT), ("void", MonthState.CLOSED)]
)
def test_a_run_that_was_ended_while_it_sent(
    settings: Settings, published: duckdb.DuckDBPyConnection, status: str, state: MonthState
) -> None:
    """It published no plan; what it had not come to is missing in Stripe, or a draft there."""
    plan(published, JANUARY, [])
    send(published, JANUARY, "in_1")
    send(published, JANUARY, "in_2", status)
    published.executemany(
        "INSERT INTO reconciliation (billing_month, invoice_id, state) VALUES (?, ?, ?)",
        [(JANUARY.key, "in_1", "matched"), (JANUARY.key, "in_2", "missing")],
    )
    [found] = month_overviews(published, settings, {JANUARY}, NOW)
    assert found.state is state
    assert found.changes == (1 if state is MonthState.HALF_SENT else 0)
    assert found.next_command == ("billing run 2024-01" if state is MonthState.HALF_SENT else None)


def test_months_of_an_earlier_release_have_no_state(settings: Settings) -> None:
    with duckdb.connect() as connection, pytest.raises(NotPublishedError, match="billing pull"):
        month_overviews(connection, settings, set(), NOW)
