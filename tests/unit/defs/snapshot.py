"""``python -m tests.unit.defs.snapshot > tests/unit/defs/snapshot.txt``: all names in Dagster.

What belongs here: the names that people, links and histories refer to. What does not: what is
behind a name.
"""

from __future__ import annotations

from collections.abc import Iterable

from billing_pipeline.definitions import defs


def snapshot() -> str:
    repository = defs.get_repository_def()
    graph = defs.resolve_asset_graph()
    return "\n\n".join(
        [
            _names("assets", (key.to_user_string() for key in graph.get_all_asset_keys())),
            _names("jobs", (job.name for job in defs.resolve_all_job_defs())),
            _names("schedules", (schedule.name for schedule in repository.schedule_defs)),
            _names("sensors", (sensor.name for sensor in repository.sensor_defs)),
            _names("resources", defs.resources or ()),
        ]
    )


def _names(kind: str, names: Iterable[str]) -> str:
    return "\n".join([kind, *(f"  {name}" for name in sorted(names))])


if __name__ == "__main__":
    print(snapshot())
