"""Many small Parquet files are looked at together, and each as if it were looked at alone."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import World

from billing_pipeline.intake.files.normalising import reading_connection
from billing_pipeline.intake.files.parquet_files import content_of, small_file_contents
from billing_pipeline.intake.limits import InputLimits

ROW = {
    "event_id": "e1",
    "customer_id": "c1",
    "event_name": "calls",
    "occurred_at": "2024-01-02T00:00:00Z",
    "quantity": "1",
}


class Counted:
    """A connection that counts its statements."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection, self.statements = connection, 0

    def execute(self, sql: str) -> Any:
        self.statements += 1
        return self.connection.execute(sql)


@pytest.fixture
def limits(world: World) -> InputLimits:
    return InputLimits.of(world.settings)


@pytest.fixture
def counted(limits: InputLimits) -> Iterator[Any]:
    with reading_connection(limits) as connection:
        yield Counted(connection)


def written(folder: Path, name: str, *rows: dict[str, object], kind: pa.DataType = None) -> str:
    table = pa.Table.from_pylist(list(rows))
    if kind is not None:
        column = pa.array([Decimal(str(row["quantity"])) for row in rows], kind)
        table = table.set_column(table.schema.get_field_index("quantity"), "quantity", column)
    path = folder / name
    pq.write_table(table, path)
    return str(path)


def test_each_file_is_as_if_it_were_alone(
    tmp_path: Path, counted: Any, limits: InputLimits
) -> None:
    one = dict(ROW)
    paths = [
        written(tmp_path, "a [1].parquet", one, one | {"event_id": "e2"}),
        written(tmp_path, "b.parquet", one | {"customer_id": " c1 "}),  # not clean
        written(tmp_path, "c.parquet", one | {"properties": {"size": "s"}}),
        written(tmp_path, "d.parquet", one, kind=pa.decimal128(10, 2)),
        written(tmp_path, "e.parquet", one, kind=pa.decimal128(12, 2)),
        written(tmp_path, "f.parquet", one | {"event_id": 7}),
    ]
    empty = pq.read_table(paths[0]).slice(0, 0)
    pq.write_table(empty, tmp_path / "g.parquet")
    paths.append(str(tmp_path / "g.parquet"))
    found = small_file_contents(counted, paths, limits)
    assert found == {path: content_of(counted, path, limits) for path in paths}
    assert [found[path].rows for path in paths] == [2, 1, 1, 1, 1, 1, 0]


def test_as_many_statements_as_kinds_of_files(
    tmp_path: Path, counted: Any, limits: InputLimits
) -> None:
    paths = [
        written(tmp_path, f"{number}.parquet", ROW | {"event_id": f"e{number}"} | more)
        for number, more in enumerate([{}] * 20 + [{"properties": {"size": "s"}}] * 20)
    ]
    assert small_file_contents(counted, paths, limits).keys() == set(paths)
    assert counted.statements == 4


def test_of_files_together_the_one_that_is_damaged_is_named(world: World) -> None:
    folder = world.data / "usage/2024-01"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [ROW | {"event_id": f"{number:032}"} for number in range(500)]
    for number in range(5):
        written(folder, f"{number}.parquet", *rows)
    path = folder / "3.parquet"
    content = bytearray(path.read_bytes())
    content[200:1200] = bytes(1000)
    path.write_bytes(content)
    [problem] = world.usage_problems()
    assert problem.startswith(
        "usage/2024-01/3.parquet: is not readable Parquet, cut off or damaged"
    )
    written(folder, "3.parquet", *rows)
    world.load_usage()


def test_a_column_of_another_kind_is_named_in_the_files_that_have_it(world: World) -> None:
    folder = world.data / "usage/2024-01"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(4):
        written(folder, f"{number}.parquet", ROW | ({"quantity": True} if number > 1 else {}))
    assert [line.split(":")[0] for line in world.usage_problems()] == [
        "usage/2024-01/2.parquet, quantity",
        "usage/2024-01/3.parquet, quantity",
    ]
