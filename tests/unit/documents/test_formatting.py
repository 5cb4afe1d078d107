"""Figures and times on documents: exact, and not to be misread."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from billing_pipeline.documents.formatting import (
    address_lines,
    amount,
    period,
    plain,
    quantity,
    share,
)

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [
        ("1234.5000", "USD", "1,234.50"),
        ("-47.42", "EUR", "−47.42"),
        ("118524.0000", "JPY", "118,524"),
        ("-0.1", "KWD", "−0.100"),
        ("99999999999999999999.99", "USD", "99,999,999,999,999,999,999.99"),
    ],
)
def test_amounts_have_their_currency_s_places(value: str, currency: str, shown: str) -> None:
    assert amount(Decimal(value), currency) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("1000.000000000000000000", "1,000"),
        ("0.000000000000000001", "0.000000000000000001"),
        # More digits than Python's own context keeps.
        ("12345678901.333333333333333333", "12,345,678,901.333333333333333333"),
    ],
)
def test_quantities_show_all_their_places(value: str, shown: str) -> None:
    assert quantity(Decimal(value)) == shown


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2024-02-01T00:00", "2024-03-01T00:00", "1 – 29 February 2024"),
        ("2024-02-10T00:00", "2024-02-11T00:00", "10 February 2024"),
        ("2024-01-20T00:00", "2024-02-19T00:00", "20 January – 18 February 2024"),
        ("2023-12-20T00:00", "2024-01-19T00:00", "20 December 2023 – 18 January 2024"),
        ("2024-02-10T20:58", "2024-03-01T00:00", "10 February, 20:58 – 29 February 2024"),
        ("2024-02-01T00:00", "2024-02-10T20:58", "1 February – 10 February 2024, 20:58"),
        # the last Sunday of March has 23 hours there
        ("2024-03-31T00:00", "2024-04-01T00:00", "31 March 2024"),
    ],
)
def test_periods_name_their_last_day(start: str, end: str, shown: str) -> None:
    first, after = (datetime.fromisoformat(text).replace(tzinfo=BERLIN) for text in (start, end))
    utc = ZoneInfo("UTC")
    assert period(first.astimezone(utc), after.astimezone(utc), BERLIN) == shown


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        ("-10", "80", "−12.5 %"),
        ("1", "3", "+33.3 %"),
        ("0", "5", "0.0 %"),
        ("5", "0", "new"),
        ("0", "0", ""),
    ],
)
def test_shares(part: str, whole: str, shown: str) -> None:
    assert share(Decimal(part), Decimal(whole)) == shown


def test_texts_of_others_are_one_inert_line() -> None:
    assert plain("a\x1b[31m\r\n b\u202ec") == "a�[31m b�c"
    assert address_lines("1 Quay ;; Dublin\nIreland") == ["1 Quay", "Dublin", "Ireland"]
