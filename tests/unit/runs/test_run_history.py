"""Dagster's history: databases stay open between events, for as long as they are used."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, event

from billing_pipeline.runs import run_history
from billing_pipeline.runs.run_history import closing_connections, keep_connections

DATABASES = 3  # runs, the index of events, the events of the run


@dg.job
def job() -> None:
    for number in range(5):
        dg.op(name=f"op_{number}")(lambda: None)()


class Opened(list[str]):
    """The databases that were opened, in order."""


@pytest.fixture
def opened() -> Iterator[Opened]:
    keep_connections()
    paths = Opened()

    def note(connection: sqlite3.Connection, _record: object) -> None:
        [[_, _, path], *_] = connection.execute("PRAGMA database_list").fetchall()
        paths.append(path)

    event.listen(Engine, "connect", note)
    yield paths
    event.remove(Engine, "connect", note)


def test_a_run_opens_each_database_once_and_leaves_none_open(
    opened: Opened, tmp_path: Path
) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        with closing_connections():
            assert job.execute_in_process(instance=instance).success
            opened.clear()
            result = job.execute_in_process(instance=instance)
            assert len(set(opened)) <= DATABASES
            # Opened a second time only beside a connection that is in use at that moment.
            assert len(opened) <= 2 * DATABASES, f"{len(opened)} times"
            assert run_history._engines
        assert not run_history._engines
        assert list(tmp_path.rglob("*.db")) and not list(tmp_path.rglob("*.db-wal"))
        assert len(instance.all_logs(result.run_id)) > 20
        assert instance.get_run_by_id(result.run_id).is_success  # type: ignore[union-attr]


MONTHS = dg.MonthlyPartitionsDefinition("2024-01-01")


@dg.asset(partitions_def=MONTHS)
def outside() -> None: ...


@dg.multi_asset(
    specs=[
        dg.AssetSpec("first", deps=[outside]),
        dg.AssetSpec("second", deps=["first", outside]),
    ],
    partitions_def=MONTHS,
)
def inside() -> Iterator[dg.MaterializeResult[None]]:
    yield dg.MaterializeResult(asset_key="first")
    yield dg.MaterializeResult(asset_key="second")


def test_each_asset_says_what_it_was_made_from(opened: Opened, tmp_path: Path) -> None:
    with closing_connections(), dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for _ in range(2):
            assert dg.materialize([outside, inside], instance=instance, partition_key="2024-02-01")
        made = {}
        for name in ("outside", "first", "second"):
            [record] = instance.fetch_materializations(dg.AssetKey(name), limit=1).records
            made[name] = record
    for name, inputs in (("first", ["outside"]), ("second", ["first", "outside"])):
        tags = made[name].event_log_entry.tags or {}
        for source in inputs:
            pointer = tags[f"dagster/input_event_pointer/{source}"]
            assert pointer == str(made[source].storage_id), (name, source)
        version = (made["first"].event_log_entry.tags or {})["dagster/data_version"]
        if name == "second":
            assert tags["dagster/input_data_version/first"] == version


def test_few_are_kept_however_many_runs_are_looked_at(opened: Opened, tmp_path: Path) -> None:
    with closing_connections(), dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        runs = [job.execute_in_process(instance=instance).run_id for _ in range(6)]
        assert all(instance.all_logs(run_id) for run_id in runs)
        assert len(run_history._engines) <= run_history._MAX_KEPT


# Threads cannot each capture what their one process prints; what they print is not asked here.
PRINTS_ARE_NOT_CAPTURED = {
    "compute_logs": {
        "module": "dagster.core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}


def test_threads_write_at_the_same_time(opened: Opened, tmp_path: Path) -> None:
    succeeded = []
    with (
        closing_connections(),
        dg.DagsterInstance.local_temp(str(tmp_path), PRINTS_ARE_NOT_CAPTURED) as instance,
    ):

        def run() -> None:
            succeeded.append(job.execute_in_process(instance=instance).success)

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert succeeded == [True] * 3


def test_what_the_index_has_is_looked_for_once(opened: Opened, tmp_path: Path) -> None:
    with closing_connections(), dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        storage = instance.event_log_storage
        assert storage.has_table("event_logs") and not storage.has_table("not_yet")  # type: ignore[attr-defined]
        opened.clear()
        assert storage.has_table("event_logs") and not opened  # type: ignore[attr-defined]
        assert not storage.has_table("not_yet") and opened  # type: ignore[attr-defined]
