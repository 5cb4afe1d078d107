"""Terms of prices beyond the charge model: events with bounds, free events, allowances per seat.

What belongs here: worked numbers of each term. What does not: which events a price counts
(test_price_filters.py).
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.dbt.price_books import PriceBook, amounts, charges_of
from tests.property.calculations import redo
from tests.property.harness import Tables

# name: the price's cells, the events' values, the corrections, the exact amount
BY_EVENT: dict[str, tuple[dict[str, str], list[str], list[str], str]] = {
    "a transfer": ({"percentage": "0.8", "event_maximum_amount": "5"}, ["1000", "100"], [], "5.8"),
    "at the maximum": ({"percentage": "0.8", "event_maximum_amount": "5"}, ["625"], [], "5"),
    "just below": (
        {"percentage": "3", "event_maximum_amount": "1"},
        ["33.333333333333333333", "33.333333333333333334"],
        [],
        "2",  # 0.99999999999999999999 shown to 12 places, and 1
    ),
    "least": (
        {"percentage": "2.9", "event_minimum_amount": "0.5", "flat_amount": "0.3"},
        ["0", "10", "100"],
        [],
        "4.8",  # 0.5 + 0.5 + 2.9, and 3 × 0.3
    ),
    "both": (
        {"percentage": "1", "event_minimum_amount": "0.2", "event_maximum_amount": "2"},
        ["5", "100", "1000"],
        ["50", "-20"],
        "3.5",  # 0.2 + 1 + 2 + 0.5 - 0.2
    ),
    "taken back": (
        {"percentage": "1", "event_minimum_amount": "0.2", "flat_amount": "0.1"},
        ["5"],
        ["-100"],
        "0.1",  # 0.2 - 1 is below 0
    ),
    "taken back in part": (
        {"percentage": "1", "event_minimum_amount": "0.2"},
        ["5", "5"],
        ["-30"],
        "0.1",
    ),
    "free": (
        {"percentage": "2", "flat_amount": "0.25", "free_events": "3"},
        ["100", "200", "300", "400"],
        [],
        "8.25",
    ),
    "all free": ({"percentage": "2", "flat_amount": "0.25", "free_events": "9"}, ["100"], [], "0"),
    "no percentage": ({"percentage": "0", "event_minimum_amount": "0.1"}, ["7", "0"], [], "0.2"),
    "nothing": ({"percentage": "1", "event_minimum_amount": "0.1"}, [], [], "0"),
}


def price_book() -> PriceBook:
    book = PriceBook()
    for name, (cells, values, corrections, _) in BY_EVENT.items():
        book.add("catalog/plans", plan_id=name)
        book.customer(name, name)
        book.meter(name)
        book.price(name, name, name, charge_model="percentage", **cells)
        # Written last first: what is free is decided by time, then id.
        for number, value in reversed(list(enumerate(values))):
            at = f"2024-04-{10 + number // 2}"
            book.use(name, name, value, at, event_id=f"{name} {number}")
        for number, quantity in enumerate(corrections):
            _correct(book, name, f"{name} {number}", quantity)
    _add_two_periods(book)
    _add_seats(book)
    return book


def _correct(book: PriceBook, customer: str, name: str, quantity: str) -> None:
    book.add(
        "accounts/usage_corrections",
        correction_id=name,
        customer_id=customer,
        event_name=customer,
        occurred_at="2024-04-20",
        quantity=quantity,
    )


def _add_two_periods(book: PriceBook) -> None:
    """A price that changes: each version has its own free events."""
    book.add("catalog/plans", plan_id="two")
    book.customer("two", "two")
    book.meter("two")
    terms = {"charge_model": "percentage", "free_events": "1"}
    book.price("two", "two", "two", percentage="1", valid_to="2024-04-16", **terms)
    book.price("two", "two", "two", percentage="2", valid_from="2024-04-16", **terms)
    for day in ("01", "15", "16", "30"):
        book.use("two", "two", 100, f"2024-04-{day}")


def _add_seats(book: PriceBook) -> None:
    """10 containers are included for each host."""
    book.meter("containers", "max")
    book.meter("calls")
    terms = {"included_quantity": "10", "included_per": "seat"}
    book.add("catalog/plans", plan_id="hosts")
    book.price("hosts", "containers", "containers", prorate="false", **terms)
    book.price("hosts", "calls", "calls", prorate="true", **{**terms, "included_quantity": "2.5"})
    book.customer("hosts", "hosts", quantity="4")
    book.use("hosts", "containers", 60, "2024-04-10")
    book.use("hosts", "calls", 60, "2024-04-10")
    book.customer("half", "hosts", quantity="3", starts_at="2024-04-16")
    book.use("half", "containers", 60, "2024-04-20")
    book.use("half", "calls", 60, "2024-04-20")


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    directory: Path = tmp_path_factory.mktemp("terms")
    return price_book().rate(directory, "2024-04")


@pytest.mark.parametrize("name", BY_EVENT)
def test_each_event_is_charged_within_its_bounds(rated: Tables, name: str) -> None:
    assert amounts(rated, name) == {name: [Decimal(BY_EVENT[name][3])]}


def test_each_service_period_has_its_own_free_events(rated: Tables) -> None:
    assert amounts(rated, "two") == {"two": [Decimal(1), Decimal(2)]}


def test_what_is_included_is_times_the_seats(rated: Tables) -> None:
    assert amounts(rated, "hosts") == {"containers": [Decimal(20)], "calls": [Decimal(50)]}
    # 15 of 30 days, of which what a share of is included says `prorate`
    assert amounts(rated, "half") == {
        "containers": [Decimal(30)],
        "calls": [Decimal("56.25")],
    }
    (row,) = charges_of(rated, "hosts")["containers"]
    assert "; 40 included (10 per seat), 20 billable; " in row["calculation"]


def test_a_calculation_leads_to_its_amount(rated: Tables) -> None:
    for row in rated["charges"]:
        assert redo(row["calculation"], 2) == (row["exact_amount"], row["amount"])
    (both,) = charges_of(rated, "both")["both"]
    assert "; percentage: 130 × 1 % + 1 events at 0.2 + 1 events at 2; " in both["calculation"]
