"""Catalog and account files as columns of text cells, with the row numbers a person sees.

What belongs here: file formats, encodings, headers. What does not: what a cell may hold.
Usage files are not read here: they are large, and their bad rows are set aside, not refused.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from billing_pipeline.intake.files.storage import Entry, Storage
from billing_pipeline.intake.limits import InputLimits, TooLargeError, unpacked
from billing_pipeline.intake.problems import Problem, shown
from billing_pipeline.intake.values import is_note

EXTENSIONS = (".csv", ".csv.gz", ".parquet")
_BATCH_ROWS = 10_000  # of a Parquet file, checked before the next ones are read
_MAX_COLUMNS = 1_000  # a row with more is not a header


@dataclass(frozen=True)
class Cells:
    """One file's cells: for each of `columns` its `texts`, one for each of the row `numbers`."""

    file: str
    columns: list[str]
    numbers: Sequence[int]
    texts: Sequence[Sequence[str]]


class UnreadableFile(ValueError):
    """The file as a whole, or some of its rows, cannot be read."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read_cells(storage: Storage, file: str, entries: Sequence[Entry], limits: InputLimits) -> Cells:
    """Read a CSV file, a Parquet file, or the Parquet files of a folder one after another; `file`
    is the name in messages. Raises `UnreadableFile`."""
    total = 0
    parts: list[Cells] = []
    for entry in entries:
        part = file if len(entries) == 1 else f"{file}/{entry.name}"
        try:
            total += entry.size
            limits.refuse_table(total)
            with storage.opened(entry) as content:
                parts.append(_read(part, entry.name.lower(), content, limits))
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(part, f"cannot be read: {error}") from error
        except TooLargeError as error:
            raise _unreadable(part, str(error)) from error
    return parts[0] if len(parts) == 1 else _joined(file, parts, limits)


def _read(file: str, name: str, content: IO[bytes], limits: InputLimits) -> Cells:
    if name.endswith(".parquet"):
        return _parquet(file, content, limits)
    plain = unpacked(content, limits, is_packed=name.endswith(".gz"))
    found = plain.read(limits.table_bytes + 1)
    limits.refuse_table(len(found))
    return _csv(file, found)


def _joined(file: str, parts: list[Cells], limits: InputLimits) -> Cells:
    """Parts of a table as one; rows are numbered continuously from part to part."""
    columns = parts[0].columns
    for part in parts:
        if part.columns != columns:
            raise _unreadable(part.file, f"has other columns than {parts[0].file}")
    texts = [
        [text for part in parts for text in part.texts[index]] for index in range(len(columns))
    ]
    limits.refuse_table(sum(sum(map(len, column)) for column in texts))
    return Cells(file, columns, range(1, sum(len(part.numbers) for part in parts) + 1), texts)


def _unreadable(file: str, message: str, row: int | None = None) -> UnreadableFile:
    return UnreadableFile([Problem(file, row, None, None, message)])


def _csv(file: str, content: bytes) -> Cells:
    problems: list[Problem] = []
    columns: list[str] = []
    numbers: list[int] = []
    texts: list[str] = []  # row after row: a list for each would cost as much as the rest
    for number, cells in _records(file, content, problems):
        if not columns:
            columns = [cell.strip() for cell in cells]
            if len(columns) > _MAX_COLUMNS:
                message = f"has a header of {len(columns):,} cells; allowed: up to {_MAX_COLUMNS:,}"
                raise _unreadable(file, message, number)
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


# What decoding leaves of bytes that are not UTF-8.
_NO_TEXT = re.compile(r"[\ud800-\udfff]")


def _records(file: str, content: bytes, problems: list[Problem]) -> Iterator[tuple[int, list[str]]]:
    """(row number, cells) of CSV bytes; rows that are not UTF-8 or not CSV go to `problems`."""
    text = content.decode("utf-8-sig", errors="surrogateescape")
    # Nearly every file is text throughout: checking it as a whole avoids checking each cell.
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
        # It is no longer known where the next row begins.
        message = f"is not CSV ({error}); quote cells that contain quotes, doubling them"
        problems.append(Problem(file, number + 1, None, None, message))


def _parquet(file: str, content: IO[bytes], limits: InputLimits) -> Cells:
    try:
        stored = pq.ParquetFile(content)
        names = list(stored.schema_arrow.names)
        texts: list[list[str]] = [[] for _ in names]
        size = 0
        for batch in stored.iter_batches(batch_size=_BATCH_ROWS):
            size += batch.nbytes
            limits.refuse_table(size)
            for known, column in zip(texts, batch.columns, strict=True):
                known += map(cell_text, column.to_pylist())
    except TooLargeError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _unreadable(file, f"is not readable Parquet: {error}") from error
    return Cells(file, names, range(1, stored.metadata.num_rows + 1), texts)


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


def header_problems(
    cells: Cells,
    known: Sequence[str],
    required: Sequence[str],
    refused: Mapping[str, str],
) -> list[Problem]:
    """What is wrong with a header: missing, repeated or unknown columns; for `refused` ones, why.

    An unknown column is refused, because `unit_amout` would otherwise silently bill nothing.
    Columns of notes are allowed (`is_note`).
    """
    problems = []

    def problem(column: str, message: str) -> None:
        problems.append(Problem(cells.file, None, column, None, message))

    missing = [column for column in known if column not in cells.columns]
    for column in missing:
        if column in required:
            problem(
                column, f"this column is missing; the header has {', '.join(cells.columns)[:200]}"
            )
    for column in dict.fromkeys(cells.columns):
        if column in known:
            if cells.columns.count(column) > 1:
                problem(column, "this column is there twice")
            continue
        if is_note(column):
            continue
        near = get_close_matches(column.lower(), missing, n=1, cutoff=0.8)
        hint = f"did you mean {near[0]}?" if near else "the name of a column of notes begins with _"
        if column in refused:
            problem(column, f"is not a column of this file: {refused[column]}")
        else:
            problem(column, f"{shown(column)} is not a column of this file; {hint}")
    return problems
