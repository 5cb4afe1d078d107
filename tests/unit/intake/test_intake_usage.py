"""The usage view: every row there once, with its place, its values or its reason."""

from __future__ import annotations

import gzip
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import USAGE_HEADER, World

from billing_pipeline.intake import usage_files
from billing_pipeline.intake.files import text_files
from billing_pipeline.intake.files.normalising import Normaliser

JANUARY = "2024-01-02T03:04:05Z"
GOOD = f"e1,c1,call,{JANUARY},2,"


def parquet(world: World, name: str, month: str = "2024-01", **changes: object) -> Path:
    columns: dict[str, object] = {
        "event_id": ["e1", "e2"],
        "customer_id": ["c1", "c2"],
        "event_name": ["call", "call"],
        "occurred_at": [datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)] * 2,
        "quantity": [2, None],
        "properties": ['{"a":1}', None],
        **changes,
    }
    path = world.data / "usage" / month / name
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {name: column for name, column in columns.items() if column is not None}
    pq.write_table(pa.table(kept), path)
    return path


def test_one_row_has_all_columns(world: World) -> None:
    world.usage("a.csv", f'e1, c1 ,call,{JANUARY},2.50,"{{""a"": 1}}"')
    world.load_usage()
    described = world.select("describe raw.usage_events")
    assert [(row[0], row[1]) for row in described] == [
        ("usage_month", "DATE"),
        ("event_id", "VARCHAR"),
        ("customer_id", "VARCHAR"),
        ("event_name", "VARCHAR"),
        ("occurred_at", "TIMESTAMP WITH TIME ZONE"),
        ("quantity", "DECIMAL(38,18)"),
        ("properties", "VARCHAR"),
        ("subscription_id", "VARCHAR"),
        ("row_id", "BIGINT"),
        ("source_file", "VARCHAR"),
        ("source_row", "BIGINT"),
        ("parse_error", "VARCHAR"),
        ("given_text", "VARCHAR"),
        ("given_event_id", "VARCHAR"),
        ("given_customer_id", "VARCHAR"),
        ("given_event_name", "VARCHAR"),
        ("given_occurred_at", "VARCHAR"),
        ("given_quantity", "VARCHAR"),
        ("given_properties", "VARCHAR"),
        ("given_subscription_id", "VARCHAR"),
    ]
    [row] = world.events("*")
    assert row[:12] == (
        date(2024, 1, 1), "e1", "c1", "call", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
        Decimal("2.5"), '{"a": 1}', None, 0, "usage/2024-01/a.csv", 2, None,
    )  # fmt: skip
    assert json.loads(str(row[12])) == {
        "event_id": "e1",
        "customer_id": " c1 ",
        "event_name": "call",
        "occurred_at": JANUARY,
        "quantity": "2.50",
        "properties": '{"a": 1}',
    }


@pytest.mark.parametrize("month", ["2024-01", "2031-07"])
def test_a_month_without_usage(world: World, month: str) -> None:
    assert world.load_usage(month).files == ()
    assert world.events("*") == []
    (world.data / "usage" / month).mkdir(parents=True)
    files = world.load_usage(month)
    assert (files.rows, world.events("*")) == (0, [])
    types = [row[1] for row in world.select("describe raw.usage_events")]
    world.usage("a.csv", GOOD, month=month)
    world.load_usage(month)
    assert [row[1] for row in world.select("describe raw.usage_events")] == types


def test_the_run_is_written_down(world: World) -> None:
    world.env["BILLING_TIMEZONE"] = "Europe/Berlin"
    world.load_usage()
    assert world.select("select * from raw.run") == [
        (
            date(2024, 1, 1),
            datetime(2023, 12, 31, 23, tzinfo=UTC),
            datetime(2024, 1, 31, 23, tzinfo=UTC),
            "Europe/Berlin",
        )
    ]
    assert world.select(
        "select month_start, month_end from raw.months "
        "where billing_month in ('1974-01-01', '2024-03-01', '2074-01-01') order by month_start"
    ) == [
        (datetime(1973, 12, 31, 23, tzinfo=UTC), datetime(1974, 1, 31, 23, tzinfo=UTC)),
        (datetime(2024, 2, 29, 23, tzinfo=UTC), datetime(2024, 3, 31, 22, tzinfo=UTC)),
        (datetime(2073, 12, 31, 23, tzinfo=UTC), datetime(2074, 1, 31, 23, tzinfo=UTC)),
    ]


def test_all_formats_say_the_same(world: World) -> None:
    event = {"event_id": "7", "customer_id": "c1", "event_name": "call", "occurred_at": JANUARY}
    line = json.dumps({**event, "event_id": 7, "quantity": 0.1, "properties": {"a": 1}})
    sheet = f'{USAGE_HEADER}\n7,c1,call,{JANUARY},0.1,"{{""a"":1}}"\n'
    world.write("usage/2024-01/a.csv", sheet)
    world.write("usage/2024-01/b.CSV.gz", gzip.compress(sheet.encode()))
    world.write("usage/2024-01/c.jsonl", line)
    world.write("usage/2024-01/d.ndjson.gz", gzip.compress(line.encode()))
    world.write("usage/2024-01/e.json", line + "\n")
    one = {
        "event_id": [7],
        "customer_id": ["c1"],
        "event_name": ["call"],
        "quantity": [0.1],
        "occurred_at": [JANUARY],
        "properties": [{"a": 1}],
    }
    parquet(world, "f.parquet", **one)
    stamped = [datetime(2024, 1, 2, 3, 4, 5)]  # noqa: DTZ001
    parquet(world, "g.parquet", **{**one, "occurred_at": stamped, "properties": ['{"a":1}']})
    files = world.load_usage()
    assert (len(files.files), files.rows) == (7, 7)
    columns = "event_id, customer_id, event_name, occurred_at, quantity, properties, parse_error"
    same = ("7", "c1", "call", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), Decimal("0.1"))
    assert world.events(columns) == [(*same, '{"a":1}', None)] * 7
    assert [row[0] for row in world.events("source_file")] == [
        f"usage/2024-01/{name}"
        for name in (
            "a.csv",
            "b.CSV.gz",
            "c.jsonl",
            "d.ndjson.gz",
            "e.json",
            "f.parquet",
            "g.parquet",
        )
    ]


def test_the_months_before_come_along(world: World) -> None:
    for month in ("2023-10", "2023-11", "2023-12", "2024-01", "2024-02"):
        world.usage("a.csv", GOOD, month=month)
    world.load_usage("2024-01", months_back=2)
    assert world.events("usage_month, source_file") == [
        (date(2023, 11, 1), "usage/2023-11/a.csv"),
        (date(2023, 12, 1), "usage/2023-12/a.csv"),
        (date(2024, 1, 1), "usage/2024-01/a.csv"),
    ]


def test_awkward_file_names(world: World) -> None:
    names = ["a[1].csv", "b*?.csv", "c's.csv", 'd "x".csv', "e=1.csv", "ü.csv", "f g.jsonl"]
    for name in names:
        content = GOOD if name.endswith("csv") else ""
        world.usage(name, content) if content else world.write(f"usage/2024-01/{name}", "{}")
    parquet(world, "g[2]*.parquet")
    parquet(world, "month=3.parquet")
    world.load_usage()
    found = [str(row[0]) for row in world.events("distinct source_file, 1 as source_row")]
    expected = [*names, "g[2]*.parquet", "month=3.parquet"]
    assert found == sorted(f"usage/2024-01/{name}" for name in expected)


def test_a_file_name_is_not_a_glob_pattern(world: World) -> None:
    parquet(world, "a[12].parquet", event_id=["x", "x"])
    parquet(world, "a1.parquet", event_id=["y", "y"])
    world.load_usage()
    assert world.events("source_file, event_id") == [
        *[("usage/2024-01/a1.parquet", "y")] * 2,
        *[("usage/2024-01/a[12].parquet", "x")] * 2,
    ]


def test_the_view_works_from_anywhere_and_read_only(world: World, tmp_path: Path) -> None:
    """dbt and `explain` open the warehouse from other folders, in other processes."""
    world.env["BILLING_DATA_DIR"] = os.path.relpath(world.data)
    world.usage("a.csv", GOOD)
    parquet(world, "b.parquet")
    world.connection = duckdb.connect(str(tmp_path / "w.duckdb"))
    world.load_usage()
    world.connection.close()
    before = Path.cwd()
    os.chdir("/")
    try:
        with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as other:
            found = other.execute(
                "select count(*), count(distinct source_file) from raw.usage_events"
            )
            assert found.fetchall() == [(3, 2)]
    finally:
        os.chdir(before)


# --- CSV rows -----------------------------------------------------------------------------------


def rows(world: World) -> list[tuple[object, ...]]:
    world.load_usage()
    return world.events("source_row, event_id, parse_error")


def test_byte_order_mark_crlf_quotes_newlines_and_formulas(world: World) -> None:
    cells = f'"e,""1""",=1+1,call,{JANUARY},1,"{{""a"":\r\n 1}}"'
    world.write(
        "usage/2024-01/a.csv",
        f"\ufeff{USAGE_HEADER}\r\n{cells}\r\n\r\ne2,c1,call,{JANUARY},1,\r\n",
    )
    assert rows(world) == [(2, 'e,"1"', None), (4, "e2", None)]
    assert world.events("customer_id, properties", "source_row = 2") == [("=1+1", '{"a":\r\n 1}')]


def test_columns_in_another_order_and_columns_of_notes(world: World) -> None:
    text = (
        "_note,quantity, occurred_at ,event_name,customer_id,properties,event_id,\n"
        f"hi,3,{JANUARY},call,c1,,e1,\n"
    )
    world.write("usage/2024-01/a.csv", text)
    assert rows(world) == [(2, "e1", None)]
    assert world.events("quantity, customer_id") == [(3, "c1")]
    world.write("usage/2024-01/a.csv", text.replace("_note", "region"))
    [line] = world.usage_problems()
    assert line.startswith("usage/2024-01/a.csv, region: is not a column of usage files")


@pytest.mark.parametrize(
    "bad", ["e2,c1,call", f"e2,c1,call,{JANUARY},1,,", f'e2,"c"1,call,{JANUARY},1,', "x"]
)
def test_only_the_malformed_row_is_set_aside(world: World, bad: str) -> None:
    world.usage("a.csv", GOOD, bad, f"e3,c1,call,{JANUARY},1,")
    assert rows(world) == [(2, "e1", None), (3, None, "malformed_row"), (4, "e3", None)]
    assert world.events("raw, customer_id, quantity", "source_row = 3") == [(bad, None, None)]


@pytest.mark.parametrize(
    "after", [f'e5,c1,call,{JANUARY},1,"{{""a"": 1}}"', f'"e5",c1,call,{JANUARY},1,']
)
def test_a_stray_quote_does_not_swallow_the_rows_below(world: World, after: str) -> None:
    stray = f'e2,"c1,call,{JANUARY},1,'
    world.usage("a.csv", GOOD, stray, f"e3,c1,call,{JANUARY},1,", GOOD, after)
    assert rows(world) == [
        (2, "e1", None),
        (3, None, "malformed_row"),
        (4, "e3", None),
        (5, "e1", None),
        (6, "e5", None),
    ]
    assert world.events("raw", "source_row = 3") == [(stray,)]


def test_a_stray_quote_in_a_long_file(world: World) -> None:
    """Longer than the CSV reader takes for one cell: no end of the file in sight."""
    many = [f"x{n},c1,call,{JANUARY},1," for n in range(6000)]
    world.usage("a.csv", f'e1,"c1,call,{JANUARY},1,', *many)
    world.load_usage()
    [(good, bad)] = world.select(
        "select count(*) filter (parse_error is null), count(*) filter (parse_error is not null) "
        "from raw.usage_events"
    )
    assert (good, bad) == (6000, 1)


def test_bytes_that_are_no_text_spoil_their_row_only(world: World) -> None:
    lines = [USAGE_HEADER, GOOD, f"e2,c\xff,call,{JANUARY},1,", f"e3,c1,call,{JANUARY},1,", ""]
    world.write("usage/2024-01/a.csv", "\n".join(lines).encode("latin-1"))
    assert rows(world) == [(2, "e1", None), (3, None, "malformed_row"), (4, "e3", None)]
    assert "c\\xff" in str(world.events("raw", "source_row = 3")[0][0])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"e1,c1,call,{JANUARY},NaN,", "invalid_quantity"),
        (f"e1,c1,call,{JANUARY},1e400,", "quantity_out_of_range"),
        (f"e1,c1,call,{JANUARY},{'9' * 40},", "quantity_out_of_range"),
        ("e1,c1,call,2024-02-30,1,", "invalid_timestamp"),
        (f"e1,c1,call,{JANUARY},1,[1]", "invalid_properties"),
        (f'e1,c1,call,{JANUARY},1,"{{""a"": 1, ""a"": 2}}"', None),
        (f"e1,c1,call,{JANUARY},-0,", None),
        (f"e1,c1,call,{JANUARY},-1,", None),
        (f"e1,c1,call,{JANUARY},,", None),
        (",,,,,", None),  # what is missing is dbt's to say
    ],
)
def test_values_and_their_reasons(world: World, row: str, reason: str | None) -> None:
    world.usage("a.csv", row)
    world.load_usage()
    assert world.events("parse_error") == [(reason,)]


def test_missing_values_are_null_and_quantity_is_one(world: World) -> None:
    world.usage("a.csv", " ,,,,,")
    world.load_usage()
    assert world.events(
        "event_id, customer_id, event_name, occurred_at, quantity, properties, parse_error"
    ) == [(None, None, None, None, 1, None, None)]


def test_times_without_an_offset_are_in_the_billing_time_zone(world: World) -> None:
    world.env["BILLING_TIMEZONE"] = "Asia/Tokyo"
    world.usage("a.csv", "e1,c1,call,2024-01-01,1,")
    naive = [datetime(2024, 1, 1)] * 2  # noqa: DTZ001
    parquet(world, "b.parquet", occurred_at=naive)
    world.load_usage()
    tokyo = datetime(2023, 12, 31, 15, tzinfo=UTC)
    assert world.events("occurred_at") == [(tokyo,)] * 3
    world.env["BILLING_TIMEZONE"] = "UTC"  # the copy of another zone must not be used
    world.load_usage()
    assert world.events("occurred_at") == [(datetime(2024, 1, 1, tzinfo=UTC),)] * 3


def test_files_of_pandas(world: World) -> None:
    """Nanoseconds with a zone, also where a row is rejected and among files of other types."""
    frame = pd.DataFrame({
        "event_id": ["e1", "e2"], "customer_id": "c1", "event_name": "call",
        "occurred_at": pd.to_datetime(["2024-01-01T00:00:00.123456789Z", None]).as_unit("ns"),
        "quantity": [1.5, float("inf")], "properties": None,
    })  # fmt: skip
    path = parquet(world, "a.parquet")
    frame.to_parquet(path)
    for _ in range(2):
        world.load_usage()
        assert world.events("occurred_at, parse_error", "source_file like '%a.parquet'") == [
            (datetime(2024, 1, 1, microsecond=123456, tzinfo=UTC), None),
            (None, "invalid_quantity"),
        ]
        raws = [str(row[0]) for row in world.events("raw", "source_file like '%a.parquet'")]
        assert json.loads(raws[0])["occurred_at"] == "2024-01-01 00:00:00.123456789+00"
        parquet(world, "b.parquet")


# The second has just one digit more than every double keeps, and is between two of them.
@pytest.mark.parametrize("number", ["12345678901234567.25", "9007199254740993"])
def test_long_numbers_in_properties_stay_exact(world: World, number: str) -> None:
    world.usage("a.csv", f'e1,c1,call,{JANUARY},1,"{{""a"": {number}}}"')
    world.write("usage/2024-01/b.jsonl", f'{{"event_id":"e2","properties":{{"a":{number}}}}}')
    world.load_usage()
    assert world.events("properties ->> 'a'") == [(number,)] * 2
    assert f'": {number}}}' in json.loads(str(world.events("raw")[0][0]))["properties"]


@pytest.mark.parametrize(
    "note", ["", "12345678901234567", ":1234567890123456", '\\",1234567890123456']
)
def test_long_numbers_next_to_strings_of_the_same_digits(world: World, note: str) -> None:
    text = f'{{"note": {json.dumps(note)}, "a": -123456789.004999999999, "b": 1.5}}'
    parquet(world, "a.parquet", properties=[text, None])
    world.load_usage()
    assert world.events(
        "properties ->> 'note', properties ->> 'a', properties ->> 'b'", "properties is not null"
    ) == [(note, "-123456789.004999999999", "1.5")]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (Decimal("123456789.004999999999"), pa.decimal128(38, 12), "123456789.004999999999"),
        (Decimal("1.5"), pa.decimal128(10, 2), "1.5"),
        (Decimal("1.5"), pa.decimal128(38, 18), "1.5"),
        (Decimal("-1.05"), pa.decimal128(38, 30), "-1.05"),
        (Decimal(100), pa.decimal128(38, 30), "100.0"),
        (Decimal("1" + "0" * 36 + "1"), pa.decimal128(38, 0), "1" + "0" * 36 + "1"),
        (2**63 - 1, pa.int64(), "9223372036854775807"),
        (2**64 - 1, pa.uint64(), "18446744073709551615"),
        (0.1 + 0.2, pa.float64(), "0.30000000000000004"),
        (0.1, pa.float32(), "0.1"),
        (True, pa.bool_(), "true"),
        ("1.50", pa.string(), "1.50"),
        (date(2024, 1, 2), pa.date32(), "2024-01-02"),
        (datetime(2024, 1, 2, tzinfo=UTC), pa.timestamp("ns", "UTC"), "2024-01-02 00:00:00+00"),
    ],
)
def test_typed_properties_are_exact(
    world: World, value: object, kind: pa.DataType, text: str
) -> None:
    fields = [("float", kind), ('A "FLOAT"', pa.struct([("in", kind)])), ("l", pa.list_(kind))]
    cell = {"float": value, 'A "FLOAT"': {"in": value}, "l": [value, None]}
    parquet(world, "a.parquet", properties=pa.array([cell, None], pa.struct(fields)))
    parquet(world, "b.parquet", properties=pa.array(
        [[("float", value)], None], pa.map_(pa.string(), kind)
    ))  # fmt: skip
    world.load_usage()
    found = world.events("properties, properties ->> 'float'", "properties is not null")
    assert [row[1] for row in found] == [text, text]
    one = json.loads(str(found[0][0]), parse_float=str, parse_int=str)
    assert one['A "FLOAT"']["in"] == one["l"][0] == one["float"]
    assert world.events("properties", "properties is null") == [(None,)] * 2


# --- JSON Lines ---------------------------------------------------------------------------------


def json_rows(world: World, *lines: str) -> list[tuple[object, ...]]:
    world.write("usage/2024-01/a.jsonl", "\n".join(lines))
    world.load_usage()
    return world.events("source_row, event_id, parse_error")


@pytest.mark.parametrize(
    "bad",
    ["[1]", "1", '"x"', "null", "{", '{"event_id": "a"} x', '{"event_id": ["a"]}',
     '{"event_id": true}', '{"customer_id": {"id": 1}}', '{"event_id": "a", "event_id": "b"}',
     '{"event_id": "\\ud800"}', "[" * 100_000, "{'event_id': 'a'}"],
)  # fmt: skip
def test_a_line_that_is_not_an_event(world: World, bad: str) -> None:
    good = '{"event_id":"e1"}'
    assert json_rows(world, good, "", bad, good) == [
        (1, "e1", None),
        (3, None, "malformed_row"),
        (4, "e1", None),
    ]
    assert world.events("raw", "source_row = 3") == [(bad,)]


@pytest.mark.parametrize(
    ("fields", "column", "value", "reason"),
    [
        ('"quantity": 0.1', "quantity", Decimal("0.1"), None),
        ('"quantity": "0.1"', "quantity", Decimal("0.1"), None),
        ('"quantity": 0.100000000000000001', "quantity", Decimal("0.100000000000000001"), None),
        ('"quantity": null', "quantity", 1, None),
        ('"quantity": NaN', "quantity", None, "invalid_quantity"),
        ('"quantity": -Infinity', "quantity", None, "invalid_quantity"),
        ('"quantity": 1e400', "quantity", None, "quantity_out_of_range"),
        (f'"quantity": {"9" * 5000}', "quantity", None, "quantity_out_of_range"),
        ('"quantity": true', "quantity", None, "invalid_quantity"),
        ('"quantity": [1]', "quantity", None, "invalid_quantity"),
        ('"occurred_at": 1704067200', "occurred_at", None, "invalid_timestamp"),
        ('"occurred_at": {"a": 1}', "occurred_at", None, "invalid_timestamp"),
        ('"customer_id": 12345678901234567890', "customer_id", "12345678901234567890", None),
        ('"properties": {"b": 1.10, "a": "ü"}', "properties", '{"b":1.10,"a":"ü"}', None),
        ('"properties": "{\\"a\\": 1}"', "properties", '{"a": 1}', None),
        ('"properties": ""', "properties", None, None),
        ('"properties": [1]', "properties", None, "invalid_properties"),
        ('"properties": 5', "properties", None, "invalid_properties"),
        ('"properties": false', "properties", None, "invalid_properties"),
        ('"properties": {"a": NaN}', "properties", None, "invalid_properties"),
        ('"properties": {"a": [{"b": 1, "b": 2}]}', "properties", None, "invalid_properties"),
    ],
)
def test_json_values(
    world: World, fields: str, column: str, value: object, reason: str | None
) -> None:
    assert json_rows(world, f'{{"event_id": "e1", {fields}}}') == [(1, "e1", reason)]
    assert world.events(column) == [(value,)]


def test_json_with_a_byte_order_mark_and_bytes_that_are_no_text(world: World) -> None:
    world.write(
        "usage/2024-01/a.jsonl", b'\xef\xbb\xbf{"event_id":"e1"}\r\n{"event_id":"\xff"}\r\n'
    )
    assert rows(world) == [(1, "e1", None), (2, None, "malformed_row")]


def test_a_key_that_is_always_misspelt(world: World) -> None:
    world.write("usage/2024-01/a.jsonl", '{"event_id":"e1","quantiy":5}\n')
    [line] = world.usage_problems()
    assert line.startswith("usage/2024-01/a.jsonl, quantity: no object has this key")


# --- Parquet ------------------------------------------------------------------------------------


def test_parquet_rows_are_counted_from_one(world: World) -> None:
    parquet(world, "a.parquet")
    parquet(world, "b.parquet")
    assert rows(world) == [(1, "e1", None), (2, "e2", None)] * 2
    assert world.events("quantity", "source_row = 2") == [(1,), (1,)]


def test_parquet_of_other_types(world: World) -> None:
    parquet(
        world, "a.parquet",
        event_id=[1, 2], customer_id=pa.array([b"c1", b"c2"], pa.binary()),
        occurred_at=[date(2024, 1, 2)] * 2, quantity=[float("nan"), 0.1],
        properties=pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    )  # fmt: skip
    parquet(world, "b.parquet", quantity=["1e400", "2"], properties=["[]", "{}"])
    parquet(world, "c.parquet", properties=pa.nulls(2), quantity=pa.nulls(2))
    world.load_usage()
    assert world.events(
        "event_id, customer_id, quantity, properties, parse_error",
        "source_file not like '%c.parquet'",
    ) == [
        ("1", "c1", None, '{"a":1}', "invalid_quantity"),
        ("2", "c2", Decimal("0.1"), None, None),
        ("e1", "c1", None, None, "quantity_out_of_range"),
        ("e2", "c2", 2, "{}", None),
    ]
    assert world.events("quantity, properties", "source_file like '%c.parquet'") == [(1, None)] * 2
    raws = [json.loads(str(row[0])) for row in world.events("raw")]
    assert raws[0]["quantity"] == "nan"
    assert raws[2]["quantity"] == "1e400"


# --- files --------------------------------------------------------------------------------------


def test_columns_that_may_be_empty_may_be_missing(world: World) -> None:
    header, row = "customer_id,event_name,event_id,occurred_at", f"c1,call,e1,{JANUARY}"
    world.write("usage/2024-01/a.csv", f"{header}\n{row}\n")
    world.write("usage/2024-01/b.csv", f"{header},quantity\n{row},2.5\n")
    world.write("usage/2024-01/c.jsonl", f'{{"event_id":"e1","occurred_at":"{JANUARY}"}}\n')
    parquet(world, "d.parquet", quantity=None, properties=None)
    parquet(world, "e.parquet", properties=None)
    world.load_usage()
    assert world.events("quantity, properties, parse_error") == [
        (1, None, None),
        (Decimal("2.5"), None, None),
        (1, None, None),
        *[(1, None, None)] * 2,
        (2, None, None),
        (1, None, None),
    ]


def test_every_broken_file_is_named_at_once(world: World) -> None:
    path = parquet(world, "a.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    good = gzip.compress(f"{USAGE_HEADER}\n{GOOD}\n".encode() * 50)
    world.write("usage/2024-01/b.csv.gz", good[: len(good) // 2])
    world.write("usage/2024-01/c.csv", USAGE_HEADER.replace("properties", "Propertes") + "\n")
    world.write("usage/2024-01/d.csv", f'{USAGE_HEADER}\n{GOOD}\ne2,c1,call,"cut')
    world.write("usage/2024-01/e.csv", f"{USAGE_HEADER}\n{GOOD}\n".encode("utf-16"))
    world.write("usage/2024-01/f.csv", "")
    world.write("usage/2024-01/g.xlsx", "")
    world.write("usage/2024-01/h/a.csv", f"{USAGE_HEADER}\n")
    (world.data / "usage/2024-01/i.csv").symlink_to("gone.csv")
    parquet(world, "j.parquet", event_name=None)
    parquet(world, "k.parquet", occurred_at=[1704067200, 1704067200])
    world.write("usage/2024-01/l.json", '[{"event_id": 1}]')
    world.write("usage/2024-01/m.csv.gz", b"")
    world.write("usage/2024-01/n.csv.gz", f"{USAGE_HEADER}\n")
    duckdb.execute(
        "copy (select * replace ({'a': '1'::json} as properties) from "
        f"'{parquet(world, 'o.parquet')}') to '{world.data}/usage/2024-01/o.parquet'"
    )
    for name, column in (("p", "quantity"), ("q", "properties")):
        wide = pa.array([Decimal(1), Decimal(2)], pa.decimal256(39, 2))
        nested = pa.StructArray.from_arrays([wide], ["a"])
        parquet(world, f"{name}.parquet", **{column: wide if name == "p" else nested})
    world.usage("z.csv", GOOD)
    expected = {
        "a.parquet": "not readable Parquet",
        "b.csv.gz": "cannot be read",
        "c.csv, properties": "this column is missing, but there is 'Propertes'",
        "d.csv row 3": "ends within a quoted cell",
        "e.csv, event_id": "column is missing",
        "f.csv": "is empty",
        "g.xlsx": "allowed: .parquet, .csv",
        "h": "is a folder",
        "i.csv": "cannot be read",
        "j.parquet, event_name": "column is missing",
        "k.parquet, occurred_at": "has the type BIGINT",
        "l.json row 1": "JSON array",
        "m.csv.gz": "is empty",
        "n.csv.gz": "cannot be read",
        "o.parquet, properties": "has the type STRUCT(a JSON); allowed: ",
        "p.parquet, quantity": "has decimals of 39 digits; allowed: up to 38",
        "q.parquet, properties": "has decimals of 39 digits; allowed: up to 38",
    }
    lines = world.usage_problems()
    assert len(lines) == len(expected), lines
    for line, (place, part) in zip(lines, expected.items(), strict=True):
        assert line.startswith(f"usage/2024-01/{place}: "), line
        assert part in line


@pytest.mark.parametrize("name", ["filename", "FileName", "file_row_number", "file_index"])
def test_columns_that_the_scan_adds_are_refused_by_name(world: World, name: str) -> None:
    """The file's own would be taken for them: DuckDB fails on two, and reads the third."""
    parquet(world, "a.parquet", **{name: ["x", "y"]})
    problem = (
        f"usage/2024-01/a.parquet, {name}: usage may not have a column of this name; rename it"
    )
    assert world.usage_problems() == [problem]


def test_columns_of_ones_own_are_refused_in_every_format(world: World) -> None:
    """As pandas writes its index, a column of notes may be there."""
    path = parquet(world, "a.parquet", **{"__index_level_0__": ["x", "y"]})
    world.load_usage()
    path.unlink()
    parquet(world, "a.parquet", source_file=["x", "y"])
    world.write("usage/2024-01/b.jsonl", '{"event_id":"e1","quantity":5,"_note":1,"region":"eu"}\n')
    part = "is not a column of usage files; the name of a column of notes begins with _"
    assert world.usage_problems() == [
        f"usage/2024-01/a.parquet, source_file: {part}",
        f"usage/2024-01/b.jsonl, region: {part}",
    ]


@pytest.mark.parametrize("name", [b"\xff.csv", b"\xff.parquet", b"caf\xe9.jsonl"])
def test_a_name_that_is_no_text_is_refused(world: World, name: bytes) -> None:
    world.usage("good.csv", GOOD)
    Path(os.fsdecode(os.fsencode(world.data / "usage/2024-01") + b"/" + name)).write_text("")
    shown = name.decode(errors="backslashreplace")
    message = "has a name that is not UTF-8; rename it"
    assert world.usage_problems() == [f"usage/2024-01/{shown}: {message}"]


def test_parquet_damaged_in_the_middle(world: World) -> None:
    path = parquet(world, "a.parquet", event_id=[f"id-{n}" for n in range(20_000)], **{
        name: [None] * 20_000 for name in ("customer_id", "event_name", "occurred_at", "quantity",
                                           "properties")
    })  # fmt: skip
    content = bytearray(path.read_bytes())
    content[1000:9000] = b"\x00" * 8000
    path.write_bytes(content)
    assert "not readable Parquet" in world.usage_problems()[0]


def test_parquet_whose_column_name_is_damaged(world: World) -> None:
    path = parquet(world, "a.parquet", colour=["red", "blue"])
    path.write_bytes(path.read_bytes().replace(b"colour", b"col\xeeur"))
    [problem] = world.usage_problems()
    assert problem.startswith("usage/2024-01/a.parquet: is not readable Parquet")


@pytest.mark.parametrize("name", ["_SUCCESS", ".a.csv.swp", ".hidden", "_tmp.parquet"])
def test_unfinished_files_are_ignored(world: World, name: str) -> None:
    world.usage("a.csv", GOOD)
    world.write(f"usage/2024-01/{name}", "x")
    assert [file.source_file for file in world.load_usage().files] == ["usage/2024-01/a.csv"]


@pytest.mark.parametrize("folder", ["2026-13", "2024-1", "2024-00", "january", "2024-01-01"])
def test_a_folder_that_is_not_a_month(world: World, folder: str) -> None:
    world.usage("a.csv", GOOD)
    world.write(f"usage/{folder}/a.csv", "x")
    [line] = world.usage_problems()
    assert line.startswith(f"usage/{folder}: is not a month")


def test_files_outside_of_a_month(world: World) -> None:
    world.write("usage/README.md", "x")
    world.load_usage()
    world.write("usage/a.csv", "x")
    [line] = world.usage_problems()
    assert line.startswith("usage/a.csv: is outside of a month's folder")


def test_a_file_without_permission(world: World) -> None:
    path = world.usage("a.csv", GOOD)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    assert "cannot be read: Permission denied" in world.usage_problems()[0]


def test_our_own_folder_without_permission_is_not_the_files_fault(world: World) -> None:
    world.usage("a.csv", GOOD)
    (world.root / "home").write_text("a file where a folder should be")
    with pytest.raises(OSError, match="home"):
        world.load_usage()


# --- copies and fingerprints ----------------------------------------------------------------------


def test_the_fingerprint_follows_names_and_content(world: World) -> None:
    path = world.usage("a.csv", GOOD)
    seen = [world.load_usage().fingerprint]
    assert world.load_usage().fingerprint == seen[0]
    world.usage("a.csv", GOOD.replace(",2,", ",3,"))  # same size, within the same moment
    seen.append(world.load_usage().fingerprint)
    assert world.events("quantity") == [(3,)]
    path.rename(path.with_name("b.csv"))
    seen.append(world.load_usage().fingerprint)
    parquet(world, "c.parquet")
    seen.append(world.load_usage().fingerprint)
    (world.data / "usage/2024-01/b.csv").unlink()
    seen.append(world.load_usage().fingerprint)
    assert len(set(seen)) == 5


def test_a_text_file_is_normalised_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.usage("a.csv", GOOD)
    world.load_usage()
    monkeypatch.setattr(Normaliser, "write", lambda *_: pytest.fail("normalised again"))
    assert world.load_usage().rows == 1


def test_a_settled_file_is_not_even_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.usage("a.csv", GOOD)
    parquet(world, "b.parquet")
    monkeypatch.setattr(usage_files, "_SETTLED_SECONDS", 0.0)
    time.sleep(0.01)
    first = world.load_usage()
    monkeypatch.setattr(usage_files._Reader, "_examine", lambda *_: pytest.fail("looked at again"))
    assert world.load_usage() == first


def test_a_file_that_was_just_written_is_not_trusted_yet(world: World) -> None:
    """It may be written again within the same tick of the clock: same size, same stamp."""
    world.usage("a.csv", GOOD)
    world.load_usage()
    assert list(world.settings.usage_cache_dir.rglob("known.json")) == []


def test_a_lost_or_spoilt_cache_is_rebuilt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_files, "_SETTLED_SECONDS", 0.0)
    world.usage("a.csv", GOOD)
    first = world.load_usage()
    copy = Path(first.files[0].scan_path)
    content = copy.read_bytes()
    copy.unlink()
    assert world.load_usage() == first
    for spoilt in (b"", content[: len(content) // 2], b"\0" * len(content)):
        copy.write_bytes(spoilt)
        assert world.load_usage() == first
        assert world.events("event_id") == [("e1",)]
    for notes in world.settings.usage_cache_dir.rglob("known.json"):
        notes.write_text('{"stamp": 1, "what": "is this"}')
    assert world.load_usage() == first
    assert world.events("event_id") == [("e1",)]


def test_an_interrupted_copy_is_not_taken_for_a_whole_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.usage("a.csv", *[GOOD] * 10)

    def interrupted(batch: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(text_files, "_batch", interrupted)
        with pytest.raises((KeyboardInterrupt, duckdb.Error)):
            world.load_usage()
    assert list(world.settings.usage_cache_dir.rglob("*.tmp")) == []
    assert world.load_usage().rows == 10


def test_two_runs_at_once(world: World) -> None:
    for n in range(4):
        world.usage(f"{n}.csv", *[GOOD] * 500)
    months = [usage_files.BillingMonth(2024, 1)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: usage_files.usage_files(world.settings, months), range(4)))
    assert all(files == found[0] for files in found)
    assert world.load_usage().rows == 2000
    assert world.select("select count(*) from raw.usage_events") == [(2000,)]


def test_many_rows_keep_their_numbers(world: World) -> None:
    """More than one batch of the reader and one row group of the copy."""
    count = 50_000
    world.usage("a.csv", *(f"e{n},c1,call,{JANUARY},{n}," for n in range(count)))
    assert world.load_usage().rows == count
    assert world.select(
        "select count(*), count(distinct source_row), bool_and(quantity = source_row - 2), "
        "bool_and(event_id = 'e' || (source_row - 2)) from raw.usage_events"
    ) == [(count, count, True, True)]


def test_every_row_has_an_id_of_its_own(world: World) -> None:
    """Whatever the formats, months and columns that are scanned together or apart."""
    world.usage("a.csv", GOOD, GOOD, month="2023-12")
    world.usage("a.csv", GOOD, GOOD)
    world.usage("b.csv", GOOD)
    parquet(world, "c.parquet")
    parquet(world, "d.parquet")
    rows = world.load_usage(months_back=1).rows
    assert world.select("select count(*), count(distinct row_id) from raw.usage_events") == [
        (rows, rows)
    ]


def test_unread_columns_cost_nothing(world: World) -> None:
    """What was given is only read where it is asked for."""
    parquet(world, "a.parquet")
    world.load_usage()
    query = "explain select event_name, sum(quantity) from raw.usage_events group by 1"
    plan = str(world.select(query))
    assert "event_name" in plan
    assert "properties" not in plan  # which `parse_error` reads
    query = "explain select given_properties from raw.usage_events"
    assert "properties" in str(world.select(query))
