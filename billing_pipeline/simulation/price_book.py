"""How two price books differ, row by row, in words.

What belongs here: the rows of catalog/ that only one side has, or that each has in another form.
What does not: whom they reach (``reach``), and what they come to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb

from billing_pipeline.duckdb_sql import rows
from billing_pipeline.intake.reference.schemas import TABLES, Table
from billing_pipeline.money import plain_number

Key = tuple[object, ...]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Difference:
    """One row of a file of the price book: `key` names it, `what` is `added`, `removed` or
    `changed`, `text` says which cells."""

    file: str
    key: str
    what: str
    text: str


def differences(connection: duckdb.DuckDBPyConnection) -> list[Difference]:
    """Between the sides `present` and `simulated`, in the order of files and keys."""
    return [
        difference
        for table in TABLES
        if table.folder.partition("/")[0] == "catalog"
        for difference in _table_differences(connection, table)
    ]


def _table_differences(connection: duckdb.DuckDBPyConnection, table: Table) -> Iterator[Difference]:
    before, after = (_rows(connection, table, side) for side in ("present", "simulated"))
    for key in sorted(before.keys() | after.keys(), key=_order):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        what = "added" if old is None else "removed" if new is None else "changed"
        text = _cells(old, new) if old and new else _row(table, new or old or {})
        yield Difference(table.path, _key(key), what, text)


def _rows(connection: duckdb.DuckDBPyConnection, table: Table, side: str) -> dict[Key, Values]:
    """The table's rows by their key; both names are constants of ours."""
    found = rows(connection, f"SELECT * FROM {side}.raw.{table.name}")
    names = table.column_names
    (key, *_) = table.keys
    return {tuple(row[name] for name in key): {name: row[name] for name in names} for row in found}


def _order(key: Key) -> list[tuple[bool, Any]]:
    """Empty cells first, as the first version of a price has one."""
    return [(value is not None, value) for value in key]


def _key(key: Key) -> str:
    return ", ".join(_text(value) for value in key if value is not None)


def _cells(old: Values, new: Values) -> str:
    return "; ".join(
        f"{name} {_text(old[name])} → {_text(new[name])}" for name in old if old[name] != new[name]
    )


def _row(table: Table, row: Values) -> str:
    key = table.keys[0]
    defaults = {column.name: column.default for column in table.columns}
    return "; ".join(
        f"{name} {_text(value)}"
        for name, value in row.items()
        if name not in key and value is not None and value != defaults[name]
    )


def _text(value: object) -> str:
    if value is None:
        return "(empty)"
    if isinstance(value, Decimal):
        return plain_number(value)
    if isinstance(value, datetime):
        is_day = (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0)
        return f"{value:%Y-%m-%d}" if is_day else f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return str(value).lower() if isinstance(value, bool) else str(value)
