"""Which months the clock closes, and that no month is billed before it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from billing_pipeline.definitions import defs
from billing_pipeline.defs import schedules
from billing_pipeline.defs.partitions import refuse_unfinished
from billing_pipeline.defs.schedules import close_time, estimate_request, monthly_close
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import Settings

MARCH = BillingMonth(2024, 3)
SETTINGS = Settings.from_env({})


def tick(when: datetime, *closed: str, closing: BillingMonth | None = None) -> list[Any]:
    with dg.instance_for_test() as instance:
        if closing is not None:
            tags = {"dagster/partition": str(closing)}
            job = defs.resolve_job_def("close_month")
            instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
        for month in closed:
            instance.report_runless_asset_event(
                dg.AssetMaterialization("stripe_invoices", partition=month)
            )
        # Left open, it would put back whatever Dagster knew of the instance when it is collected.
        with dg.build_schedule_context(instance, scheduled_execution_time=when) as context:
            asked: Any = monthly_close(context, settings=SETTINGS)
            return list(asked or ())


def test_the_night_to_april_closes_march() -> None:
    [request] = tick(datetime(2024, 4, 1, 2, tzinfo=UTC), "2024-02")
    assert request.partition_key == "2024-03"
    assert request.run_key == "close_month 2024-03 2024-04-01"


def test_before_the_grace_is_over_nothing_is_closed() -> None:
    [skipped] = tick(datetime(2024, 4, 1, 1, 59, tzinfo=UTC), "2024-02")
    assert isinstance(skipped, dg.SkipReason)


def test_what_is_closed_stays_closed() -> None:
    [skipped] = tick(datetime(2024, 4, 9, 9, tzinfo=UTC), "2024-02", "2024-03")
    assert isinstance(skipped, dg.SkipReason)


def test_a_machine_that_was_off_catches_up_the_oldest_month_first() -> None:
    found = tick(datetime(2024, 5, 17, 8, tzinfo=UTC), "2024-02")
    assert [request.partition_key for request in found] == ["2024-03", "2024-04"]


def test_a_month_that_failed_stays_due_after_a_later_one_was_closed() -> None:
    """February failed every day of March, and on the first of April March was closed."""
    [request] = tick(datetime(2024, 4, 2, 2, tzinfo=UTC), "2024-01", "2024-03")
    assert request.partition_key == "2024-02"
    assert request.run_key == "close_month 2024-02 2024-04-02"
    both = tick(datetime(2024, 5, 2, 2, tzinfo=UTC), "2024-01", "2024-03")
    assert [request.partition_key for request in both] == ["2024-02", "2024-04"]


def test_what_failed_is_tried_again_once_a_day() -> None:
    keys = {
        request.run_key
        for when in (datetime(2024, 4, 1, 2, tzinfo=UTC), datetime(2024, 4, 1, 23, tzinfo=UTC),
                     datetime(2024, 4, 2, 0, tzinfo=UTC))
        for request in tick(when, "2024-02")
    }  # fmt: skip
    assert keys == {"close_month 2024-03 2024-04-01", "close_month 2024-03 2024-04-02"}


def test_turning_the_schedule_on_bills_no_history() -> None:
    [request] = tick(datetime(2024, 12, 24, tzinfo=UTC))
    assert request.partition_key == "2024-11"


def test_months_that_nobody_closed_for_long_are_for_a_person() -> None:
    with pytest.raises(schedules.MonthsNotClosedError, match=r"4 months .* 2024-03 to 2024-06"):
        tick(datetime(2024, 7, 1, 2, tzinfo=UTC), "2024-02")


def test_a_close_that_is_under_way_is_not_asked_for_again() -> None:
    assert tick(datetime(2024, 4, 1, 2, tzinfo=UTC), "2024-02", closing=MARCH) == []


def test_the_month_before_the_first_is_skipped() -> None:
    [skipped] = tick(datetime(2024, 1, 1, 2, tzinfo=UTC))
    assert isinstance(skipped, dg.SkipReason)


def test_the_day_and_the_grace_are_counted_in_the_billing_time_zone() -> None:
    def time_of(month: BillingMonth, day: str, grace: str) -> datetime:
        env = {"BILLING_CLOSE_DAY": day, "BILLING_CLOSE_GRACE_HOURS": grace}
        return close_time(Settings.from_env(env | {"BILLING_TIMEZONE": "America/New_York"}), month)

    assert time_of(MARCH, "3", "30") == datetime(2024, 4, 4, 10, tzinfo=UTC)
    assert time_of(BillingMonth(2024, 12), "1", "0") == datetime(2025, 1, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "cron"), [("monthly_close", "0 * * * *"), ("dunning", "0 * * * *")]
)
def test_what_sends_money_is_off_until_somebody_turns_it_on(name: str, cron: str) -> None:
    schedule = defs.resolve_schedule_def(name)
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == cron


def test_the_running_month_is_estimated_every_day() -> None:
    """By the clock of now, so that a tick of last month that is caught up today estimates today."""
    request = estimate_request(SETTINGS, datetime(2024, 4, 1, 9, tzinfo=UTC))
    assert request.partition_key == "2024-04"
    assert request.run_key == "estimate_month 2024-04-01"
    schedule = defs.resolve_schedule_def("daily_estimate")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "estimate_month"


def test_what_only_reads_is_on() -> None:
    verification = defs.resolve_schedule_def("daily_verification")
    assert verification.default_status is dg.DefaultScheduleStatus.RUNNING
    assert verification.job_name == "verify_billed"
    sensor = defs.resolve_sensor_def("stripe_changes")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.job_name == "pull_payments"


def test_a_month_is_not_billed_before_its_last_microsecond_is_over() -> None:
    month = BillingMonth.parse("2024-02")
    end = datetime(2024, 3, 1, tzinfo=UTC)
    with pytest.raises(dg.Failure, match="2024-02 is not over before 2024-03-01T00:00:00"):
        refuse_unfinished(SETTINGS, month, end - timedelta(microseconds=1))
    refuse_unfinished(SETTINGS, month, end)
