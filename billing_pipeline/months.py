"""Billing months: their names, and the only place that turns a calendar into instants.

What belongs here: parsing and naming months, and their half-open UTC windows in the billing
time zone. What does not: "now" (callers pass it in), schedules, proration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
"""In English whatever the machine's locale is: the same texts everywhere."""
_MONTH = re.compile(r"(\d{4})-(\d{2})(?:-01)?")


class InvalidMonthError(ValueError):
    """The text names no calendar month."""


@dataclass(frozen=True, order=True)
class BillingMonth:
    """One calendar month. ``str()`` gives ``YYYY-MM``, which is Dagster's partition key too; `key`
    is its first day, ``YYYY-MM-01``, by which tables and records name it."""

    year: int
    month: int

    def __post_init__(self) -> None:
        if not (1 <= self.year <= 9998 and 1 <= self.month <= 12):
            raise InvalidMonthError(f"there is no month {self.year:04}-{self.month:02}")

    @classmethod
    def parse(cls, text: str) -> BillingMonth:
        """Read ``YYYY-MM`` or ``YYYY-MM-01``; raises `InvalidMonthError` for anything else."""
        match = _MONTH.fullmatch(text)
        if match is None:
            raise InvalidMonthError(f"{text!r} is not a month: write YYYY-MM, for example 2024-01")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def containing(cls, instant: datetime, zone: ZoneInfo) -> BillingMonth:
        """The month that an aware instant falls in, in the billing time zone."""
        local = instant.astimezone(zone)
        return cls(local.year, local.month)

    def shift(self, months: int) -> BillingMonth:
        """The month that many months later (earlier, when negative)."""
        index = self.year * 12 + self.month - 1 + months
        return BillingMonth(index // 12, index % 12 + 1)

    @property
    def key(self) -> str:
        return f"{self.year:04}-{self.month:02}-01"

    @property
    def name(self) -> str:
        """``January 2024``."""
        return f"{MONTH_NAMES[self.month - 1]} {self.year}"

    @property
    def first_day(self) -> date:
        """As tables have it in `billing_month`."""
        return date(self.year, self.month, 1)

    def start(self, zone: ZoneInfo) -> datetime:
        """The month's first instant, in UTC: of a midnight that occurs twice, the first."""
        return datetime(self.year, self.month, 1, tzinfo=zone).astimezone(UTC)

    def end(self, zone: ZoneInfo) -> datetime:
        """The first instant that no longer belongs to the month, in UTC."""
        return self.shift(1).start(zone)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"
