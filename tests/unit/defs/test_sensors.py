"""The runs and notices that sensors request: once for each fact, and no sending job that nobody has
approved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from billing_pipeline.collection.records.opening import open_records
from billing_pipeline.definitions import defs
from billing_pipeline.defs import notifications, sensors
from billing_pipeline.defs.history import closed_months, failed_runs, is_closing, last_closes
from billing_pipeline.defs.partitions import MONTHS
from billing_pipeline.intake.late_usage import rated_inputs, record_compared, record_rated
from billing_pipeline.intake.usage_files import usage_files
from billing_pipeline.months import BillingMonth
from billing_pipeline.notices.due import Close
from billing_pipeline.notices.notice import Kind, Notice
from billing_pipeline.notices.record import NoticeRecord
from billing_pipeline.notices.sending import Outcome
from billing_pipeline.published.reading import database_path
from billing_pipeline.settings import Settings
from tests.unit.published.declared import declare

FEBRUARY = BillingMonth(2024, 2)
HEADER = "event_id,customer_id,event_name,occurred_at,quantity,properties\n"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    env = {
        **{"BILLING_HOME": str(tmp_path / "home"), "BILLING_DATA_DIR": str(tmp_path / "data")},
        "BILLING_NOTIFY_URLS": "json://127.0.0.1:1/hooks/s3cret-word",
    }
    made = Settings.from_env(env)
    made.records_dir.mkdir(parents=True)
    return made


def noted(settings: Settings) -> list[Notice]:
    with closing(NoticeRecord(settings.records_dir)) as record:
        return record.noted()


def close(instance: dg.DagsterInstance, month: BillingMonth, *, passes: bool = True) -> str:
    """A run that says it closed the month, with one check."""

    @dg.asset(name="stripe_invoices", partitions_def=MONTHS)
    def invoices() -> None: ...

    @dg.asset_check(asset=invoices, name="all_is_well", partitions_def=MONTHS)
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passes, severity=dg.AssetCheckSeverity.WARN)

    done = dg.materialize([invoices, check], partition_key=str(month), instance=instance)
    return done.run_id


def fail(instance: dg.DagsterInstance, reason: str, **tags: str) -> str:
    @dg.op
    def step() -> None:
        raise dg.Failure(description=reason, allow_retries=False)

    @dg.job(name="close_month")
    def it() -> None:
        step()

    done = it.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
    return done.run_id


def test_sensors_are_on_by_default_and_start_no_sending_job_but_an_approved_one() -> None:
    jobs = {
        "approvals_of_other_months": ["apply_plan"],
        **{"stripe_changes": ["pull_payments"], "drifted_months": ["preview_month"]},
        **{"dead_runs": [], "runs_that_failed": [], "notices": []},
    }
    found = defs.get_repository_def().sensor_defs
    assert {s.name: [target.job_name for target in s.targets] for s in found} == jobs
    for sensor in found:
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
        for name in {*jobs[sensor.name]} - {"apply_plan"}:
            assert defs.resolve_job_def(name).tags.get("billing/sends") is None


@pytest.mark.parametrize(
    ("plan_hash", "given", "asked"),
    [
        ("of-february", "2024-01", ["2024-02"]),
        ("of-february", "2024-02", []),
        ("typo", "2024-01", []),
    ],
)
def test_an_approval_under_another_month_is_carried_out_under_its_plans(
    instance: dg.DagsterInstance, settings: Settings, plan_hash: str, given: str, asked: list[str]
) -> None:
    @dg.op(config_schema=dg.Permissive())
    def approved_changes() -> None: ...

    @dg.job(name="apply_plan")
    def it() -> None:
        approved_changes()

    publish_plan(settings, "2024-02-01", "of-february")
    decision = {"ops": {"approved_changes": {"config": {"plan_hash": plan_hash, "only": ["ada"]}}}}
    done = it.execute_in_process(
        instance=instance, run_config=decision, tags={"dagster/partition": given}
    )
    context = dg.build_run_status_sensor_context(
        "approvals_of_other_months", done.all_node_events[-1], instance, done.dagster_run
    )
    found = sensors.approvals_of_other_months(context, settings=settings)
    requested = [found] if isinstance(found, dg.RunRequest) else []
    assert [(one.partition_key, one.run_config) for one in requested] == [
        (month, decision) for month in asked
    ]


def publish_plan(settings: Settings, month: str, plan_hash: str) -> None:
    settings.published_dir.mkdir(parents=True)
    with duckdb.connect(str(database_path(settings))) as published:
        declare(published, settings)
        published.execute(
            "INSERT INTO invoice_plan (billing_month, plan_hash) VALUES (?, ?)", [month, plan_hash]
        )


def test_the_history_of_closes(instance: dg.DagsterInstance) -> None:
    close(instance, FEBRUARY)
    again = close(instance, FEBRUARY, passes=False)
    first = close(instance, FEBRUARY.shift(-1))
    assert closed_months(instance) == {FEBRUARY, FEBRUARY.shift(-1)}
    assert last_closes(instance) == {
        FEBRUARY: Close(again, ("all_is_well (warn)",)),
        FEBRUARY.shift(-1): Close(first),
    }


def test_a_history_whose_partitions_are_first_days_is_read_as_well(
    instance: dg.DagsterInstance,
) -> None:
    closed = dg.AssetMaterialization("stripe_invoices", partition="2024-01-01")
    instance.report_runless_asset_event(closed)
    close(instance, FEBRUARY)
    assert closed_months(instance) == {FEBRUARY.shift(-1), FEBRUARY}


def test_a_close_counts_once_its_run_has_ended(instance: dg.DagsterInstance) -> None:
    """Its checks are not known before that: an earlier notice would report no failed checks."""
    seen: list[object] = []

    @dg.asset(name="stripe_invoices", partitions_def=MONTHS)
    def invoices() -> None: ...

    @dg.asset_check(asset=invoices, name="all_is_well")
    def check() -> dg.AssetCheckResult:
        seen.extend([closed_months(instance), last_closes(instance)])
        return dg.AssetCheckResult(passed=False)

    dg.materialize([invoices, check], partition_key=str(FEBRUARY), instance=instance)
    assert seen == [{FEBRUARY}, {}]
    assert last_closes(instance)[FEBRUARY].failed_checks == ("all_is_well (error)",)


def test_the_history_of_failures(instance: dg.DagsterInstance) -> None:
    run_id = fail(instance, "catalog/prices.csv is wrong", **{"dagster/partition": str(FEBRUARY)})
    dead = instance.create_run_for_job(defs.resolve_job_def("preview_month"))
    instance.report_run_failed(dead, "The process that executed this run is gone.")
    close(instance, FEBRUARY)
    found = {run.run_id: run for run in failed_runs(instance, datetime.now(UTC))}
    assert set(found) == {run_id, dead.run_id}
    assert found[run_id][1:] == ("close_month", "2024-02", "catalog/prices.csv is wrong")
    assert found[dead.run_id].reason == "The process that executed this run is gone."


def test_a_close_that_is_under_way(instance: dg.DagsterInstance) -> None:
    job = defs.resolve_job_def("close_month")
    tags = {"dagster/partition": str(FEBRUARY)}
    run = instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    assert is_closing(instance, FEBRUARY)
    assert not is_closing(instance, FEBRUARY.shift(1))
    instance.report_run_failed(run)
    assert not is_closing(instance, FEBRUARY)


def late(instance: dg.DagsterInstance, settings: Settings) -> list[dg.RunRequest]:
    context = dg.build_sensor_context(instance)
    found = list(sensors.drifted_months(context, settings=settings) or ())
    return [item for item in found if isinstance(item, dg.RunRequest)]


def test_late_usage_asks_for_one_preview_for_each_change(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    folder = Path(settings.data_dir) / "usage" / str(FEBRUARY)
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(HEADER, encoding="utf-8")
    settings.month_dir(FEBRUARY).mkdir(parents=True)
    record_rated(settings, FEBRUARY, [FEBRUARY], usage_files(settings, [FEBRUARY]))
    (folder / "b.csv").write_text(HEADER, encoding="utf-8")
    assert late(instance, settings) == []  # not closed: its close will read them

    close(instance, FEBRUARY)
    [request] = late(instance, settings)
    assert request.partition_key == str(FEBRUARY)
    assert (
        late(instance, settings)[0].run_key == request.run_key
    )  # Dagster starts one run for a key
    [notice] = noted(settings)
    assert (notice.kind, notice.month) == (Kind.LATE_USAGE, "2024-02")
    assert notice.text == "new: usage/2024-02/b.csv\na preview is asked for"

    (folder / "c.csv").write_text(HEADER, encoding="utf-8")
    assert late(instance, settings)[0].run_key != request.run_key
    assert len(noted(settings)) == 2

    # As the preview does. The notices are still there to be sent.
    record_rated(settings, FEBRUARY, [FEBRUARY], usage_files(settings, [FEBRUARY]))
    assert late(instance, settings) == []
    assert len(noted(settings)) == 2


def test_late_usage_is_noticed_without_dagsters_history(
    instance: dg.DagsterInstance, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was billed is known from the records."""
    settings.month_dir(FEBRUARY).mkdir(parents=True)
    record_rated(settings, FEBRUARY, [FEBRUARY], usage_files(settings, [FEBRUARY]))
    folder = Path(settings.data_dir) / "usage" / str(FEBRUARY)
    folder.mkdir(parents=True)
    (folder / "b.csv").write_text(HEADER, encoding="utf-8")
    assert late(instance, settings) == []
    with open_records(settings.records_dir) as records:
        monkeypatch.setattr(type(records.billed), "months", lambda billed: [FEBRUARY.key])
    assert [request.partition_key for request in late(instance, settings)] == [str(FEBRUARY)]


def drifted(
    instance: dg.DagsterInstance, settings: Settings
) -> list[tuple[str | None, str | None]]:
    return [(item.partition_key, item.run_key) for item in late(instance, settings)]


def publish_drift(settings: Settings, *rows: str) -> None:
    """Each row: month, currency, billed, would be, cause."""
    settings.published_dir.mkdir(parents=True)
    with duckdb.connect(str(database_path(settings))) as published:
        declare(published, settings)
        for row in rows:
            published.execute(
                "INSERT INTO month_drift (billing_month, currency, billed, would_be, cause)"
                f" VALUES ({row})"
            )


def test_each_difference_of_a_closed_month_asks_for_one_preview(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    """Of months that are closed in the books, one on the plan of the first open month."""
    assert drifted(instance, settings) == []  # nothing was published
    publish_drift(
        settings,
        "'2024-01-01', 'USD', 5, 7, 'price'",
        "'2024-02-01', 'EUR', 5, 4, 'correction'",
        "'2024-02-01', 'USD', 5, 9, 'price'",
    )
    january = "drift 2024-01 USD 5.0000 7.0000 price"
    february = "drift 2024-02 EUR 5.0000 4.0000 correction, USD 5.0000 9.0000 price"
    assert drifted(instance, settings) == [("2024-01", january), ("2024-02", february)]
    locked = replace(settings, locked_through=FEBRUARY)
    assert drifted(instance, locked) == [("2024-03", f"{january}, {february}")]


def test_late_usage_and_the_drift_that_it_makes_ask_for_one_preview(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    folder = Path(settings.data_dir) / "usage" / str(FEBRUARY)
    folder.mkdir(parents=True)
    settings.month_dir(FEBRUARY).mkdir(parents=True)
    record_rated(settings, FEBRUARY, [FEBRUARY], usage_files(settings, [FEBRUARY]))
    close(instance, FEBRUARY)
    (folder / "late.csv").write_text(HEADER, encoding="utf-8")
    [before] = late(instance, settings)
    publish_drift(settings, "'2024-02-01', 'USD', 5, 7, 'late usage'")
    [request] = late(instance, settings)  # the look was earlier than the preview
    assert request.run_key == before.run_key
    locked = replace(settings, locked_through=FEBRUARY)
    difference = "drift 2024-02 USD 5.0000 7.0000 late usage"
    assert drifted(instance, locked) == [("2024-03", difference)]

    # As the preview does, and a look that finds the same inputs.
    record_rated(settings, FEBRUARY, [FEBRUARY], usage_files(settings, [FEBRUARY]))
    compare(settings, FEBRUARY)
    assert late(instance, settings) == []
    assert drifted(instance, locked) == [("2024-03", difference)]

    # A price that changed since: the next look finds another state of the inputs.
    catalog = Path(settings.data_dir) / "catalog"
    catalog.mkdir()
    (catalog / "prices.csv").write_text("price_id\n", encoding="utf-8")
    scratch = replace(settings, home=settings.home.with_name("aside"))
    scratch.month_dir(FEBRUARY).mkdir(parents=True)
    record_rated(scratch, FEBRUARY, [FEBRUARY], usage_files(settings, [FEBRUARY]))
    compare(settings, FEBRUARY, rated_in=scratch)
    assert drifted(instance, settings) == [("2024-02", difference)]


def test_other_lines_of_earlier_months_ask_for_a_preview(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    """Commitments count them, and no file of the month itself may have changed."""
    aside = replace(settings, home=settings.home.with_name("aside"))
    for home, lines in ((settings, "2:15"), (aside, "2:25")):
        home.month_dir(FEBRUARY).mkdir(parents=True)
        record_rated(home, FEBRUARY, [FEBRUARY], usage_files(settings, [FEBRUARY]), lines)
    close(instance, FEBRUARY)
    publish_drift(settings, "'2024-02-01', 'USD', 85, 75, 'other'")
    compare(settings, FEBRUARY)
    assert drifted(instance, settings) == []
    compare(settings, FEBRUARY, rated_in=aside)
    [(month, _)] = drifted(instance, settings)
    assert month == "2024-02"


def compare(settings: Settings, month: BillingMonth, rated_in: Settings | None = None) -> None:
    """As a look for drift does."""
    inputs = rated_inputs(rated_in or settings, month)
    assert inputs is not None
    record_compared(settings, month, inputs, is_billed=False)


def test_a_failed_run_gives_one_notice_and_starts_no_run(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    context = dg.build_sensor_context(instance)
    run_id = fail(instance, "Stripe is away")
    fail(
        instance, "failed in part, the others went on: acme", **{"dagster/partition": str(FEBRUARY)}
    )
    for _ in range(2):
        assert isinstance(sensors.runs_that_failed(context, settings=settings), dg.SkipReason)
        [notice] = noted(settings)  # the other one is told by the plan, with names
    assert notice.key == f"run_failed:{run_id}"
    assert notice.text == f"close_month: Stripe is away\nhttp://127.0.0.1:3000/runs/{run_id}"


def test_notices_that_cannot_be_delivered_are_seen_and_due_again(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    fail(instance, "Stripe is away")
    context = dg.build_sensor_context(instance)
    sensors.runs_that_failed(context, settings=settings)
    with pytest.raises(notifications.NotDeliveredError, match=r"json \(number 1\)") as failed:
        sensors.notices(context, settings=settings)  # nobody listens on port 1
    assert "s3cret-word" not in str(failed.value)


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(sent=2), "2 messages were delivered."),
        (Outcome(is_busy=True), "Another process is sending notices."),
    ],
)
def test_notices_say_what_they_did(outcome: Outcome, text: str) -> None:
    assert notifications.delivery_summary(outcome) == text


def test_notices_without_a_target_are_skipped(instance: dg.DagsterInstance) -> None:
    context = dg.build_sensor_context(instance)
    result = sensors.notices(context, settings=Settings.from_env({}))
    assert isinstance(result, dg.SkipReason)
    assert result.skip_message == "BILLING_NOTIFY_URLS is not set."
