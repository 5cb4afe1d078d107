"""What ran last, out of Dagster's history.

What belongs here: reading it. What does not: running anything, or telling dead runs from live
ones (``run_liveness``).
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

SHOWN = 8
# As the jobs that send, the job that collects and the look for drift count them, in their metadata.
_DONE, _FAILED = ("done", "paid", "paid_from_wallets", "rated"), ("declined", "failed")
_COUNTED = (*_DONE, "processing", "unconfirmed", "given_up", *_FAILED)
_READ = ("invoices_read", "customers_estimated")
"""What jobs count that do nothing to anybody; a close reads its invoices as well, and says what it
did."""


@dataclass(frozen=True)
class RecentRun:
    """One run: when it was asked for (UTC), how it ended, and what it did to customers: `done` and
    `failed` count the actions of a plan, the tries of open invoices, or the months that a look for
    drift has rated. `approved_by`: who decided about the plan that it carried out, as they call
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


def recent_runs(settings: Settings, most: int = SHOWN) -> list[RecentRun]:
    """The newest runs first; none where nothing was ever run from this home. Raises `HistoryError`
    where they cannot be read, as in a home that cannot be written: Dagster opens it to write."""
    if not settings.dagster_dir.exists():
        return []
    # Imported here: it takes longer than all the rest of this command.
    from billing_pipeline.runs.instance import open_instance

    with open_instance(settings) as instance:
        return run_log(instance, most)


def run_log(instance: dg.DagsterInstance, most: int) -> list[RecentRun]:
    """Every run, whether the daemon, the UI or a command started it; the newest first."""
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
    """What the run's steps counted, also those that failed in part."""
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
    """In words, and how many succeeded and failed; no numbers of a run that did nothing to
    anybody."""
    if numbers.keys().isdisjoint(_COUNTED):
        return _in_words(numbers, [name for name in _READ if name in numbers]), None, None
    text = _in_words(numbers, [name for name in _COUNTED if numbers[name]])
    failed = sum(numbers[name] for name in _FAILED)
    return text or "nothing was due", sum(numbers[name] for name in _DONE), failed


def _in_words(numbers: Counter[str], names: Iterable[str]) -> str:
    return ", ".join(f"{numbers[name]:,} {name.replace('_', ' ')}" for name in names)


def _decided_by(run_config: Mapping[str, Any]) -> str:
    """Of the job `apply_plan`, which names its decision."""
    of_step = run_config.get("ops", {}).get("approved_changes", {})
    return str(of_step.get("config", {}).get("decided_by") or "")


def _seconds(start: float | None, end: float | None) -> float | None:
    if start is None or end is None:
        return None
    lasted = datetime.fromtimestamp(end, UTC) - datetime.fromtimestamp(start, UTC)
    return round(lasted.total_seconds(), 1)
