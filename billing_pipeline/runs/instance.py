"""Dagster's instance under ``BILLING_HOME``: its settings, and why a run of it failed.

What belongs here: the folder of the instance, opening it, and a failed step in words. What does
not: running a job (``commands.execution``), and locks between runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import yaml
from filelock import FileLock

from billing_pipeline.durable import replacing
from billing_pipeline.home import make_home
from billing_pipeline.runs.event_log import instance_ref
from billing_pipeline.runs.history_errors import HistoryError, explain_errors
from billing_pipeline.settings import Settings

_INSTANCE = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 4
    # Months that send are closed one after another, the oldest first: what a wallet paid in
    # January is not there in February.
    tag_concurrency_limits:
      - key: billing/sends
        limit: 1
# Runs that last too long are ended; those whose process is gone, by the sensor `dead_runs`.
run_monitoring:
  enabled: true
"""
_QUEUE = """\
# Tags runs of single assets that send, so that the limit above holds for them too.
run_coordinator:
  module: billing_pipeline.runs.sending
  class: RunQueue
"""

# Dagster's errors that wrap the cause: they say which step failed, not why.
_WRAPPERS = ("DagsterExecutionStepExecutionError",)


def instance_home(settings: Settings) -> Path:
    """The folder of Dagster's storage. Its settings are written once, and what an operator adds to
    them stays."""
    make_home(settings)
    folder = settings.dagster_dir
    folder.mkdir(mode=0o700, exist_ok=True)
    config = folder / "dagster.yaml"
    text = _read(config) if config.exists() else _INSTANCE
    # Homes of earlier releases have the limit without the queue.
    if "billing/sends" in text and "run_coordinator:" not in text and "run_queue:" not in text:
        with replacing(config) as new:
            new.write_text(f"{text.rstrip()}\n{_QUEUE}", encoding="utf-8")
    return folder


def _read(config: Path) -> str:
    """The text of dagster.yaml. Raises `HistoryError` where it holds no settings: Dagster would
    fail on it, or go on without the limit on runs that send."""
    try:
        text = config.read_text(encoding="utf-8")
        if isinstance(yaml.safe_load(text), dict):
            return text
    except (UnicodeDecodeError, yaml.YAMLError):
        pass
    raise HistoryError(_damaged(config, "it is not YAML with Dagster's settings"))


def _damaged(config: Path, reason: str) -> str:
    return (
        f"{config} is damaged: {reason}. Delete it and run again, which recreates it. Then put "
        "back what you had added, such as PostgreSQL's address; nothing is sent twice"
    )


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of this home; the first process that opens it creates the history.

    Only one process at a time opens it: two that create the history at once would leave two
    versions of its tables, which Dagster refuses from then on. Raises `HistoryError` for what the
    history's files and databases raise in the block.
    """
    folder = instance_home(settings)
    with explain_errors(settings):
        with FileLock(folder / "opening.lock"):
            instance = _from_config(folder)
        with instance:
            yield instance


def _from_config(folder: Path) -> dg.DagsterInstance:
    try:
        return dg.DagsterInstance.from_ref(instance_ref(folder))
    except dg.DagsterInvalidConfigError as error:
        reasons = "; ".join(problem.message for problem in error.errors)
        raise HistoryError(_damaged(folder / "dagster.yaml", reasons)) from error


def failure_reason(event: dg.DagsterEvent, checks: Sequence[dg.AssetCheckEvaluation]) -> str:
    """Why a step failed, in words for a person; `checks` are those of its run."""
    data = event.step_failure_data
    if data.error is not None and data.error.cls_name == "DagsterAssetCheckFailedError":
        # Dagster's own text only names the check.
        failed = (check for check in checks if check.blocking and not check.passed)
        return "; ".join(f"{check.check_name}: {check.description}" for check in failed)
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None and error.cls_name in _WRAPPERS:
        error = error.cause
    if error is None:
        return "the step failed"
    kind, _, text = error.message.partition(": ")
    # Our own messages are written for people, and may list problems line by line.
    return text.strip() if kind.startswith("billing_pipeline.") else " ".join(error.message.split())
