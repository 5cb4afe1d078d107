"""The work of a month with much or little history before it.

What belongs here: building a history, and one month's close, rerun, pull and publication on top of
it. What does not: how the two are compared (``scenarios.py``).
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks.collecting import run_job
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

Figures = dict[str, Any]


def build(data: Path, home: Path, last: str, months: str) -> Figures:
    """Close as many months, up to `last`."""
    end = BillingMonth.parse(last)
    seconds = [run_job("close_month", end.shift(-back)) for back in range(int(months) - 1, -1, -1)]
    return {"seconds": sum(seconds), "each": seconds}


def month(data: Path, home: Path, name: str) -> Figures:
    """Close a month for the first time, close it again, pull its payments and publish it.

    The process is warm: it has rated the month before.
    """
    from billing_pipeline.warehouse import publish

    chosen, settings = BillingMonth.parse(name), Settings.from_env(os.environ)
    run_job("preview_month", chosen.shift(-1))
    figures = {
        "close": run_job("close_month", chosen),
        "rerun": run_job("close_month", chosen),
        "pull": run_job("pull_payments", chosen),
    }
    publications = []
    for _ in range(5):
        began = time.perf_counter()
        publish(settings, chosen)
        publications.append(time.perf_counter() - began)
    return {**figures, "publish": sorted(publications)[2], "seconds": sum(figures.values())}
