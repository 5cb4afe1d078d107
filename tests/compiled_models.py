"""Rates a month by the models as dbt compiles them, without a run of dbt for each month.

What belongs here: compiling the project once a process, and running its models and tests in their
order. What does not: expectations, and tests of how a build goes (those run dbt).

No model asks the data what its SQL is to be, so each is compiled once for any number of months. A
build by dbt spends three quarters of its time on its own contexts and events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from billing_pipeline.months import BillingMonth
from billing_pipeline.rating import dbt_runner
from billing_pipeline.rating.corrections import NO_CORRECTIONS, Corrections
from billing_pipeline.rating.dbt_runner import CLOSE, DbtError
from billing_pipeline.rating.month import (
    PaidTopUp,
    WalletApplication,
    build_raw,
    open_warehouse,
)
from billing_pipeline.rating.unchanged import set_checked
from billing_pipeline.settings import Settings


@dataclass(frozen=True)
class Statement:
    sql: str

    def build(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(self.sql)


@dataclass(frozen=True)
class Check:
    name: str
    sql: str

    def build(self, connection: duckdb.DuckDBPyConnection) -> None:
        found = connection.execute(self.sql).fetchall()
        if found:
            raise DbtError(f"test {self.name}: {len(found)} rows, such as {found[0]}")


Step = Statement | Check


@cache
def _steps() -> tuple[Step, ...]:
    """What a close builds, each after what it reads; first the functions of the warehouse."""
    steps: list[Step] = []
    with TemporaryDirectory() as scratch:
        settings = Settings.from_env({"BILLING_HOME": scratch})
        parsed = dbt_runner.ensure_manifest(settings).with_name("partial_parse.msgpack")
        done: Any = dbt_runner._invoke(
            dbt_runner._read_manifest(parsed),
            ["compile", *CLOSE, "--no-write-json"],
            Path(scratch) / "compiled",
            dbt_runner._environment(Path(scratch) / "warehouse.duckdb"),
        )
    for node in (result.node for result in done.results):
        kind, sql = str(node.resource_type), str(node.compiled_code)
        if kind == "operation":
            steps.append(Statement(sql))
        elif kind == "model":
            made = f"create {node.config.materialized} {node.relation_name}"
            steps.append(Statement(f"{made} as ({sql})"))
        elif kind == "test":
            assert (node.config.severity, node.config.fail_calc) == ("ERROR", "count(*)")
            steps.append(Check(node.name, sql))
        else:
            assert kind == "unit_test", (
                f"a close builds {kind} {node.name}, which nobody rates here"
            )
    return tuple(steps)


def rate_month(
    settings: Settings,
    month: BillingMonth,
    wallet_applications: Iterable[WalletApplication] = (),
    top_ups: Iterable[PaidTopUp] = (),
    corrections: Corrections = NO_CORRECTIONS,
) -> Path:
    """As `billing_pipeline.rating.month.rate_month`, the first failed model or test raised."""
    build_raw(settings, month, wallet_applications, top_ups, corrections)
    warehouse = settings.warehouse_path(month)
    with open_warehouse(warehouse) as connection:
        for step in _steps():
            step.build(connection)
    set_checked(settings, month, True)
    return warehouse
