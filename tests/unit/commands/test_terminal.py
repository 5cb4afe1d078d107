"""Figures on a terminal: no place lost, nothing read as markup, tables that fit."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from rich.console import Console

from billing_pipeline.commands.terminal import once, table
from billing_pipeline.money import format_amount
from billing_pipeline.text import csv_text


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("1234.5", "USD", "1,234.50"),
        ("1234.5000", "USD", "1,234.50"),
        ("0", "USD", "0.00"),
        ("100", "JPY", "100"),
        ("1E+2", "JPY", "100"),
        ("-0.1", "KWD", "-0.100"),
        # more places than the currency has: shown, not rounded away
        ("0.005", "USD", "0.005"),
    ],
)
def test_money_in_its_currency_s_places(amount: str, currency: str, shown: str) -> None:
    assert format_amount(Decimal(amount), currency) == shown


def printed(*rows: list[object], width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table("T", ("name", "count"), rows))
    return console.export_text()


def test_a_name_is_not_read_as_markup() -> None:
    assert "[red]Ada[/red] [link=x]" in printed(["[red]Ada[/red] [link=x]", 1])


def test_rows_that_do_not_fit_are_shown_line_by_line() -> None:
    text = printed(["a" * 20, 1234], ["", 5], ["b", 6], width=30)
    lines = ["T", "", f"  name   {'a' * 20}", "  count  1,234", "  count  5"]
    assert [line.rstrip() for line in text.splitlines()] == [
        *lines, "", "  name   b", "  count  6", "",
    ]  # fmt: skip
    assert " 1,234 " in printed(["a" * 20, 1234], width=31)


def test_a_table_without_rows_has_no_heading() -> None:
    assert printed().split() == ["T"]


def test_numbers_are_right_aligned() -> None:
    lines = [line.rstrip() for line in printed(["a", 1], ["b", 1234]).splitlines()]
    assert [len(line) for line in lines if line.endswith(("1", "1,234"))] == [len(lines[2])] * 2


def test_a_repeated_first_cell_is_shown_once() -> None:
    assert once([("x", 1), ("x", 2), ("y", 3)]) == [["x", 1], ["", 2], ["y", 3]]


def test_csv_keeps_amounts_and_disarms_formulas() -> None:
    rows = [{"customer": "=1+1", "amount": Decimal("-0.50")}, {"customer": "a,b", "amount": 1}]
    assert csv_text(rows) == 'customer,amount\r\n\'=1+1,-0.50\r\n"a,b",1\r\n'
    assert csv_text([]) == "\r\n"


def test_signed_numbers_are_right_aligned_too() -> None:
    shown = table("", ("change", "name"), [("+1.50", "+a"), ("−1,000.00", "b"), ("-2", "")])
    assert [column.justify for column in shown.columns] == ["right", "left"]


def test_a_column_without_a_name_takes_no_more_than_its_cells() -> None:
    shown = table("", ("month", "", "paid"), [["2024-01", "EUR", "1.00"]])
    console = Console(width=7 + 3 + 4 + 8)
    with console.capture() as printed:
        console.print(shown)
    assert "2024-01  EUR  1.00" in printed.get()
