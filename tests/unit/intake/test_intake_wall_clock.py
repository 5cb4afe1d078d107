"""Wall-clock time: one rule, and the same in SQL as in Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest

from billing_pipeline.intake import wall_clock
from billing_pipeline.intake.wall_clock import instant_of, instant_sql
from billing_pipeline.months import BillingMonth

# Whose midnight occurs twice, or never; whose clocks change by half an hour, for a month of the
# year, by a day; who changed them for good after DuckDB was built; and nothing special.
ZONES = [
    *("America/Havana", "Atlantic/Azores", "America/Asuncion", "Asia/Amman", "Asia/Beirut"),
    *("Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "America/Vancouver"),
    *("Europe/Berlin", "Asia/Kolkata", "UTC"),
]


@pytest.mark.parametrize(
    ("wall", "zone", "instant"),
    [
        ("2020-11-01T00:00", "America/Havana", "2020-11-01T04:00Z"),
        ("2020-11-01T00:00:00.000001", "America/Havana", "2020-11-01T05:00:00.000001Z"),
        ("2020-11-01T00:30", "America/Havana", "2020-11-01T05:30Z"),
        ("2023-10-01T00:00", "America/Asuncion", "2023-10-01T04:00Z"),  # there was none
        ("2024-10-27T02:00", "Europe/Berlin", "2024-10-27T01:00Z"),
        ("2024-03-31T02:30", "Europe/Berlin", "2024-03-31T01:30Z"),
    ],
)
def test_wall_clock_times(wall: str, zone: str, instant: str) -> None:
    found = instant_of(datetime.fromisoformat(wall), ZoneInfo(zone))
    assert found == datetime.fromisoformat(instant)


@pytest.mark.parametrize(
    "name", [*ZONES[:4], *(pytest.param(name, marks=pytest.mark.slow) for name in ZONES[4:])]
)
def test_sql_has_the_same_clock(name: str) -> None:
    """Around every midnight of sixty years, and in the hours in which clocks are changed."""
    zone = ZoneInfo(name)
    microsecond = timedelta(microseconds=1)
    shifts = [-microsecond, timedelta(0), microsecond]
    shifts += [timedelta(minutes=30 * half) for half in range(1, 8)]
    days = [datetime(1990, 1, 1) + timedelta(days=day) for day in range(60 * 365)]  # noqa: DTZ001
    walls = [day + shift for day in days if day.month in (1, 3, 4, 9, 10, 11) for shift in shifts]
    cells = pa.table({"wall": pa.array(walls, pa.timestamp("us"))})
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("cells", cells)
        query = f"select epoch_us({instant_sql('wall', zone)}) from cells"
        found = [row[0] for row in connection.execute(query).fetchall()]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert found == [(instant_of(wall, zone) - epoch) // microsecond for wall in walls]


@pytest.mark.parametrize("name", ZONES)
def test_a_month_begins_with_the_midnight_of_its_first_day(name: str) -> None:
    zone = ZoneInfo(name)
    months = [BillingMonth(year, month) for year in range(1990, 2060) for month in range(1, 13)]
    for month, following in pairwise(months):
        assert month.start(zone) == instant_of(datetime.fromisoformat(month.key), zone)
        assert month.end(zone) == following.start(zone)
        last = month.end(zone) - timedelta(microseconds=1)
        assert BillingMonth.containing(month.start(zone), zone) == month
        assert BillingMonth.containing(last, zone) == month


def test_the_name_of_a_clock_says_what_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    name = wall_clock.clock_name(berlin)
    assert name == wall_clock.clock_name(ZoneInfo.no_cache("Europe/Berlin"))
    offsets = wall_clock._offsets
    changed = ZoneInfo("Europe/Moscow")  # what a new database might say of Berlin
    monkeypatch.setattr(wall_clock, "_offsets", lambda _: offsets(changed))
    assert wall_clock.clock_name(berlin) != name
