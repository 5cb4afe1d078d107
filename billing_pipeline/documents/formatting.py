"""The format of numbers, times and names on documents.

What belongs here: turning one value into text. What does not: choosing the values (``invoice``,
``close_report``).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from billing_pipeline.money import format_amount, format_change, format_quantity
from billing_pipeline.months import MONTH_NAMES
from billing_pipeline.text import printable

# A minus sign has the width of a digit; a hyphen does not, and may break the line.
_MINUS = "\N{MINUS SIGN}"


def amount(value: Decimal, currency: str) -> str:
    """``−1,234.50`` for USD, ``1,235`` for JPY; never rounded."""
    return format_amount(value, currency).replace("-", _MINUS)


def signed_amount(change: Decimal, currency: str) -> str:
    """``+1,234.50`` or ``−1,234.50``."""
    return format_change(change, currency).replace("-", _MINUS)


def quantity(value: Decimal) -> str:
    """All its decimal places, with thousands separators."""
    return format_quantity(value).replace("-", _MINUS)


def share(part: Decimal, whole: Decimal) -> str:
    """`part` as a percentage of `whole`, signed, with one place; empty if `whole` is 0."""
    if not whole:
        return "" if not part else "new"
    tenths = (part * 100 / abs(whole)).quantize(Decimal("0.1"))
    return f"{tenths:{'+' if tenths else ''},} %".replace("-", _MINUS)


def day(value: date) -> str:
    """``5 January 2024``: unambiguous in every country."""
    return f"{value.day} {MONTH_NAMES[value.month - 1]} {value.year}"


def month_name(value: date) -> str:
    """``January 2024``."""
    return f"{MONTH_NAMES[value.month - 1]} {value.year}"


def period(start: datetime, end: datetime, zone: ZoneInfo) -> str:
    """A half-open period as people usually write it: if it ends at midnight, the day before is
    written as its last day."""
    first, after = start.astimezone(zone), end.astimezone(zone)
    last = after - timedelta(days=1) if _is_midnight(after) else after
    until = f"{day(last)}{_clock(after)}"
    if _is_midnight(first) and first.date() == last.date() and _is_midnight(after):
        return until
    since = f"{first.day} {MONTH_NAMES[first.month - 1]} {first.year}"
    if first.year == last.year:
        since = f"{first.day} {MONTH_NAMES[first.month - 1]}"
        if first.month == last.month and _is_midnight(first) and _is_midnight(after):
            since = str(first.day)
    return f"{since}{_clock(first)} – {until}"


def _is_midnight(value: datetime) -> bool:
    return (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0)


def _clock(value: datetime) -> str:
    return "" if _is_midnight(value) else f", {value:%H:%M}"


def plain(text: str | None) -> str:
    """Text from outside on one line, without control characters or direction marks."""
    return printable(" ".join((text or "").split()))


def address_lines(text: str | None) -> list[str]:
    """The lines of an address, separated by a semicolon or a line break."""
    parts = (text or "").replace("\n", ";").split(";")
    return [line for line in map(plain, parts) if line]
