"""The SQL grammar of usage values against Python's Decimal, datetime and json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing_pipeline.intake import values
from billing_pipeline.intake.files import expressions

BERLIN, UTC = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
LIMIT = Decimal(10) ** 15

Found = list[tuple[object, object]]

connection = duckdb.connect()
connection.execute("set TimeZone = 'UTC'")


def evaluate(
    value: str, fault: str | None, cells: Iterable[object], kind: pa.DataType | None = None
) -> Found:
    """(value, reason) of each cell, by one query as the view makes it."""
    connection.register("cells", pa.table({"cell": pa.array(cells, kind or pa.string())}))
    # One thread and one table: the rows stay in their order.
    rows = connection.execute(
        f"select value, {fault or 'null'} from (select cell, {value} as value from cells)"
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def quantities(*cells: object, kind: str = "VARCHAR", arrow: pa.DataType | None = None) -> Found:
    return evaluate(
        expressions.quantity("cell", kind),
        expressions.quantity_fault("cell", kind, "value"),
        cells,
        arrow,
    )


def expected_quantity(text: str) -> tuple[Decimal | None, str | None]:
    number = Decimal(text)
    as_integer = number.as_integer_ratio()
    fits = abs(number) < LIMIT and (as_integer[0] * 10**18) % as_integer[1] == 0
    return (number, None) if fits else (None, "quantity_out_of_range")


mantissas = st.from_regex(r"\A[+-]?[0-9]{1,24}(\.[0-9]{1,24})?\Z")
exponents = st.none() | st.integers(-45, 45)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(mantissas, exponents), min_size=20, max_size=60))
def test_decimal_text_is_exact_or_out_of_range(parts: list[tuple[str, int | None]]) -> None:
    texts = [text if exp is None else f"{text}e{exp:+d}" for text, exp in parts]
    assert quantities(*texts) == [expected_quantity(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-0", 0), ("-0.000", 0), ("+5", 5), ("007", 7), (" 3 ", 3), ("", 1), (None, 1), ("  ", 1),
        ("-2.50", Decimal("-2.5")), ("1.5E3", 1500), ("0e999999999999", 0),
        ("15e-1", Decimal("1.5")),
    ],
)  # fmt: skip
def test_quantities(text: str | None, number: object) -> None:
    assert quantities(text) == [(number, None)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((text, "invalid_quantity") for text in
          ("NaN", "nan", "inf", "-Infinity", "1,5", "1_000", ".5", "5.", "1e", "0x10", "٣", "five",
           "1 2", "--1", "1e1.5", "1" * 40 + "x")),
        *((text, "quantity_out_of_range") for text in
          ("1e400", "-1e400", "9" * 40, "1e15", "1" * 16, "0." + "0" * 18 + "1", "1e-19", "1e-400",
           "1e99999999999999999999", "1e-99999999999999999999")),
    ],
)  # fmt: skip
def test_bad_quantities(text: str, reason: str) -> None:
    assert quantities(text) == [(None, reason)]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(mantissas, exponents), min_size=20, max_size=60))
def test_a_property_is_read_like_a_quantity(parts: list[tuple[str, int | None]]) -> None:
    """By the functions that dbt calls; below 0, and untrimmed, it is no number."""
    connection.execute("create schema if not exists raw")
    for statement in expressions.property_macros():
        connection.execute(statement)
    texts = [text if exp is None else f"{text}e{exp:+d}" for text, exp in parts]
    texts += ["-0", "-0.00", "-0e5", ".5", "5.", "1e", " 5", "5 ", "NaN", "true", "", "007.50"]
    connection.register("texts", pa.table({"text": texts}))
    found = connection.execute(
        "select raw.quantity_from_text(text), raw.is_decimal_text(text) from texts"
    ).fetchall()
    for text, (number, is_decimal) in zip(texts, found, strict=True):
        [(quantity, fault)] = quantities(text) if text.strip() == text != "" else [(None, "blank")]
        assert number == (quantity if quantity is not None and quantity >= 0 else None), text
        may_be_long = fault in (None, "quantity_out_of_range")
        assert is_decimal == (may_be_long and not text.startswith("-")), text


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(), min_size=50, max_size=100))
def test_doubles_are_their_shortest_text(numbers: list[float]) -> None:
    found = quantities(*numbers, kind="DOUBLE", arrow=pa.float64())
    finite = [Decimal(repr(number)) for number in numbers]
    assert found == [
        expected_quantity(str(number)) if number.is_finite() else (None, "invalid_quantity")
        for number in finite
    ]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(2**-10, 1e6, width=32), min_size=20, max_size=40))
def test_floats_of_32_bits_are_a_text_of_theirs(numbers: list[float]) -> None:
    found = quantities(*numbers, kind="FLOAT", arrow=pa.float32())
    assert [(np.float32(str(value)), fault) for value, fault in found] == [
        (np.float32(number), None) for number in numbers
    ]
    assert quantities(0.1, kind="FLOAT", arrow=pa.float32()) == [(Decimal("0.1"), None)]


def test_typed_numbers() -> None:
    big = 10**15 - 1
    assert quantities(big, big + 1, -1, None, kind="BIGINT", arrow=pa.int64()) == [
        (big, None),
        (None, "quantity_out_of_range"),
        (-1, None),
        (1, None),
    ]
    wide = [Decimal("1.5"), Decimal(10) ** 30, Decimal("1e-6")]
    assert quantities(*wide, kind="DECIMAL(38,6)", arrow=pa.decimal128(38, 6)) == [
        (Decimal("1.5"), None),
        (None, "quantity_out_of_range"),
        (Decimal("0.000001"), None),
    ]
    small = [Decimal("12.34"), None]
    assert quantities(*small, kind="DECIMAL(10,2)", arrow=pa.decimal128(10, 2)) == [
        (Decimal("12.34"), None),
        (1, None),
    ]


# --- time stamps -------------------------------------------------------------------------------


def instants(*cells: object, zone: ZoneInfo = UTC, kind: str = "VARCHAR", arrow: object = None):  # type: ignore[no-untyped-def]
    return evaluate(
        expressions.occurred_at("cell", kind, zone),
        expressions.occurred_at_fault("cell", kind, "value"),
        cells,
        arrow,
    )


offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
FIRST, LAST = datetime(1, 1, 3), datetime(9999, 12, 29)  # noqa: DTZ001
MODERN = datetime(1971, 1, 1), datetime(2037, 1, 1)  # noqa: DTZ001  (years with known zones)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.datetimes(FIRST, LAST, timezones=offsets), min_size=20, max_size=60))
def test_times_with_an_offset(moments: list[datetime]) -> None:
    texts = [moment.isoformat(sep) for moment, sep in zip(moments, "T " * 60, strict=False)]
    assert instants(*texts, zone=BERLIN) == [(moment, None) for moment in moments]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.datetimes(*MODERN), min_size=20, max_size=60))
def test_times_without_an_offset_agree_with_the_reference_tables(moments: list[datetime]) -> None:
    """Also in the hours that a change of clocks skips or repeats: see `values.instant`."""
    texts = [moment.isoformat() for moment in moments]
    assert instants(*texts, zone=BERLIN) == [(values.instant(t, BERLIN), None) for t in texts]
    typed = instants(*moments, zone=BERLIN, kind="TIMESTAMP", arrow=pa.timestamp("us"))
    assert typed == instants(*texts, zone=BERLIN)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_every_quarter_of_an_hour_around_clock_changes(zone: str) -> None:
    days = [datetime(2024, month, day) for month in (3, 4, 10, 11) for day in range(1, 31)]  # noqa: DTZ001
    texts = [(day + timedelta(minutes=15 * n)).isoformat() for day in days for n in range(16)]
    found = instants(*texts, zone=ZoneInfo(zone))
    assert found == [(values.instant(text, ZoneInfo(zone)), None) for text in texts]


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-01-31", "2024-01-31T00:00:00Z"),
        ("2024-01-31T10:20", "2024-01-31T10:20:00Z"),
        ("2024-01-31t10:20:30z", "2024-01-31T10:20:30Z"),
        ("2024-01-31 10:20:30.1234569+01", "2024-01-31T09:20:30.123456Z"),
        ("2024-01-31T10:20:30.1234569Z", "2024-01-31T10:20:30.123456Z"),
        ("2024-01-31T10:20:30+0530", "2024-01-31T04:50:30Z"),
        ("2024-01-31T10:20:30.5Z", "2024-01-31T10:20:30.5Z"),
        (" 2024-01-31T10:20:30Z\t", "2024-01-31T10:20:30Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_times(text: str, utc: str) -> None:
    assert instants(text) == [(datetime.fromisoformat(utc), None)]


@pytest.mark.parametrize(
    "text",
    ["2024-02-30", "2024-13-01", "2024-00-10", "31.01.2024", "01/31/2024", "2024-1-1", "20240131",
     "1706659200", "2024-01-31T24:00:00Z", "2024-01-31T23:59:60Z", "2024-01-31T10", "now", "epoch",
     "infinity", "2024-01-31 10:20:30 UTC", "2024-01-31T10:20:30+24:00", "0000-12-31",
     "0001-01-01T00:00:00+01:00", "9999-12-31T23:30:00-01:00", "2024-01-31Z", "12024-01-31",
     "2024-01-31 (BC)", "2024-02-30T00:00:00Z"],
)  # fmt: skip
def test_bad_times(text: str) -> None:
    assert instants(text) == [(None, "invalid_timestamp")]


def test_missing_times_are_no_fault_here() -> None:
    assert instants("", None, " ") == [(None, None)] * 3


def test_typed_times() -> None:
    noon = datetime(2024, 1, 31, 12)  # noqa: DTZ001
    aware = noon.replace(tzinfo=UTC)
    for unit, kind in (("s", "TIMESTAMP_S"), ("ms", "TIMESTAMP_MS"), ("ns", "TIMESTAMP_NS")):
        assert instants(noon, None, kind=kind, arrow=pa.timestamp(unit)) == [
            (aware, None),
            (None, None),
        ]
    for unit, kind in (("us", "TIMESTAMP WITH TIME ZONE"), ("ns", "TIMESTAMPTZ_NS")):
        assert instants(aware, None, kind=kind, arrow=pa.timestamp(unit, "UTC")) == [
            (aware, None),
            (None, None),
        ]
    midnight = datetime(2024, 1, 30, 23, tzinfo=UTC)
    assert instants(noon.date(), zone=BERLIN, kind="DATE", arrow=pa.date32()) == [(midnight, None)]


@pytest.mark.parametrize(("kind", "zone"), [("TIMESTAMPTZ_NS", "UTC"), ("TIMESTAMP_NS", None)])
def test_digits_after_the_microsecond_are_dropped_from_typed_times(
    kind: str, zone: str | None
) -> None:
    last = datetime(2024, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)
    nanoseconds = int(last.timestamp()) * 10**9 + 999_999_999
    arrow = pa.timestamp("ns", zone)
    assert instants(nanoseconds, kind=kind, arrow=arrow) == [(last, None)]


@pytest.mark.parametrize("text", ["infinity", "-infinity", "10001-01-01", "0001-01-01 (BC)"])
def test_times_that_only_parquet_can_hold(text: str) -> None:
    kinds = ["TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "DATE"]
    if "infinity" in text:
        kinds += ["TIMESTAMP_NS", "TIMESTAMPTZ_NS"]
    for kind in kinds:
        cell = f"cast('{text}' as {kind})"
        value = expressions.occurred_at("cell", kind, BERLIN)
        fault = expressions.occurred_at_fault("cell", kind, "value")
        row = connection.execute(
            f"select value, {fault} "
            f"from (select cell, {value} as value from (select {cell} as cell))"
        ).fetchall()
        assert row == [(None, "invalid_timestamp")]


# --- properties --------------------------------------------------------------------------------


def objects(*cells: object) -> Found:
    return evaluate(
        expressions.properties("cell", "VARCHAR"),
        expressions.properties_fault("cell", "VARCHAR", "value"),
        cells,
    )


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
scalars = st.none() | st.booleans() | texts | st.integers(-(10**9), 10**9)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.dictionaries(texts, scalars, max_size=4), min_size=5, max_size=20))
def test_json_objects_pass_as_they_are(found: list[dict[str, object]]) -> None:
    cells = [json.dumps(value, ensure_ascii=bool(n % 2)) for n, value in enumerate(found)]
    assert objects(*cells) == [(cell, None) for cell in cells]


@pytest.mark.parametrize(
    "text",
    ["[]", "1", "null", '"{}"', "{", '{"a": NaN}', '{"a": Infinity}', '{"a": -inf}', '{"a": 1,}',
     "{a: 1}", '{"a": 01}', "{} {}", "x", "{'a': 1}", '{"a": [1,]}'],
)  # fmt: skip
def test_bad_properties(text: str) -> None:
    assert objects(text) == [(None, "invalid_properties")]


def test_words_within_strings_are_no_tokens() -> None:
    fine = ['{"a": "NaN"}', '{"Infinity": ",}"}', '{"a": "\\" nan"}', '{"a":"nan","b":"inf\\\\"}']
    assert objects(*fine) == [(text, None) for text in fine]


def test_empty_properties_are_none() -> None:
    assert objects("", None, " \n") == [(None, None)] * 3


def test_objects_lose_the_blanks_around_them() -> None:
    assert objects(' {"a": 1}', '{"a": 1}\n', "\t{} \r\n", '{"a": 1} }') == [
        ('{"a": 1}', None),
        ('{"a": 1}', None),
        ("{}", None),
        (None, "invalid_properties"),
    ]


# --- ids ----------------------------------------------------------------------------------------

SPACES = " \u00a0\u1680\u2000\u2009\u202f\u205f\u3000"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(SPACES + "aé\t😀", max_size=6), min_size=20, max_size=200))
def test_ids_lose_the_spaces_around_them_of_all_scripts(cells: list[str]) -> None:
    stripped = [cell.strip(SPACES) or None for cell in cells]
    assert evaluate(expressions.text_id("cell", "VARCHAR"), None, cells) == [
        (text, None) for text in stripped
    ]
    connection.register("ids", pa.table({"event_id": cells}))
    clean = connection.execute(f"select {expressions.is_clean('event_id', 'VARCHAR')} from ids")
    assert clean.fetchall() == [(cell == text,) for cell, text in zip(cells, stripped, strict=True)]
