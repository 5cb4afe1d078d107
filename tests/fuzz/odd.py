"""What goes wrong with text, bytes, tables and JSON, by chance.

What belongs here: making it, from a seeded generator alone. What does not: to whom it is given
(`inputs.py`, `outside.py`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

CELLS: tuple[str, ...] = (
    *("", " ", "-1", "0", "1e400", "1e-400", "NaN", "inf", "0x10", "1,5", "१२"),
    *("9" * 60, "0." + "1" * 40, "a" * 70_000, "null", "true", "=1+1", "..", "../x"),
    *("2024-13-01", "2024-02-30T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "0000-01-01", "now"),
    *("\x00", '"', "'", "a\nb", "\r", "💥", "\u202e", "\x1b[31m", "\ufeff", "ÿ"),
    *("{}", '{"a": 1}', '{"a": {"b": []}}', "[1]", "{", '{"above": "x"}', "{month}", "{nothing}"),
    *("USD", "usd", "XXX", "sum", "graduated", "a;b", ";"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, "", "no word", "💥\x1b[31m", [], {}, [None], {"id": None}),
    *(2**70, "9" * 400, "2024-01-01", [[[]]], {"data": 1}),
)


def odd_table(rng: Random, text: str) -> str:
    """A CSV in which one cell, row or column is not as it was."""
    rows = list(csv.reader(io.StringIO(text)))
    return _written(rng.choice(_TABLE_EDITS)(rng, rows))


def odd_cell(rng: Random, text: str) -> str:
    """A CSV in which one cell below the header is not as it was: it has the same rows."""
    return _written(_cell(rng, list(csv.reader(io.StringIO(text)))))


def _written(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def _cell(rng: Random, rows: list[list[str]]) -> list[list[str]]:
    row = rng.randrange(1, len(rows)) if len(rows) > 1 else 0
    rows[row][rng.randrange(len(rows[row]))] = rng.choice(CELLS)
    return rows


def _header(rng: Random, rows: list[list[str]]) -> list[list[str]]:
    rows[0][rng.randrange(len(rows[0]))] = rng.choice([*CELLS, *rows[0], "filename", "row_id"])
    return rows


def _column_gone(rng: Random, rows: list[list[str]]) -> list[list[str]]:
    column = rng.randrange(len(rows[0]))
    return [row[:column] + row[column + 1 :] for row in rows]


def _row_gone(rng: Random, rows: list[list[str]]) -> list[list[str]]:
    del rows[rng.randrange(len(rows))]
    return rows


def _row_twice(rng: Random, rows: list[list[str]]) -> list[list[str]]:
    return [*rows, rng.choice(rows)]


def _row_longer(rng: Random, rows: list[list[str]]) -> list[list[str]]:
    rng.choice(rows).append(rng.choice(CELLS))
    return rows


def _another_order(rng: Random, rows: list[list[str]]) -> list[list[str]]:
    body = rows[1:]
    rng.shuffle(body)
    return [*rows[:1], *body]


_TABLE_EDITS: tuple[Callable[[Random, list[list[str]]], list[list[str]]], ...] = (
    *(_cell, _cell, _cell, _header, _column_gone),
    *(_row_gone, _row_twice, _row_longer, _another_order),
)


def odd_bytes(rng: Random, data: bytes) -> bytes:
    """Bytes of which a few are changed, gone, there twice, or cut off."""
    at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    end = min(end, at + rng.choice((1, 2, 16, len(data))))
    piece = data[at:end]
    marks = (b"\x00", b"\xff\xfe", b'"', b"\r\n\r\n", b"{", b"\x1f\x8b")
    return data[:at] + rng.choice(
        (
            data[end:],
            rng.randbytes(len(piece) or 1) + data[end:],
            piece * 3 + data[end:],
            b"",
            rng.choice(marks) + data[at:],
        )
    )


def odd_json(rng: Random, value: Any) -> tuple[Any, str]:
    """JSON of which one value is gone or another, and where that is."""
    value = json.loads(json.dumps(value))
    place = rng.choice(list(_places(value)))
    if not place:
        return rng.choice(VALUES), "all of it"
    around = value
    for name in place[:-1]:
        around = around[name]
    where = ".".join(map(str, place))
    if rng.random() < 0.4:
        del around[place[-1]]
        return value, f"{where} is gone"
    around[place[-1]] = rng.choice(VALUES)
    return value, f"{where} is {str(around[place[-1]])[:30]!a}"


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _places(item, (*path, name))
