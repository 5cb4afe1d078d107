"""Carried gauge values: the newest usable reading, whatever was run before."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from conftest import World, price

from billing_pipeline.intake import gauges
from billing_pipeline.intake.problems import InvalidInput


@pytest.fixture
def seats(world: World) -> World:
    """One gauge that reads quantities, told apart by size; another that reads a property."""
    world.write(
        "catalog/meters.csv",
        [
            {
                "meter_id": "seats",
                "event_name": "seats",
                "aggregation": "latest",
                "carry_forward": "1",
            },
            {"meter_id": "calls", "event_name": "call", "aggregation": "sum"},
        ],
    )
    world.write("catalog/plans.csv", [{"plan_id": "pro"}])
    world.write(
        "catalog/prices.csv",
        [price(meter_id="seats", filter=f'{{"size": "{size}"}}', price_id=size) for size in "sml"],
    )
    world.write(
        "accounts/customers.csv", [{"customer_id": c, "currency": "USD"} for c in ("c1", "c2")]
    )
    world.load_reference()
    return world


def carried(world: World, before: str = "2024-02") -> list[tuple[object, ...]]:
    """(customer, day, quantity) of the carried values."""
    count = world.gauges(before)
    found = world.select(
        "select customer_id, strftime(occurred_at, '%m-%d'), quantity::integer "
        "from raw.gauge_values order by all"
    )
    assert count == len(found)
    return found


def event(number: object, day: str, quantity: object, size: str = "s", **other: str) -> str:
    customer, name = other.get("customer", "c1"), other.get("name", "seats")
    return f'{number},{customer},{name},2024-{day},{quantity},"{{""size"": ""{size}""}}"'


def test_the_newest_reading_of_each_gauge(seats: World) -> None:
    seats.usage("a.csv", event(1, "01-02", 5), event(2, "01-20", 7), event(3, "01-10", 6))
    seats.usage("b.csv", event(4, "01-03", 9, "m"), event(5, "01-04", 8, customer="c2"))
    assert carried(seats) == [("c1", "01-03", 9), ("c1", "01-20", 7), ("c2", "01-04", 8)]
    assert seats.select("describe raw.gauge_values")[2][:2] == ("properties", "VARCHAR")
    assert seats.select("select * from raw.gauge_values where customer_id = 'c2'") == [
        (
            "c2",
            "seats",
            '{"size": "s"}',
            datetime(2024, 1, 4, tzinfo=UTC),
            Decimal(8),
            "usage/2024-01/b.csv",
            3,
        )
    ]


def test_readings_at_the_same_time_count_by_file_and_row(seats: World) -> None:
    seats.usage("b.csv", event(3, "01-02", 7))
    seats.usage("a.csv", event(1, "01-02", 5), event(2, "01-02", 6))
    assert carried(seats) == [("c1", "01-02", 7)]


def test_simultaneous_readings_with_other_properties_keep_their_order(seats: World) -> None:
    # A price without a filter chooses between them by file and row, as within a month.
    seats.usage("b.csv", event(3, "01-02", 9, "s"))
    seats.usage("a.csv", event(1, "01-02", 5, "m"), event(2, "01-02", 7, "m"))
    carried(seats)
    found = seats.select(
        "select quantity, source_file, source_row from raw.gauge_values order by 1"
    )
    assert found == [(7, "usage/2024-01/a.csv", 3), (9, "usage/2024-01/b.csv", 2)]


def test_later_months_win_and_the_billed_month_is_not_read(seats: World) -> None:
    seats.usage("a.csv", event(1, "01-02", 5), event(2, "01-03", 6, "m"))
    seats.usage("a.csv", event(1, "02-02", 7), month="2024-02")
    seats.usage("a.csv", event(1, "03-02", 8), month="2024-03")
    assert carried(seats, "2024-01") == []
    assert carried(seats, "2024-02") == [("c1", "01-02", 5), ("c1", "01-03", 6)]
    assert carried(seats, "2024-03") == [("c1", "01-03", 6), ("c1", "02-02", 7)]
    assert carried(seats, "2024-02") == [("c1", "01-02", 5), ("c1", "01-03", 6)]


def test_months_before_the_first_billing_month_count(seats: World) -> None:
    seats.usage("a.csv", event(1, "01-02", 5).replace("2024-01", "2019-01"), month="2019-01")
    assert carried(seats) == [("c1", "01-02", 5)]


@pytest.mark.parametrize(
    "rejected",
    [
        event(9, "01-30", -1),
        event(9, "01-30", "NaN"),
        event(9, "02-01", 9),
        event(9, "01-32", 9),
        event(9, "01-30", 9, customer="nobody"),
        event(9, "01-30", 9, customer=""),
        event(9, "01-30", 9, name="unheard"),
        event(9, "01-30", 9, name="call"),
        event("", "01-30", 9),
        "9,c1,seats,2024-01-30,9,[]",
        "9,c1,seats",
        event(1, "01-30", 9),  # another content under an id that was taken before
    ],
)
def test_a_rejected_row_is_not_a_reading(seats: World, rejected: str) -> None:
    seats.usage("a.csv", event(1, "01-02", 5), rejected)
    assert carried(seats) == [("c1", "01-02", 5)]


def test_rejected_rows_take_no_id(seats: World) -> None:
    """The same id before, in a row that is rejected itself: the reading counts."""
    seats.usage(
        "a.csv",
        event(1, "01-02", -5),
        event(1, "01-03", 5, name="unheard"),
        event(1, "01-03", 5, customer="nobody"),
        event(1, "01-04", 6),
    )
    assert carried(seats) == [("c1", "01-04", 6)]


def test_an_id_taken_by_another_meters_event_or_another_customer(seats: World) -> None:
    seats.usage(
        "a.csv",
        event(1, "01-02", 5, name="call"),
        event(1, "01-03", 6),
        event(2, "01-04", 7, customer="c2"),
        event(2, "01-05", 8),
    )
    assert carried(seats) == [("c2", "01-04", 7)]


def test_customers_are_checked_again_on_each_load(seats: World) -> None:
    """The closing values are kept, but whose row took a contested id is decided on loading."""
    seats.usage("a.csv", event(1, "01-02", 5, customer="c3"), event(1, "01-03", 6))
    assert carried(seats) == [("c1", "01-03", 6)]
    customers = [{"customer_id": c, "currency": "USD"} for c in ("c1", "c2", "c3")]
    seats.write("accounts/customers.csv", customers)
    seats.load_reference()
    assert carried(seats) == [("c3", "01-02", 5)]


def test_properties_that_no_filter_reads_make_no_gauge_of_their_own(seats: World) -> None:
    rows = [
        f'{n},c1,seats,2024-01-{n:02},{n},"{{""size"":""s"",""request"":{n}}}"'
        for n in range(1, 20)
    ]
    seats.usage("a.csv", *rows)
    assert carried(seats) == [("c1", "01-19", 19)]


def test_each_property_that_is_read_has_a_reading_of_its_own(seats: World) -> None:
    """The newest event lacks what one meter reads: for that meter the one before counts."""
    meters = [
        {
            "meter_id": m,
            "event_name": "seats",
            "aggregation": "max",
            "property": p,
            "carry_forward": 1,
        }
        for m, p in (("seats", ""), ("disk", "gb"))
    ]
    seats.write("catalog/meters.csv", meters)
    seats.load_reference()
    disk = '{""size"":""s"",""gb"":%s}'
    seats.usage(
        "a.csv",
        f'1,c1,seats,2024-01-02,1,"{disk % 5}"',
        f'2,c1,seats,2024-01-03,2,"{disk % 7.5}"',
        f'3,c1,seats,2024-01-04,3,"{disk % -1}"',
        f'4,c1,seats,2024-01-05,4,"{disk % "true"}"',
        event(5, "01-06", 5),
    )
    assert carried(seats) == [("c1", "01-03", 2), ("c1", "01-06", 5)]


def test_filter_keys_with_awkward_names(seats: World) -> None:
    wanted = '{"a/b~c.d$": "x", "it\'s \\"q\\"": "y"}'
    seats.write("catalog/prices.csv", [price(meter_id="seats", filter=wanted)])
    seats.load_reference()
    lines = [
        json.dumps(
            {
                "event_id": n,
                "customer_id": "c1",
                "event_name": "seats",
                "occurred_at": f"2024-01-0{n}",
                "quantity": n,
                "properties": {"a/b~c.d$": value, 'it\'s "q"': "y"},
            }
        )
        for n, value in ((1, "x"), (2, "z"), (3, "x"))
    ]
    seats.write("usage/2024-01/a.jsonl", "\n".join(lines))
    assert carried(seats) == [("c1", "01-02", 2), ("c1", "01-03", 3)]


def test_late_changed_and_deleted_files_are_noticed(seats: World) -> None:
    path = seats.usage("a.csv", event(1, "01-02", 5))
    assert carried(seats) == [("c1", "01-02", 5)]
    late = seats.usage("late.csv", event(2, "01-03", 6))
    assert carried(seats) == [("c1", "01-03", 6)]
    late.unlink()
    assert carried(seats) == [("c1", "01-02", 5)]
    seats.usage("a.csv", event(1, "01-02", 8))
    assert carried(seats) == [("c1", "01-02", 8)]
    path.unlink()
    assert carried(seats) == []


def test_closing_values_are_computed_once(seats: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seats.usage("a.csv", event(1, "01-02", 5))
    first = carried(seats)
    monkeypatch.setattr(gauges, "_closing_sql", lambda *_: pytest.fail("computed again"))
    assert carried(seats) == first


def test_the_billing_time_zone_bounds_the_month(seats: World) -> None:
    seats.usage("a.csv", event(1, "01-31T20:00Z", 5))
    assert carried(seats) == [("c1", "01-31", 5)]
    seats.env["BILLING_TIMEZONE"] = "Asia/Tokyo"  # there it is February already
    assert carried(seats) == []


def test_old_files_are_not_read_without_carrying_meters(world: World) -> None:
    world.write("accounts/customers.csv", [{"customer_id": "c1", "currency": "USD"}])
    world.load_reference()
    world.write("usage/2023-12/a.csv", "broken")
    assert carried(world) == []


def test_a_broken_file_of_an_old_month_is_named(seats: World) -> None:
    seats.write("usage/2023-12/a.csv", "broken")
    with pytest.raises(InvalidInput, match=r"usage/2023-12/a\.csv, event_id"):
        seats.gauges("2024-02")


def test_home_may_be_anywhere(seats: World, tmp_path: Path) -> None:
    seats.env["BILLING_HOME"] = str(tmp_path / "it's [my] home*")
    seats.usage("a.csv", event(1, "01-02", 5))
    assert carried(seats) == [("c1", "01-02", 5)]
