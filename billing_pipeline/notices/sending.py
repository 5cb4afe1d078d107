"""Sends each target, through Apprise, the notices that it has not received yet.

What belongs here: the targets, the order of sending and recording, and the lock around both. What
does not: which notices are due (`due.py`). URLs contain passwords and tokens, so neither they nor
Apprise's messages about them are ever logged or part of an error.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from filelock import FileLock, Timeout

from billing_pipeline.notices.due import Closes, due_notices
from billing_pipeline.notices.due_from_stripe import stripe_notices
from billing_pipeline.notices.notice import Kind, Message, Notice, Rules, messages
from billing_pipeline.notices.record import NoticeRecord
from billing_pipeline.published.estimate import running_month
from billing_pipeline.published.reading import NotPublishedError, open_published
from billing_pipeline.settings import InvalidSettingError, Settings

# A new target receives notices noted within this time, and those of the newest month.
_RECENT_SECONDS = 86_400.0


class Target(Protocol):
    """A recipient. `name` may be shown, `digest` identifies it in the record."""

    name: str
    digest: str

    def send(self, message: Message) -> bool:
        """Return True if it was delivered."""


@dataclass(frozen=True)
class Outcome:
    """`sent` counts messages; `failed_targets` names the targets that could not be reached."""

    sent: int = 0
    failed_targets: tuple[str, ...] = ()
    is_busy: bool = False
    """Another process is sending."""


class AppriseTarget:
    """One URL of `BILLING_NOTIFY_URLS`, the first being number 1."""

    def __init__(self, number: int, url: str) -> None:
        # Imported here, because it is needed only if there are targets.
        import apprise

        # Both log URLs or their paths, which often contain a token.
        for name in ("apprise", "urllib3.connectionpool"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._apprise = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Billing"))
        if not self._apprise.add(url):
            raise InvalidSettingError(
                f"BILLING_NOTIFY_URLS: number {number} is not a URL that Apprise supports, "
                "such as mailto://… or json://…"
            )
        # Long enough to distinguish a few targets, too short to help guess a password.
        self.digest = hashlib.sha256(url.encode()).hexdigest()[:8]
        self.name = f"{url.partition('://')[0]} (number {number})"

    def send(self, message: Message) -> bool:
        return bool(self._apprise.notify(title=message.title, body=message.body))


def targets_of(settings: Settings) -> list[AppriseTarget]:
    """Raises `InvalidSettingError`, which names the number of the URL and not the URL."""
    return [AppriseTarget(number, url) for number, url in enumerate(settings.notify_urls, 1)]


def send_due(
    settings: Settings,
    targets: Sequence[Target],
    closes: Closes,
    rules: Rules,
    now: datetime,
    seconds: float = 30.0,
) -> Outcome:
    """Send the due notices for about `seconds`; the next call continues.

    Only one process sends at a time. A target that does not answer is left for the next call, and
    the others receive theirs all the same.
    """
    folder = settings.records_dir
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "locks" / "notices.lock", is_singleton=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return Outcome(is_busy=True)
    try:
        with closing(NoticeRecord(folder)) as record:
            derived = [*_published(settings, closes, rules, now), *stripe_notices(folder)]
            deadline = time.monotonic() + seconds
            return _deliver(record, targets, derived, now.timestamp(), deadline)
    finally:
        lock.release()


def _published(settings: Settings, closes: Closes, rules: Rules, now: datetime) -> list[Notice]:
    try:
        connection = open_published(settings)
    except NotPublishedError:
        return []
    with connection:
        return due_notices(connection, closes, rules, running_month(settings, now), now)


def _deliver(
    record: NoticeRecord,
    targets: Sequence[Target],
    derived: list[Notice],
    now: float,
    deadline: float,
) -> Outcome:
    sent = 0
    failed = []
    for target in targets:
        if not record.is_known(target.digest):
            record.add_target(target.digest, _old_keys(record, derived, now), now)
        already_sent = record.sent_keys(target.digest)
        notices = [*record.noted(), *derived]
        due = [notice for notice in notices if notice.key not in already_sent]
        count, is_reached = _send(record, target, messages(due), now, deadline)
        sent += count
        if not is_reached:
            failed.append(target.name)
    return Outcome(sent, tuple(failed))


def _send(
    record: NoticeRecord, target: Target, due: list[Message], now: float, deadline: float
) -> tuple[int, bool]:
    """Returns how many messages were delivered, and whether the target could be reached."""
    for count, message in enumerate(due):
        if time.monotonic() > deadline:
            return count, True
        if not target.send(message):
            return count, False
        record.record_sent(target.digest, message.keys, now)
    return len(due), True


def _old_keys(record: NoticeRecord, published: list[Notice], now: float) -> list[str]:
    """The notices that a new target does not receive: those of months before the newest closed one
    (or before the newest, if none is closed), and those noted long ago."""
    closed = [notice.month for notice in published if notice.kind is Kind.MONTH_CLOSED]
    newest = max(closed or [notice.month for notice in published], default="")
    recent = {notice.key for notice in record.noted(since=now - _RECENT_SECONDS)}
    old = [notice.key for notice in record.noted() if notice.key not in recent]
    return old + [notice.key for notice in published if "" < notice.month < newest]
