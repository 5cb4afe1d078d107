"""The work of metering, rating and invoicing, and what it is measured against: the floor for the
one, a bare script for the others.

What belongs here: that work and its figures. What does not: rivals (``rivals/``), Stripe
(``collecting.py``), what is compared with what (``scenarios.py``).
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.company import MONTH
from benchmarks.rivals.output import other_rows
from billing_pipeline.settings import Settings

Figures = dict[str, Any]

# Bad rows of the company are those with a negative quantity. Leaving them out costs nothing, and
# what is left is exactly what the pipeline bills.
_FLOOR = """
CREATE TABLE totals AS
WITH events AS (
    SELECT
        event_id,
        any_value(customer_id) AS customer_id,
        any_value(event_name) AS event_name,
        any_value(quantity) AS quantity
    FROM read_parquet($1)
    WHERE quantity >= 0
    GROUP BY event_id
)
SELECT customer_id, event_name, count(*) AS events, sum(quantity) AS quantity
FROM events
GROUP BY ALL
"""
# The meter `seats_peak` takes the largest quantity, of which the floor knows nothing.
_DIFFERENT = """
SELECT count(*)
FROM floor.totals
FULL JOIN (SELECT * FROM metered_usage WHERE event_count > 0) AS metered
    ON totals.customer_id = metered.customer_id AND totals.event_name = metered.meter_id
LEFT JOIN raw.meters AS meters ON metered.meter_id = meters.meter_id
WHERE totals.events IS DISTINCT FROM metered.event_count
    OR (aggregation = 'count' AND totals.events <> metered.quantity)
    OR (aggregation = 'sum' AND totals.quantity <> metered.quantity)
"""


def floor(data: Path, home: Path) -> Figures:
    """DuckDB alone: exact deduplication by id, one group for each customer and meter."""
    kept = _floor_database(home)
    kept.unlink(missing_ok=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(kept)) as connection:
        connection.execute("SET threads = 2; SET memory_limit = '4GB'")
        began = time.perf_counter()
        connection.execute(_FLOOR, [str(data / "usage" / str(MONTH) / "*.parquet")])
        seconds = time.perf_counter() - began
        [[events]] = connection.execute("SELECT sum(events) FROM totals").fetchall()
    return {"seconds": seconds, "events": int(events)}


def _floor_database(home: Path) -> Path:
    return home.with_name(f"{home.name}-floor.duckdb")


def bare(data: Path, home: Path) -> Figures:
    """Rating and invoicing by one script by hand (``bare.sql``), from the metered quantities in
    `home`: every row of its tables must be the pipeline's."""
    warehouse = Settings.from_env(os.environ).warehouse_path(MONTH)
    kept = home.with_name(f"{home.name}-bare.duckdb")
    kept.unlink(missing_ok=True)
    with duckdb.connect(str(kept)) as connection:
        connection.execute("SET threads = 2; SET memory_limit = '4GB'; SET TimeZone = 'UTC'")
        connection.execute(f"ATTACH '{warehouse}' AS ours (READ_ONLY)")
        began = time.perf_counter()
        connection.execute(_BARE.read_text(encoding="utf-8"))
        seconds = time.perf_counter() - began
        for table in _BARE_TABLES:
            [[different]] = connection.execute(_DIFFERENT_ROWS.format(table)).fetchall()
            assert different == 0, f"{different} rows of {table} are not the bare script's"
    return {"seconds": seconds}


_BARE = Path(__file__).with_name("bare.sql")
_BARE_TABLES = ("charges", "charge_tiers", "invoice_lines", "invoices")
_DIFFERENT_ROWS = """
SELECT count(*)
FROM (
    (FROM main.{0} EXCEPT ALL FROM ours.main.{0})
    UNION ALL
    (FROM ours.main.{0} EXCEPT ALL FROM main.{0})
)
"""
_FROM_METERED = ("rating", "invoicing")
"""The folders of the models that read metered quantities."""


def reading_events(manifest: Path) -> set[str]:
    """The models that read usage events, by themselves or through views."""
    content = json.loads(manifest.read_text(encoding="utf-8"))
    models = {key: node for key, node in content["nodes"].items() if key.startswith("model.")}
    events = {key for key in content["sources"] if key.endswith(".raw.usage_events")}
    found: set[str] = set()
    while True:
        views = {key for key in found if models[key]["config"]["materialized"] != "table"}
        more = {
            key
            for key, node in models.items()
            if not (events | views).isdisjoint(node["depends_on"]["nodes"])
        }
        if more == found:
            return {models[key]["name"] for key in found}
        found = more


def models(data: Path, home: Path) -> Figures:
    """The month's dbt models, summed; every test of dbt must pass, and where the floor was found
    before, its totals must be ours."""
    from billing_pipeline.rating.dbt_runner import DBT_PROJECT_DIR, check, ensure_manifest, run_dbt
    from billing_pipeline.rating.month import build_raw

    settings = Settings.from_env(os.environ)
    readers = reading_events(ensure_manifest(settings))
    began = time.perf_counter()
    build_raw(settings, MONTH)
    intake = time.perf_counter() - began
    nodes = run_dbt(settings, MONTH)
    check(nodes, MONTH)
    spent = [node for node in nodes if node.resource_type == "model"]
    folder = DBT_PROJECT_DIR / "models"
    folders = {path.stem: path.relative_to(folder).parts[0] for path in folder.rglob("*.sql")}
    rating = sum(node.seconds for node in spent if folders[node.name] in _FROM_METERED)
    with duckdb.connect(str(settings.warehouse_path(MONTH)), read_only=True) as warehouse:
        [[accepted, read]] = warehouse.execute(
            "SELECT sum(accepted_rows), sum(rows_read) FROM usage_files"
        ).fetchall()
        [[charges, charged]] = warehouse.execute(
            "SELECT count(*), sum(amount) FROM charges"
        ).fetchall()
        if _floor_database(home).exists():
            warehouse.execute(f"ATTACH '{_floor_database(home)}' AS floor (READ_ONLY)")
            [[different]] = warehouse.execute(_DIFFERENT).fetchall()
            assert different == 0, f"{different} totals are not those of the floor"
    return {
        "seconds": sum(node.seconds for node in spent),
        "rating_seconds": rating,
        "events_seconds": sum(node.seconds for node in spent if node.name in readers),
        "intake_seconds": intake,
        "tests_seconds": sum(node.seconds for node in nodes if node.resource_type == "test"),
        "slowest": {
            n.name: round(n.seconds, 2) for n in sorted(spent, key=lambda n: -n.seconds)[:10]
        },
        "accepted": int(accepted),
        "rows": int(read),
        "charges": charges,
        "charged": str(charged),
    }


def axis(data: Path, home: Path, name: str, size: str) -> Figures:
    """Seconds of the processor for a month of which one thing is so large: intake, models, tests.

    Of the processor, for growth is asked for and not speed: what else runs counts less.
    """
    from benchmarks.axes import AXES
    from billing_pipeline.rating.dbt_runner import check, ensure_manifest, run_dbt
    from billing_pipeline.rating.month import build_raw

    [chosen] = [each for each in AXES if each.name == name]
    chosen.write(data, int(size))
    settings = Settings.from_env(os.environ)
    ensure_manifest(settings)
    began = time.process_time()
    build_raw(settings, MONTH)
    check(run_dbt(settings, MONTH), MONTH)
    return {"seconds": time.process_time() - began}


def job(data: Path, home: Path) -> Figures:
    """`preview_month`, the close without the push, in a process that has run it before. The month
    is rated in both runs: of inputs that are as they were, a warehouse would be kept."""
    from benchmarks.collecting import run_job

    first = run_job("preview_month", MONTH)
    Settings.from_env(os.environ).warehouse_path(MONTH).unlink()
    seconds = run_job("preview_month", MONTH)
    return {"seconds": seconds, "first_seconds": first}


def late(data: Path, home: Path) -> Figures:
    """`preview_month` of a month that was never rated, and once more after a late file of a
    thousand events."""
    from benchmarks.collecting import run_job

    first = run_job("preview_month", MONTH)
    arrived = data / "usage" / str(MONTH) / "late.parquet"
    with duckdb.connect() as connection:
        connection.execute(_LATE.format(files=arrived.with_name("part-000.parquet"), late=arrived))
    try:
        again = run_job("preview_month", MONTH)
    finally:
        arrived.unlink()
    return {"seconds": again, "first_seconds": first}


# Good events of customers that the month has, under ids of their own.
_LATE = """
COPY (
    SELECT * REPLACE ('late_' || event_id AS event_id)
    FROM read_parquet('{files}')
    WHERE quantity >= 0
    LIMIT 1000
) TO '{late}'
"""


def rival(data: Path, home: Path, name: str) -> Figures:
    """A rival's time for the month, of which every row must be that of `home` to the last digit."""
    from benchmarks.rivals.common import Clock

    clock = Clock()
    with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
        program = importlib.import_module(f"benchmarks.rivals.{name}")
        output = program.rate(data, Path(scratch), clock)
    path = Settings.from_env(os.environ).warehouse_path(MONTH)
    with duckdb.connect(str(path), read_only=True) as warehouse:
        different = {table: rows for table, rows in other_rows(warehouse, output).items() if rows}
    assert not different, f"rows of {name} that are not the pipeline's: {different}"
    return {"seconds": sum(clock.parts.values()), "parts": clock.parts}
