"""Metering on Spark: the same dbt models on another engine, for months that outgrow one machine.

What belongs here: handing the month's inputs to Spark as Parquet, calling dbt there, and taking
the metered tables back into the month's warehouse. What does not: what the models compute, how the
two engines' SQL differs (``dbt_project/macros``), rating and everything after it (DuckDB).

Needs the packages of ``requirements-spark.txt`` and Java 17: docs/scaling.md.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from billing_pipeline.duckdb_sql import glob_literal
from billing_pipeline.months import BillingMonth
from billing_pipeline.rating.dbt_runner import (
    BUILD,
    DBT_PROJECT_DIR,
    DbtError,
    NodeResult,
    run_dbt,
    run_operation,
)
from billing_pipeline.settings import Settings

# Everything that grows with events; `metering_tables` in macros/spark/transfer.sql names the same.
ON_SPARK = ("staging", "metering", "tag:reads_events")
# Where dbt finds the adapter that profiles.yml names for Spark.
ADAPTER = Path(__file__).parent / "spark_adapter"
# `dbt`, of this environment whatever the PATH says.
DBT = (sys.executable, "-c", "from dbt.cli.main import cli; cli()")


def build_with_spark(
    settings: Settings,
    month: BillingMonth,
    on_node: Callable[[NodeResult], None] = lambda node: None,
) -> list[NodeResult]:
    """Like ``run_dbt`` of everything, but with metering on Spark and only the rest in DuckDB.

    If a model or test fails on Spark, the rest is not built: see `check`.
    """
    metered = meter_on_spark(settings, month)
    for node in metered:
        on_node(node)
    if any(node.is_failed for node in metered):
        return metered
    rest = build_the_rest(settings, month, on_node)
    # Views over the inputs are created on both engines; each node is reported once, in dbt's order.
    told = {node.unique_id for node in metered}
    return [*metered, *(node for node in rest if node.unique_id not in told or node.is_failed)]


def build_the_rest(
    settings: Settings,
    month: BillingMonth,
    on_node: Callable[[NodeResult], None] = lambda node: None,
) -> list[NodeResult]:
    """Build what `meter_on_spark` leaves: rating, invoicing, and views over the inputs, in
    DuckDB."""
    return run_dbt(settings, month, (*BUILD, "--selector", "after_spark"), on_node)


def meter_on_spark(settings: Settings, month: BillingMonth) -> list[NodeResult]:
    """Build staging and metering on Spark from the inputs in the month's warehouse, and put the
    tables into it. Returns every node that ran on Spark; raises `DbtError` if dbt could not start.
    If a node failed, the warehouse is left unchanged."""
    export_inputs(settings, month)
    nodes = build_on_spark(settings, month)
    if not any(node.is_failed for node in nodes):
        import_tables(settings, month)
    return nodes


def export_inputs(settings: Settings, month: BillingMonth) -> None:
    """Write the checked inputs of the month's warehouse as Parquet for Spark."""
    if find_spec("pyspark") is None:
        raise DbtError(
            "metering on Spark needs the packages of requirements-spark.txt: docs/scaling.md"
        )
    work_dir = _work_dir(settings, month)
    shutil.rmtree(work_dir, ignore_errors=True)
    (work_dir / "raw").mkdir(parents=True)
    run_operation(settings, month, "export_raw", {"folder": str(work_dir / "raw")})


def build_on_spark(settings: Settings, month: BillingMonth) -> list[NodeResult]:
    """Run dbt on Spark in a process of its own, so that the JVM ends with it and dbt's globals here
    are untouched."""
    work_dir = _work_dir(settings, month)
    target = work_dir / "dbt"
    command = [*DBT, *BUILD, "--target", "spark"]
    command += ["--select", *ON_SPARK, "--indirect-selection", "cautious"]
    command += ["--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR)]
    command += ["--target-path", str(target), "--log-path", str(target)]
    command += ["--quiet", "--no-partial-parse"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ADAPTER), os.environ.get("PYTHONPATH")))),
        "BILLING_SPARK_RAW": str(work_dir / "raw"),
        "BILLING_SPARK_TABLES": str(work_dir / "tables"),
    }
    done = subprocess.run(command, env=environment, cwd=work_dir, capture_output=True, text=True)
    results = target / "run_results.json"
    if not results.exists():
        raise DbtError(f"dbt on Spark could not begin; the end of its log:\n{_end(done)}")
    return [_node(result) for result in json.loads(results.read_text())["results"]]


def import_tables(settings: Settings, month: BillingMonth) -> None:
    """Turn the tables that Spark wrote into tables of the month's warehouse."""
    tables = glob_literal(str(_work_dir(settings, month) / "tables" / "main.db"))
    run_operation(settings, month, "import_metering", {"folder": tables})


def _work_dir(settings: Settings, month: BillingMonth) -> Path:
    return settings.month_dir(month) / "spark"


def _node(result: dict[str, object]) -> NodeResult:
    unique_id = str(result["unique_id"])
    return NodeResult(
        unique_id=unique_id,
        resource_type=unique_id.split(".")[0],
        status=str(result["status"]).lower(),
        seconds=float(str(result["execution_time"])),
        failures=int(str(result["failures"] or 0)),
        message=" ".join(str(result["message"]).split()),
    )


def _end(done: subprocess.CompletedProcess[str]) -> str:
    """What dbt said last, which is the reason; before it Spark's warnings, or Python's error."""
    return "\n".join((done.stderr + done.stdout).splitlines()[-20:])
