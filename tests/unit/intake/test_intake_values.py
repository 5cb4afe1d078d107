"""Cells to values: against Python's own Decimal and datetime, and the words that are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_pipeline.intake import values
from billing_pipeline.intake.values import BadValue
from billing_pipeline.money import CURRENCY_PLACES

BERLIN = ZoneInfo("Europe/Berlin")


@given(st.decimals(min_value=-(10**20), max_value=10**20, places=12))
def test_decimals_are_what_their_text_says(number: Decimal) -> None:
    assert values.decimal(f"{number:f}", 12) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,000",
        "1.000,5",
        "1e3",
        "NaN",
        "inf",
        ".5",
        "5.",
        "٣",
        "１",
        "1_000",
        "$1",
        "0x1",
        "--1",
    ],
)
def test_only_plain_decimals_are_accepted(text: str) -> None:
    with pytest.raises(BadValue, match="is not a decimal number"):
        values.decimal(text, 12)


def test_decimal_places_and_size_are_limited_but_zeros_do_not_count() -> None:
    assert values.decimal("1.0000000000000000000", 12) == 1
    assert values.decimal("000000000000000000000000000000000000000000001", 12) == 1
    with pytest.raises(BadValue, match="13 decimal places; allowed: up to 12"):
        values.decimal("0.0000000000001", 12)
    with pytest.raises(BadValue, match="too large; allowed: up to 20 digits"):
        values.decimal("1" + "0" * 20, 18)


def test_long_decimals_keep_every_digit() -> None:
    """More digits than Python's decimal arithmetic keeps by default."""
    text = "-12345678901234567890123456.123456789012"
    assert f"{values.decimal(text, 12):f}" == text


def test_minus_zero_is_zero() -> None:
    assert str(values.decimal("-0.00", 12)) == "0"


offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))


FIRST, LAST = datetime(2, 1, 1), datetime(9998, 1, 1)  # noqa: DTZ001


@given(st.datetimes(FIRST, LAST, timezones=offsets))
def test_instants_with_an_offset(moment: datetime) -> None:
    assert values.instant(moment.isoformat(), BERLIN) == moment


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-01-31", "2024-01-30T23:00:00+00:00"),
        ("2024-07-01 00:00", "2024-06-30T22:00:00+00:00"),
        ("2024-01-31T12:00:00.1234569Z", "2024-01-31T12:00:00.123456+00:00"),
        ("2024-01-31t12:00:00z", "2024-01-31T12:00:00+00:00"),
        ("2024-01-31T12:00+0530", "2024-01-31T06:30:00+00:00"),
        ("2024-01-31T12:00-05", "2024-01-31T17:00:00+00:00"),
        # 02:30 never was on 31 March and was twice on 27 October: the later reading counts
        ("2024-03-31T02:30", "2024-03-31T01:30:00+00:00"),
        ("2024-10-27T02:30", "2024-10-27T01:30:00+00:00"),
    ],
)
def test_instants_in_the_billing_time_zone(text: str, utc: str) -> None:
    assert values.instant(text, BERLIN) == datetime.fromisoformat(utc)
    assert values.instant(text, BERLIN).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    ["31.01.2024", "2024-02-30", "2024-1-1", "2024-01-01T24:00", "2024-01-01T23:59:60", "now",
     "2024-01-01T12", "20240101", "0000-01-01", "9999-12-31T23:00-05:00", "1706659200"],
)  # fmt: skip
def test_an_invalid_time_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="is not an ISO 8601 time"):
        values.instant(text, BERLIN)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("TRUE", True), ("1", True), ("Yes", True), ("no", False), ("0", False)],
)
def test_booleans(text: str, value: bool) -> None:
    assert values.boolean(text) is value


def test_booleans_refuse_other_words() -> None:
    with pytest.raises(BadValue, match="allowed: true, false, 1, 0, yes, no"):
        values.boolean("maybe")


@pytest.mark.parametrize(
    ("text", "value"), [("none", False), ("exempt", True), ("Reverse", True), ("yes", True)]
)
def test_tax_exempt_knows_the_words_of_stripe(text: str, value: bool) -> None:
    assert values.tax_exempt(text) is value


def test_tax_exempt_refuses_other_words() -> None:
    with pytest.raises(BadValue, match="none, exempt, reverse"):
        values.tax_exempt("partly")


def test_currencies() -> None:
    assert values.currency("usd") == "USD"
    assert {CURRENCY_PLACES[code] for code in ("BHD", "JOD", "KWD", "OMR", "TND")} == {3}
    assert [CURRENCY_PLACES[code] for code in ("JPY", "KRW", "VND", "USD", "EUR")] == [
        0,
        0,
        0,
        2,
        2,
    ]
    assert len(CURRENCY_PLACES) > 150
    for wrong in ("XXX", "USDT", "DM", "DEM", "€"):
        with pytest.raises(BadValue, match="ISO 4217"):
            values.currency(wrong)


def test_countries() -> None:
    assert values.country("de") == "DE"
    for wrong in ("DEU", "D", "D1", "Ää"):
        with pytest.raises(BadValue, match="ISO 3166"):
            values.country(wrong)


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\u2028b", "a\x9bb"])
def test_ids_are_printable(text: str) -> None:
    with pytest.raises(BadValue, match="control character"):
        values.identifier(text)


def test_choices_suggest_what_was_meant() -> None:
    with pytest.raises(BadValue, match=r"did you mean graduated\?\); allowed: flat, graduated"):
        values.choice("gradated", ("flat", "graduated"), "charge model")


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": 1, "a": 2}', "[]", "1", "{'a': 1}", "{", ""])
def test_only_json_objects_are_accepted(text: str) -> None:
    with pytest.raises(BadValue, match="JSON object"):
        values.json_object(text)


scalars = st.none() | st.booleans() | st.text() | st.integers(-(10**14), 10**14)
trees = st.recursive(scalars, lambda leaf: st.lists(leaf, max_size=3), max_leaves=5)


@settings(max_examples=40)
@given(st.dictionaries(st.text(), trees))
def test_json_text_means_the_same(value: dict[str, object]) -> None:
    text = values.json_text(values.json_object(json.dumps(value)))
    assert json.loads(text) == value


def test_json_numbers_keep_their_digits() -> None:
    text = '{"a":0.10,"b":1e-7,"c":12345678901234567.25,"d":123456789012345,"e":9007199254740993}'
    kept = text.replace("12345678901234567.25", '"12345678901234567.25"')
    kept = kept.replace("9007199254740993", '"9007199254740993"')
    assert values.json_text(values.json_object(text)) == kept
