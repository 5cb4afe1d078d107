"""Usage of earlier months: which of its rows are there for gauges that carry their value forward.

What they count for is decided in SQL: tests/dbt/test_edges.py.
"""

from __future__ import annotations

import pytest
from conftest import World

from billing_pipeline.intake.problems import InvalidInput
from billing_pipeline.intake.usage import load_usage
from billing_pipeline.months import BillingMonth


def event(number: object, at: str, name: str = "seats", quantity: object = 1) -> str:
    return f"{number},c1,{name},{at},{quantity},"


def rows(world: World, *carried: str, month: str = "2024-03") -> list[tuple[object, ...]]:
    """(month, id, name, file, row) of the month's usage and the rows of earlier months."""
    load_usage(world.connection, world.settings, BillingMonth.parse(month), carried=carried)
    found = world.select("select count(*), count(distinct row_id) from raw.usage_events")
    assert found[0][0] == found[0][1]
    return world.select(
        "select strftime(usage_month, '%Y-%m'), event_id, event_name, source_file, source_row "
        "from raw.usage_events order by all"
    )


def test_earlier_rows_are_those_with_the_id_of_an_event_that_is_carried(world: World) -> None:
    """Good or bad, and of another name too: it may have taken the id before."""
    world.usage("b.csv", event(1, "2019-01-02"), event(7, "2019-01-02", "call"), month="2019-01")
    world.usage("a.csv", event(2, "2024-02-02", quantity=-1), month="2024-02")
    world.usage("b.csv", event(2, "2024-02-01", "call"), event("", "2024-02-02"), month="2024-02")
    world.usage("a.csv", event(3, "2024-03-01", "call"), month="2024-03")
    world.usage("a.csv", event(4, "2024-04-01"), month="2024-04")
    assert rows(world, "seats") == [
        ("2019-01", "1", "seats", "usage/2019-01/b.csv", 2),
        ("2024-02", "2", "call", "usage/2024-02/b.csv", 2),
        ("2024-02", "2", "seats", "usage/2024-02/a.csv", 2),
        ("2024-03", "3", "call", "usage/2024-03/a.csv", 2),
    ]
    assert [row[1] for row in rows(world, "it's", "call")] == ["7", "2", "2", "3"]
    assert rows(world, "seats", month="2019-01") == [
        ("2019-01", "1", "seats", "usage/2019-01/b.csv", 2),
        ("2019-01", "7", "call", "usage/2019-01/b.csv", 3),
    ]


def test_the_months_files_are_the_months(world: World) -> None:
    world.usage("a.csv", event(1, "2024-02-02"), month="2024-02")
    month = BillingMonth(2024, 3)
    files = load_usage(world.connection, world.settings, month, carried=["seats"])
    assert files.rows == 0
    assert [file.source_file for file in files.earlier or ()] == ["usage/2024-02/a.csv"]
    assert load_usage(world.connection, world.settings, month).earlier is None
    files = load_usage(world.connection, world.settings, month, carried=["seats"])
    assert world.select("select quantity, given_text from raw.usage_events") == [(1, None)]


def test_where_nothing_is_carried_old_files_are_not_looked_at(world: World) -> None:
    world.usage("a.csv", event(3, "2024-03-01"), month="2024-03")
    world.write("usage/2024-02/a.csv", "broken")
    assert len(rows(world)) == 1


def test_a_broken_file_of_an_old_month_is_named(world: World) -> None:
    world.write("usage/2023-12/a.csv", "broken")
    with pytest.raises(InvalidInput, match=r"usage/2023-12/a\.csv, event_id"):
        rows(world, "seats")
