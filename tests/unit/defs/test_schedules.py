"""Which month the clock closes, and that no month is billed before it is over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from billing_pipeline.definitions import defs
from billing_pipeline.defs import schedules
from billing_pipeline.defs.partitions import refuse_unfinished
from billing_pipeline.defs.schedules import close_day, monthly_close
from billing_pipeline.months import BillingMonth
from billing_pipeline.settings import InvalidSettingError


def tick(when: datetime) -> Any:
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=when)
        return monthly_close(context)


def test_the_first_of_april_closes_march() -> None:
    request = tick(datetime(2024, 4, 1, 2, tzinfo=UTC))
    assert request.partition_key == "2024-03-01"
    assert request.run_key == "close_month 2024-03"


def test_the_month_before_the_first_is_skipped() -> None:
    assert isinstance(tick(datetime(2024, 1, 1, 2, tzinfo=UTC)), dg.SkipReason)


@pytest.mark.parametrize(
    ("name", "cron"), [("monthly_close", "0 2 1 * *"), ("hourly_collection", "0 * * * *")]
)
def test_what_sends_money_is_off_until_somebody_turns_it_on(name: str, cron: str) -> None:
    schedule = defs.resolve_schedule_def(name)
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.cron_schedule == cron


def test_every_schedule_is_named_above() -> None:
    names = {schedule.name for schedule in defs.get_repository_def().schedule_defs}
    assert names == {"monthly_close", "hourly_collection", "daily_estimate"}


def test_the_running_month_is_estimated_every_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick of last month that is caught up today asks for today's estimate, of this month."""
    monkeypatch.setattr(schedules, "_now", lambda: datetime(2024, 4, 1, 9, tzinfo=UTC))
    with dg.instance_for_test() as instance:
        for missed in (
            datetime(2024, 3, 31, 3, 30, tzinfo=UTC),
            datetime(2024, 4, 1, 3, 30, tzinfo=UTC),
        ):
            context = dg.build_schedule_context(instance, scheduled_execution_time=missed)
            request: Any = schedules.daily_estimate(context)
            assert request.partition_key == "2024-04-01"
            assert request.run_key == "estimate_month 2024-04-01"
    schedule = defs.resolve_schedule_def("daily_estimate")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == "estimate_month"


def test_what_only_reads_is_on() -> None:
    sensor = defs.resolve_sensor_def("stripe_changes")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.job_name == "pull_payments"


@pytest.mark.parametrize("text", ["0", "29", "-1", "1.5", "first", ""])
def test_a_close_day_that_some_month_lacks_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettingError, match="BILLING_CLOSE_DAY"):
        close_day(text)


def test_a_month_is_not_billed_before_its_last_microsecond_is_over() -> None:
    month = BillingMonth.parse("2024-02")
    end = datetime(2024, 3, 1, tzinfo=UTC)
    with pytest.raises(dg.Failure, match="2024-02 is not over before 2024-03-01T00:00:00"):
        refuse_unfinished(month, end - timedelta(microseconds=1))
    refuse_unfinished(month, end)
