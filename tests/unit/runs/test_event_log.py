"""Our event log writes what Dagster's own reads, and builds one engine for each database."""

from __future__ import annotations

from contextlib import AbstractContextManager

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from billing_pipeline.runs import event_log
from billing_pipeline.runs.event_log import EventLog
from billing_pipeline.runs.instance import instance_home, open_instance
from billing_pipeline.settings import Settings


@dg.asset
def counted() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"rows": 3})


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.from_env({"BILLING_HOME": str(tmp_path_factory.mktemp("home"))})


def materialize(instance: dg.DagsterInstance) -> str:
    result = dg.materialize([counted], instance=instance)
    assert result.success
    return result.run_id


def test_dagsters_own_storage_reads_what_ours_wrote(settings: Settings) -> None:
    with open_instance(settings) as instance:
        assert isinstance(instance.event_log_storage, EventLog)
        run_id = materialize(instance)
        written = instance.all_logs(run_id)
    with dg.DagsterInstance.from_config(str(instance_home(settings))) as own:
        assert type(own.event_log_storage) is SqliteEventLogStorage
        assert own.all_logs(run_id) == written
        [row] = own.fetch_materializations(dg.AssetKey("counted"), limit=5).records
        assert row.asset_materialization is not None
        assert row.asset_materialization.metadata["rows"].value == 3


def test_an_engine_is_built_once_for_a_database(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    real = event_log.create_engine

    def counting(url: str, **more: object) -> object:
        built.append(url)
        return real(url, **more)

    monkeypatch.setattr(event_log, "create_engine", counting)
    with open_instance(settings) as instance:
        runs = [materialize(instance), materialize(instance)]
    assert len(runs) == 2
    assert sorted(built) == sorted(set(built))
    assert len(built) == 3  # the index, and each run


@dg.asset
def summed() -> None: ...


@dg.asset
def paid() -> None: ...


ALL = dg.Definitions([counted, summed, paid], jobs=[dg.define_asset_job("all")])
PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED


def plan_run(instance: dg.DagsterInstance) -> list[dg.EventLogEntry]:
    run = instance.create_run_for_job(ALL.resolve_job_def("all"))
    return list(instance.all_logs(run.run_id, of_type=PLANNED))


@pytest.fixture
def began(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The database of each transaction, as it begins."""
    databases: list[str] = []
    real = EventLog._transaction

    def counting(self: EventLog, shard: str) -> AbstractContextManager[object]:
        databases.append(shard)
        return real(self, shard)

    monkeypatch.setattr(EventLog, "_transaction", counting)
    return databases


def test_what_a_run_plans_is_stored_in_one_transaction_of_each_database(
    settings: Settings, began: list[str]
) -> None:
    with open_instance(settings) as instance:
        began.clear()
        events = plan_run(instance)
        assert len(events) == 3
        assert began.count(events[0].run_id) == 2  # the batch, and the reading of it here
        assert began.count("index") == 1


def test_what_a_run_makes_is_stored_in_one_transaction_of_each_database(
    settings: Settings, began: list[str]
) -> None:
    made = dg.DagsterEventType.ASSET_MATERIALIZATION
    with open_instance(settings) as instance:
        [event] = instance.all_logs(materialize(instance), of_type=made)
        began.clear()
        instance.event_log_storage.store_event(event)
        assert began == [event.run_id, "index"]
        assert len(instance.all_logs(event.run_id, of_type=made)) == 2
        assert len(instance.fetch_materializations(dg.AssetKey("counted"), limit=5).records) == 2


def test_a_batch_that_fails_leaves_nothing_and_its_events_are_stored_one_by_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = []
    real = SqliteEventLogStorage.store_event

    def failing_once(self: EventLog, event: dg.EventLogEntry) -> None:
        stored.append(event)
        real(self, event)
        if len(stored) == 2:
            raise OSError("no room")

    monkeypatch.setattr(SqliteEventLogStorage, "store_event", failing_once)
    with open_instance(settings) as instance:
        events = plan_run(instance)
        assert len(stored) == 2 + 3  # and what was stored of the two was taken back
        assert len(events) == 3


def test_another_storage_that_an_operator_names_is_theirs(settings: Settings) -> None:
    config = instance_home(settings) / "dagster.yaml"
    folder = settings.home / "elsewhere"
    named = f"storage:\n  sqlite:\n    base_dir: {folder}\n"
    config.write_text(config.read_text(encoding="utf-8") + named, encoding="utf-8")
    with open_instance(settings) as instance:
        materialize(instance)
    assert list(folder.rglob("*.db"))
