"""docs/exact-arithmetic.md has every function of the warehouse, and its examples are right."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "exact-arithmetic.md").read_text(encoding="utf-8")
MACROS = (ROOT / "dbt_project" / "macros" / "exact_arithmetic.sql").read_text(encoding="utf-8")
STEP = "{% macro create_exact_arithmetic() %}"
ROW = re.compile(r"^\| (`\w+\(.*?) \| .* \| `(.*)` \| (.*) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def warehouse() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute(MACROS.partition(STEP)[2].partition("{% endmacro %}")[0])
    return connection


def test_the_page_has_every_function() -> None:
    made = re.findall(r"create or replace macro (\w+)\((.*?)\)", MACROS)
    named = [
        pair for cell, _, _ in ROW.findall(PAGE) for pair in re.findall(r"`(\w+)\((.*?)\)`", cell)
    ]
    assert sorted(named) == sorted(made)


@pytest.mark.parametrize(("example", "result"), [row[1:] for row in ROW.findall(PAGE)])
def test_an_example_gives_what_the_page_says(
    example: str, result: str, warehouse: duckdb.DuckDBPyConnection
) -> None:
    [(found,)] = warehouse.execute(f"SELECT ({example})::VARCHAR").fetchall()
    assert found == result


def test_a_graduated_charge_comes_about_as_the_page_shows() -> None:
    model = (ROOT / "dbt_project/models/rating/charges_graduated.sql").read_text(encoding="utf-8")
    section = PAGE.partition("## A graduated charge\n")[2].partition("\n## ")[0]
    steps = re.findall(r"^\| (?!step|---).*? \| `(.*?)` \|", section, re.MULTILINE)
    bare = re.sub(r"\b(?:quantities|tiers)\.", "", model)
    assert len(steps) == 4
    assert [step for step in steps if step not in bare] == []
