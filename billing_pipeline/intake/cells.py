"""Catalog and account files as columns of text cells, with the row numbers a person sees.

What belongs here: file formats, encodings, headers. What does not: what a cell may hold.
Usage files do not come this way: they are large, and their bad rows are set aside, not refused.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.parquet as pq

from billing_pipeline.intake.problems import Problem, shown
from billing_pipeline.intake.storage import Entry, Storage

EXTENSIONS = (".csv", ".csv.gz", ".parquet")


@dataclass(frozen=True)
class Cells:
    """One file's cells: for each of `columns` its `texts`, a text for each of the row `numbers`."""

    file: str
    columns: list[str]
    numbers: Sequence[int]
    texts: Sequence[Sequence[str]]


class UnreadableFile(ValueError):
    """The file as a whole, or some of its rows, cannot be read."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read_cells(storage: Storage, file: str, entry: Entry) -> Cells:
    """Read a CSV or Parquet file; `file` is its name in messages. Raises `UnreadableFile`."""
    try:
        content = storage.read(entry)
        if entry.name.lower().endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(file, f"cannot be read: {error}") from error
    if entry.name.lower().endswith(".parquet"):
        return _parquet(file, content)
    return _csv(file, content)


def _unreadable(file: str, message: str, row: int | None = None) -> UnreadableFile:
    return UnreadableFile([Problem(file, row, None, None, message)])


def _csv(file: str, content: bytes) -> Cells:
    problems: list[Problem] = []
    columns: list[str] = []
    numbers: list[int] = []
    texts: list[str] = []  # row after row: a list for each row costs as much as all the rest
    for number, cells in _records(file, content, problems):
        if not columns:
            columns = [cell.strip() for cell in cells]
        elif not any(map(str.strip, cells)):
            continue  # what spreadsheets leave below a table
        elif len(cells) != len(columns):
            message = f"has {len(cells)} cells, the header {len(columns)}"
            problems.append(Problem(file, number, None, None, message))
        else:
            numbers.append(number)
            texts += cells
    if problems:
        raise UnreadableFile(problems)
    if not columns:
        raise _unreadable(file, "is empty; the first row must name the columns")
    width = len(columns)
    return Cells(file, columns, numbers, [texts[index::width] for index in range(width)])


# What is left of bytes that are no UTF-8.
_NO_TEXT = re.compile(r"[\ud800-\udfff]")


def _records(file: str, content: bytes, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """(row number, cells) of CSV bytes; rows that are no UTF-8 or no CSV go to `problems`."""
    text = content.decode("utf-8-sig", errors="surrogateescape")
    # Nearly every file is text throughout: one look at it all spares a look at each cell.
    is_text = _NO_TEXT.search(text) is None
    number = 0
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        for number, cells in enumerate(reader, start=1):
            if is_text or not any(map(_NO_TEXT.search, cells)):
                yield number, cells
            else:
                problems.append(Problem(file, number, None, None, "is not UTF-8 text"))
    except csv.Error as error:
        # Where the next row begins is not known any more.
        message = f"is not CSV ({error}); quote cells that contain quotes, doubling them"
        problems.append(Problem(file, number + 1, None, None, message))


def _parquet(file: str, content: bytes) -> Cells:
    try:
        table = pq.read_table(pa.BufferReader(content))
        columns = [column.to_pylist() for column in table.columns]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _unreadable(file, f"is not readable Parquet: {error}") from error
    texts = [list(map(cell_text, column)) for column in columns]
    return Cells(file, list(table.column_names), range(1, table.num_rows + 1), texts)


def cell_text(value: object) -> str:
    """The text that a typed Parquet value would have in a CSV cell; exact for every type."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # repr is the shortest text of the double: 0.05 stays 0.05.
        return format(Decimal(repr(value)), "f")
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=cell_text, ensure_ascii=False)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return str(value)


def header_problems(cells: Cells, known: Sequence[str], required: Sequence[str]) -> list[Problem]:
    """What is wrong with a header: missing, repeated, or misspelt columns.

    A column that is not known is ignored, people keep notes in them, unless it looks like one
    that is known and absent: `unit_amout` would otherwise bill nothing, in silence.
    """
    problems = []

    def problem(column: str, message: str) -> None:
        problems.append(Problem(cells.file, None, column, None, message))

    missing = [column for column in known if column not in cells.columns]
    for column in missing:
        if column in required:
            problem(column, f"this column is missing; the header has {', '.join(cells.columns)}")
    for column in dict.fromkeys(cells.columns):
        if column in known:
            if cells.columns.count(column) > 1:
                problem(column, "this column is there twice")
            continue
        near = get_close_matches(column.lower(), missing, n=1, cutoff=0.8)
        if near:
            problem(
                column, f"{shown(column)} is not a column of this file; did you mean {near[0]}?"
            )
    return problems
