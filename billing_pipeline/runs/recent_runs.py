"""The last runs, from Dagster's history.

What belongs here: reading them. What does not: running anything, or telling dead runs from live
ones (``liveness``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from billing_pipeline.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

DEFAULT_LIMIT = 8
# What jobs that send, collect payments or detect drift count, by the names in their metadata.
_DONE, _FAILED = ("done", "paid", "paid_from_wallets", "rated"), ("declined", "failed")
_COUNTED = (*_DONE, "processing", "unconfirmed", "given_up", *_FAILED)
_READ = ("invoices_read", "customers_estimated")
"""What jobs that only read count; a close reads invoices too, but shows what it did instead."""


@dataclass(frozen=True)
class RecentRun:
    """One run: when it was asked for (UTC), how it ended, and what it did to customers: `done` and
    `failed` count the actions of a plan, the tries of open invoices, or the months that were rated
    to detect drift. `approved_by`: who decided about the plan that it carried out, as they call
    themselves."""

    at: str
    job: str
    month: str
    ended: str
    seconds: float | None
    did: str = ""
    done: int | None = None
    failed: int | None = None
    approved_by: str = ""


def recent_runs(settings: Settings, most: int = DEFAULT_LIMIT) -> list[RecentRun]:
    """The last `most` runs, newest first; none where nothing was ever run from this home. Raises
    `HistoryError` where they cannot be read, even because the home is read-only: Dagster opens its
    history for writing."""
    if not settings.dagster_dir.exists():
        return []
    # Imported here: it takes longer than all the rest of this command.
    from billing_pipeline.runs.instance import open_instance

    with open_instance(settings) as instance:
        return run_log(instance, most)


def run_log(instance: dg.DagsterInstance, most: int) -> list[RecentRun]:
    """The last `most` runs, whether the daemon, the UI or a command started them, newest first."""
    return [
        RecentRun(
            f"{record.create_timestamp.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            record.dagster_run.job_name,
            record.dagster_run.tags.get("dagster/partition", "")[:7],
            record.dagster_run.status.value.lower(),
            _seconds(record.start_time, record.end_time),
            *_did(_numbers(instance, record.dagster_run.run_id)),
            _decided_by(record.dagster_run.run_config),
        )
        for record in instance.get_run_records(limit=most)
    ]


def _numbers(instance: dg.DagsterInstance, run_id: str) -> Counter[str]:
    """What the run's steps counted, including steps that failed in part."""
    import dagster as dg

    # The output of a step that makes an asset has the asset's metadata as well.
    kinds = {dg.DagsterEventType.STEP_OUTPUT, dg.DagsterEventType.STEP_FAILURE}
    found: Counter[str] = Counter()
    for record in instance.get_records_for_run(run_id, of_type=kinds).records:
        for name, value in _metadata(record.event_log_entry.dagster_event).items():
            if name in (*_COUNTED, *_READ) and isinstance(value.value, int):
                found[name] += value.value
    return found


def _metadata(event: dg.DagsterEvent | None) -> Mapping[str, dg.MetadataValue[Any]]:
    if event is None:
        return {}
    if event.is_step_failure:
        failure = event.step_failure_data.user_failure_data
        return failure.metadata if failure is not None else {}
    return event.step_output_data.metadata or {}


def _did(numbers: Counter[str]) -> tuple[str, int | None, int | None]:
    """What a run did, in words, and how many succeeded and failed; None for a run that only
    reads."""
    if numbers.keys().isdisjoint(_COUNTED):
        return _in_words(numbers, [name for name in _READ if name in numbers]), None, None
    text = _in_words(numbers, [name for name in _COUNTED if numbers[name]])
    failed = sum(numbers[name] for name in _FAILED)
    return text or "nothing was due", sum(numbers[name] for name in _DONE), failed


def _in_words(numbers: Counter[str], names: Iterable[str]) -> str:
    return ", ".join(f"{numbers[name]:,} {name.replace('_', ' ')}" for name in names)


def _decided_by(run_config: Mapping[str, Any]) -> str:
    """Who approved or declined, by the config of the job `apply_plan`; empty for other jobs."""
    step = run_config.get("ops", {}).get("approved_changes", {})
    return str(step.get("config", {}).get("decided_by") or "")


def _seconds(start: float | None, end: float | None) -> float | None:
    if start is None or end is None:
        return None
    lasted = datetime.fromtimestamp(end, UTC) - datetime.fromtimestamp(start, UTC)
    return round(lasted.total_seconds(), 1)
