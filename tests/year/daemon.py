"""The daemon: evaluates each schedule and sensor with its own context, and runs what they ask for.

What belongs here: which schedule is due, run keys, and starting runs. What does not: the schedules
and sensors themselves (`billing_pipeline/defs`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from billing_pipeline.definitions import build_defs
from billing_pipeline.runs.in_process import execute
from billing_pipeline.runs.instance import failure_reason
from billing_pipeline.settings import Settings

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Run:
    """A run that has ended; `why` it failed."""

    job: str
    month: str
    succeeded: bool
    why: str = ""

    def __str__(self) -> str:
        return f"{self.job} {self.month}".strip() + (
            "" if self.succeeded else f" FAILED: {self.why}"
        )


@dataclass
class Daemon:
    """`looked_at`: when it last looked; a tick that came meanwhile is made up for once."""

    settings: Settings
    instance: dg.DagsterInstance
    looked_at: datetime
    problems: list[str] = field(default_factory=list)
    asked: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.defs = build_defs({"settings": self.settings})
        self.schedules = sorted(self.defs.schedules or (), key=lambda found: found.name)
        self.sensors = [found.name for found in self.defs.sensors or ()]

    def look(self, now: datetime) -> list[Run]:
        runs = [run for name in self._due(now) for run in self._ticked(name, now)]
        self.looked_at = now
        for name in self.sensors:
            runs += self._sensed(name)
        return runs

    def run(self, job: str, month: str | None, config: dict[str, Any] | None = None) -> Run:
        done = execute(
            self.instance,
            self.defs,
            job,
            run_id=str(uuid.uuid4()),
            partition_key=month,
            run_config={**_QUIET, **(config or {})},
        )
        checks = done.get_asset_check_evaluations()
        why = [failure_reason(event, checks) for event in done.all_events if event.is_step_failure]
        return Run(job, month or "", done.success, "; ".join(why))

    def _due(self, now: datetime) -> Iterator[str]:
        for schedule in self.schedules:
            minute, hour, *_ = str(schedule.cron_schedule).split()
            last = now.replace(minute=int(minute), second=0, microsecond=0)
            if hour != "*":
                last = last.replace(hour=int(hour))
            if last > now:
                last -= timedelta(days=1) if hour != "*" else timedelta(hours=1)
            if self.looked_at < last <= now:
                yield schedule.name

    def _ticked(self, name: str, now: datetime) -> list[Run]:
        schedule = self.defs.resolve_schedule_def(name)
        context = dg.build_schedule_context(
            self.instance,
            scheduled_execution_time=now.astimezone(UTC),
            resources=self.defs.resources,
            repository_def=self.defs.get_repository_def(),
        )
        try:
            with context:
                data = schedule.evaluate_tick(context)
        except Exception as error:  # noqa: BLE001 - Dagster shows such a tick as failed and goes on
            self.problems.append(f"{now:%Y-%m-%d}: schedule {name}: {error}")
            return []
        return self._asked(schedule.job_name, data.run_requests)

    def _sensed(self, name: str) -> list[Run]:
        sensor = self.defs.resolve_sensor_def(name)
        with dg.build_sensor_context(
            self.instance,
            definitions=self.defs,
            resources=self.defs.resources,
            sensor_name=name,
        ) as context:
            try:
                data = sensor.evaluate_tick(context)
            except Exception as error:  # noqa: BLE001 - as above
                self.problems.append(f"sensor {name}: {error}")
                return []
        requests = data.run_requests or ()
        return self._asked(sensor.job_name, requests) if requests else []

    def _asked(self, job: str, requests: Any) -> list[Run]:
        """One run for each run key, however often it is asked for."""
        runs = []
        for request in requests or ():
            key = job, str(request.run_key)
            if request.run_key is None or key not in self.asked:
                self.asked.add(key)
                runs.append(self.run(job, request.partition_key, dict(request.run_config)))
        return runs
