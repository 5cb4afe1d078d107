"""The quantities that a charge would have without the files that came late."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from billing_pipeline.comparison.our_month import _without_files


def counted(file: str, events: int, aggregation: str = "sum", **more: Any) -> dict[str, Any]:
    values = {
        "source_file": f"usage/2024-04/{file}.csv",
        "events": events,
        "aggregation": aggregation,
        "is_split": False,
        "is_late": file != "calls",
        "is_sure": file == "late",
        "added": D(events * 2),
        "highest": D(events),
        "last": ("2024-04-02", file, events, D(events)),
        "different": [f"{file}-{number}" for number in range(events)],
    }
    return {**values, **more}


def test_each_late_file_and_all_of_them() -> None:
    found = [counted("calls", 50), counted("late", 3), counted("more", 2)]
    usages = _without_files(found, D(110))
    assert [(usage.quantity, usage.events, usage.is_sure) for usage in usages] == [
        (D(104), 52, True),
        (D(106), 53, False),
        (D(100), 50, False),
    ]
    assert usages[0].evidence == "without 3 events of usage/2024-04/late.csv"


def test_corrections_stay() -> None:
    (usage,) = _without_files([counted("calls", 50), counted("late", 3)], D(96))
    assert usage.quantity == D(90)


@pytest.mark.parametrize(
    ("aggregation", "quantity", "without"),
    [("max", 7, 5), ("latest", 7, 5), ("unique_count", 12, 5)],
)
def test_gauges(aggregation: str, quantity: int, without: int) -> None:
    found = [counted("calls", 5, aggregation), counted("late", 7, aggregation)]
    (usage,) = _without_files(found, D(quantity))
    assert usage.quantity == D(without)
    # What was carried in from an earlier month, or counted in another way, is left alone.
    assert _without_files(found, D(99)) == []


def test_what_files_do_not_add_up_to_is_left_alone() -> None:
    assert _without_files([counted("calls", 5, "p95"), counted("late", 7, "p95")], D(7)) == []
    buckets = [counted("calls", 5, is_split=True), counted("late", 7, is_split=True)]
    assert _without_files(buckets, D(24)) == []
