"""Sending notices: to each target what it was not told yet, by Apprise.

What belongs here: the targets, the order of sending and remembering, and the one lock around it.
What does not: what is due (`due.py`). URLs hold passwords and tokens: neither they nor what
Apprise says of them go anywhere, not even into an error.
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
from billing_pipeline.notices.notice import Kind, Message, Notice, Rules, messages
from billing_pipeline.notices.record import NoticeRecord
from billing_pipeline.published.database import NotPublishedError, open_published
from billing_pipeline.rating.estimate import running_month
from billing_pipeline.settings import InvalidSettingError, Settings

# Somebody new is told of what was noticed lately, and of the newest month.
_NEWS_SECONDS = 86_400.0


class Target(Protocol):
    """Who is told. `name` may be shown, `digest` names it in the record."""

    name: str
    digest: str

    def send(self, message: Message) -> bool:
        """True once it is delivered."""


@dataclass(frozen=True)
class Outcome:
    """`sent` and `failed` count messages; `failed_targets` names those that took none."""

    sent: int = 0
    failed_targets: tuple[str, ...] = ()
    is_busy: bool = False
    """Another process is sending."""


class AppriseTarget:
    """One URL of `BILLING_NOTIFY_URLS`, the first being number 1."""

    def __init__(self, number: int, url: str) -> None:
        # Imported here: nobody without targets needs it.
        import apprise

        # Both name URLs, or the path of one, which is a token more often than not.
        for name in ("apprise", "urllib3.connectionpool"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._apprise = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Billing"))
        if not self._apprise.add(url):
            raise InvalidSettingError(
                f"BILLING_NOTIFY_URLS: number {number} is no URL that Apprise knows, "
                "for example mailto://… or json://…"
            )
        # Enough to tell a few targets apart, and too little to guess a password by.
        self.digest = hashlib.sha256(url.encode()).hexdigest()[:8]
        self.name = f"{url.partition('://')[0]} (number {number})"

    def send(self, message: Message) -> bool:
        return bool(self._apprise.notify(title=message.title, body=message.body))


def targets_of(settings: Settings) -> list[AppriseTarget]:
    """Raises `InvalidSettingError`, which tells the number of the URL and not the URL."""
    return [AppriseTarget(number, url) for number, url in enumerate(settings.notify_urls, 1)]


def send_due(
    settings: Settings,
    targets: Sequence[Target],
    closes: Closes,
    rules: Rules,
    now: datetime,
    seconds: float = 30.0,
) -> Outcome:
    """Send what is due and was not sent, for about `seconds`; the next call goes on.

    One process sends at a time. A target that does not answer is left for the next call, and the
    others are told all the same.
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
            published = _published(settings, closes, rules, now)
            deadline = time.monotonic() + seconds
            return _deliver(record, targets, published, now.timestamp(), deadline)
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
    published: list[Notice],
    now: float,
    deadline: float,
) -> Outcome:
    sent = 0
    failed = []
    for target in targets:
        if not record.is_known(target.digest):
            record.begin(target.digest, _behind(record, published, now), now)
        told = record.sent(target.digest)
        due = [notice for notice in [*record.noted(), *published] if notice.key not in told]
        count, is_reached = _tell(record, target, messages(due), now, deadline)
        sent += count
        if not is_reached:
            failed.append(target.name)
    return Outcome(sent, tuple(failed))


def _tell(
    record: NoticeRecord, target: Target, due: list[Message], now: float, deadline: float
) -> tuple[int, bool]:
    """How many messages arrived, and whether the target could be reached."""
    for count, message in enumerate(due):
        if time.monotonic() > deadline:
            return count, True
        if not target.send(message):
            return count, False
        record.note_sent(target.digest, message.keys, now)
    return len(due), True


def _behind(record: NoticeRecord, published: list[Notice], now: float) -> list[str]:
    """What a new target is not told: what lies before the newest month that is closed (or before
    the newest at all), and what was noticed long ago."""
    closed = [notice.month for notice in published if notice.kind is Kind.MONTH_CLOSED]
    newest = max(closed or [notice.month for notice in published], default="")
    news = {notice.key for notice in record.noted(since=now - _NEWS_SECONDS)}
    old = [notice.key for notice in record.noted() if notice.key not in news]
    return old + [notice.key for notice in published if "" < notice.month < newest]
