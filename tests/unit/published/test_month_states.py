"""The state of a month, from its invoice plan and its usage."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from billing_pipeline.months import BillingMonth
from billing_pipeline.published.month_states import MonthState, month_overviews
from billing_pipeline.settings import Settings

NOW = datetime(2024, 3, 10, tzinfo=UTC)
JANUARY, FEBRUARY, MARCH = (BillingMonth(2024, month) for month in (1, 2, 3))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"BILLING_HOME": str(tmp_path)})


def published(
    plan: dict[BillingMonth, list[str]], sent: set[BillingMonth]
) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE invoice_plan (billing_month DATE, plan_hash VARCHAR, state VARCHAR);"
        "CREATE TABLE invoices (billing_month DATE); CREATE TABLE usage_files AS FROM invoices;"
        "CREATE TABLE stripe_invoices (billing_month DATE, invoice_id VARCHAR, status VARCHAR);"
        "CREATE TABLE reconciliation (billing_month DATE, invoice_id VARCHAR, state VARCHAR)"
    )
    for month, states in plan.items():
        for state in states:
            connection.execute("INSERT INTO invoice_plan VALUES (?, 'hash', ?)", [month.key, state])
    for month in sent:
        connection.execute("INSERT INTO stripe_invoices VALUES (?, 'in_1', 'paid')", [month.key])
    return connection


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
    states: list[str],
    is_sent: bool,
    state: MonthState,
    changes: int,
    command: str | None,
) -> None:
    connection = published({JANUARY: states}, {JANUARY} if is_sent else set())
    (month,) = month_overviews(connection, settings, {JANUARY}, NOW)
    assert (month.state, month.changes, month.next_command) == (state, changes, command)


def test_the_running_month_is_not_due(settings: Settings) -> None:
    connection = published({MARCH: ["ready"]}, set())
    found = month_overviews(connection, settings, {FEBRUARY, MARCH}, NOW)
    assert [(month.month, month.state) for month in found] == [
        (MARCH, MonthState.RUNNING),
        (FEBRUARY, MonthState.DUE),
    ]


def test_months_outside_those_that_can_be_billed_are_left_out(settings: Settings) -> None:
    usage = {BillingMonth(2023, 12), JANUARY, BillingMonth(2024, 4)}
    assert [m.month for m in month_overviews(None, settings, usage, NOW)] == [JANUARY]


@pytest.mark.parametrize(
    ("status", "state"), [("draft", MonthState.HALF_SENT), ("void", MonthState.CLOSED)]
)
def test_a_run_that_was_ended_while_it_sent(
    settings: Settings, status: str, state: MonthState
) -> None:
    """It published no plan; what it had not come to is missing in Stripe, or a draft there."""
    connection = published({}, {JANUARY})
    month = JANUARY.key
    connection.execute("INSERT INTO reconciliation VALUES (?, 'in_1', 'matched')", [month])
    connection.execute("INSERT INTO reconciliation VALUES (?, 'in_2', 'missing')", [month])
    connection.execute("INSERT INTO stripe_invoices VALUES (?, 'in_2', ?)", [month, status])
    [found] = month_overviews(connection, settings, {JANUARY}, NOW)
    assert found.state is state
    assert found.next_command == ("billing run 2024-01" if state is MonthState.HALF_SENT else None)
