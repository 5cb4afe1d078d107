"""Every example of docs/pricing-cookbook.md is billed, all in one month.

What belongs here: reading the page. What does not: what the patterns are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from billing_pipeline.rating.dbt_runner import DBT_PROJECT_DIR
from tests.dbt.price_books import PriceBook
from tests.property.harness import Tables

PAGE = (DBT_PROJECT_DIR.parent / "docs" / "pricing-cookbook.md").read_text(encoding="utf-8")
METERS, *PATTERNS = re.split(r"^### ", PAGE, flags=re.MULTILINE)
EXAMPLE = re.compile(r"^For example: (.+) → ([0-9.]+)$", re.MULTILINE)
EVENT = re.compile(r"`(?P<name>\w+)` (?P<quantity>[0-9.]+)(?P<more>.*)")


def blocks(text: str) -> Iterator[list[dict[str, str]]]:
    for block in re.findall(r"^```csv\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield list(csv.DictReader(block.splitlines()))


def examples() -> Iterator[tuple[str, str, Decimal]]:
    """Customer, what it uses, and what that comes to."""
    for number, pattern in enumerate(PATTERNS):
        for place, (usage, amount) in enumerate(EXAMPLE.findall(pattern)):
            yield f"{number}.{place}", usage, Decimal(amount)


def price_book() -> PriceBook:
    book = PriceBook()
    for meter in next(blocks(METERS)):
        book.add("catalog/meters", **meter)
    for number, pattern in enumerate(PATTERNS):
        book.add("catalog/plans", plan_id=str(number), name=pattern.splitlines()[0])
        for block in blocks(pattern):
            for row in block:
                if "up_to" in row:
                    book.add("catalog/price_tiers", **row)
                else:
                    book.add("catalog/prices", plan_id=str(number), **row)
    for customer, usage, _ in examples():
        plan, cells = customer.split(".")[0], {}
        for part in usage.split(", "):
            if part.startswith("quantity "):
                cells["quantity"] = part.removeprefix("quantity ")
            elif part != "nothing":
                _use(book, customer, part)
        book.customer(customer, plan, **cells)
    return book


def _use(book: PriceBook, customer: str, part: str) -> None:
    found = EVENT.fullmatch(part)
    assert found is not None, part
    at, properties = "2024-04-10", {}
    for word in found["more"].split():
        key, _, value = word.partition("=")
        if value:
            properties[key] = value
        else:
            at = word
    book.use(customer, found["name"], found["quantity"], at, properties=properties)


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    directory: Path = tmp_path_factory.mktemp("cookbook")
    return price_book().rate(directory, "2024-04")


def test_every_example_bills_what_the_page_says(rated: Tables) -> None:
    totals = {customer: Decimal(0) for customer, _, _ in examples()}
    for row in rated["charges"]:
        totals[row["customer_id"]] += row["exact_amount"]
    assert totals == {customer: amount for customer, _, amount in examples()}


def test_every_pattern_has_an_example() -> None:
    assert [pattern.splitlines()[0] for pattern in PATTERNS if not EXAMPLE.search(pattern)] == []
