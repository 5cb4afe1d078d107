"""Published price lists, and the totals of their publishers' own examples: data/price-lists/.

What belongs here: rating every list in one month, and the form of the lists. What does not: which
rows a way of pricing becomes (test_cookbook.py).
"""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from billing_pipeline.rating.dbt_runner import DBT_PROJECT_DIR
from tests.dbt.price_books import PriceBook
from tests.property.harness import Tables

FOLDER = DBT_PROJECT_DIR.parent / "data" / "price-lists"
LISTS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())
IDS = ("price_id", "plan_id", "meter_id", "event_name", "example")
# Columns of subscriptions.csv, or of expected.csv where a list has none.
SUBSCRIBED = {column: column for column in ("quantity", "starts_at", "ends_at")}
SUBSCRIBED["seats"] = "quantity"


def rows(name: str, file: str) -> list[dict[str, str]]:
    path = FOLDER / name / f"{file}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def of_list(name: str, file: str) -> list[dict[str, str]]:
    """Rows whose ids begin with the list's name: many lists have a price `requests`."""
    return [
        {key: f"{name}/{cell}" if key in IDS and cell else cell for key, cell in row.items()}
        for row in rows(name, file)
    ]


def price_book() -> PriceBook:
    book = PriceBook()
    for name in LISTS:
        for table in ("meters", "plans", "prices", "price_tiers"):
            for row in of_list(name, f"catalog/{table}"):
                book.add(f"catalog/{table}", **row)
        for row in of_list(name, "expected"):
            book.customer(row["example"])
        for row in of_list(name, "subscriptions") or of_list(name, "expected"):
            cells = {cell: row[column] for column, cell in SUBSCRIBED.items() if row.get(column)}
            book.subscribe(row["example"], row["example"], row["plan_id"], **cells)
        for row in of_list(name, "usage"):
            at = row.get("occurred_at") or "2024-03-10"
            cells = {"properties": row.get("properties") or ""}
            book.use(row["example"], row["event_name"], row["quantity"], at, **cells)
    return book


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    directory: Path = tmp_path_factory.mktemp("lists")
    return price_book().rate(directory, "2024-03")


@pytest.mark.parametrize("name", LISTS)
def test_examples_come_to_what_their_publisher_says(rated: Tables, name: str) -> None:
    expected = {row["example"]: Decimal(row["total"]) for row in of_list(name, "expected")}
    totals = dict.fromkeys(expected, Decimal(0))
    for row in rated["charges"]:
        if row["customer_id"] in totals:
            totals[row["customer_id"]] += row["amount"]
    assert totals == expected


def test_no_usage_of_an_example_is_lost(rated: Tables) -> None:
    assert not rated["usage_rejections"] and not rated["unpriced_usage"]


def table() -> dict[str, str]:
    """The lines of the page's table by list."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if "](http" in line]
    return {line.split("|")[1].strip().strip("`"): line for line in lines}


def test_each_list_has_its_row_with_a_source() -> None:
    assert list(table()) == LISTS


def test_a_list_shows_the_arithmetic_of_totals_by_hand() -> None:
    by_hand = {name for name, line in table().items() if f"[by hand]({name}/README.md)" in line}
    assert by_hand == {name for name in LISTS if (FOLDER / name / "README.md").exists()}


def test_all_usage_is_of_an_example_and_read_by_a_meter() -> None:
    for name in LISTS:
        examples = {row["example"] for row in rows(name, "expected")}
        events = {row["event_name"] for row in rows(name, "catalog/meters")}
        for row in rows(name, "usage"):
            assert row["example"] in examples and row["event_name"] in events, (name, row)
