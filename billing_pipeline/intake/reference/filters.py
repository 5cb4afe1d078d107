"""The conditions of prices' filters on an event's properties, as rows to which events can be
joined.

What belongs here: reading and checking a filter, and its rows in `raw.filters`. What does not:
whether an event matches (dbt_project/macros/usage_filters.sql).

A filter with lists has a row for each combination of their texts. So one hash join finds all prices
that an event matches, however many prices a meter has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import product

import duckdb
import pyarrow as pa

from billing_pipeline.intake import values
from billing_pipeline.intake.problems import shown
from billing_pipeline.intake.values import BadValue, JsonNumber

# Combinations of one filter's lists. Each is a row, which takes about 100 bytes.
MAX_COMBINATIONS = 10_000
_BOUNDS = ("above", "up_to")
_PLACES = 18

Texts = Mapping[str, str]
Row = dict[str, object]


@dataclass(frozen=True)
class Filter:
    """A price's filter: its condition on each property."""

    text: str
    conditions: Mapping[str, object]

    @classmethod
    def of(cls, text: str) -> Filter:
        """The filter of a cell's JSON text, which must already be checked to be an object."""
        return cls(text, values.json_object(text))

    def faults(self) -> Iterator[str]:
        """What is wrong with the filter, one sentence for each property."""
        for key, condition in self.conditions.items():
            fault = _fault(condition)
            if fault is not None:
                yield f"the value of {shown(key)} {fault}"
        combinations = math.prod(len(texts) for texts in self._lists().values())
        if combinations > MAX_COMBINATIONS:
            yield (
                f"its lists have {combinations:,} combinations of texts; allowed: up to "
                f"{MAX_COMBINATIONS:,}. Split it into several prices"
            )

    def numbers(self) -> Iterator[str]:
        """The JSON numbers among the filter's texts."""
        for given in self._lists().values():
            yield from (text for text in given if isinstance(text, JsonNumber))

    def rows(self, number_texts: Texts) -> Iterator[Row]:
        """The filter's rows: each has the same `paths` (JSON pointers, sorted), a combination of
        `texts`, and the `bounds` of numbers. `number_texts` has, for each JSON number, the text as
        which the same number in an event is read."""
        lists = {
            _path(key): dict.fromkeys(_text(value, number_texts) for value in given)
            for key, given in self._lists().items()
        }
        paths = sorted(lists)
        bounds = [
            {"path": _path(key), **{name: _bound(condition, name) for name in _BOUNDS}}
            for key, condition in sorted(self.conditions.items())
            if isinstance(condition, dict)
        ]
        for texts in product(*(lists[path] for path in paths)):
            yield {"filter": self.text, "paths": paths, "texts": list(texts), "bounds": bounds}

    def _lists(self) -> dict[str, list[object]]:
        return {
            key: condition if isinstance(condition, list) else [condition]
            for key, condition in self.conditions.items()
            if not isinstance(condition, dict)
        }


def _fault(condition: object) -> str | None:
    if isinstance(condition, dict):
        return _bounds_fault(condition)
    if isinstance(condition, list):
        if condition and all(isinstance(text, (str, bool)) for text in condition):
            return None
        return "is a list that must hold texts, at least one"
    if isinstance(condition, (str, bool)):
        return None
    return 'must be text, a number, true or false, a list of texts, or {"above": …, "up_to": …}'


def _bounds_fault(condition: Mapping[str, object]) -> str | None:
    if not condition or not set(condition) <= set(_BOUNDS):
        return 'must have bounds only: "above" (exclusive), "up_to" (inclusive), or both'
    try:
        above, up_to = (_bound(condition, name) for name in _BOUNDS)
    except BadValue as error:
        return f"has a bound that cannot be read: {error}"
    if above is not None and up_to is not None and above >= up_to:
        return f'holds no number: "above" ({above:f}) must be below "up_to" ({up_to:f})'
    return None


def _bound(condition: Mapping[str, object], name: str) -> Decimal | None:
    """The bound `name` of a condition; raises `BadValue`."""
    if name not in condition:
        return None
    given = condition[name]
    if not isinstance(given, str):
        raise BadValue(f"{shown(name)} must be a number")
    return values.decimal(given, _PLACES)


def _path(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _text(value: object, number_texts: Texts) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_texts[value] if isinstance(value, JsonNumber) else str(value)


def write_filters(connection: duckdb.DuckDBPyConnection, texts: Iterable[str]) -> None:
    """(Re)create `raw.filters` from the distinct filters of the price book. There is always one
    without conditions, for prices without a filter: its text is empty."""
    filters = [Filter.of(text) for text in sorted(set(texts))]
    number_texts = _number_texts(connection, {n for known in filters for n in known.numbers()})
    found = [row for known in filters for row in known.rows(number_texts)]
    none: Row = {"filter": "", "paths": [], "texts": [], "bounds": []}
    rows = pa.Table.from_pylist([none, *found], _SCHEMA)  # noqa: F841  (read by name)
    connection.execute("create or replace table raw.filters as select * from rows")


def _number_texts(connection: duckdb.DuckDBPyConnection, numbers: Iterable[str]) -> Texts:
    """For each JSON number, the text as which DuckDB reads it in an event's properties."""
    found = connection.execute(
        "select number, json_extract_string('{\"n\":' || number || '}', '/n')"
        " from (select unnest($1::varchar[]) as number)",
        [list(map(str, numbers))],
    ).fetchall()
    return dict(found)


_QUANTITY = pa.decimal128(38, _PLACES)
_SCHEMA = pa.schema(
    [
        ("filter", pa.string()),
        ("paths", pa.list_(pa.string())),
        ("texts", pa.list_(pa.string())),
        (
            "bounds",
            pa.list_(
                pa.struct([("path", pa.string()), ("above", _QUANTITY), ("up_to", _QUANTITY)])
            ),
        ),
    ]
)
