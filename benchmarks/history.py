"""The work of a month with much or little history before it.

What belongs here: building a history, and one month's close, rerun, pull and publication on top of
it. What does not: how the two are compared (``scenarios.py``).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.account import account
from benchmarks.collecting import run_job
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
        publications = [_publication(chosen) for _ in range(5)]
    return {**figures, "publish": sorted(publications)[2], "seconds": sum(figures.values())}


def _publication(month: BillingMonth) -> float:
    from billing_pipeline.published.publish import publish

    settings = Settings.from_env(os.environ)
    began = time.perf_counter()
    publish(settings, month)
    return time.perf_counter() - began
