"""Parquet usage files, which are read as they are: their content, and whether they can be read.

What belongs here: the scan of such files, their columns and rows, and what makes one unreadable.
What does not: which files there are, and earlier findings about them (``usage_files``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from billing_pipeline.duckdb_sql import path_list
from billing_pipeline.intake.files import expressions
from billing_pipeline.intake.files.text_files import BrokenFile, check_columns
from billing_pipeline.intake.limits import InputLimits, TooLargeError
from billing_pipeline.intake.reference.schemas import USAGE_COLUMNS

SCAN_COLUMNS = ("filename", "file_row_number", "file_index")
"""What `scan` adds to the columns of the files."""
_DECIMAL_DIGITS = 38  # of DuckDB's widest DECIMAL
# How many files are examined together, and up to which size. More would not be planned faster, and
# one damaged file causes all of them to be examined one by one. A larger file takes longer to read
# than to plan.
_MAX_BATCH_FILES, _SMALL_BYTES = 250, 4 * 1024 * 1024


class UsageColumn(NamedTuple):
    """A column of a Parquet file: its DuckDB type, and whether all its values can be used unchanged
    (`expressions.is_clean`)."""

    name: str
    sql_type: str
    is_clean: bool


class Content(NamedTuple):
    """The content of a Parquet file."""

    columns: list[UsageColumn]
    rows: int


def scan(paths: Sequence[str]) -> str:
    """A DuckDB scan of Parquet files with the same columns, with `filename` and row numbers."""
    return (
        f"read_parquet({path_list(paths)}, filename = true, file_row_number = true, "
        "hive_partitioning = false, binary_as_string = true)"
    )


def content_of(connection: duckdb.DuckDBPyConnection, path: str, limits: InputLimits) -> Content:
    """The usage columns and the number of rows of a Parquet file that reads to its end.

    Every page of the usage columns is read here, once for each content: otherwise a file that is
    damaged in the middle would stop the month later, in the middle of a model. Clean columns need
    not be checked again in any later pass or run. Raises `BrokenFile` and `TooLargeError`.
    """
    try:
        metadata = pq.read_metadata(path)
        limits.refuse_file(_unpacked_size(metadata))
        return _contents(connection, [path], metadata)[0]
    except duckdb.OutOfMemoryException as error:
        raise BrokenFile(
            f"needs more memory than BILLING_MEMORY_LIMIT ({limits.memory}); "
            "write smaller row groups"
        ) from error
    except (duckdb.Error, pa.ArrowException, UnicodeDecodeError) as error:
        message = str(error).splitlines()[0]
        raise BrokenFile(f"is not readable Parquet, cut off or damaged: {message}") from error


def small_file_contents(
    connection: duckdb.DuckDBPyConnection, paths: Iterable[str], limits: InputLimits
) -> dict[str, Content]:
    """Like `content_of` for many small files, by path. Planning a query takes twenty times as long
    as reading a small file, so files with the same columns are examined together. If anything is
    wrong with a file, it and the files examined with it are left out; `content_of` then says what
    is wrong."""
    found: dict[str, Content] = {}
    for together, metadata in _group_alike(paths, limits):
        try:
            contents = _contents(connection, together, metadata)
        except (BrokenFile, duckdb.Error, UnicodeDecodeError):
            continue
        found |= dict(zip(together, contents, strict=True))
    return found


def _group_alike(
    paths: Iterable[str], limits: InputLimits
) -> Iterator[tuple[list[str], pq.FileMetaData]]:
    """Groups of small files with the same columns to be examined together, each with the metadata
    of one of its files."""
    groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
    metadata_of: dict[tuple[object, ...], pq.FileMetaData] = {}
    for path in paths:
        try:
            metadata = pq.read_metadata(path)
            size = _unpacked_size(metadata)
            limits.refuse_file(size)
        except (OSError, TooLargeError, pa.ArrowException, UnicodeDecodeError):
            continue
        if size <= _SMALL_BYTES:
            columns = _columns_of(metadata)
            metadata_of.setdefault(columns, metadata)
            groups[columns].append(path)
    for columns, alike in groups.items():
        for first in range(0, len(alike), _MAX_BATCH_FILES):
            yield alike[first : first + _MAX_BATCH_FILES], metadata_of[columns]


def _columns_of(metadata: pq.FileMetaData) -> tuple[object, ...]:
    """A key that is equal only for files whose columns DuckDB reads alike."""
    schema = metadata.schema
    return tuple(
        (
            *(column.path, column.physical_type, str(column.logical_type), column.converted_type),
            *(column.precision, column.scale, column.length),
            *(column.max_definition_level, column.max_repetition_level),
        )
        for column in map(schema.column, range(len(schema)))
    )


def _contents(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[str], metadata: pq.FileMetaData
) -> list[Content]:
    """The content of each of these files, which have the same columns; `metadata` is of one of
    them."""
    _refuse_scan_columns(metadata)
    described = connection.execute(f"describe select * from {scan(paths[:1])}").fetchall()
    check_columns(str(row[0]) for row in described if row[0] not in SCAN_COLUMNS)
    types = {str(row[0]): str(row[1]) for row in described if row[0] in USAGE_COLUMNS}
    for name, kind in types.items():
        _check_type(name, kind)
    _check_decimals(metadata)
    clean = ", ".join(
        f"bool_and({expressions.is_clean(name, kind)})" for name, kind in types.items()
    )
    read = ", ".join(f'"{name}"' for name in types)
    # Grouping the rows of one large file would take longer than checking them.
    index, grouped = ("file_index", " group by file_index") if len(paths) > 1 else ("0", "")
    rows = connection.execute(
        f"select {index}, count(*), {clean}, bit_xor(hash({read})) from {scan(paths)}{grouped}"
    ).fetchall()
    found = {int(index): values for index, *values in rows}
    # `found` has no entry for a file without rows.
    return [_content(types, found.get(number, [0])) for number in range(len(paths))]


def _content(types: Mapping[str, str], found: Sequence[Any]) -> Content:
    rows, *clean = found
    are_clean = clean or [False] * len(types)
    columns = [
        UsageColumn(name, kind, bool(is_clean))
        for (name, kind), is_clean in zip(types.items(), are_clean, strict=False)
    ]
    return Content(columns, int(rows))


_TYPE_CHECKS = {
    "occurred_at": (expressions.is_timestamp_type, "a timestamp, a date or text"),
    "quantity": (expressions.is_quantity_type, "a number or text"),
    "properties": (
        expressions.is_properties_type,
        "JSON, text, a struct or a map without JSON inside",
    ),
}


def _check_type(name: str, kind: str) -> None:
    if name in _TYPE_CHECKS:
        is_usable, allowed = _TYPE_CHECKS[name]
        if not is_usable(kind):
            raise BrokenFile(f"this column has the type {kind}; allowed: {allowed}", column=name)


def _refuse_scan_columns(metadata: pq.FileMetaData) -> None:
    """Refuse a file with a column that would be mistaken for one that the scan adds."""
    schema = metadata.schema
    for column in map(schema.column, range(len(schema))):
        name = column.path.partition(".")[0]
        if name.lower() in SCAN_COLUMNS:
            raise BrokenFile("usage may not have a column of this name; rename it", column=name)


def _unpacked_size(metadata: pq.FileMetaData) -> int:
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    return sum(group.total_byte_size for group in groups)


def _check_decimals(metadata: pq.FileMetaData) -> None:
    """Refuse decimals for which DuckDB has no type: it would read them as DOUBLE."""
    schema = metadata.schema
    for column in map(schema.column, range(len(schema))):
        name = column.path.partition(".")[0]
        if name in USAGE_COLUMNS and column.precision > _DECIMAL_DIGITS:
            raise BrokenFile(
                f"this column has decimals of {column.precision} digits; "
                f"allowed: up to {_DECIMAL_DIGITS}",
                column=name,
            )
