"""CSV and JSON Lines usage as rows of text: read once, row by row; a bad row never stops it.

What belongs here: records and their numbers, and what makes a row malformed. What does not: the
meaning of values (expressions.py), how they become Parquet (normalising.py).
"""

from __future__ import annotations

import csv
import io
import json
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from difflib import get_close_matches
from itertools import count
from typing import IO, NamedTuple

import pyarrow as pa

from billing_pipeline.intake.limits import InputLimits, TooLargeError, shown_bytes, unpacked
from billing_pipeline.intake.reference.schemas import USAGE, USAGE_COLUMNS
from billing_pipeline.intake.values import BadValue, JsonNumber, is_note, json_text, unique_keys

_BATCH_ROWS = 20_000
_READ_FAULTS = (OSError, EOFError, zlib.error, UnicodeDecodeError)
# How many keys of JSON objects are checked for misspellings. Without a limit, a writer that uses a
# new key for each event would fill the memory.
_MAX_KEYS = 1_000


class BrokenFile(ValueError):
    """The file as a whole cannot be read. `column` names a missing column, if that is the
    reason."""

    def __init__(self, message: str, row: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.row = row
        self.column = column


class Record(NamedTuple):
    """One row: its number, its texts (None: absent), and the raw row if it is more than its texts.

    A record without `values` is malformed: its raw text is all there is.
    """

    number: int
    values: tuple[str | None, ...] | None
    raw: str | None


def batches(
    content: IO[bytes], name: str, limits: InputLimits, faults: list[BrokenFile]
) -> Iterator[pa.RecordBatch]:
    """The rows of a CSV or JSON Lines file as texts, with the columns of `RECORD_SCHEMA`.

    `name` chooses the format by its extension. A fault of the file ends the rows and is put into
    `faults`, because DuckDB, which reads the rows, would wrap an exception raised here.
    """
    plain = name.lower().removesuffix(".gz")
    plain_content = unpacked(content, limits, is_packed=plain != name.lower())
    if plain.endswith(".csv"):
        records = _csv_records(plain_content, limits.row_bytes)
    else:
        is_dot_json = plain.endswith(".json")
        records = _json_records(plain_content, limits.row_bytes, is_dot_json=is_dot_json)
    return _batches(_until_broken(records, faults), limits.batch_bytes)


def _until_broken(records: Iterator[Record], faults: list[BrokenFile]) -> Iterator[Record]:
    try:
        yield from records
    except BrokenFile as error:
        faults.append(error)
    except TooLargeError as error:
        faults.append(BrokenFile(str(error)))
    except _READ_FAULTS as error:
        faults.append(BrokenFile(f"cannot be read: {error}"))


# --- records ---------------------------------------------------------------------------------


def _csv_records(content: IO[bytes], row_bytes: int) -> Iterator[Record]:
    """Rows numbered as in a spreadsheet: the header is 1, and an empty line counts but gives no
    record."""
    text = io.TextIOWrapper(content, "utf-8-sig", errors="surrogateescape", newline="")
    lines = _Lines(text, row_bytes)
    reader = csv.reader(lines, strict=True)
    header = _csv_header(reader)
    width = len(header)
    positions = [header.index(name) if name in header else width for name in USAGE_COLUMNS]
    number = 1
    while True:
        number += 1
        lines.begin_row(number)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.at_end and "unexpected end" in str(error):
                raise BrokenFile("ends within a quoted cell: it is cut off", number) from error
            yield Record(number, None, lines.first_broken_line())
            continue
        if len(cells) == width:
            cells.append("")  # for the columns that the file does not have
            yield Record(number, tuple(map(cells.__getitem__, positions)), None)
        elif cells:
            yield Record(number, None, lines.first_broken_line())


def _csv_header(reader: Iterator[list[str]]) -> list[str]:
    try:
        header = [cell.strip() for cell in next(reader)]
    except StopIteration as error:
        raise BrokenFile("is empty; the first row must name the columns") from error
    except csv.Error as error:
        raise BrokenFile(f"has a header that is not CSV: {error}", 1) from error
    check_columns(header)
    return header


def check_columns(header: Iterable[str]) -> None:
    """Refuse a file that lacks a required column, has a column twice, or has one that usage does
    not have: with `quantiy` in place of `quantity`, every event would count as 1. Raises
    `BrokenFile`."""
    names = list(header)
    found = ", ".join(names)[:200]
    for name in USAGE_COLUMNS:
        if names.count(name) > 1:
            raise BrokenFile(f"this column is there twice; the header has {found!r}", column=name)
        if name not in names and name in USAGE.required_names:
            raise BrokenFile(f"this column is missing; the header has {found!r}", column=name)
    _refuse_unknown(names, "this column is missing, but there is")


def _refuse_unknown(names: Collection[str], message: str) -> None:
    absent = [name for name in USAGE_COLUMNS if name not in names]
    for name in sorted(set(names) - set(USAGE_COLUMNS)):
        if is_note(name):
            continue
        near = get_close_matches(name.lower(), absent, n=1, cutoff=0.8)
        if near:
            raise BrokenFile(f"{message} {name!r}", column=near[0])
        raise BrokenFile(
            "is not a column of usage files; the name of a column of notes begins with _",
            column=name,
        )


class _Lines:
    """Physical lines for the CSV reader, which can go back after a broken row.

    A stray quote makes the reader take line after line into one cell. Once that turns out not to be
    a row, only its first line counts as malformed, and the lines after it are read again. Otherwise
    one bad row would swallow its good neighbours, and they would never be billed.
    """

    def __init__(self, text: io.TextIOWrapper, row_bytes: int) -> None:
        self._text = text
        self._again: list[str] = []
        self._row_bytes = row_bytes
        self._left = row_bytes
        self._number = 1
        self.taken: list[str] = []
        self.at_end = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._again:
            line = self._again.pop()
        else:
            line = self._text.readline(self._left + 1)
            if not line:
                self.at_end = True
                raise StopIteration
        self._left -= len(line)
        if self._left < 0:
            raise _too_long(self._number, self._row_bytes)
        self.taken.append(line)
        return line

    def begin_row(self, number: int) -> None:
        self._number = number
        self._left = self._row_bytes
        self.taken.clear()

    def first_broken_line(self) -> str:
        """The first line of the row just taken; the lines after it will be read again."""
        first, *others = self.taken
        self._again += reversed(others)
        return first.rstrip("\r\n")


def _too_long(number: int, row_bytes: int) -> BrokenFile:
    return BrokenFile(f"is longer than {shown_bytes(row_bytes)}, more than a row may have", number)


def _json_records(content: IO[bytes], row_bytes: int, is_dot_json: bool) -> Iterator[Record]:
    keys: set[str] = set()
    for number in count(1):
        line = content.readline(row_bytes + 1)
        if not line:
            break
        stripped = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if is_dot_json and number == 1 and stripped.startswith(b"["):
            raise BrokenFile("holds a JSON array; write JSON Lines: one object a line", 1)
        if len(line) > row_bytes:
            raise _too_long(number, row_bytes)
        if not stripped:
            continue
        try:
            text = stripped.decode()
        except UnicodeDecodeError:
            yield Record(number, None, stripped.decode(errors="backslashreplace"))
            continue
        yield _json_record(number, text, keys)
    _refuse_unknown(keys, "no object has this key, but some have")


def _json_record(number: int, line: str, keys: set[str]) -> Record:
    try:
        event = _EVENT_DECODER.decode(line)
    except (ValueError, RecursionError):
        return Record(number, None, line)
    if not isinstance(event, dict) or isinstance(event, _RepeatedKeys):
        return Record(number, None, line)
    if not keys.issuperset(event):
        keys.update(event if len(keys) < _MAX_KEYS else set(USAGE_COLUMNS) & set(event))
    get = event.get
    ids = (get("event_id"), get("customer_id"), get("event_name"))
    subscription_id = get("subscription_id")
    for value in (*ids, subscription_id):
        if value is not None and not isinstance(value, str):
            return Record(number, None, line)  # an id that is an object, a list, true or false
    occurred_at, quantity = _scalar(get("occurred_at")), _scalar(get("quantity"))
    properties = _properties_text(get("properties"))
    values = (*ids, occurred_at, quantity, properties, subscription_id)
    return Record(number, values, line)


class _Constant(str):
    """NaN or Infinity: not JSON, but some writers use it as a quantity; never a valid value."""

    __slots__ = ()


class _RepeatedKeys(dict[str, object]):
    """An object with a repeated key: which value is meant cannot be known."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    try:
        return unique_keys(pairs)
    except BadValue:
        return _RepeatedKeys(pairs)


# One decoder for all lines: json.loads would build one for each.
_EVENT_DECODER = json.JSONDecoder(
    parse_float=JsonNumber,
    parse_int=JsonNumber,
    parse_constant=_Constant,
    object_pairs_hook=_object,
)


def _scalar(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)  # an object or a list: not a value of any column, so it is rejected


def _properties_text(value: object) -> str | None:
    """Text for the properties expression to check; it will refuse what is not a clean object."""
    if value is None or (isinstance(value, str) and not isinstance(value, (JsonNumber, _Constant))):
        return value
    return json_text(value) if _is_clean(value) else "not JSON"


def _is_clean(value: object) -> bool:
    if isinstance(value, dict):
        return not isinstance(value, _RepeatedKeys) and all(map(_is_clean, value.values()))
    if isinstance(value, list):
        return all(map(_is_clean, value))
    return type(value) is not _Constant


# --- batches ---------------------------------------------------------------------------------

RECORD_SCHEMA = pa.schema(
    [
        ("source_row", pa.int64()),
        ("malformed", pa.bool_()),
        *((name, pa.string()) for name in USAGE_COLUMNS),
        ("raw", pa.string()),
    ]
)
_NO_VALUES = (None,) * len(USAGE_COLUMNS)


def _batches(records: Iterator[Record], batch_bytes: int) -> Iterator[pa.RecordBatch]:
    """Batches of as many rows as fit into `batch_bytes`: a row count says nothing about memory."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += sum(map(len, filter(None, record.values or ()))) + len(record.raw or "")
        if len(batch) == _BATCH_ROWS or size >= batch_bytes:
            yield _batch(batch)
            batch = []
            size = 0
    if batch:
        yield _batch(batch)


def _batch(records: list[Record]) -> pa.RecordBatch:
    try:
        return _arrow(records)
    except UnicodeEncodeError:
        # Some cell is not text (invalid UTF-8, half of a surrogate pair): find the rows.
        return _arrow([record if _is_text(record) else _malformed(record) for record in records])


def _arrow(records: list[Record]) -> pa.RecordBatch:
    numbers = [record.number for record in records]
    malformed = [record.values is None for record in records]
    values = zip(*(record.values or _NO_VALUES for record in records), strict=True)
    columns = [*values, [record.raw for record in records]]
    arrays = [pa.array(numbers, pa.int64()), pa.array(malformed, pa.bool_())]
    arrays += [pa.array(list(column), pa.string()) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=RECORD_SCHEMA)


def _raw_text(record: Record) -> str:
    """The row as JSON text, in the form that the expressions write for a row of texts."""
    cells = dict(zip(USAGE_COLUMNS, record.values or (), strict=True))
    if not cells["subscription_id"]:
        del cells["subscription_id"]
    return json.dumps(cells, ensure_ascii=False, separators=(",", ":"))


def _is_text(record: Record) -> bool:
    cells = [*(record.values or ()), record.raw]
    try:
        "".join(cell for cell in cells if cell is not None).encode()
    except UnicodeEncodeError:
        return False
    return True


def _malformed(record: Record) -> Record:
    raw = record.raw if record.raw is not None else _raw_text(record)
    # Undecodable bytes are shown as \xff, as Python writes them, and lone surrogates as \ud800.
    shown = re.sub("[\udc80-\udcff]", lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", raw).encode(
        "utf-8", "backslashreplace"
    )
    return Record(record.number, None, shown.decode())
