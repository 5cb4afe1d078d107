"""Worked quantities of counters, gauge hours, groups, buckets, rounded events and corrected gauges.

What belongs here: numbers that a person can recompute. What does not: amounts of gauges by their
share (test_gauges.py), random worlds (tests/property).
"""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing_pipeline.intake.reference.schemas import METERS
from tests.dbt.company import Billed, Company
from tests.property.harness import run_pipeline
from tests.property.tables import write

COLUMNS = METERS.column_names
MIDDLE = "2024-04-16T00:00:00Z"


class Meters(Company):
    """One customer a meter, each with a price of 1 a unit."""

    def __init__(self) -> None:
        super().__init__()
        self.meters: list[dict[str, str]] = []

    def meter(self, name: str, aggregation: str, **cells: Any) -> None:
        of_price = ("filter", "valid_from", "valid_to", "unit_amount", "prorate")
        price = {key: cells.pop(key) for key in of_price if key in cells}
        self.whole(name)
        ids = {"meter_id": name, "event_name": name, "aggregation": aggregation}
        self.meters.append(dict.fromkeys(COLUMNS, "") | ids | cells)
        terms = {"meter_id": name, "unit_amount": "1", "prorate": "false"} | price
        self.price(name, "per_unit", **terms)

    def cut(self, name: str) -> None:
        """The same price again from the middle of the month; the first one ends there."""
        cells = {"meter_id": name, "unit_amount": "1", "prorate": "false", "valid_from": MIDDLE}
        self.price(name, "per_unit", **cells)

    def read(self, name: str, *readings: tuple[object, ...]) -> None:
        """Value, time in April (`05`, `05 13:30`; whole where it names a year) and properties."""
        for value, at, *properties in readings:
            day, _, time = str(at).partition(" ")
            instant = f"{day if len(day) > 2 else f'2024-04-{day}'}T{time or '00:00'}:00Z"
            self.world.event(
                instant[:7],
                event_id=f"{name} {len(self.world.usage)}",
                customer_id=name,
                event_name=name,
                occurred_at=instant,
                quantity=str(value),
                properties=properties[0] if properties else "",
            )

    def correct(self, name: str, quantity: str, at: str, **cells: Any) -> None:
        rows = self.world.tables["usage_corrections"]
        ids = {"correction_id": f"correction {len(rows)}", "customer_id": name, "event_name": name}
        self.world.add("usage_corrections", quantity=quantity, occurred_at=at, **ids, **cells)


def bill(company: Meters, directory: Path, zone: str = "UTC", month: str = "2024-04") -> Billed:
    write(company.world, directory, ZoneInfo(zone))
    with (directory / "catalog" / "meters.csv").open("w", encoding="utf-8", newline="") as file:
        meters = csv.DictWriter(file, COLUMNS)
        meters.writeheader()
        meters.writerows(company.meters)
    return Billed(run_pipeline(directory, month, zone))


@pytest.fixture(scope="module")
def april(tmp_path_factory: pytest.TempPathFactory) -> Billed:
    company = Meters()
    for add in (
        *(_counters, _gauge_hours, _groups, _buckets, _rounding, _percentiles, _corrections),
        _ties,
    ):
        add(company)
    return bill(company, tmp_path_factory.mktemp("meters"))


def _counters(company: Meters) -> None:
    company.meter("counter", "counter")
    company.read("counter", (100, "2024-01-20"), (150, "10"), (30, "20"))
    company.meter("counter begins", "counter")
    company.read("counter begins", (70, "05"), (95, "06"), (95, "07"))
    company.meter("counter by device", "counter", group_by="device")
    for device, readings in (("a", (10, 30)), ("b", (1000, 1007)), (None, (5, 6))):
        for day, value in zip(("03", "04"), readings, strict=True):
            company.read("counter by device", (value, day, {"device": device, "n": value}))
    # made before the filter: the reading in between is of the other region, and belongs there
    company.meter("counter of a region", "counter", filter={"region": "eu"})
    for value, day, region in ((10, "01", "eu"), (40, "02", "us"), (100, "03", "eu")):
        company.read("counter of a region", (value, day, {"region": region}))
    company.meter("counter in parts", "counter", valid_to=MIDDLE)
    company.cut("counter in parts")
    company.read("counter in parts", (10, "2024-03-31"), (25, "15"), (75, "16"))
    company.meter("counter of one instant", "counter")
    company.read("counter of one instant", (10, "01"), (30, "02"), (20, "02"))
    company.meter("counter corrected", "counter")
    company.read("counter corrected", (10, "01"), (30, "02"))
    company.correct("counter corrected", "-5", "2024-04-09T00:00:00Z")
    company.meter("counter unread", "counter", property="total")
    for value, day in ((1, "01"), ("x", "02"), (4, "03")):
        company.read("counter unread", (1, day, {"total": value}))


def _gauge_hours(company: Meters) -> None:
    company.meter("gauge hours", "gauge_hours")
    company.read("gauge hours", (100, "10 06:00"), (0, "10 18:00"))
    company.meter("gauge hours carried", "gauge_hours", carry_forward="true", valid_to=MIDDLE)
    company.cut("gauge hours carried")
    company.read("gauge hours carried", (2, "2024-02-10"), (0, "16 01:30"))
    company.meter("gauge hours in parts", "gauge_hours", valid_to=MIDDLE)
    company.cut("gauge hours in parts")
    company.read("gauge hours in parts", (3, "15 23:00"))
    company.meter("gauge hours by volume", "gauge_hours", group_by="volume")
    for value, at, volume in ((100, "30 22:00", "a"), (300, "30 23:00", "b")):
        company.read("gauge hours by volume", (value, at, {"volume": volume}))


def _ties(company: Meters) -> None:
    """15 GB-days in 7 of 30 days at 0.01 a GB-month: 15 / 7 × 0.01 × 7 / 30 = 0.005."""
    seven_days = {"valid_from": "2024-04-24", "unit_amount": "0.01", "prorate": "true"}
    company.meter("tie", "time_weighted_average", **seven_days)
    company.read("tie", (2, "24"), (3, "30"))


def _groups(company: Meters) -> None:
    for aggregation in ("latest", "max"):
        name = f"{aggregation} by volume"
        company.meter(name, aggregation, group_by="volume")
        for value, day, volume in ((100, "02", "a"), (300, "03", "b"), (50, "04", "a")):
            company.read(name, (value, day, {"volume": volume}))
    # a JSON null is a missing property; an empty text is not
    company.meter("missing groups", "latest", group_by="volume; zone")
    for value, day, properties in (
        (1, "02", {"volume": "a"}),
        (2, "03", {"volume": "a", "zone": None}),
        (4, "04", {"volume": "a", "zone": ""}),
        (8, "05", {}),
        (16, "06", {"zone": "a"}),
    ):
        company.read("missing groups", (value, day, properties))
    company.meter("carried groups", "latest", group_by="volume", carry_forward="true")
    for value, day, volume in (
        (100, "2024-02-01", "a"), (300, "2024-02-01", "b"), (7, "2024-02-01", "c"),
        (0, "2024-03-01", "c"), (40, "05", "b"), (5, "06", "d"),
    ):  # fmt: skip
        company.read("carried groups", (value, day, {"volume": volume}))
    company.meter("groups in parts", "max", group_by="volume", valid_to=MIDDLE)
    company.cut("groups in parts")
    for value, day, volume in ((100, "02", "a"), (300, "03", "b"), (10, "17", "a")):
        company.read("groups in parts", (value, day, {"volume": volume}))
    company.meter("average by volume", "time_weighted_average", group_by="volume")
    for value, day, volume in ((100, "01", "a"), (300, "16", "b")):
        company.read("average by volume", (value, day, {"volume": volume}))
    company.meter("users by site", "unique_count", property="user", group_by="site")
    for user, site in (("ada", "x"), ("ada", "y"), ("ben", "x"), ("ada", "x")):
        company.read("users by site", (1, "02", {"user": user, "site": site}))
    company.meter("sum by volume", "sum", group_by="volume", bucket="day")
    for value, volume in ((1, "a"), (2, "b")):
        company.read("sum by volume", (value, "02", {"volume": volume}))


def _buckets(company: Meters) -> None:
    company.meter("hourly peaks", "max", bucket="hour")
    company.read("hourly peaks", (3, "02 10:05"), (9, "02 10:59"), (4, "02 11:00"), (1, "30 23:59"))
    company.meter("daily users", "unique_count", property="user", bucket="day")
    for user, at in (("ada", "02 00:00"), ("ada", "02 23:59"), ("ben", "02"), ("ada", "03")):
        company.read("daily users", (1, at, {"user": user}))
    company.meter("daily medians", "p50", bucket="day")
    company.read("daily medians", (1, "02 01:00"), (5, "02 02:00"), (9, "02 03:00"), (4, "03"))
    # two days at the value before, 27 at 5, and the first of the month at what was there before
    company.meter("carried days", "latest", bucket="day", carry_forward="true")
    company.read("carried days", (10, "2024-03-20"), (2, "02 12:00"), (5, "04 12:00"))
    company.meter("carried peaks", "max", bucket="day", carry_forward="true")
    company.read("carried peaks", (10, "2024-03-20"), (2, "02 12:00"), (5, "04 12:00"))
    # a bucket that the edge of a part cuts counts in each, and is carried into only if asked
    cut = "2024-04-15T12:00:00Z"
    for name, carry in (("cut days", ""), ("cut and carried days", "true")):
        company.meter(name, "max", bucket="day", carry_forward=carry, valid_to=cut)
        cells = {"meter_id": name, "unit_amount": "1", "valid_from": cut}
        company.price(name, "per_unit", **cells)
        company.read(name, (4, "15 06:00"), (0, "16"))
    company.meter("days by volume", "max", bucket="day", group_by="volume", carry_forward="true")
    for value, day, volume in ((100, "29", "a"), (300, "29", "b"), (0, "30", "b")):
        company.read("days by volume", (value, day, {"volume": volume}))


def _rounding(company: Meters) -> None:
    company.meter("minutes", "sum", event_rounding="60")
    company.read("minutes", (61, "02"), (59, "03"), (0, "04"), (60, "05"))
    company.meter("tenths", "max", event_rounding="0.1")
    company.read("tenths", ("0.200000000000000001", "02"))
    company.meter("rounded and corrected", "sum", event_rounding="60")
    company.read("rounded and corrected", (61, "02"))
    company.correct("rounded and corrected", "-1", "2024-04-09T00:00:00Z")


def _percentiles(company: Meters) -> None:
    for percent in (1, 50, 99):
        company.meter(f"p{percent}", f"p{percent}")
        company.read(f"p{percent}", *((value, "02") for value in range(200, 0, -1)))


def _corrections(company: Meters) -> None:
    for name in ("max", "latest", "p50", "unique_count", "gauge_hours"):
        company.meter(f"corrected {name}", name)
        # the reading of the 2nd is replaced, that of the 3rd stands, one of the 20th is added
        company.read(f"corrected {name}", (90, "02"), (4, "03"))
        for quantity, day in (("70", "02"), ("3", "02"), ("4", "20")):
            company.correct(f"corrected {name}", quantity, f"2024-04-{day}T00:00:00Z")
    # a correction that lacks the text that a meter counts is no reading for it
    company.meter("corrected users", "unique_count", property="user")
    for user, day in (("ada", "02"), ("ben", "03")):
        company.read("corrected users", (1, day, {"user": user}))
    company.correct("corrected users", "1", "2024-04-02T00:00:00Z")
    company.correct("corrected users", "1", "2024-04-03T00:00:00Z", properties={"user": "ada"})
    company.meter("corrected before", "latest", carry_forward="true")
    company.read("corrected before", (9, "2024-03-05"))
    company.correct("corrected before", "6", "2024-03-05T00:00:00Z")
    # a sum reads the event too: the correction is added there, and no reading of the gauge
    company.meter("shared", "sum")
    gauge = {"meter_id": "shared gauge", "event_name": "shared", "aggregation": "latest"}
    company.meters.append(dict.fromkeys(COLUMNS, "") | gauge)
    company.price("shared", "per_unit", price_id="gauge", meter_id="shared gauge", unit_amount="1")
    company.read("shared", (5, "02"), (7, "03"))
    company.correct("shared", "1", "2024-04-20T00:00:00Z")
    # of another group, or another cell of a matrix, at the same instant: nothing is replaced
    company.meter("corrected group", "max", group_by="volume")
    for value, volume in ((100, "a"), (300, "b")):
        company.read("corrected group", (value, "02", {"volume": volume}))
    at = "2024-04-02T00:00:00Z"
    company.correct("corrected group", "30", at, properties={"volume": "b"})


QUANTITIES: dict[str, tuple[object, ...]] = {
    "counter": (80,),
    "counter begins": (25,),
    "counter by device": (28,),
    "counter of a region": (60,),
    "counter in parts": (15, 50),
    # 10, 30, and 20 in the file's order: began again
    "counter of one instant": (40,),
    "counter corrected": (15,),
    "counter unread": (3,),
    "gauge hours": (1200,),
    "gauge hours carried": (720, 3),
    "gauge hours in parts": (3, 1080),
    "gauge hours by volume": (500,),
    "latest by volume": (350,),
    "max by volume": (400,),
    "missing groups": (30,),
    "carried groups": (145,),
    "groups in parts": (400, 400),
    "average by volume": (250,),
    "users by site": (3,),
    "sum by volume": (3,),
    "hourly peaks": (14,),
    "daily users": (3,),
    "daily medians": (9,),
    # 10 on the first, 2 on two days, 5 on 27
    "carried days": (149,),
    # 10 on two days, 2 on the third, then 5 on 27: each day begins with the value before
    "carried peaks": (157,),
    "cut days": (4, 0),
    "cut and carried days": (4, 8),
    # on the 29th both; on the 30th b still begins with 300
    "days by volume": (800,),
    "minutes": (240,),
    "tenths": ("0.3",),
    "rounded and corrected": (119,),
    "p1": (2,),
    "p50": (100,),
    "p99": (198,),
    "corrected max": (4,),
    "corrected latest": (4,),
    "corrected p50": (4,),
    "corrected unique_count": (2,),
    # 3 for a day, 4 for 28
    "corrected gauge_hours": (2760,),
    "corrected users": (1,),
    "corrected before": (6,),
    "corrected group": (130,),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_meter_measures(april: Billed, name: str) -> None:
    found = [charge["quantity"] for charge in april.charges(name)]
    assert found == [Decimal(str(quantity)) for quantity in QUANTITIES[name]]


def test_events_are_those_that_were_counted(april: Billed) -> None:
    """A starting point makes no increase; a correction is no event, what it replaces is one."""
    counted = {name: april.charges(name)[0]["event_count"] for name in QUANTITIES}
    assert counted["counter"] == 2
    assert counted["counter begins"] == 2
    assert counted["corrected max"] == 2
    assert counted["minutes"] == 4
    assert "2 events and 2 corrections" in april.charge("corrected max")["calculation"]


def test_half_a_cent_is_met_exactly_though_the_average_has_no_end(april: Billed) -> None:
    assert april.charge("tie")["exact_amount"] == Decimal("0.005")
    assert april.charge("tie")["amount"] == Decimal("0.01")


def test_a_correction_is_added_where_a_sum_reads_its_event(april: Billed) -> None:
    found = {charge["price_id"]: charge["quantity"] for charge in april.charges("shared")}
    assert found == {"shared": 13, "gauge": 7}


def test_a_reading_that_a_counter_cannot_read_is_reported(april: Billed) -> None:
    issues = [row for row in april.tables["usage_issues"] if row["meter_id"] == "counter unread"]
    assert [row["reason"] for row in issues] == ["invalid_property"]


def test_buckets_are_of_the_billing_time_zone(tmp_path: Path) -> None:
    """In Berlin's October one night hour is two, and days begin at 22:00 or 23:00 UTC."""
    company = Meters()
    company.meter("hours", "max", bucket="hour")
    company.meter("days", "max", bucket="day")
    company.meter("every hour", "latest", bucket="hour", carry_forward="true")
    at = ("2024-10-27 00:30", "2024-10-27 01:30", "2024-10-27 22:30", "2024-10-27 23:30")
    for name in ("hours", "days"):
        company.read(name, *((value, when) for value, when in zip((1, 2, 4, 8), at, strict=True)))
    company.read("every hour", (1, "2024-09-30"))
    billed = bill(company, tmp_path, "Europe/Berlin", "2024-10")
    found = {name: billed.charge(name)["quantity"] for name in ("hours", "days", "every hour")}
    assert found == {"hours": 15, "days": 12, "every hour": 31 * 24 + 1}
