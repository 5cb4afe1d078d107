"""Text to exact values and back, naively.

What belongs here: instants as microseconds since 1970 (plain integers, so that no arithmetic on
time can round), decimals as `Fraction`, JSON scalars as text, rounding half away from zero. What
does not: which cell means what (tables.py, intake.py).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = 24 * 60 * 60 * 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DECIMAL = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?"
)

# Minor units, written down again on purpose: the worlds use these currencies and no other.
EXPONENTS = {
    "USD": 2,
    "EUR": 2,
    "GBP": 2,
    "CHF": 2,
    "INR": 2,
    "JPY": 0,
    "KRW": 0,
    "CLP": 0,
    "KWD": 3,
    "TND": 3,
    # ISO 4217 has 2 and 3 places; Stripe counts none and 2, and is sent no more.
    "MGA": 0,
    "IQD": 2,
}


class JsonNumber(str):
    """A number in JSON as the text it was written with."""

    __slots__ = ()


def micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware datetime."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def instant_of(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)


def iso(microseconds: int) -> str:
    """The instant as ISO 8601 in UTC."""
    return instant_of(microseconds).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=200_000)
def read_instant(text: str, zone: ZoneInfo) -> int:
    """Microseconds of ISO 8601 text; `ValueError` for anything else.

    Without an offset it is wall-clock time in `zone`; where that wall-clock time occurs twice or
    never, the later reading, but of a day's midnight its first instant. Digits below the
    microsecond are dropped.
    """
    if _TIMESTAMP.fullmatch(text) is None:
        raise ValueError(f"no timestamp: {text!r}")
    parsed = datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text))
    if parsed.tzinfo is not None:
        return micros(parsed)
    return local_instant(parsed, zone)


def local_instant(local: datetime, zone: ZoneInfo) -> int:
    """Microseconds of a wall-clock time: the later of its two readings, of a midnight the first."""
    if local.time() == time(0):
        return micros(local.replace(tzinfo=zone, fold=0))
    return max(micros(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))


def read_decimal(text: str) -> Fraction:
    """The exact value of a finite decimal; `ValueError` for anything else."""
    if _DECIMAL.fullmatch(text) is None:
        raise ValueError(f"no decimal: {text!r}")
    return Fraction(Decimal(text))


def fits_quantity(value: Fraction) -> bool:
    """At most 18 decimal places and 15 digits before the point: sums have room above it."""
    return (value * 10**18).denominator == 1 and abs(value) < 10**15


def read_object(text: str) -> dict[str, object]:
    """A JSON object whose numbers keep their text; `ValueError` for anything else."""

    def refuse(token: str) -> object:
        raise ValueError(f"{token} is no JSON")

    value = json.loads(text, parse_float=JsonNumber, parse_int=JsonNumber, parse_constant=refuse)
    if not isinstance(value, dict):
        raise ValueError(f"no JSON object: {text!r}")  # noqa: TRY004  # of text, not of type
    return value


def scalar_text(value: object) -> str | None:
    """A JSON scalar as text (`true`, `1`, `abc`); None for null: nothing to compare."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def scalar_number(value: object) -> Fraction | None:
    """The number a property holds: a JSON number or the text of one, 0 or more; else None."""
    if not isinstance(value, str):  # JsonNumber is a str too
        return None
    try:
        number = read_decimal(value)
    except ValueError:
        return None
    return number if number >= 0 and fits_quantity(number) else None


def round_half_away(value: Fraction, places: int) -> Fraction:
    """The nearest multiple of 10^-places; exactly half goes away from zero."""
    scaled = abs(value) * 10**places
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Fraction(whole if value >= 0 else -whole, 10**places)


def round_up_to(value: Fraction, step: Fraction) -> Fraction:
    """The least multiple of `step` that is not below the value."""
    return -(-value // step) * step


def decimal_text(value: Fraction) -> str:
    """A fraction with a finite decimal expansion, as decimal text without exponent."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
        if places > 60:
            raise ValueError(f"{value} is no finite decimal")
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
