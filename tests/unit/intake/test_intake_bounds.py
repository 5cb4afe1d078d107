"""Usage files of any size, name and kind: memory stays bounded, nothing is waited for."""

from __future__ import annotations

import gzip
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import USAGE_HEADER, World

from billing_pipeline.intake.files import normalising, parquet_files, text_files
from billing_pipeline.intake.late_usage import late_usage, record_rated
from billing_pipeline.intake.limits import InputLimits
from billing_pipeline.intake.reference.schemas import USAGE_COLUMNS
from billing_pipeline.months import BillingMonth

JANUARY = BillingMonth.parse("2024-01")
GOOD = "e1,c1,call,2024-01-02T03:04:05Z,2,"
LONG = 50_000


def event(number: int, **changes: object) -> dict[str, object]:
    return {
        **{"event_id": f"e{number}", "customer_id": "c1", "event_name": "call"},
        **{"occurred_at": "2024-01-02T03:04:05Z", "quantity": "1", "properties": None},
        **changes,
    }


def parquet(world: World, name: str, rows: int, **options: object) -> Path:
    path = world.data / "usage/2024-01" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([event(n) for n in range(rows)])
    if "properties" in options:
        column = pa.array([options.pop("properties")] * rows, pa.string())
        table = table.set_column(5, "properties", column)
    pq.write_table(table, path, **options)
    return path


def lines(kind: str, count: int, properties: str) -> str:
    if kind.startswith("csv"):
        quoted = properties.replace('"', '""')
        body = "".join(f'e{n},c1,call,2024-01-02T03:04:05Z,1,"{quoted}"\n' for n in range(count))
        return f"{USAGE_HEADER}\n{body}"
    return "".join(json.dumps(event(n, properties=properties)) + "\n" for n in range(count))


def packed(world: World, name: str, text: str) -> Path:
    content = text.encode()
    return world.write(
        f"usage/2024-01/{name}", gzip.compress(content) if name.endswith(".gz") else content
    )


# --- names --------------------------------------------------------------------------------------


def estimated_rows(world: World) -> int:
    """For how many rows DuckDB plans a scan of all events."""
    [(_, plan)] = world.select("explain (format json) select * from raw.usage_events")
    [root] = json.loads(str(plan))

    def scans(node: dict[str, object]) -> Iterator[int]:
        children = node["children"]
        assert isinstance(children, list)
        if not children:
            extra = node["extra_info"]
            assert isinstance(extra, dict)
            yield int(extra["Estimated Cardinality"])
        for child in children:
            yield from scans(child)

    return sum(scans(root))


@pytest.mark.parametrize("names", [("a", "z", "m"), ("z", "a", "m"), ("m", "z", "a")])
def test_names_of_files_do_not_change_for_how_many_rows_is_planned(
    world: World, names: tuple[str, str, str]
) -> None:
    """DuckDB takes each file of a scan for as large as the first: with a small one in front it
    would build hash tables of all events."""
    large, middle, small = names
    parquet(world, f"{large}.parquet", 30_000)
    parquet(world, f"{middle}.parquet", 10_000)
    for number in range(15):
        parquet(world, f"{small}{number}.parquet", 10)
    world.usage(f"{large}.csv", *[GOOD] * 2_000)
    world.usage(f"{small}.csv", GOOD)
    world.load_usage()
    rows = 30_000 + 10_000 + 15 * 10 + 2_000 + 1
    assert rows <= estimated_rows(world) <= 10 * rows
    assert world.select("select count(*), count(distinct row_id) from raw.usage_events") == [
        (rows, rows)
    ]


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl", "jsonl.gz"])
def test_memory_for_a_text_file_is_bounded_in_bytes(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """For rows of any length, both the batches and the written row groups are bounded."""
    world.env["BILLING_MEMORY_LIMIT"] = "64MB"
    limits = InputLimits.of(world.settings)
    assert limits.batch_bytes == 1_000_000
    held: list[int] = []
    arrow = text_files._batch

    def noted(records: list[text_files.Record]) -> pa.RecordBatch:
        batch = arrow(records)
        held.append(batch.nbytes)
        return batch

    monkeypatch.setattr(text_files, "_batch", noted)
    packed(world, f"a.{kind}", lines(kind, 200, json.dumps({"p": "x" * LONG})))
    [file] = world.load_usage().files
    assert file.rows == 200
    assert len(held) >= 10
    assert max(held) <= limits.batch_bytes + 3 * LONG
    metadata = pq.read_metadata(file.scan_path)
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    assert max(group.num_rows for group in groups) <= 100
    assert world.select("select count(distinct event_id), bool_and(properties like '%xxx%') "
                        "from raw.usage_events") == [(200, True)]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "row"), [("csv", 3), ("csv.gz", 3), ("jsonl", 2), ("jsonl.gz", 2), ("json", 2)]
)
def test_a_row_without_end_is_refused_by_name(world: World, kind: str, row: int) -> None:
    world.env["BILLING_MEMORY_LIMIT"] = "64MB"
    text = lines(kind, 1, "{}")
    packed(world, f"a.{kind}", text + "x" * 5_000_000)
    assert world.usage_problems() == [
        f"usage/2024-01/a.{kind} row {row}: is longer than 1 MB, more than a row may have"
    ]


def test_a_row_of_many_quoted_lines_is_bounded_as_well(world: World) -> None:
    world.env["BILLING_MEMORY_LIMIT"] = "64MB"
    world.usage("a.csv", GOOD, ",".join(['"x\ny"'] * 400_000))
    [line] = world.usage_problems()
    assert line.startswith("usage/2024-01/a.csv row 3: is longer than 1 MB")


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "jsonl.gz", "parquet"])
def test_a_file_that_unpacks_to_more_than_is_allowed_is_refused_by_name(
    world: World, kind: str
) -> None:
    world.env["BILLING_MAX_INPUT_BYTES"] = "1MB"
    world.usage("good.csv", GOOD)
    if kind == "parquet":
        path = parquet(world, "a.parquet", 2, use_dictionary=False, properties="x" * 600_000)
    else:
        path = packed(world, f"a.{kind}", lines(kind, 40_000, "{}"))
    assert kind == "csv" or path.stat().st_size < 200_000
    assert world.usage_problems() == [
        f"usage/2024-01/a.{kind}: holds more than 1 MB; BILLING_MAX_INPUT_BYTES allows for more"
    ]
    world.env["BILLING_MAX_INPUT_BYTES"] = "100MB"
    world.load_usage()


def test_parquet_that_memory_does_not_hold_is_named(world: World) -> None:
    """A row group is read as a whole, which no bound of ours can change."""
    limits = replace(InputLimits.of(world.settings), memory="8MB")
    path = parquet(world, "a.parquet", 200, use_dictionary=False, properties="x" * 200_000)
    with (
        normalising.reading_connection(limits) as connection,
        pytest.raises(text_files.BrokenFile, match=r"needs more memory than .* \(8MB\)"),
    ):
        parquet_files.content_of(connection, str(path), limits)


def test_keys_that_are_made_up_for_each_event_are_not_all_remembered(world: World) -> None:
    keys: set[str] = set()
    for number in range(5_000):
        text_files._json_record(number, json.dumps({f"key{number}": 1}), keys)
    named = event(1) | {"subscription_id": "sub"}
    text_files._json_record(5_000, json.dumps(named), keys)
    assert len(keys) < 1_100
    assert keys.issuperset(USAGE_COLUMNS)


# --- kinds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl.gz", "a.parquet", "a"])
def test_a_pipe_is_refused_and_not_waited_for(world: World, name: str) -> None:
    world.usage("good.csv", GOOD)
    os.mkfifo(world.data / "usage/2024-01" / name)
    message = "is a named pipe and no file; usage is read from files"
    assert world.usage_problems() == [f"usage/2024-01/{name}: {message}"]


def test_devices_and_sockets_are_refused(world: World) -> None:
    folder = world.usage("good.csv", GOOD).parent
    (folder / "a.csv").symlink_to("/dev/zero")
    before = Path.cwd()
    os.chdir(folder)  # the name of a socket must be short
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("b.csv")
    finally:
        os.chdir(before)
    assert world.usage_problems() == [
        "usage/2024-01/a.csv: is a device and no file; usage is read from files",
        "usage/2024-01/b.csv: is a socket and no file; usage is read from files",
    ]


def test_a_pipe_among_files_that_were_rated_is_late_and_not_waited_for(world: World) -> None:
    world.usage("a.csv", GOOD)
    (world.settings.month_dir(JANUARY)).mkdir(parents=True)
    record_rated(world.settings, JANUARY, [JANUARY], world.load_usage())
    assert late_usage(world.settings, JANUARY) is None
    os.mkfifo(world.data / "usage/2024-01/b.csv")
    late = late_usage(world.settings, JANUARY)
    assert late is not None
    assert late.new == ("usage/2024-01/b.csv",)


def test_a_folder_of_parquet_files_is_read(world: World) -> None:
    world.usage("a.csv", GOOD)
    for part in range(2):
        parquet(world, f"b.parquet/part-{part}.parquet", 3)
    (world.data / "usage/2024-01/b.parquet/_SUCCESS").touch()
    (world.settings.month_dir(JANUARY)).mkdir(parents=True)
    record_rated(world.settings, JANUARY, [JANUARY], world.load_usage())
    query = "select source_file, count(*) from raw.usage_events group by 1 order by 1"
    assert world.select(query) == [
        ("usage/2024-01/a.csv", 1),
        ("usage/2024-01/b.parquet/part-0.parquet", 3),
        ("usage/2024-01/b.parquet/part-1.parquet", 3),
    ]
    assert late_usage(world.settings, JANUARY) is None
    parquet(world, "b.parquet/part-2.parquet", 1)
    late = late_usage(world.settings, JANUARY)
    assert late is not None
    assert late.new == ("usage/2024-01/b.parquet/part-2.parquet",)


def test_a_folder_without_parquet_files_is_refused(world: World) -> None:
    world.usage("good.csv", GOOD)
    (world.data / "usage/2024-01/a.parquet").mkdir()
    (world.data / "usage/2024-01/a.parquet/_SUCCESS").touch()
    world.write("usage/2024-01/b.parquet/part-0.csv", "x")
    world.write("usage/2024-01/c.parquet/day=1/part-0.parquet", "x")
    world.write("usage/2024-01/d.csv/part-0.csv", "x")
    lying = "is a folder; usage files lie directly in the month's folder"
    assert world.usage_problems() == [
        "usage/2024-01/a.parquet: is a folder without Parquet files",
        "usage/2024-01/b.parquet/part-0.csv: has no extension of a usage file; allowed: .parquet",
        f"usage/2024-01/c.parquet/day=1: {lying}",
        f"usage/2024-01/d.csv: {lying}",
    ]


def test_only_notes_are_allowed_next_to_usage(world: World) -> None:
    world.usage("a.csv", GOOD)
    world.write("usage/2024-01/README.md", "x")
    world.write("usage/README", "x")
    assert world.load_usage().rows == 1
    world.write("usage/2024-01.zip", "x")
    assert world.usage_problems() == [
        "usage/2024-01.zip: is outside of a month's folder, for example usage/2024-01/"
    ]


def test_all_files_of_a_month_are_read_by_one_connection(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To open one takes longer than to read a small file."""
    opened: list[object] = []
    connect = duckdb.connect

    def noted(*args: str, **named: bool) -> duckdb.DuckDBPyConnection:
        opened.append(args)
        return connect(*args, **named)

    for name in ("a", "b"):
        world.usage(f"{name}.csv", GOOD)
        parquet(world, f"{name}.parquet", 2)
    monkeypatch.setattr(duckdb, "connect", noted)
    assert world.load_usage().rows == 6
    assert len(opened) == 1
