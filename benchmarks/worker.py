"""``python -m benchmarks.worker NAME DATA HOME``: one thing, timed in a process of its own.

What belongs here: the work, and its figures as one line of JSON. What does not: how often it is
run, and what it is compared with.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

MONTH = BillingMonth.parse("2024-01")
Figures = dict[str, Any]

_FLOOR = """
CREATE TEMP TABLE totals AS
WITH events AS (
    SELECT
        event_id,
        any_value(customer_id) AS customer_id,
        any_value(event_name) AS event_name,
        any_value(quantity) AS quantity
    FROM read_parquet($1)
    GROUP BY event_id
)
SELECT customer_id, event_name, count(*) AS events, sum(quantity) AS quantity
FROM events
GROUP BY ALL
"""


def floor(data: Path, home: Path) -> Figures:
    """DuckDB alone: exact deduplication by id, one group for each customer and meter."""
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2; SET memory_limit = '4GB'")
        began = time.perf_counter()
        connection.execute(_FLOOR, [str(data / "usage" / str(MONTH) / "*.parquet")])
        seconds = time.perf_counter() - began
        [[events]] = connection.execute("SELECT sum(events) FROM totals").fetchall()
    return {"seconds": seconds, "events": int(events)}


def models(data: Path, home: Path) -> Figures:
    """The month's dbt models, summed; every test of dbt must pass."""
    from billing_pipeline.dbt_runner import check, ensure_manifest, run_dbt
    from billing_pipeline.rating import build_raw

    settings = Settings.from_env(os.environ)
    ensure_manifest(settings)
    began = time.perf_counter()
    build_raw(settings, MONTH)
    intake = time.perf_counter() - began
    nodes = run_dbt(settings, MONTH)
    check(nodes, MONTH)
    spent = [node for node in nodes if node.resource_type == "model"]
    with duckdb.connect(str(settings.warehouse_path(MONTH)), read_only=True) as warehouse:
        [[accepted, read]] = warehouse.execute(
            "SELECT sum(accepted_rows), sum(rows_read) FROM usage_files"
        ).fetchall()
        [[charges, charged]] = warehouse.execute(
            "SELECT count(*), sum(amount) FROM charges"
        ).fetchall()
    return {
        "seconds": sum(node.seconds for node in spent),
        "intake_seconds": intake,
        "tests_seconds": sum(node.seconds for node in nodes if node.resource_type == "test"),
        "slowest": {
            n.name: round(n.seconds, 2) for n in sorted(spent, key=lambda n: -n.seconds)[:8]
        },
        "accepted": int(accepted),
        "rows": int(read),
        "charges": charges,
        "charged": str(charged),
    }


def job(data: Path, home: Path) -> Figures:
    """`preview_month`, the close without the push, in a process that has run it before."""
    from billing_pipeline.runs import execute

    settings = Settings.from_env(os.environ)
    seconds = []
    for _ in range(2):
        began = time.perf_counter()
        result = execute(settings, "preview_month", MONTH)
        assert result.is_success, result.reason
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds[-1], "first_seconds": seconds[0]}


def dbt_alone(data: Path, home: Path) -> Figures:
    """A bare `dbt build` of the same project on the same month, in a warm process."""
    from billing_pipeline.dbt_runner import check, run_dbt
    from billing_pipeline.rating import build_raw

    settings = Settings.from_env(os.environ)
    for _ in range(2):
        build_raw(settings, MONTH)
        began = time.perf_counter()
        check(run_dbt(settings, MONTH), MONTH)
        seconds = time.perf_counter() - began
    return {"seconds": seconds}


WORK: dict[str, Callable[[Path, Path], Figures]] = {
    "floor": floor,
    "models": models,
    "job": job,
    "dbt_alone": dbt_alone,
}


def environment(data: Path, home: Path) -> dict[str, str]:
    """This process's environment with none of its settings: a key in it must never be used."""
    ours = ("BILLING_", "STRIPE_", "DAGSTER_HOME")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"BILLING_DATA_DIR": str(data), "BILLING_HOME": str(home)}


def main(name: str, data: Path, home: Path) -> None:
    clean = environment(data, home)
    os.environ.clear()
    os.environ.update(clean)
    figures = WORK[name](data, home)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**figures, "peak_bytes": peak}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
