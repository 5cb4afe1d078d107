"""DuckDB's SQL from Python: values where a statement takes no parameters, and rows by column name.

What belongs here: writing a text, a name or a path so that DuckDB reads just that (for views,
ATTACH, COPY and printed queries), and reading rows as dicts. What does not: any statement.
"""

from __future__ import annotations

import re
from typing import Any

import duckdb

Row = dict[str, Any]

# What DuckDB's readers take for a pattern, and the bracket that ends one.
_WILDCARD = re.compile(r"[*?\[\]]")


def sql_text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def sql_name(value: str) -> str:
    """An identifier."""
    return '"' + value.replace('"', '""') + '"'


def glob_literal(path: str) -> str:
    """A path that DuckDB's globbing readers take as it is, whatever its characters."""
    return _WILDCARD.sub(r"[\g<0>]", path)


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[Row]:
    """All rows of a query, each by its columns' names."""
    found = connection.execute(sql, list(parameters))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
