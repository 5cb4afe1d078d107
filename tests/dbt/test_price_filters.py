"""Filters of prices: lists of texts, bounds of numbers, and what `filter_rest` leaves.

What belongs here: which price counts an event. What does not: what it makes of them.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.dbt.price_books import PriceBook, amounts
from tests.property.harness import Tables

ABOVE, UP_TO = {"size": {"above": "5"}}, {"size": {"up_to": "5"}}
SMALL, LARGE = {"size": {"above": "1", "up_to": "5"}}, {"size": {"above": 5, "up_to": 10}}
EUROPE, ASIA = {"region": ["eu", "uk"]}, {"region": "asia", "tier": ["gold", True, 1.50]}


def price_book() -> PriceBook:
    book = PriceBook()
    for plan in ("lists", "bounds", "rest", "carried"):
        book.add("catalog/plans", plan_id=plan)
        book.customer(plan, plan)
    book.meter("calls")
    _add_lists(book)
    _add_bounds(book)
    _add_rest(book)
    _add_carried(book)
    return book


def _add_lists(book: PriceBook) -> None:
    book.price("lists", "europe", "calls", filter=EUROPE)
    book.price("lists", "asia", "calls", filter=ASIA)
    for quantity, properties in (
        (1, {"region": "eu"}),
        (2, {"region": "uk", "tier": "gold"}),
        (4, {"region": "us"}),
        (8, {"region": "eu,uk"}),
        (16, {"tier": "gold", "region": "asia"}),
        (32, {"region": "asia", "tier": True}),
        (64, {"region": "asia", "tier": 1.5}),
        (128, {"region": "asia", "tier": "silver"}),
        (256, {"region": "asia"}),
        (512, {"region": ["eu", "uk"]}),
    ):
        book.use("lists", "calls", quantity, "2024-04-10", properties=properties)


def _add_bounds(book: PriceBook) -> None:
    for name, bounds in (("above", ABOVE), ("up_to", UP_TO), ("small", SMALL), ("large", LARGE)):
        book.price("bounds", name, "calls", filter=bounds)
    for quantity, size in (
        (1, "1"),
        (2, "1.000000000000000001"),
        (4, 5),
        (8, "5.000000000000000001"),
        (16, "10"),
        (32, 1e1),
        (64, "ten"),
        (128, -3),
        (256, "50e-1"),
    ):
        book.use("bounds", "calls", quantity, "2024-04-10", properties={"size": size})
    book.use("bounds", "calls", 512, "2024-04-10")


def _add_rest(book: PriceBook) -> None:
    book.price("rest", "everything", "calls", unit_amount="100")
    book.price("rest", "old", "calls", filter={"region": "eu"}, valid_to="2024-04-16")
    book.price("rest", "big", "calls", filter={"size": {"above": "5"}})
    book.price("rest", "others", "calls", filter_rest="true")
    book.price("rest", "other_asia", "calls", filter={"region": "asia"}, filter_rest="true")
    # Of another plan, and of another meter: neither claims anything here.
    book.price("lists", "us", "calls", filter={"region": "us"}, unit_amount="0")
    book.meter("calls_again", event_name="calls")
    book.price("rest", "again", "calls_again", filter={"region": "us"}, unit_amount="0")
    for quantity, at, properties in (
        (1, "2024-04-10", {"region": "eu"}),
        (2, "2024-04-16", {"region": "eu"}),
        (4, "2024-04-10", {"region": "us", "size": 6}),
        (8, "2024-04-10", {"region": "us", "size": 5}),
        (16, "2024-04-10", {"region": "asia"}),
        (32, "2024-04-10", {"region": "asia", "size": 9}),
    ):
        book.use("rest", "calls", quantity, at, properties=properties)
    for number, (quantity, properties) in enumerate(((-3, {"region": "us"}), (-1, {"size": 6}))):
        book.add(
            "accounts/usage_corrections",
            correction_id=f"k{number}",
            customer_id="rest",
            event_name="calls",
            occurred_at="2024-04-11",
            quantity=quantity,
            properties=properties,
        )


def _add_carried(book: PriceBook) -> None:
    book.meter("disks", "latest", carry_forward="true")
    book.price("carried", "ssd", "disks", filter={"kind": "ssd"})
    book.price("carried", "other", "disks", filter_rest="true", unit_amount="10")
    book.use("carried", "disks", 7, "2024-02-10", properties={"kind": "ssd"})
    book.use("carried", "disks", 3, "2024-02-11", properties={"kind": "hdd"})


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    directory: Path = tmp_path_factory.mktemp("filters")
    return price_book().rate(directory, "2024-04")


@pytest.mark.parametrize(
    ("customer", "expected"),
    [
        ("lists", {"europe": 1 + 2, "asia": 16 + 32 + 64, "us": 0}),
        (
            "bounds",
            {
                "above": 8 + 16 + 32,
                "up_to": 1 + 2 + 4 + 128 + 256,
                "small": 2 + 4 + 256,
                "large": 8 + 16 + 32,
            },
        ),
        (
            "rest",
            {
                "everything": (63 - 4) * 100,
                "old": 1,
                "big": 4 + 32 - 1,
                "others": 2 + 8 + 16 - 3,
                "other_asia": 16,
                "again": 0,
            },
        ),
        ("carried", {"ssd": 7, "other": 30}),
    ],
)
def test_each_price_counts_what_its_filter_says(
    rated: Tables, customer: str, expected: dict[str, int]
) -> None:
    found = {name: sum(parts) for name, parts in amounts(rated, customer).items()}
    assert found == {name: Decimal(amount) for name, amount in expected.items()}
