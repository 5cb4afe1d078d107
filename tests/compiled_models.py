"""Rates a month by the models as dbt compiles them, without a run of dbt for each month.

What belongs here: compiling the project once, running its models and tests in their order, and
taking dbt's place in a process of the tests. What does not: expectations, and tests of how a build
goes (those run dbt).

No model asks the data what its SQL is to be, so each is compiled once for any number of months, and
once for all processes: it is kept beside what dbt itself writes of the project. A build by dbt
spends three quarters of its time on its own contexts and events.

Views are made as tables, which halves the time of a small month: a view is planned anew wherever it
is read. What is compared with the independent oracle keeps them (`keeps_views`), as a build by dbt
does.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
from filelock import FileLock

from billing_pipeline.months import BillingMonth
from billing_pipeline.rating import dbt_runner
from billing_pipeline.rating import month as rating
from billing_pipeline.rating.corrections import NO_CORRECTIONS, Corrections
from billing_pipeline.rating.dbt_runner import BUILD, CLOSE, DbtError, NodeResult
from billing_pipeline.rating.month import (
    StripeMovement,
    WalletApplication,
    build_raw,
    open_warehouse,
)
from billing_pipeline.rating.unchanged import set_checked
from billing_pipeline.settings import Settings

REPORTED = frozenset(
    (
        "invoices",
        "invoice_totals_add_up",
        "not_null_invoices_invoice_id",
        "unique_invoices_invoice_id",
        "invoice_lines",
        "amounts_have_the_currency_exponent",
        "every_line_leads_to_its_cause",
        "not_null_invoice_lines_line_id",
        "unique_invoice_lines_line_id",
    )
)
"""What other assets wait for: two models and their checks. To record the other hundred and seventy
in Dagster's history takes longer than to build them; tests that look for those run dbt."""


_VIEW, _TABLE = "create or replace view ", "create or replace table "


@dataclass(frozen=True)
class Step:
    """A model, an operation or a test of dbt's, as SQL. Of a test, a row that is found is wrong."""

    unique_id: str
    kind: str
    name: str
    sql: str

    def build(self, connection: duckdb.DuckDBPyConnection, *, keeps_views: bool = False) -> None:
        if self.kind != "test":
            made = self.sql if keeps_views else self.sql.replace(_VIEW, _TABLE, 1)
            connection.execute(made)
            return
        found = connection.execute(self.sql).fetchall()
        if found:
            raise DbtError(f"test {self.name}: {len(found)} rows, such as {found[0]}")


@cache
def _steps() -> tuple[Step, ...]:
    """What a close builds, each after what it reads; first the functions of the warehouse."""
    how = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    kept = dbt_runner.DBT_PROJECT_DIR / "target" / "compiled_for_tests"
    path = kept / f"{dbt_runner.project_digest()}-{how}.json"
    if not path.exists():
        kept.mkdir(parents=True, exist_ok=True)
        with FileLock(kept / "lock"):
            if not path.exists():
                new = path.with_suffix(".new")
                new.write_text(json.dumps([asdict(step) for step in _compile()]), encoding="utf-8")
                new.replace(path)
    return tuple(Step(**step) for step in json.loads(path.read_text(encoding="utf-8")))


def _compile() -> list[Step]:
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
        if kind in ("unit_test", "analysis") or node.config.materialized == "ephemeral":
            continue
        if kind == "model":
            sql = f"create or replace {node.config.materialized} {node.relation_name} as ({sql})"
        elif kind == "test":
            assert (node.config.severity, node.config.fail_calc) == ("ERROR", "count(*)")
        else:
            assert kind == "operation", f"a close builds {kind} {node.name}: nobody rates it here"
        steps.append(Step(node.unique_id, kind, node.name, sql))
    return steps


@contextmanager
def _usage_read_once(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """In the block, usage is a table and no view over many small files: to plan the reading of each
    file anew for each model took half of a made-up month's time."""
    [(view,)] = connection.execute(
        "SELECT sql FROM duckdb_views() WHERE schema_name = 'raw' AND view_name = 'usage_events'"
    ).fetchall()
    connection.execute("CREATE TABLE raw.usage_rows AS FROM raw.usage_events")
    connection.execute("DROP VIEW raw.usage_events")
    connection.execute("ALTER TABLE raw.usage_rows RENAME TO usage_events")
    try:
        yield
    finally:
        connection.execute("DROP TABLE raw.usage_events")
        connection.execute(view)


def _plan_as_written(connection: duckdb.DuckDBPyConnection) -> None:
    """To look for better plans of two hundred queries takes longer than to run them on the few rows
    of a test, and so does sharing them among threads."""
    connection.execute("SET threads = 1")
    connection.execute("PRAGMA disable_optimizer")


def rate_month(
    settings: Settings,
    month: BillingMonth,
    wallet_applications: Iterable[WalletApplication] = (),
    moved: Iterable[StripeMovement] = (),
    corrections: Corrections = NO_CORRECTIONS,
    *,
    keeps_views: bool = False,
) -> Path:
    """As `billing_pipeline.rating.month.rate_month`, the first failed model or test raised."""
    build_raw(settings, month, wallet_applications, moved, corrections)
    warehouse = settings.warehouse_path(month)
    with open_warehouse(warehouse) as connection, _usage_read_once(connection):
        if not keeps_views:
            _plan_as_written(connection)
        for step in _steps():
            step.build(connection, keeps_views=keeps_views)
    set_checked(settings, month, True)
    return warehouse


def rows_found(warehouse: Path, test: str) -> int:
    """How many rows a test of a close finds wrong there."""
    [step] = [step for step in _steps() if step.name == test]
    with open_warehouse(warehouse, read_only=True) as connection:
        return len(connection.execute(step.sql).fetchall())


def take_the_place_of_dbt() -> None:
    """From now on the months of this process are rated by compiled models. What fails is built by
    dbt itself, to be reported by it, and so is what is less than a close."""
    rating.run_dbt = run_compiled


@contextmanager
def in_place_of_dbt() -> Iterator[None]:
    """In the block, as `take_the_place_of_dbt`."""
    before = rating.run_dbt
    take_the_place_of_dbt()
    try:
        yield
    finally:
        rating.run_dbt = before


def run_compiled(
    settings: Settings,
    month: BillingMonth,
    args: Sequence[str] = (*BUILD, *CLOSE),
    on_node: Callable[[NodeResult], None] = lambda node: None,
) -> list[NodeResult]:
    """As `billing_pipeline.rating.dbt_runner.run_dbt`, but that only what later assets wait for is
    reported."""
    if tuple(args) != (*BUILD, *CLOSE):
        return dbt_runner.run_dbt(settings, month, args, on_node)
    nodes = []
    try:
        with (
            open_warehouse(settings.warehouse_path(month)) as connection,
            _usage_read_once(connection),
        ):
            _plan_as_written(connection)
            for step in _steps():
                began = time.perf_counter()
                step.build(connection)
                if step.name in REPORTED:
                    seconds = time.perf_counter() - began
                    status = "pass" if step.kind == "test" else "success"
                    nodes.append(NodeResult(step.unique_id, step.kind, status, seconds, 0, "OK"))
    except (duckdb.Error, DbtError):
        return dbt_runner.run_dbt(settings, month, args, on_node)
    for node in nodes:
        on_node(node)
    return nodes
