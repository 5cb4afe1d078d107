"""What ran last, out of Dagster's history.

What belongs here: reading it. What does not: running anything, or telling dead runs from live
ones (``run_liveness``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from billing_pipeline.settings import Settings

SHOWN = 8


@dataclass(frozen=True)
class RecentRun:
    """One run: when it was asked for (UTC), and how it ended."""

    at: str
    job: str
    month: str
    ended: str
    seconds: float | None


def recent_runs(settings: Settings, most: int = SHOWN) -> list[RecentRun]:
    """The newest runs first; none where nothing was ever run from this home. Raises `HistoryError`
    where they cannot be read, as in a home that cannot be written: Dagster opens it to write."""
    if not settings.dagster_dir.exists():
        return []
    # Imported here: it takes longer than all the rest of this command.
    from billing_pipeline.runs.instance import open_instance

    with open_instance(settings) as instance:
        records = instance.get_run_records(limit=most)
    return [
        RecentRun(
            f"{record.create_timestamp.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            record.dagster_run.job_name,
            record.dagster_run.tags.get("dagster/partition", "")[:7],
            record.dagster_run.status.value.lower(),
            _seconds(record.start_time, record.end_time),
        )
        for record in records
    ]


def _seconds(start: float | None, end: float | None) -> float | None:
    if start is None or end is None:
        return None
    lasted = datetime.fromtimestamp(end, UTC) - datetime.fromtimestamp(start, UTC)
    return round(lasted.total_seconds(), 1)
