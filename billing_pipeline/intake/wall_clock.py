"""Wall-clock time in the billing time zone to instants: the rule, in Python and as SQL.

What belongs here: what a time without an offset means. What does not: the grammar of time stamps
(values.py, expressions.py), months (months.py).

DuckDB has a time zone database of its own, which may be older or newer than Python's: if a country
has just changed its rules, the two put a month's edge an hour apart. So SQL uses Python's offsets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from billing_pipeline.duckdb_sql import sql_text

# Wall-clock times for which SQL knows Python's offsets. No usage is billed outside of them.
_FIRST, _LAST = datetime(1970, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001
_MICROSECOND = timedelta(microseconds=1)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a wall-clock time.

    Midnight is the first instant of its day, at which months begin. Any other time that occurs
    twice or never because of a clock change is the later of its two readings.
    """
    if wall.time() == time.min:
        return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return _later(wall, zone)


def _later(wall: datetime, zone: ZoneInfo) -> datetime:
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def instant_sql(wall: str, zone: ZoneInfo) -> str:
    """`instant_of` as SQL. `wall` is the SQL of a TIMESTAMP and is repeated in the result."""
    if zone.key == "UTC":
        return f"make_timestamptz(epoch_us({wall}))"
    instant = f"make_timestamptz(epoch_us({wall}) - {_offset_sql(wall, _offsets(zone))})"
    return (
        f"CASE WHEN {wall} BETWEEN TIMESTAMP '{_FIRST}' AND TIMESTAMP '{_LAST}' THEN {instant} "
        f"ELSE timezone({sql_text(zone.key)}, {wall}) END"
    )


def clock_name(zone: ZoneInfo) -> str:
    """A name for the result of `instant_sql`, which changes if the time zone database has changed
    the zone's offsets."""
    if zone.key == "UTC":
        return zone.key
    return f"{zone.key} {hashlib.sha256(repr(_offsets(zone)).encode()).hexdigest()}"


def _offset_sql(wall: str, steps: Sequence[tuple[datetime, int]]) -> str:
    """A binary search as SQL: a year has two steps, and a row should not be compared with all of
    them."""
    if len(steps) == 1:
        return str(steps[0][1])
    middle = len(steps) // 2
    before, after = (_offset_sql(wall, half) for half in (steps[:middle], steps[middle:]))
    return f"CASE WHEN {wall} < TIMESTAMP '{steps[middle][0]}' THEN {before} ELSE {after} END"


@lru_cache
def _offsets(zone: ZoneInfo) -> tuple[tuple[datetime, int], ...]:
    """The offsets from UTC (in microseconds), each with the wall-clock time from which it holds."""
    noon = _FIRST + timedelta(hours=12)
    known = noon.replace(tzinfo=zone).utcoffset()
    steps = {_FIRST: _offset(noon, _later(noon, zone))}
    while noon < _LAST:
        before, noon = noon, noon + timedelta(days=1)
        found = noon.replace(tzinfo=zone).utcoffset()
        if found != known:
            steps |= _change(before, noon, zone)
        known = found
    return tuple(sorted(steps.items()))


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> dict[datetime, int]:
    """The steps by which the offset changes between two noons."""
    old, new = (_offset(noon, _later(noon, zone)) for noon in (before, after))
    midnight = datetime.combine(after, time.min)
    while after - before > _MICROSECOND:
        middle = before + (after - before) // 2
        if _offset(middle, _later(middle, zone)) == old:
            before = middle
        else:
            after = middle
    steps = {after: new}
    if after <= midnight and instant_of(midnight, zone) != _later(midnight, zone):
        steps |= {midnight: old, midnight + _MICROSECOND: new}
    return steps


def _offset(wall: datetime, instant: datetime) -> int:
    return (wall.replace(tzinfo=UTC) - instant) // _MICROSECOND
