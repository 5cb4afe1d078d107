"""Rows of a query as people and JSON name them: each a dict by its columns.

What belongs here: that. What does not: which query, and opening a database.
"""

from __future__ import annotations

from typing import Any

import duckdb

Row = dict[str, Any]


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *parameters: object) -> list[Row]:
    """All rows of a query, each by its columns' names."""
    found = connection.execute(sql, list(parameters))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
