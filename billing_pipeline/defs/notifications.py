"""Sending notices: the sensors do it every minute, `billing notices` once.

What belongs here: taking failed runs out of Dagster's history, and handing what is due to
``notices.sending``. What does not: what is due, and how it is sent.
"""

import time
from contextlib import closing
from datetime import datetime

import dagster as dg

from billing_pipeline.collection.records.opening import explain_errors
from billing_pipeline.defs.history import failed_runs, last_closes
from billing_pipeline.notices.notice import Kind, Notice, Rules
from billing_pipeline.notices.record import NoticeRecord
from billing_pipeline.notices.sending import Outcome, send_due, targets_of
from billing_pipeline.runs.instance import open_instance
from billing_pipeline.runs.liveness import reap_dead_runs
from billing_pipeline.settings import InvalidSettingError, Settings


class NotDeliveredError(RuntimeError):
    """Some notices were not delivered; the next tick sends them again."""


def note(settings: Settings, notice: Notice) -> None:
    """Record a notice that cannot be derived again later."""
    folder = settings.records_dir
    with explain_errors(folder), closing(NoticeRecord(folder)) as record:
        record.note(notice, time.time())


def record_failed_runs(settings: Settings, instance: dg.DagsterInstance, now: datetime) -> int:
    """How many runs failed in the last days; each is recorded once."""
    failed = failed_runs(instance, now)
    url = settings.ui_url
    for run in failed:
        if run.reason.startswith("failed in part") and run.month:
            continue  # the plan names the customers
        text = f"{run.job_name}: {run.reason}\n{url}/runs/{run.run_id}"
        note(settings, Notice(Kind.RUN_FAILED, f"run_failed:{run.run_id}", run.month, text))
    return len(failed)


def notify(
    settings: Settings, instance: dg.DagsterInstance, now: datetime, seconds: float
) -> Outcome:
    """Send what is due. Raises `NotDeliveredError` if a target did not accept a notice."""
    with explain_errors(settings.records_dir):
        outcome = send_due(
            *(settings, targets_of(settings), last_closes(instance)),
            *(Rules.of(settings), now, seconds),
        )
    if outcome.failed_targets:
        raise NotDeliveredError(
            f"{', '.join(outcome.failed_targets)} of BILLING_NOTIFY_URLS accepted no notice: tried "
            f"again next time. {outcome.sent} messages were delivered."
        )
    return outcome


def delivery_summary(outcome: Outcome) -> str:
    """What was sent, in a sentence."""
    if outcome.is_busy:
        return "Another process is sending notices."
    return f"{outcome.sent} messages were delivered."


def notify_once(settings: Settings, now: datetime, seconds: float) -> Outcome:
    """Send all that the sensors would send, without a daemon, including notices of killed runs."""
    if not settings.notify_urls:
        raise InvalidSettingError("BILLING_NOTIFY_URLS is not set, so there is nobody to notify")
    if not settings.records_dir.exists():
        return Outcome()  # nothing was ever billed from this home
    with open_instance(settings) as instance:
        reap_dead_runs(settings, instance)
        record_failed_runs(settings, instance, now)
        return notify(settings, instance, now, seconds)
