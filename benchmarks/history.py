"""The work of a month with much or little history before it.

What belongs here: building a history, and one month's close, rerun, pull and publication on top of
it, and what shows it. What does not: how the two are compared (``scenarios.py``).
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.account import account
from benchmarks.collecting import run_job
from benchmarks.prompts import seconds_of
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

Figures = dict[str, Any]
MONTH = 30 * 24 * 3600.0


def build(data: Path, home: Path, last: str, months: str) -> Figures:
    """Close as many months, up to `last`, for Stripe a month apart: each close lists all that was
    created in the hour before it."""
    end, seconds = BillingMonth.parse(last), []
    with account(home) as stripe:
        for back in reversed(range(int(months))):
            stripe.ahead = -(back + 1) * MONTH
            seconds.append(run_job("close_month", end.shift(-back)))
    return {"seconds": sum(seconds), "each": seconds}


def month(data: Path, home: Path, name: str) -> Figures:
    """Close a month for the first time, close it again, pull its payments and publish it.

    The process is warm: it has rated the month before.
    """
    chosen = BillingMonth.parse(name)
    with account(home):
        run_job("preview_month", chosen.shift(-1))
        figures = {
            "close": run_job("close_month", chosen),
            "rerun": run_job("close_month", chosen),
            "pull": run_job("pull_payments", chosen),
        }
        figures |= {name: _median(step, chosen) for name, step in _SHORT.items()}
    return {**figures, "seconds": sum(figures.values())}


def _median(step: Callable[[Settings, BillingMonth], object], month: BillingMonth) -> float:
    settings, seconds = Settings.from_env(os.environ), []
    for _ in range(5):
        began = time.perf_counter()
        step(settings, month)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def _publish(settings: Settings, month: BillingMonth) -> None:
    from billing_pipeline.published.publish import publish

    publish(settings, month)


def _status(settings: Settings, month: BillingMonth) -> None:
    seconds_of(("-m", "billing_pipeline", "status"))


def _first_page(settings: Settings, month: BillingMonth) -> None:
    """What the dashboard makes for its first page, on the server."""
    from billing_pipeline.dashboard import pages, queries
    from billing_pipeline.published.health import health
    from billing_pipeline.published.month_states import month_overviews, months_with_usage

    with queries.published(settings) as connection:
        pages.months_page(
            month_overviews(connection, settings, months_with_usage(settings), datetime.now(UTC)),
            queries.months(connection),
            (queries.revenue(connection), queries.receivables(connection)),
            health(connection),
            settings.ui_url,
        )


_SHORT = {"publish": _publish, "status": _status, "first page": _first_page}
"""What takes less than a second, and is measured several times."""
