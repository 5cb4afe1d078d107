"""Notices, the messages that contain them, and the operator's settings for them.

What does not belong here: when a notice is due (`due.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from billing_pipeline.settings import Settings
from billing_pipeline.text import printable

# People read messages on a phone; the published tables have the rest.
MAX_LINES = 30
MAX_CHARACTERS = 900


class Kind(StrEnum):
    """The kind of a notice; the text is the message's title."""

    MONTH_CLOSED = "Month closed"
    USAGE_MISSING = "Usage has not arrived"
    USAGE_UNPRICED = "Unpriced usage"
    USAGE_CHARGED_TWICE = "Usage charged by several subscriptions"
    PLAN_WAITING = "Invoice plan waits for approval"
    FAILED_IN_PART = "Some invoices failed"
    PAYMENT_FAILED = "Payment failed"
    PAYMENT_RECEIVED = "Payment received"
    OVERDUE = "Invoice overdue"
    UNCOLLECTIBLE = "Invoice uncollectible"
    SUSPENDED = "Customer suspended"
    CARD_EXPIRES = "Card expires before the next charge"
    MONEY_WENT_BACK = "Payment refunded, disputed or credited by hand"
    CHARGE_DIFFERS = "Customer charged a different amount than due"
    PAYOUT_FAILED = "Payout to the bank failed"
    UNKNOWN_INVOICE = "Invoice in Stripe that nothing here knows"
    ANSWER_SET_ASIDE = "Answer from Stripe cannot be read"
    TAX_ID_NOT_SENT = "Tax id is not in Stripe"
    USAGE_SPIKE = "Unusually high usage"
    ENTITLEMENT = "Plan limit"
    TRIAL_ENDING = "Trial ends soon"
    SUBSCRIPTION_CHANGED = "Subscription changed"
    WALLET_LOW = "Wallet low"
    MONTH_DRIFT = "Closed month would be charged differently today"
    LATE_USAGE = "Late usage in a closed month"
    RUN_FAILED = "Run failed"


@dataclass(frozen=True)
class Notice:
    """One fact. `key` identifies it permanently: a key is sent to a target only once."""

    kind: Kind
    key: str
    month: str
    """The billing month, ``YYYY-MM``; empty if there is none."""
    text: str


@dataclass(frozen=True)
class Message:
    """All due notices of one kind and month, sent together."""

    title: str
    body: str
    keys: tuple[str, ...]


def messages(notices: Iterable[Notice]) -> list[Message]:
    """Group the notices, so that three hundred customers at their limits give one message."""
    grouped: dict[tuple[Kind, str], list[Notice]] = defaultdict(list)
    for notice in notices:
        grouped[notice.kind, notice.month].append(notice)
    return [_message(kind, month, group) for (kind, month), group in grouped.items()]


def _message(kind: Kind, month: str, group: list[Notice]) -> Message:
    count = f" ({len(group)})" if len(group) > 1 else ""
    lines = [_clean(notice.text) for notice in group[:MAX_LINES]]
    if len(group) > MAX_LINES:
        lines.append(f"and {len(group) - MAX_LINES} more, in the published tables")
    title = " ".join(part for part in (kind.value, month) if part)
    return Message(title + count, "\n".join(lines), tuple(notice.key for notice in group))


def _clean(text: str) -> str:
    """Remove control characters, but keep the lines: a reason may quote any text from outside."""
    lines = (printable(line) for line in text.splitlines())
    cleaned = "\n".join(lines)
    return cleaned if len(cleaned) <= MAX_CHARACTERS else f"{cleaned[:MAX_CHARACTERS]} …"


@dataclass(frozen=True)
class Rules:
    """The operator's settings."""

    ui_url: str = "http://127.0.0.1:3000"
    trial_days: int = 3
    spike_factor: Decimal = Decimal(3)
    wallet_low_percent: int = 20

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        return cls(
            *(settings.ui_url, settings.trial_notice_days, settings.spike_factor),
            settings.wallet_low_percent,
        )
