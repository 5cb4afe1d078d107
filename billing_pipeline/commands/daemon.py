"""`billing estimate | collect | drift`: the daemon's scheduled work, for homes without a daemon.

What belongs here: which job a command runs, and what it prints of the outcome. What does not: the
work, which the jobs do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
import duckdb
from rich.console import Console

from billing_pipeline.commands.execution import RunResult, execute, execute_for_all
from billing_pipeline.commands.parameters import json_option, settings_with_home
from billing_pipeline.commands.terminal import CommandError, print_json, table
from billing_pipeline.duckdb_sql import Row, rows
from billing_pipeline.money import format_amount
from billing_pipeline.published.estimate import running_month
from billing_pipeline.published.reading import NotPublishedError, open_published
from billing_pipeline.settings import Settings

_ESTIMATE = """
SELECT currency, count(*) AS customers, sum(total) AS total, sum(wallet_applied) AS wallet_applied,
    sum(amount_due) AS amount_due, max(usage_until) AS usage_until
FROM estimated_totals GROUP BY currency ORDER BY currency
"""
_PAYMENTS = """
SELECT status, currency, count(*) AS invoices, sum(outstanding) AS outstanding
FROM invoice_payments GROUP BY ALL ORDER BY ALL
"""
_DRIFT = "SELECT * FROM month_drift ORDER BY ALL"


@click.command()
@json_option
def estimate(as_json: bool) -> None:
    """Estimate the current month: usage so far, and fees for the whole month."""
    settings = settings_with_home()
    month = running_month(settings, datetime.now(UTC))
    result = execute(settings, "estimate_month", month, is_verbose=_is_verbose())
    _end(settings, "estimate_month", result, _ESTIMATE, as_json, {"month": str(month)})


@click.command()
@json_option
def collect(as_json: bool) -> None:
    """Pay open invoices from wallets, then retry the payments that are due, as the daemon does
    every hour."""
    settings = settings_with_home()
    result = execute_for_all(settings, "collect_payments", is_verbose=_is_verbose())
    _end(settings, "collect_payments", result, _PAYMENTS, as_json)


@click.command()
@json_option
def drift(as_json: bool) -> None:
    """Compare recently closed months with what they would be charged today; sends nothing."""
    settings = settings_with_home()
    result = execute_for_all(settings, "detect_drift", is_verbose=_is_verbose())
    _end(settings, "detect_drift", result, _DRIFT, as_json)


def _is_verbose() -> bool:
    return bool(click.get_current_context().obj)


def _end(
    settings: Settings,
    job: str,
    result: RunResult,
    query: str,
    as_json: bool,
    more: dict[str, Any] | None = None,
) -> None:
    """Print the rows that are now in the published tables, or fail with the run's reason."""
    summary: dict[str, Any] = {
        "job": job,
        **(more or {}),
        "run_id": result.run_id,
        "success": result.is_success,
        "reason": result.reason,
        "rows": _rows(settings, query) if result.is_success else [],
    }
    if not result.is_success:
        raise CommandError(result.reason or "the run failed", summary)
    if as_json:
        print_json(summary)
    else:
        _show(job, summary["rows"])


def _rows(settings: Settings, query: str) -> list[Row]:
    try:
        with open_published(settings) as published:
            return rows(published, query)
    except (NotPublishedError, duckdb.CatalogException):
        return []  # nothing was billed here yet


_MONEY = ("total", "wallet_applied", "amount_due", "outstanding", "billed", "would_be",
          "difference")  # fmt: skip


def _show(job: str, found: Sequence[Row]) -> None:
    if not found:
        click.echo(f"{job}: nothing to show")
        return
    columns = [name for name in found[0] if name != "seen_at"]
    cells = [
        [
            format_amount(row[name], row["currency"]) if name in _MONEY else str(row[name])
            for name in columns
        ]
        for row in found
    ]
    Console(highlight=False).print(table(job, columns, cells, folds="cause"))
